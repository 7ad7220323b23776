//! The table: what is tried, and what it must get at each level. Several words separated by `|` are equally good.
//!
//! A program comes after `prelude.py`: `tell` prints the error that an action got, or `POSSIBLE`; the last line printed
//! is what the attempt got, where the run was not ended from outside.

/// How an attempt is made.
pub(crate) enum Way {
    /// As a Python program.
    Program(&'static str),
    /// As one that is to be ended by a limit; its wall clock is short.
    Endless(&'static str),
    /// As one that is to be ended by its processor time, which is short.
    Busy(&'static str),
    /// As the name of a test file.
    Tests(&'static str),
    /// As the name of a module.
    Import(&'static str),
    /// As the name of a file to analyse.
    Analyse(&'static str),
}

/// One attempt to escape, with what each level of sandbox must report of it.
pub(crate) struct Attempt {
    pub(crate) name: &'static str,
    pub(crate) way: Way,
    pub(crate) bubblewrap: &'static str,
    pub(crate) landlock: &'static str,
}

/// Attempts that belong together.
pub(crate) struct Area {
    pub(crate) name: &'static str,
    pub(crate) attempts: &'static [Attempt],
}

const fn program(
    name: &'static str,
    program: &'static str,
    bubblewrap: &'static str,
    landlock: &'static str,
) -> Attempt {
    attempt(name, Way::Program(program), bubblewrap, landlock)
}

const fn attempt(
    name: &'static str,
    way: Way,
    bubblewrap: &'static str,
    landlock: &'static str,
) -> Attempt {
    Attempt {
        name,
        way,
        bubblewrap,
        landlock,
    }
}

pub(crate) const AREAS: &[Area] = &[
    Area {
        name: "Network",
        attempts: NETWORK,
    },
    Area {
        name: "Files",
        attempts: FILES,
    },
    Area {
        name: "Names that a model chose",
        attempts: NAMES,
    },
    Area {
        name: "Processes",
        attempts: PROCESSES,
    },
    Area {
        name: "Privileges",
        attempts: PRIVILEGES,
    },
    Area {
        name: "The kernel",
        attempts: KERNEL,
    },
    Area {
        name: "Exhaustion",
        attempts: EXHAUSTION,
    },
    Area {
        name: "Outliving the run",
        attempts: OUTLIVING,
    },
];

const NETWORK: &[Attempt] = &[
    program(
        "TCP to a service on the loopback",
        "tell(lambda: socket.create_connection(('127.0.0.1', world['port']), 2))",
        "EPERM",
        "EPERM",
    ),
    program(
        "TCP over IPv6 to the same",
        "tell(lambda: socket.create_connection(('::1', world['port6']), 2))",
        "EPERM",
        "EPERM",
    ),
    program(
        "UDP over IPv4 and IPv6",
        "tell(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM), lambda: socket.socket(socket.AF_INET6, socket.SOCK_DGRAM))",
        "EPERM",
        "EPERM",
    ),
    program(
        "raw ICMP",
        "tell(lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP))",
        "EPERM",
        "EPERM",
    ),
    program(
        "a local socket (AF_UNIX) in the task's own folder",
        "tell(lambda: socket.socket(socket.AF_UNIX).connect('socket'))",
        "EPERM",
        "EPERM",
    ),
    program(
        "an abstract local socket",
        "tell(lambda: socket.socket(socket.AF_UNIX).connect('\\0' + world['abstract']))",
        "EPERM",
        "EPERM",
    ),
    program(
        "the kernel's sockets: netlink, packet, vsock, crypto (AF_ALG), CAN, Bluetooth",
        "tell(*[lambda family=family: socket.socket(family, socket.SOCK_RAW) for family in (16, 17, 40, 38, 29, 31)])",
        "EPERM",
        "EPERM",
    ),
    program(
        "every family from 0 to 63 with every type",
        "tell(*[lambda f=f, t=t: call('SYS_socket', f, t, 0) for f in range(64) for t in range(11)])",
        "EPERM",
        "EPERM",
    ),
    program(
        "a pair of datagram sockets, to send by path",
        "tell(lambda: socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM), lambda: socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET))",
        "EPERM",
        "EPERM",
    ),
    program(
        "a connected pair, bound or connected again",
        "
a, b = socket.socketpair()
tell(lambda: a.connect('socket'), lambda: b.bind('new'), lambda: b.listen())",
        "EPERM",
        "EPERM",
    ),
    program(
        "listening for others",
        "tell(lambda: socket.create_server(('127.0.0.1', 0)))",
        "EPERM",
        "EPERM",
    ),
];

const FILES: &[Attempt] = &[
    program(
        "reading another task's file, open to all",
        "tell(lambda: open(world['secret']).read())",
        "ENOENT",
        "EACCES",
    ),
    program(
        "writing, appending to, cutting and deleting it",
        "
secret = world['secret']
tell(lambda: open(secret, 'r+'), lambda: open(secret, 'a'), lambda: os.truncate(secret, 0), lambda: os.unlink(secret))",
        "ENOENT",
        "EACCES|EACCES and EPERM",
    ),
    program(
        "a new file beside it",
        "tell(lambda: open(world['other_task'] + '/new', 'w'), lambda: os.mkdir(world['other_task'] + '/new'))",
        "ENOENT",
        "EACCES",
    ),
    program(
        "listing other tasks",
        "tell(lambda: os.listdir(world['other_task']), lambda: os.listdir(os.path.dirname(world['other_task'])) and None)",
        "ENOENT and POSSIBLE: None",
        "EACCES",
    ),
    program(
        "a symbolic link to it",
        "os.symlink(world['secret'], 'link')\ntell(lambda: open('link').read(), lambda: open('link', 'a'))",
        "ENOENT",
        "EACCES",
    ),
    program(
        "a hard link to it, and moving it here",
        "tell(lambda: os.link(world['secret'], 'link'), lambda: os.rename(world['secret'], 'mine'))",
        "ENOENT",
        "EACCES|EXDEV|EACCES and EXDEV",
    ),
    program(
        "up from the own folder with `..`",
        "tell(lambda: open('../' + os.path.basename(world['other_task']) + '/secret').read())",
        "ENOENT",
        "EACCES",
    ),
    program(
        "its mode, owner, times and attributes",
        "
secret = world['secret']
for change in (
    lambda: os.chmod(secret, 0),
    lambda: os.chown(secret, os.getuid(), os.getgid()),
    lambda: os.utime(secret, (0, 0)),
    lambda: os.setxattr(secret, 'user.x', b'x'),
):
    got(change)
print('unchanged')",
        "unchanged",
        "unchanged",
    ),
    program(
        "around by `/proc/self/root` and `/proc/self/cwd`",
        "tell(lambda: open('/proc/self/root' + world['secret']).read(), lambda: open('/proc/self/cwd/../' + os.path.basename(world['other_task']) + '/secret').read())",
        "ENOENT",
        "EACCES",
    ),
    program(
        "the home folder of the server's user",
        "tell(lambda: os.listdir(world['home']))",
        "ENOENT|EACCES",
        "EACCES",
    ),
    program(
        "the machine's users and secrets",
        "tell(*[lambda file=file: open('/etc/' + file).read() for file in ('passwd', 'shadow', 'ssh/ssh_host_rsa_key', 'machine-id', 'environment')])",
        "ENOENT|EACCES|EACCES and ENOENT",
        "EACCES|EACCES and ENOENT",
    ),
    program(
        "writing into the interpreter's site-packages",
        "tell(lambda: open(world['site_packages'] + '/' + world['trace'] + '.pth', 'w'))",
        "EROFS|EACCES",
        "EACCES",
    ),
    program(
        "changing an installed package, by opening it for writing",
        "
import pytest
tell(lambda: open(pytest.__file__, 'a'), lambda: os.unlink(pytest.__file__))",
        "EACCES|EROFS|EACCES and EROFS",
        "EACCES",
    ),
    program(
        "writing into the system's folders",
        "tell(*[lambda folder=folder: open(folder + '/' + world['trace'], 'w') for folder in ('/usr/bin', '/usr/lib', '/etc', '/var/tmp', '/run')])",
        "EROFS|EACCES|EACCES and EROFS|ENOENT and EROFS|EACCES and ENOENT|EACCES and ENOENT and EROFS",
        "EACCES",
    ),
    program(
        "devices: memory, disks, terminals, FUSE, KVM",
        "
harmless = {'null', 'zero', 'full', 'random', 'urandom'}
if world['level'] == 'bubblewrap':
    harmless |= {'ptmx', 'pts/ptmx'}
opened = set()
for name in ('mem', 'kmem', 'kmsg', 'port', 'sda', 'vda', 'nvme0n1', 'loop0', 'loop-control', 'tty', 'tty0', 'console',
             'ptmx', 'fuse', 'kvm', 'vsock', 'uinput', 'net/tun', 'mapper/control', 'dri/card0', *harmless):
    for mode in (os.O_RDONLY, os.O_RDWR):
        try:
            opened.add(os.close(os.open('/dev/' + name, mode | os.O_NOCTTY)) or name)
        except OSError:
            pass
print('harmless ones only' if opened <= harmless else opened)",
        "harmless ones only",
        "harmless ones only",
    ),
    program(
        "making a device in the own folder",
        "
import stat
tell(lambda: os.mknod('disk', 0o666 | stat.S_IFBLK, os.makedev(8, 0)), lambda: os.mknod('mem', 0o666 | stat.S_IFCHR, os.makedev(1, 1)))",
        "EPERM",
        "EPERM",
    ),
    program(
        "files by handle, past every path",
        "tell(lambda: call('SYS_open_by_handle_at', -100, 0, 0), lambda: call('SYS_name_to_handle_at', -100, b'.', 0, 0, 0))",
        "EPERM",
        "EPERM",
    ),
];

const NAMES: &[Attempt] = &[
    attempt(
        "a test file called `../other-task/test_x.py`",
        Way::Tests("../NAME/test_secret.py"),
        "not run",
        "not run",
    ),
    attempt(
        "a test file with an absolute path",
        Way::Tests("OTHER/test_secret.py"),
        "not run",
        "not run",
    ),
    attempt(
        "a test file whose name is an option",
        Way::Tests("--rootdir=OTHER"),
        "not run",
        "not run",
    ),
    attempt(
        "a module called `..other.secret`",
        Way::Import("..NAME.secret"),
        "not found",
        "not found",
    ),
    attempt(
        "a module with an absolute path",
        Way::Import("OTHER/secret"),
        "not found",
        "not found",
    ),
    attempt(
        "a file to analyse called `../other-task/x.py`",
        Way::Analyse("../NAME/secret.py"),
        "not found",
        "not found",
    ),
    attempt(
        "a file to analyse with an absolute path",
        Way::Analyse("OTHER/secret.py"),
        "not found",
        "not found",
    ),
];

const PROCESSES: &[Attempt] = &[
    program(
        "the server's environment, memory and descriptors in `/proc`",
        "
server = '/proc/%d/' % world['server']
tell(lambda: open(server + 'environ').read(), lambda: open(server + 'mem'), lambda: os.listdir(server + 'fd'), lambda: open(server + 'cmdline').read())",
        "ENOENT",
        "EACCES",
    ),
    program(
        "the same of its parent",
        "
parent = '/proc/%d/' % (os.getppid() or 1)
tell(lambda: open(parent + 'environ').read(), lambda: open(parent + 'mem'), *[lambda fd=fd: os.readlink(parent + 'fd/%d' % fd) for fd in range(3)])",
        "EACCES",
        "EACCES",
    ),
    program(
        "who else is running",
        "
try:
    pids = [int(name) for name in os.listdir('/proc') if name.isdigit()]
    print('own processes only' if len(pids) < 6 else pids)
except OSError as error:
    print(errno.errorcode[error.errno])",
        "own processes only",
        "EACCES",
    ),
    program(
        "variables of the server, in the own environment",
        "
known = {'PATH', 'HOME', 'TMPDIR', 'LANG', 'USER', 'LOGNAME', 'LC_CTYPE'}
print(sorted(set(os.environ) - known) or 'none')",
        "none",
        "none",
    ),
    program(
        "descriptors that the server left open",
        "
def is_open(number):
    try:
        return os.fstat(number)
    except OSError:
        return None
print([number for number in range(3, 512) if is_open(number)] or 'none')",
        "none",
        "none",
    ),
    program(
        "taking a descriptor from another process",
        "tell(lambda: call('SYS_pidfd_getfd', 3, 0, 0), lambda: call('SYS_kcmp', os.getpid(), world['bystander'], 0, 0, 0))",
        "EPERM",
        "EPERM",
    ),
    program(
        "ptrace of another task's process, of its parent, of itself",
        "tell(*[lambda pid=pid, how=how: call('SYS_ptrace', how, pid, 0, 0) for how in (0, 16, 0x4206) for pid in (world['bystander'], os.getppid(), os.getpid())])",
        "EPERM",
        "EPERM",
    ),
    program(
        "process_vm_readv and process_vm_writev",
        "tell(lambda: call('SYS_process_vm_readv', world['bystander'], 0, 0, 0, 0, 0), lambda: call('SYS_process_vm_writev', os.getppid(), 0, 0, 0, 0, 0))",
        "EPERM",
        "EPERM",
    ),
    program(
        "killing another task's process, and the server",
        "tell(lambda: os.kill(world['bystander'], 9), lambda: os.kill(world['server'], 9))",
        "ESRCH",
        "EPERM",
    ),
    program(
        "killing its supervisor",
        "
parent = os.getppid()
if world['level'] == 'bubblewrap' and got(lambda: os.kill(parent, 9)) == 'POSSIBLE: None':
    # The first process of a namespace takes no signals from within.
    time.sleep(0.2)
    print('no effect')
else:
    tell(lambda: os.kill(parent, 9), lambda: call('SYS_rt_sigqueueinfo', parent, 9, bytes(128)))",
        "EPERM|no effect",
        "EPERM",
    ),
    program(
        "killing everybody (`kill -9 -1`)",
        "
try:
    os.kill(-1, 9)
    print('nobody hit')
except OSError as error:
    print('nobody hit')",
        "nobody hit",
        "nobody hit",
    ),
    program(
        "limits of another task's process",
        "
import resource
tell(lambda: resource.prlimit(world['bystander'], resource.RLIMIT_NOFILE, (0, 0)), lambda: resource.prlimit(world['bystander'], resource.RLIMIT_CPU))",
        "EPERM",
        "EPERM",
    ),
    program(
        "processors, scheduling and priority of another task's process",
        "
pid = world['bystander']
tell(
    lambda: os.sched_setaffinity(pid, [0]),
    lambda: os.sched_setscheduler(pid, os.SCHED_IDLE, os.sched_param(0)),
    lambda: os.setpriority(os.PRIO_PROCESS, pid, 19),
    lambda: os.setpriority(os.PRIO_USER, os.getuid(), 19),
    lambda: call('SYS_ioprio_set', 1, pid, 3 << 13),
)",
        "EPERM",
        "EPERM",
    ),
    program(
        "typing into the server's terminal (TIOCSTI, also with bits that the kernel drops)",
        "tell(*[lambda fd=fd, request=request: call('SYS_ioctl', fd, request, b'x') for fd in range(3) for request in (0x5412, 0x541c, 0x1_0000_5412)])",
        "EPERM",
        "EPERM",
    ),
];

const PRIVILEGES: &[Attempt] = &[
    program(
        "becoming root: setuid, setgid, setgroups",
        "tell(lambda: os.setuid(0), lambda: os.setresuid(0, 0, 0), lambda: os.setgid(0), lambda: os.setgroups([0]))",
        "EPERM|EINVAL and EPERM|EINVAL",
        "EPERM",
    ),
    program(
        "privileges of a set-uid program",
        "
status = dict(line.split(':\\t', 1) for line in open('/proc/self/status').read().splitlines() if ':\\t' in line)
capable = any(int(status[name], 16) for name in ('CapPrm', 'CapEff', 'CapInh', 'CapAmb'))
print('none' if status['NoNewPrivs'] == '1' and not capable and os.getuid() else status)",
        "none",
        "none",
    ),
    program(
        "a user namespace: unshare, setns, clone",
        "tell(lambda: call('SYS_unshare', 0x10000000), lambda: call('SYS_setns', 0, 0), lambda: call('SYS_clone', 0x10000000 | 17, 0, 0, 0, 0))",
        "EPERM",
        "EPERM",
    ),
    program(
        "every other namespace by clone",
        "tell(*[lambda flag=flag: call('SYS_clone', flag | 17, 0, 0, 0, 0) for flag in (0x20000, 0x2000000, 0x4000000, 0x8000000, 0x20000000, 0x40000000)])",
        "EPERM",
        "EPERM",
    ),
    program(
        "clone3, whose flags no filter sees",
        "tell(lambda: call('SYS_clone3', bytes(88), 88))",
        "ENOSYS",
        "ENOSYS",
    ),
    program(
        "mounts, old and new, and another root",
        "tell(lambda: call('SYS_mount', b'none', b'/tmp', b'tmpfs', 0, 0), lambda: call('SYS_umount2', b'/proc', 2), lambda: call('SYS_fsopen', b'tmpfs', 0), lambda: call('SYS_open_tree', -100, b'/', 1), lambda: call('SYS_pivot_root', b'.', b'.'), lambda: os.chroot('.'))",
        "EPERM",
        "EPERM",
    ),
    program(
        "raising its own limits",
        "
import resource
def raised(limit):
    resource.setrlimit(limit, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
def refused(limit):
    try:
        raised(limit)
    except (ValueError, OSError):
        return True
limits = [resource.RLIMIT_CPU, resource.RLIMIT_DATA, resource.RLIMIT_NPROC, resource.RLIMIT_FSIZE, resource.RLIMIT_NOFILE]
print('refused' if all(map(refused, limits)) else 'RAISED')",
        "refused",
        "refused",
    ),
];

const KERNEL: &[Attempt] = &[
    program(
        "the keyring: add_key, request_key, keyctl",
        "tell(lambda: call('SYS_add_key', b'user', b'x', b'y', 1, -3), lambda: call('SYS_request_key', b'user', b'x', 0, -3), lambda: call('SYS_keyctl', 0, -3, 0))",
        "EPERM",
        "EPERM",
    ),
    program(
        "io_uring",
        "tell(lambda: call('SYS_io_uring_setup', 1, bytes(120)))",
        "EPERM",
        "EPERM",
    ),
    program(
        "bpf",
        "tell(lambda: call('SYS_bpf', 0, bytes(64), 64), lambda: call('SYS_bpf', 5, bytes(128), 128))",
        "EPERM",
        "EPERM",
    ),
    program(
        "perf_event_open",
        "tell(lambda: call('SYS_perf_event_open', bytes(128), 0, -1, -1, 0))",
        "EPERM",
        "EPERM",
    ),
    program(
        "userfaultfd and secret memory",
        "tell(lambda: call('SYS_userfaultfd', 0), lambda: call('SYS_userfaultfd', 1), lambda: call('SYS_memfd_secret', 0))",
        "EPERM",
        "EPERM",
    ),
    program(
        "another kernel, and modules",
        "tell(lambda: call('SYS_kexec_load', 0, 0, 0, 0), lambda: call('SYS_kexec_file_load', -1, -1, 0, 0, 0), lambda: call('SYS_init_module', b'', 0, b''), lambda: call('SYS_finit_module', 0, b'', 0), lambda: call('SYS_delete_module', b'x', 0))",
        "EPERM",
        "EPERM",
    ),
    program(
        "the machine: reboot, swap, clock, name, log, accounting, quotas",
        "tell(lambda: call('SYS_reboot', 0xfee1dead, 672274793, 0x89abcdef, 0), lambda: call('SYS_swapon', b'x', 0), lambda: call('SYS_settimeofday', bytes(16), 0), lambda: call('SYS_adjtimex', bytes(208)), lambda: call('SYS_sethostname', b'x', 1), lambda: call('SYS_syslog', 3, bytes(64), 64), lambda: call('SYS_acct', 0), lambda: call('SYS_quotactl', 0, 0, 0, 0))",
        "EPERM",
        "EPERM",
    ),
    program(
        "settings of the kernel in `/proc/sys` and `/sys`",
        "tell(*[lambda file=file: open(file, 'w') for file in ('/proc/sys/kernel/core_pattern', '/proc/sys/kernel/hostname', '/proc/sysrq-trigger', '/sys/kernel/uevent_helper', '/sys/fs/cgroup/cgroup.procs')])",
        "EACCES|EROFS|EACCES and EROFS|EACCES and ENOENT|EACCES and ENOENT and EROFS|ENOENT and EROFS",
        "EACCES|EACCES and ENOENT",
    ),
    program(
        "switching protections off (personality)",
        "tell(lambda: call('SYS_personality', 0x0040000), lambda: call('SYS_personality', 0x0400000))",
        "EPERM",
        "EPERM",
    ),
    program(
        "calls that are younger than the filter, or of the x32 kind",
        "world['calls'].update(young=600, x32=0x40000000 + world['calls']['SYS_getpid'])\ntell(lambda: call('young', 0), lambda: call('x32', 0))",
        "ENOSYS",
        "ENOSYS",
    ),
    program(
        "the 32-bit entrance of x86-64, past the numbers of the filter",
        "
import mmap, platform
if platform.machine() != 'x86_64':
    print('no such entrance')
else:
    # mov eax, 20; int 0x80; ret: getpid of the 32-bit table.
    code = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    code.write(bytes([0xb8, 20, 0, 0, 0, 0xcd, 0x80, 0xc3]))
    address = ctypes.addressof(ctypes.c_char.from_buffer(code))
    print('POSSIBLE', ctypes.CFUNCTYPE(ctypes.c_int)(address)())",
        "killed: SIGSYS|killed: SIGSEGV|no such entrance",
        "killed: SIGSYS|killed: SIGSEGV|no such entrance",
    ),
];

const EXHAUSTION: &[Attempt] = &[
    attempt(
        "a fork bomb",
        Way::Endless(
            "
while True:
    try:
        os.fork()
    except OSError:
        pass",
        ),
        "killed: time",
        "killed: time",
    ),
    program(
        "more processes than allowed",
        "
def fork():
    while True:
        if os.fork() == 0:
            signal.pause()
tell(fork)",
        "EAGAIN",
        "EAGAIN",
    ),
    program(
        "more memory than allowed, in one process",
        "tell(lambda: bytearray(1 << 30))",
        "MemoryError",
        "MemoryError",
    ),
    program(
        "more memory than allowed, in four processes",
        "
for _ in range(4):
    if os.fork() == 0:
        x = os.urandom(1 << 20) * 120
        signal.pause()
signal.pause()",
        "killed: memory",
        "killed: memory",
    ),
    program(
        "more memory than allowed, in shared mappings",
        "
import mmap
x = mmap.mmap(-1, 512 << 20)
for page in range(0, 512 << 20, 4096): x[page] = 1
signal.pause()",
        "killed: memory",
        "killed: memory",
    ),
    attempt(
        "an endless loop",
        Way::Busy("while True: pass"),
        "killed: SIGXCPU",
        "killed: SIGXCPU",
    ),
    attempt(
        "sleeping for ever, deaf to every signal that can be ignored",
        Way::Endless(
            "
for number in range(1, 65):
    try:
        signal.signal(number, signal.SIG_IGN)
    except (OSError, ValueError):
        pass
while True:
    signal.pause()",
        ),
        "killed: time",
        "killed: time",
    ),
    attempt(
        "endless output",
        Way::Endless(
            "
while True:
    os.write(1, b'x' * 65536)
    os.write(2, b'x' * 65536)",
        ),
        "killed: time",
        "killed: time",
    ),
    program(
        "a file larger than allowed",
        "
file = open('big', 'wb', buffering=0)
def fill():
    while True:
        file.write(bytes(1 << 20))
tell(fill)",
        "EFBIG",
        "EFBIG",
    ),
    program(
        "filling the disk with files",
        "
for number in range(10_000):
    open(str(number), 'wb').write(os.urandom(1 << 20))
signal.pause()",
        "killed: disk",
        "killed: disk",
    ),
    program(
        "filling the disk with files that are deleted while they are open",
        "
kept = []
for number in range(400):
    kept.append(open('hidden', 'wb', buffering=0))
    os.unlink('hidden')
    kept[-1].write(os.urandom(1 << 20))
signal.pause()",
        "killed: disk",
        "killed: disk",
    ),
    program(
        "reserving the disk without writing (fallocate)",
        "
file = open('reserved', 'wb')
tell(lambda: call('SYS_fallocate', file.fileno(), 0, 0, 8 << 20), lambda: call('SYS_fallocate', file.fileno(), 1, 0, 8 << 20))",
        "ENOTSUP",
        "ENOTSUP",
    ),
    program(
        "using up the file system's entries with empty files",
        "
for number in range(1_000_000):
    os.close(os.open('f%d' % number, os.O_CREAT))
signal.pause()",
        "killed: disk",
        "killed: disk",
    ),
    program(
        "folders nested without end",
        "
for _ in range(1_000_000):
    os.mkdir('deeper')
    os.chdir('deeper')",
        "killed: disk",
        "killed: disk",
    ),
    program(
        "filling the folder for temporary files",
        "
folder = os.environ['TMPDIR']
def fill():
    for number in range(10_000):
        with open(folder + '/' + str(number), 'wb') as file:
            file.write(bytes(1 << 20))
tell(fill)",
        "ENOSPC",
        "killed: disk",
    ),
    program(
        "more open files than allowed",
        "
def leak():
    kept = []
    while True:
        kept.append(os.open('/dev/null', os.O_RDONLY))
tell(leak)",
        "EMFILE",
        "EMFILE",
    ),
];

const OUTLIVING: &[Attempt] = &[
    program(
        "a daemon: two forks and a session of its own",
        "
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        signal.pause()
    os._exit(0)
os.wait()
print('ended with the run')",
        "ended with the run",
        "ended with the run",
    ),
    program(
        "a daemon that ignores signals, and has no death signal of its parent's",
        "
if os.fork() == 0:
    libc.prctl(1, 0)
    os.setsid()
    for number in (1, 2, 3, 15, 17, 18, 20):
        signal.signal(number, signal.SIG_IGN)
    while True:
        signal.pause()
print('ended with the run')",
        "ended with the run",
        "ended with the run",
    ),
    program(
        "processes that keep forking away while they are killed",
        "
if os.fork() == 0:
    while True:
        try:
            if os.fork():
                os._exit(0)
        except OSError:
            pass
print('ended with the run')",
        "ended with the run",
        "ended with the run",
    ),
    program(
        "a time bomb: an alarm after the parent's end",
        "
if os.fork() == 0:
    signal.signal(signal.SIGALRM, lambda *_: open('late', 'w').close())
    signal.setitimer(signal.ITIMER_REAL, 0.2, 0.2)
    while True:
        signal.pause()
print('ended with the run')",
        "ended with the run",
        "ended with the run",
    ),
    program(
        "a job for `at`, `cron` or systemd",
        "tell(*[lambda file=file: open(file + world['trace'], 'w') for file in ('/var/spool/cron/', '/etc/cron.d/', '/var/spool/at/', '/etc/systemd/system/', '/run/systemd/system/')])",
        "ENOENT|EACCES|EROFS|EACCES and ENOENT",
        "EACCES|EACCES and ENOENT",
    ),
    program(
        "System V shared memory, semaphores, queues",
        "tell(lambda: call('SYS_shmget', world['key'], 4096, 0o1666), lambda: call('SYS_semget', world['key'], 1, 0o1666), lambda: call('SYS_msgget', world['key'], 0o1666))",
        "EPERM",
        "EPERM",
    ),
    program(
        "a POSIX message queue",
        "tell(lambda: call('SYS_mq_open', world['trace'].encode(), 0o102, 0o666, 0))",
        "EPERM",
        "EPERM",
    ),
    program(
        "POSIX shared memory left in `/dev/shm`",
        "
try:
    open('/dev/shm/' + world['trace'], 'w').close()
    print('own namespace only')
except OSError as error:
    print(errno.errorcode[error.errno])",
        "own namespace only",
        "EACCES",
    ),
    program(
        "files left in `/tmp`",
        "
try:
    open('/tmp/' + world['trace'], 'w').close()
    print('own namespace only')
except OSError as error:
    print(errno.errorcode[error.errno])",
        "own namespace only",
        "EACCES",
    ),
];
