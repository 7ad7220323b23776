//! The seccomp filter: denies system calls that lead out of the sandbox, to other processes, to the network, or
//! into rarely tested parts of the kernel. The filter is the same at every level. Everything else is allowed,
//! because tests do unusual things.

use std::collections::BTreeMap;

use libc::c_long;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch, apply_filter, sock_filter,
};

/// The newest system call that was reviewed (`mseal`, Linux 6.10). For the command, later ones do not exist,
/// and neither do the x32 calls of x86-64, whose numbers are all higher.
const NEWEST_CALL_KNOWN: u32 = 462;

// Too young for the C library's list on every architecture; their numbers are the same on all.
const FCHMODAT2: c_long = 452;
const STATMOUNT: c_long = 457;
const LISTMOUNT: c_long = 458;

/// Denied regardless of arguments.
const REFUSED: &[c_long] = &[
    // The network, and sockets of any kind; connected pairs remain.
    libc::SYS_socket,
    libc::SYS_connect,
    libc::SYS_bind,
    libc::SYS_listen,
    libc::SYS_accept,
    libc::SYS_accept4,
    // Other processes.
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_process_madvise,
    libc::SYS_process_mrelease,
    libc::SYS_pidfd_getfd,
    libc::SYS_kcmp,
    // Mounts and namespaces.
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_unshare,
    libc::SYS_setns,
    libc::SYS_open_tree,
    libc::SYS_move_mount,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_mount_setattr,
    STATMOUNT,
    LISTMOUNT,
    // Keys, which outlive a process and cross namespaces.
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_keyctl,
    // Large and young parts of the kernel.
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_fanotify_init,
    libc::SYS_fanotify_mark,
    libc::SYS_memfd_secret,
    libc::SYS_vmsplice,
    // Files by handle, past every path rule.
    libc::SYS_open_by_handle_at,
    libc::SYS_name_to_handle_at,
    // The machine.
    libc::SYS_kexec_load,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_reboot,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_syslog,
    libc::SYS_acct,
    libc::SYS_quotactl,
    libc::SYS_quotactl_fd,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_adjtimex,
    libc::SYS_clock_adjtime,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
    libc::SYS_vhangup,
    libc::SYS_lookup_dcookie,
    libc::SYS_nfsservctl,
    libc::SYS_move_pages,
    libc::SYS_migrate_pages,
    libc::SYS_mbind,
    libc::SYS_set_mempolicy,
    libc::SYS_set_mempolicy_home_node,
    // System V and POSIX queues outlive the run where the namespace is shared.
    libc::SYS_shmget,
    libc::SYS_shmat,
    libc::SYS_semget,
    libc::SYS_msgget,
    libc::SYS_mq_open,
];

#[cfg(target_arch = "x86_64")]
const REFUSED_HERE: &[c_long] = &[
    libc::SYS_kexec_file_load,
    libc::SYS_modify_ldt,
    libc::SYS_iopl,
    libc::SYS_ioperm,
    libc::SYS_uselib,
    libc::SYS_ustat,
    libc::SYS_sysfs,
    libc::SYS__sysctl,
];
#[cfg(target_arch = "x86_64")]
const FALLOCATE: u32 = 285;
// The number of all newer architectures.
#[cfg(not(target_arch = "x86_64"))]
const FALLOCATE: u32 = 47;

#[cfg(not(target_arch = "x86_64"))]
const REFUSED_HERE: &[c_long] = &[libc::SYS_kexec_file_load];

/// Also denied if the command runs as our own user and only Landlock protects that user's files. Landlock does
/// not cover file owners and attributes, and before ABI 3 not `truncate`.
const REFUSED_AS_OUR_USER: &[c_long] = &[
    libc::SYS_fchownat,
    libc::SYS_truncate,
    libc::SYS_setxattr,
    libc::SYS_lsetxattr,
    libc::SYS_removexattr,
    libc::SYS_lremovexattr,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_chown,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_lchown,
];

