//! What there is outside of the sandbox for an attempt to reach, and whether it did.

use std::fs;
use std::io::ErrorKind;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::{SocketAddr, UnixListener};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use journeyman_language::python::Interpreter;
use journeyman_sandbox::Level;
use tempfile::TempDir;

use crate::common::task_folder;

/// A word in the name of whatever an attempt would leave.
pub(crate) const TRACE: &str = "journeyman-escape";
/// A key of System V's for the same; `shmget` of it would show in `/proc/sysvipc`.
const SYSTEM_V_KEY: u32 = 0x4a52_4e59;
/// The user that sandboxed code is when we are root.
const NOBODY: u32 = 65_534;
/// The file of another task.
const SECRET: &str = "secret";

/// One for each level, so that a change can be told whose it is.
pub(crate) struct World {
    level: Level,
    /// Another task's folder, open to all, so that it is the sandbox that refuses and not a file's mode.
    other_task: TempDir,
    tcp: TcpListener,
    tcp6: Option<TcpListener>,
    abstract_name: String,
    abstract_socket: UnixListener,
    /// A process of the very user that sandboxed code is, such as that of another task.
    bystander: Child,
    bystander_before: String,
    site_packages: PathBuf,
    attributes_before: (u32, u32, u32, i64),
    /// Without close-on-exec, as a careless library would leave it.
    _leaked: OwnedFd,
}

impl World {
    pub(crate) fn new(level: Level, python: &Interpreter) -> Self {
        let other_task = task_folder();
        let inside = |name: &str| other_task.path().join(name);
        fs::write(inside(SECRET), SECRET).expect("a file can be made");
        fs::write(inside("test_secret.py"), "def test_x():\n    pass\n").expect("made");
        // An unused import: the analysis would name it.
        fs::write(inside("secret.py"), "import os\n").expect("made");
        let open = |path: &Path, mode| {
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("a mode can be set");
        };
        open(&inside(SECRET), 0o666);
        open(&inside("secret.py"), 0o666);
        open(&inside("test_secret.py"), 0o666);
        open(other_task.path(), 0o777);

        let tcp = TcpListener::bind(("127.0.0.1", 0)).expect("the loopback can be listened on");
        // A machine without IPv6 is no less safe.
        let tcp6 = TcpListener::bind(("::1", 0)).ok();
        let abstract_name = format!("{TRACE}{}", other_task.path().display());
        let address = SocketAddr::from_abstract_name(&abstract_name).expect("a name is a name");
        let abstract_socket = UnixListener::bind_addr(&address).expect("abstract sockets work");
        tcp.set_nonblocking(true).expect("sockets can be asked");
        if let Some(tcp6) = &tcp6 {
            tcp6.set_nonblocking(true).expect("sockets can be asked");
        }
        abstract_socket
            .set_nonblocking(true)
            .expect("sockets can be asked");

        let mut bystander = Command::new("sleep");
        bystander.arg("3600").stdin(Stdio::null());
        if rustix::process::geteuid().is_root() {
            bystander.uid(NOBODY).gid(NOBODY);
        }
        let bystander = bystander.spawn().expect("a process can be started");
        let bystander_before = condition_of(bystander.id());
        let site_packages = python
            .interpreter()
            .parent()
            .and_then(Path::parent)
            .and_then(|environment| {
                let mut library = fs::read_dir(environment.join("lib")).ok()?;
                library.find_map(Result::ok)
            })
            .expect("an environment has a library")
            .path()
            .join("site-packages");
        let attributes_before = attributes(&inside(SECRET));
        Self {
            level,
            other_task,
            tcp,
            tcp6,
            abstract_name,
            abstract_socket,
            bystander,
            bystander_before,
            site_packages,
            attributes_before,
            _leaked: rustix::io::dup(fs::File::open("/dev/null").expect("/dev/null opens"))
                .expect("a descriptor can be copied"),
        }
    }

    /// What an attempt is told: an attacker would find out.
    pub(crate) fn for_the_program(&self) -> String {
        let port = |listener: &TcpListener| listener.local_addr().map_or(1, |at| at.port());
        let calls: serde_json::Map<_, _> = CALLS
            .iter()
            .map(|(name, number)| ((*name).to_owned(), (*number).into()))
            .collect();
        serde_json::json!({
            "level": self.level.to_string(),
            "other_task": self.other_task.path(),
            "secret": self.other_task.path().join(SECRET),
            "port": port(&self.tcp),
            "port6": self.tcp6.as_ref().map_or(1, port),
            "abstract": self.abstract_name,
            "server": std::process::id(),
            "bystander": self.bystander.id(),
            "home": std::env::var("HOME").unwrap_or_else(|_| "/root".to_owned()),
            "site_packages": self.site_packages,
            "trace": TRACE,
            "key": SYSTEM_V_KEY,
            "calls": calls,
        })
        .to_string()
    }

    /// A name as a model might choose it: `OTHER` is the other task's folder, `NAME` its last part.
    pub(crate) fn fill_in(&self, name: &str) -> String {
        let path = self.other_task.path();
        let last = path.file_name().expect("a folder has a name");
        name.replace("OTHER", &path.to_string_lossy())
            .replace("NAME", &last.to_string_lossy())
    }

