//! Builds the arguments of `bwrap`, which determine what parts of the machine exist at the strong level. Starts
//! nothing.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::Path;

use super::filesystem::{SYSTEM_FILES, SYSTEM_FOLDERS};
use crate::policy::Policy;

/// Where our own executable is mounted inside, so that the stage can be started there.
pub(super) const LAUNCHER: &str = "/run/journeyman/sandbox-init";
/// The share of the memory limit that the files in each memory-backed folder may take. Such files are not
/// attributed to a process.
const TMPFS_SHARE: u64 = 4;

/// The complete bubblewrap command line before the command.
pub(super) fn arguments(policy: &Policy) -> Vec<OsString> {
    let mut list = Arguments(Vec::new());
    list.words(
        "--die-with-parent --new-session --unshare-pid --unshare-net --unshare-ipc --unshare-uts",
    );
    list.words("--unshare-cgroup-try --hostname sandbox");
    if policy.become_uid.is_some() {
        // As root the stage itself drops to another user, after everything is mounted: the folders it needs may be
        // below one, such as /root, that this user cannot pass outside of these mounts.
        list.words(
            "--cap-drop ALL --cap-add CAP_SETUID --cap-add CAP_SETGID --cap-add CAP_SETPCAP",
        );
    } else {
        list.words("--unshare-user");
    }
    for folder in SYSTEM_FOLDERS {
        let path = Path::new(folder);
        match fs::read_link(path) {
            Ok(target) => list.pair("--symlink", &target, path),
            Err(_) if path.is_dir() => list.pair("--ro-bind", path, path),
            Err(_) => {}
        }
    }
    for file in SYSTEM_FILES {
        list.pair("--ro-bind-try", Path::new(file), Path::new(file));
    }
    list.words("--proc /proc --dev /dev");
    let size = (policy.limits.memory_bytes_max / TMPFS_SHARE).to_string();
    for folder in [policy.temporary().as_os_str(), OsStr::new("/dev/shm")] {
        list.words(&format!("--perms 1777 --size {size} --tmpfs"));
        list.0.push(folder.to_owned());
    }
    // After the temporary folder: a task's folder may be below it.
    for path in &policy.readable {
        list.mount("--ro-bind", path, path);
    }
    list.mount("--bind", &policy.folder, &policy.folder);
    list.mount("--ro-bind", &policy.launcher, Path::new(LAUNCHER));
    list.words("--remount-ro / --chdir /");
    list.0
}

struct Arguments(Vec<OsString>);

impl Arguments {
    fn words(&mut self, words: &str) {
        self.0.extend(words.split(' ').map(OsString::from));
    }

    /// Mounts a path and creates its parent folders. Parents created by bubblewrap would be accessible to root
    /// only.
    fn mount(&mut self, option: &str, from: &Path, to: &Path) {
        let mut parents: Vec<_> = to
            .ancestors()
            .skip(1)
            .filter(|path| path.parent().is_some())
            .collect();
        parents.reverse();
        for parent in parents {
            self.words("--perms 0755 --dir");
            self.0.push(parent.into());
        }
        self.pair(option, from, to);
    }

    fn pair(&mut self, option: &str, from: &Path, to: &Path) {
        self.0.extend([option.into(), from.into(), to.into()]);
    }
}