/// In the same case these report success without doing anything. Copying a file changes its mode and times by
/// path, so denying these calls would break honest programs, and they cannot be distinguished from harmful
/// uses.
const PRETENDED_AS_OUR_USER: &[c_long] = &[
    libc::SYS_fchmodat,
    FCHMODAT2,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_chmod,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_utime,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_utimes,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_futimesat,
];

/// The request that injects terminal input. Its type differs between C libraries.
const TIOCSTI: u64 = 0x5412;
const TIOCLINUX: u64 = 0x541c;

/// Tells `setpriority` and `ioprio_set` to act on one process, not a group or all processes of a user.
const PRIO_PROCESS: u64 = 0;
const IOPRIO_WHO_PROCESS: u64 = 1;

/// The flags of `clone` that create a namespace.
const NAMESPACE_FLAGS: [i32; 7] = [
    libc::CLONE_NEWNS,
    libc::CLONE_NEWCGROUP,
    libc::CLONE_NEWUTS,
    libc::CLONE_NEWIPC,
    libc::CLONE_NEWUSER,
    libc::CLONE_NEWPID,
    libc::CLONE_NEWNET,
];

/// Installs the filter for this process and everything it starts.
pub(super) fn apply(shares_our_user: bool) -> Result<(), String> {
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = REFUSED
        .iter()
        .chain(REFUSED_HERE)
        .map(|call| (*call, Vec::new()))
        .collect();
    conditional(&mut rules).map_err(|error| error.to_string())?;
    if shares_our_user {
        let mut pretended: BTreeMap<i64, Vec<SeccompRule>> = PRETENDED_AS_OUR_USER
            .iter()
            .map(|call| (*call, Vec::new()))
            .collect();
        let by_path = compare(1, &SeccompCmpOp::Ne, 0, SeccompCmpArgLen::Qword)
            .map_err(|error| error.to_string())?;
        pretended.insert(libc::SYS_utimensat, vec![by_path]);
        rules.extend(REFUSED_AS_OUR_USER.iter().map(|call| (*call, Vec::new())));
        install(pretended, SeccompAction::Errno(0), &[])?;
    }
    install(
        rules,
        SeccompAction::Errno(errno(libc::EPERM)),
        &not_existing(),
    )
}

/// Rules that depend on an argument. A list of rules matches if any of them does.
fn conditional(
    rules: &mut BTreeMap<i64, Vec<SeccompRule>>,
) -> Result<(), seccompiler::BackendError> {
    let mut clone = Vec::new();
    for flag in NAMESPACE_FLAGS {
        let flag = u64::from(flag.cast_unsigned());
        clone.push(compare(
            0,
            &SeccompCmpOp::MaskedEq(flag),
            flag,
            SeccompCmpArgLen::Dword,
        )?);
    }
    rules.insert(libc::SYS_clone, clone);

    // Only connected streams between our own processes: a datagram socket could address others by path.
    let kind = |value: i32| u64::from(value.cast_unsigned());
    let mut pair = vec![compare(
        0,
        &SeccompCmpOp::Ne,
        kind(libc::AF_UNIX),
        SeccompCmpArgLen::Dword,
    )?];
    for other in (0..16).filter(|value| *value != libc::SOCK_STREAM) {
        pair.push(compare(
            1,
            &SeccompCmpOp::MaskedEq(0xf),
            kind(other),
            SeccompCmpArgLen::Dword,
        )?);
    }
    rules.insert(libc::SYS_socketpair, pair);

    // Typing into a terminal, should one ever be inherited.
    let mut ioctl = Vec::new();
    for request in [TIOCSTI, TIOCLINUX] {
        ioctl.push(compare(
            1,
            &SeccompCmpOp::Eq,
            request,
            SeccompCmpArgLen::Dword,
        )?);
    }
    rules.insert(libc::SYS_ioctl, ioctl);

    // What acts on a process by its number reaches every process of the same user, and Landlock has no rule for it; 0
    // is the caller itself.
    for call in [
        libc::SYS_prlimit64,
        libc::SYS_sched_setaffinity,
        libc::SYS_sched_setscheduler,
        libc::SYS_sched_setparam,
        libc::SYS_sched_setattr,
    ] {
        let another = compare(0, &SeccompCmpOp::Ne, 0, SeccompCmpArgLen::Dword)?;
        rules.insert(call, vec![another]);
    }
    for (call, one_process) in [
        (libc::SYS_setpriority, PRIO_PROCESS),
        (libc::SYS_ioprio_set, IOPRIO_WHO_PROCESS),
    ] {
        let whole_group = compare(0, &SeccompCmpOp::Ne, one_process, SeccompCmpArgLen::Dword)?;
        let another = compare(1, &SeccompCmpOp::Ne, 0, SeccompCmpArgLen::Dword)?;
        rules.insert(call, vec![whole_group, another]);
    }

    // Asking for the personality is harmless, changing it switches protections off.
    rules.insert(
        libc::SYS_personality,
        vec![SeccompRule::new(vec![
            condition(0, &SeccompCmpOp::Ne, 0xffff_ffff, SeccompCmpArgLen::Dword)?,
            condition(0, &SeccompCmpOp::Ne, 0, SeccompCmpArgLen::Dword)?,
        ])?],
    );
    Ok(())
}