    /// Whether everything is as it was; else what is not.
    pub(crate) fn is_unchanged(&mut self, in_folder: &UnixListener) -> Result<(), String> {
        let secret = self.other_task.path().join(SECRET);
        let text = fs::read_to_string(&secret).map_err(|error| format!("the secret: {error}"))?;
        if text != SECRET || attributes(&secret) != self.attributes_before {
            return Err("another task's file was changed".to_owned());
        }
        let count = fs::read_dir(self.other_task.path()).map_or(0, Iterator::count);
        if count != 3 {
            return Err(format!(
                "another task's folder has {count} files instead of 3"
            ));
        }
        let reached = [
            ("TCP", self.tcp.accept().map(|_| ())),
            ("abstract", self.abstract_socket.accept().map(|_| ())),
            ("local", in_folder.accept().map(|_| ())),
            (
                "TCP over IPv6",
                self.tcp6.as_ref().map_or_else(
                    || Err(ErrorKind::WouldBlock.into()),
                    |on| on.accept().map(|_| ()),
                ),
            ),
        ];
        for (what, accepted) in reached {
            if accepted.map_or_else(|error| error.kind() != ErrorKind::WouldBlock, |()| true) {
                return Err(format!("the {what} service was reached"));
            }
        }
        if self.bystander.try_wait().ok().flatten().is_some() {
            return Err("a process of another task was ended".to_owned());
        }
        if condition_of(self.bystander.id()) != self.bystander_before {
            return Err("a process of another task was changed".to_owned());
        }
        for folder in [
            Path::new("/dev/shm"),
            Path::new("/tmp"),
            &self.site_packages,
        ] {
            let names = fs::read_dir(folder).into_iter().flatten();
            let left = names
                .filter_map(Result::ok)
                .any(|entry| entry.file_name().to_string_lossy().contains(TRACE));
            if left {
                return Err(format!("something was left in {}", folder.display()));
            }
        }
        let shared = fs::read_to_string("/proc/sysvipc/shm").unwrap_or_default();
        if shared.contains(&SYSTEM_V_KEY.to_string()) {
            return Err("shared memory was left".to_owned());
        }
        // The path of the other task's folder stands in the arguments of each process of an attempt.
        let marker = self.other_task.path().to_string_lossy();
        let alive = fs::read_dir("/proc")
            .into_iter()
            .flatten()
            .filter_map(Result::ok)
            .filter_map(|entry| fs::read(entry.path().join("cmdline")).ok())
            .filter(|line| String::from_utf8_lossy(line).contains(marker.as_ref()))
            .count();
        if alive > 0 {
            return Err(format!("{alive} processes are left"));
        }
        Ok(())
    }
}

/// A local socket in the very folder of the task that makes the attempt.
pub(crate) fn listen_in(folder: &Path) -> UnixListener {
    let path = folder.join("socket");
    let listener = UnixListener::bind(&path).expect("a local socket can be made");
    listener
        .set_nonblocking(true)
        .expect("sockets can be asked");
    listener
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = self.bystander.kill();
        let _ = self.bystander.wait();
    }
}

fn attributes(path: &Path) -> (u32, u32, u32, i64) {
    let about = fs::metadata(path).expect("it is there");
    (about.mode(), about.uid(), about.gid(), about.mtime())
}

/// Limits, priority and processors of a process.
fn condition_of(pid: u32) -> String {
    let read = |file: &str| fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap_or_default();
    let priority = read("stat").split(' ').skip(17).take(2).collect::<String>();
    let processors: String = read("status")
        .lines()
        .filter(|line| line.starts_with("Cpus_allowed:"))
        .collect();
    format!("{} {priority} {processors}", read("limits"))
}

macro_rules! calls {
    ($($name:ident)*) => { &[$((stringify!($name), libc::$name)),*] };
}

/// The numbers of system calls on this machine.
const CALLS: &[(&str, libc::c_long)] = calls! {
    SYS_acct SYS_add_key SYS_adjtimex SYS_bpf SYS_chroot SYS_clone SYS_clone3 SYS_delete_module SYS_fallocate
    SYS_finit_module SYS_fsopen SYS_getpid SYS_init_module SYS_io_uring_setup SYS_ioctl SYS_ioprio_set SYS_kcmp
    SYS_kexec_file_load SYS_kexec_load SYS_keyctl SYS_memfd_secret SYS_mount SYS_mq_open SYS_msgget
    SYS_name_to_handle_at SYS_open_by_handle_at SYS_open_tree SYS_perf_event_open SYS_personality SYS_pidfd_getfd
    SYS_pidfd_open SYS_pivot_root SYS_process_vm_readv SYS_process_vm_writev SYS_ptrace SYS_quotactl SYS_reboot
    SYS_request_key SYS_rt_sigqueueinfo SYS_sched_setscheduler SYS_semget SYS_sethostname SYS_setns
    SYS_settimeofday SYS_shmget SYS_socket SYS_swapon SYS_syslog SYS_umount2 SYS_unshare SYS_userfaultfd
};
