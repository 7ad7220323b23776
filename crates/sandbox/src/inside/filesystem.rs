//! Restricts file access with Landlock: the only barrier at the weak level, a second one inside bubblewrap. Network
//! and signals are denied here too, where the kernel supports it.

use std::path::Path;

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, LandlockStatus,
    PathBeneath, PathFd, Ruleset, RulesetAttr, RulesetCreated, RulesetCreatedAttr, RulesetStatus,
    Scope,
};

use crate::Level;
use crate::policy::Policy;

/// System folders that programs need: libraries, interpreters, data. `/nix` is where `NixOS` keeps them.
pub(super) const SYSTEM_FOLDERS: [&str; 8] = [
    "/usr",
    "/bin",
    "/sbin",
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
    "/nix/store",
];

/// Single files and small folders of the system that a program may read. None of them identifies users or the
/// machine.
pub(super) const SYSTEM_FILES: [&str; 5] = [
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/alternatives",
    "/etc/localtime",
];

/// Further readable files if `/proc` and `/sys` are the machine's own: sizes, and the process itself.
const MACHINE_FILES: [&str; 5] = [
    "/proc/self",
    "/proc/cpuinfo",
    "/proc/meminfo",
    "/proc/stat",
    "/sys/devices/system/cpu",
];

const DEVICES: [&str; 5] = [
    "/dev/null",
    "/dev/zero",
    "/dev/full",
    "/dev/random",
    "/dev/urandom",
];

/// The newest Landlock ABI whose access rights were reviewed. Older kernels get the rights they know.
const ABI_KNOWN: ABI = ABI::V9;

/// Restricts this process permanently. Returns the Landlock ABI in force; `None` if there is no Landlock, which
/// is acceptable only inside bubblewrap.
pub(super) fn confine(policy: &Policy) -> Result<Option<i32>, String> {
    let rules = || -> Result<RulesetCreated, landlock::RulesetError> {
        Ruleset::default()
            .set_compatibility(CompatLevel::BestEffort)
            .handle_access(AccessFs::from_all(ABI_KNOWN))?
            .handle_access(AccessNet::from_all(ABI_KNOWN))?
            .scope(Scope::from_all(ABI_KNOWN))?
            .create()
    };
    let ruleset = rules().map_err(|error| format!("Landlock: {error}"))?;
    let ruleset = allow_all(ruleset, policy)?;
    let status = ruleset
        .restrict_self()
        .map_err(|error| format!("Landlock: {error}"))?;
    let enforced = status.ruleset != RulesetStatus::NotEnforced;
    match (status.landlock, policy.level) {
        (LandlockStatus::Available { effective_abi, .. }, _) if enforced => Ok(Some(effective_abi as i32)),
        (_, Level::Bubblewrap) => Ok(None),
        (LandlockStatus::NotEnabled, Level::Landlock) => Err(
            "Landlock is built into the kernel but not enabled: add it to the kernel's lsm= boot parameter".to_owned(),
        ),
        (_, Level::Landlock) => {
            Err("the kernel has no Landlock, or a container's seccomp filter hides it: use Linux 5.13 or newer".to_owned())
        }
    }
}

fn allow_all(ruleset: RulesetCreated, policy: &Policy) -> Result<RulesetCreated, String> {
    let read = AccessFs::from_read(ABI_KNOWN);
    let every = AccessFs::from_all(ABI_KNOWN);
    let device = AccessFs::ReadFile | AccessFs::WriteFile | AccessFs::Truncate | AccessFs::IoctlDev;
    let mut ruleset = ruleset;
    for path in SYSTEM_FOLDERS.iter().chain(&SYSTEM_FILES) {
        ruleset = allow_if_there(ruleset, Path::new(path), read)?;
    }
    let rest: &[(&[&str], BitFlags<AccessFs>)] = match policy.level {
        // What of these exists in bubblewrap was made for this run alone.
        Level::Bubblewrap => &[(&["/proc"], read), (&["/dev"], every)],
        Level::Landlock => &[(&MACHINE_FILES, read), (&DEVICES, device)],
    };
    for (paths, access) in rest {
        for path in *paths {
            ruleset = allow_if_there(ruleset, Path::new(path), *access)?;
        }
    }
    for path in &policy.readable {
        ruleset = allow(ruleset, path, read)?;
    }
    for path in [policy.folder.as_path(), policy.temporary()] {
        ruleset = allow(ruleset, path, every)?;
    }
    Ok(ruleset)
}

fn allow_if_there(
    ruleset: RulesetCreated,
    path: &Path,
    access: BitFlags<AccessFs>,
) -> Result<RulesetCreated, String> {
    match PathFd::new(path) {
        Ok(opened) => add(ruleset, opened, path, access),
        Err(_) => Ok(ruleset),
    }
}

fn allow(
    ruleset: RulesetCreated,
    path: &Path,
    access: BitFlags<AccessFs>,
) -> Result<RulesetCreated, String> {
    let opened = PathFd::new(path).map_err(|_| unreachable(path))?;
    add(ruleset, opened, path, access)
}

fn add(
    ruleset: RulesetCreated,
    opened: PathFd,
    path: &Path,
    access: BitFlags<AccessFs>,
) -> Result<RulesetCreated, String> {
    let access = if path.is_dir() {
        access
    } else {
        access & AccessFs::from_file(ABI_KNOWN)
    };
    ruleset
        .add_rule(PathBeneath::new(opened, access))
        .map_err(|error| format!("Landlock cannot cover {}: {error}", path.display()))
}

/// The error message for a path that the sandbox's user cannot access.
pub(super) fn unreachable(path: &Path) -> String {
    format!(
        "uid {} cannot reach {}: move it to a folder that every user may pass (for the data folder: set --data-dir, such \
         as to /var/lib/journeyman; for Python: use one of the system), or make bubblewrap work",
        rustix::process::geteuid().as_raw(),
        path.display()
    )
}