fn condition(
    argument: u8,
    operator: &SeccompCmpOp,
    value: u64,
    length: SeccompCmpArgLen,
) -> Result<SeccompCondition, seccompiler::BackendError> {
    SeccompCondition::new(argument, length, operator.clone(), value)
}

fn compare(
    argument: u8,
    operator: &SeccompCmpOp,
    value: u64,
    length: SeccompCmpArgLen,
) -> Result<SeccompRule, seccompiler::BackendError> {
    SeccompRule::new(vec![condition(argument, operator, value, length)?])
}

fn install(
    rules: BTreeMap<i64, Vec<SeccompRule>>,
    action: SeccompAction,
    before: &[sock_filter],
) -> Result<(), String> {
    let architecture =
        TargetArch::try_from(std::env::consts::ARCH).map_err(|error| error.to_string())?;
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, action, architecture)
        .and_then(BpfProgram::try_from)
        .map_err(|error| error.to_string())?;
    let program: BpfProgram = before.iter().cloned().chain(filter).collect();
    apply_filter(&program).map_err(|error| error.to_string())
}

/// System calls for which the filter returns "not implemented": newer ones, and `clone3`, whose flags are
/// behind a pointer that a filter cannot read (C libraries then use `clone`). `fallocate` returns "not
/// supported" (C libraries then write zeros), because the space it allocates does not appear in the account of
/// written bytes. The filter builder supports one result per filter and no ranges, so these instructions
/// precede its program.
fn not_existing() -> [sock_filter; 6] {
    const LOAD_WORD: u16 = 0x20;
    const JUMP_IF_EQUAL: u16 = 0x15;
    const JUMP_IF_GREATER: u16 = 0x25;
    const RETURN: u16 = 0x06;
    const RETURN_ERRNO: u32 = 0x0005_0000;
    const CLONE3: u32 = 435;
    let instruction = |code: u16, jt: u8, jf: u8, k: u32| sock_filter { code, jt, jf, k };
    [
        instruction(LOAD_WORD, 0, 0, 0),
        instruction(JUMP_IF_EQUAL, 0, 1, FALLOCATE),
        instruction(RETURN, 0, 0, RETURN_ERRNO | errno(libc::EOPNOTSUPP)),
        instruction(JUMP_IF_EQUAL, 1, 0, CLONE3),
        instruction(JUMP_IF_GREATER, 0, 1, NEWEST_CALL_KNOWN),
        instruction(RETURN, 0, 0, RETURN_ERRNO | errno(libc::ENOSYS)),
    ]
}

const fn errno(value: i32) -> u32 {
    value.cast_unsigned()
}
