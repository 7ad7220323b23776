//! What sandboxed code cannot see, reach or change, at every level.

#![allow(clippy::expect_used, clippy::print_stdout, reason = "this is a test")]

mod common;

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;

use journeyman_sandbox::Exit;

/// Tries one Python expression; prints `denied` for an operating system error.
fn attempt(expression: &str) -> String {
    format!(
        "import os, socket, ctypes\ntry:\n    print('possible', {expression})\nexcept OSError as error:\n    \
         print('denied', error)\n"
    )
}

/// Makes a raw system call; prints `denied 1` for EPERM, `denied 38` for ENOSYS.
fn system_call(number: i64, arguments: &str) -> String {
    format!(
        "import ctypes\nlibc = ctypes.CDLL(None, use_errno=True)\nresult = libc.syscall({number}, {arguments})\n\
         print('denied' if result == -1 else 'possible', ctypes.get_errno())\n"
    )
}

at_each_level! {
    a_program_runs_in_its_folder => |sandboxed| {
        let output = sandboxed.run("import os; print('hello from', os.getcwd())").await;
        assert_eq!(output.exit, Exit::Code(0), "{}", output.stderr);
        assert_eq!(output.stdout.trim(), format!("hello from {}", sandboxed.folder.path().display()));
    }

    exit_code_and_signal_are_told_apart => |sandboxed| {
        assert_eq!(sandboxed.run("raise SystemExit(3)").await.exit, Exit::Code(3));
        let output = sandboxed.run("import os, signal; os.kill(os.getpid(), signal.SIGKILL)").await;
        assert_eq!(output.exit, Exit::Signal(9));
    }

    what_it_wrote_in_its_folder_can_be_read_afterwards => |sandboxed| {
        sandboxed.write("given/input.txt", "given");
        let output = sandboxed
            .run("import os; os.makedirs('a'); open('a/b', 'w').write(open('given/input.txt').read())")
            .await;
        assert_eq!(output.exit, Exit::Code(0), "{}", output.stderr);
        let written = fs::read_to_string(sandboxed.folder.path().join("a/b")).expect("the file is there");
        assert_eq!(written, "given");
    }

    the_environment_is_cleared => |sandboxed| {
        let output = sandboxed.run("import os; print(sorted(os.environ))").await;
        // Python adds LC_CTYPE itself.
        let names = output.stdout.replace("'LC_CTYPE', ", "");
        assert_eq!(names.trim(), "['HOME', 'LANG', 'LOGNAME', 'PATH', 'TMPDIR', 'USER']");
    }

    the_user_is_not_root_and_has_no_groups_or_capabilities => |sandboxed| {
        let output = sandboxed
            .run("import os; print(os.getresuid(), os.getgroups()); print(open('/proc/self/status').read())")
            .await;
        assert!(!output.stdout.contains("(0,"), "{}", output.stdout);
        assert!(output.stdout.contains("CapEff:\t0000000000000000"), "{}", output.stdout);
        assert!(output.stdout.contains("CapPrm:\t0000000000000000"), "{}", output.stdout);
        assert!(output.stdout.contains("NoNewPrivs:\t1"), "{}", output.stdout);
        assert!(output.stdout.contains("Seccomp:\t2"), "{}", output.stdout);
    }

    standard_input_is_empty => |sandboxed| {
        let output = sandboxed.run("import sys; print(repr(sys.stdin.read()))").await;
        assert_eq!(output.stdout.trim(), "''");
    }

    descriptors_of_the_parent_are_not_visible => |sandboxed| {
        let file = fs::File::open("/dev/null").expect("/dev/null opens");
        // Without close-on-exec, as a careless library would leave it.
        let leaked = rustix::io::dup(&file).expect("the descriptor can be copied");
        let output = sandboxed
            .run("import os\nfor fd in range(3, 512):\n    try: os.fstat(fd); print('open', fd)\n    except OSError: pass")
            .await;
        assert_eq!(output.stdout, "");
        drop(leaked);
    }

    the_network_is_off => |sandboxed| {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("the loopback can be listened on");
        let port = listener.local_addr().expect("a listener has an address").port();
        for expression in [
            format!("socket.create_connection(('127.0.0.1', {port}), 2)"),
            "socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)".to_owned(),
            "socket.socket(socket.AF_NETLINK, socket.SOCK_RAW)".to_owned(),
            "socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)".to_owned(),
        ] {
            let output = sandboxed.run(&attempt(&expression)).await;
            assert!(output.stdout.starts_with("denied"), "{expression}: {}", output.stdout);
        }
    }

    local_sockets_of_others_cannot_be_reached => |sandboxed| {
        // Even where the socket's file is in the task's own folder.
        let path = sandboxed.folder.path().join("socket");
        let _listener = UnixListener::bind(&path).expect("a local socket can be made");
        let output = sandboxed
            .run(&attempt(&format!("socket.socket(socket.AF_UNIX).connect({:?})", path.display().to_string())))
            .await;
        assert!(output.stdout.starts_with("denied"), "{}", output.stdout);
    }

    connected_pairs_work_since_asyncio_needs_them => |sandboxed| {
        let output = sandboxed.run("import asyncio; asyncio.run(asyncio.sleep(0)); print('ok')").await;
        assert_eq!(output.stdout.trim(), "ok", "{}", output.stderr);
    }

    files_outside_cannot_be_read_written_listed_or_made => |sandboxed| {
        let outside = common::task_folder();
        let secret = outside.path().join("secret");
        fs::write(&secret, "secret").expect("a file outside can be made");
        fs::set_permissions(outside.path(), fs::Permissions::from_mode(0o777)).expect("its mode can be set");
        fs::set_permissions(&secret, fs::Permissions::from_mode(0o666)).expect("its mode can be set");
        let (secret, outside_path) = (secret.display().to_string(), outside.path().display().to_string());
        for expression in [
            format!("open({secret:?}).read()"),
            format!("open({secret:?}, 'w').write('x')"),
            format!("open({secret:?}, 'a').write('x')"),
            format!("open('{outside_path}/new', 'w')"),
            format!("os.listdir({outside_path:?})"),
            format!("os.unlink({secret:?})"),
            format!("os.link({secret:?}, 'link')"),
            format!("os.truncate({secret:?}, 0)"),
            "open('/etc/passwd').read()".to_owned(),
            "open('/usr/new', 'w')".to_owned(),
            "os.listdir('/root')".to_owned(),
            "os.listdir('/home')".to_owned(),
        ] {
            let output = sandboxed.run(&attempt(&expression)).await;
            assert!(output.stdout.starts_with("denied"), "{expression}: {}{}", output.stdout, output.stderr);
        }
        let output = sandboxed
            .run(&format!("import os\nos.symlink({secret:?}, 'to-secret')\n{}", attempt("open('to-secret').read()")))
            .await;
        assert!(output.stdout.starts_with("denied"), "through a link: {}", output.stdout);
        assert_eq!(fs::read_to_string(&secret).expect("it is still there"), "secret");
    }

    attributes_of_files_outside_do_not_change => |sandboxed| {
        use std::os::unix::fs::MetadataExt;
        let outside = common::task_folder();
        let secret = outside.path().join("secret");
        fs::write(&secret, "secret").expect("a file outside can be made");
        fs::set_permissions(outside.path(), fs::Permissions::from_mode(0o777)).expect("its mode can be set");
        let attributes = || {
            let about = fs::metadata(&secret).expect("it is there");
            (about.mode(), about.uid(), about.gid(), about.mtime())
        };
        let before = attributes();
        let path = secret.display().to_string();
        for expression in [
            format!("os.chmod({path:?}, 0)"),
            format!("os.utime({path:?}, (0, 0))"),
            format!("os.chown({path:?}, os.getuid(), os.getgid())"),
            format!("os.setxattr({path:?}, 'user.x', b'x')"),
        ] {
            let _ = sandboxed.run(&attempt(&expression)).await;
            assert_eq!(attributes(), before, "{expression}");
        }
    }

    copying_a_file_with_its_mode_works => |sandboxed| {
        let output = sandboxed
            .run("import shutil; open('a', 'w').write('x'); shutil.copy2('a', 'b'); print(open('b').read())")
            .await;
        assert_eq!(output.stdout.trim(), "x", "{}", output.stderr);
    }

    a_link_made_inside_does_not_make_us_give_away_what_it_points_to => |sandboxed| {
        use std::os::unix::fs::MetadataExt;
        let outside = common::task_folder();
        let secret = outside.path().join("secret");
        fs::write(&secret, "secret").expect("a file outside can be made");
        let owner = fs::metadata(&secret).expect("it is there").uid();
        let _ = sandboxed
            .run(&format!("import os; os.symlink({:?}, 'link'); os.symlink('/etc', 'folder')", secret.display().to_string()))
            .await;
        let _ = sandboxed.run("pass").await;
        assert_eq!(fs::metadata(&secret).expect("it is there").uid(), owner);
        assert_eq!(fs::metadata("/etc/hostname").map_or(0, |file| file.uid()), 0);
    }

    the_environment_of_our_process_cannot_be_read => |sandboxed| {
        let us = std::process::id();
        let output = sandboxed.run(&attempt(&format!("open('/proc/{us}/environ').read()"))).await;
        assert!(output.stdout.starts_with("denied"), "{}", output.stdout);
    }

    our_process_cannot_be_signalled => |sandboxed| {
        let us = std::process::id();
        // At the strong level that number names nobody.
        let output = sandboxed.run(&attempt(&format!("os.kill({us}, 0)"))).await;
        assert!(output.stdout.starts_with("denied"), "{}", output.stdout);
    }
}

#[cfg(target_arch = "x86_64")]
at_each_level! {
    calls_that_lead_out_are_refused => |sandboxed| {
        let cases = [
            ("ptrace", 101, "0, 0, 0, 0"),
            ("mount", 165, "b'none', b'/tmp', b'tmpfs', 0, None"),
            ("unshare", 272, "0x10000000"),
            ("clone with a new user namespace", 56, "0x10000000 | 17, 0, 0, 0, 0"),
            ("setns", 308, "0, 0"),
            ("keyctl", 250, "0, -3, 0"),
            ("add_key", 248, "b'user', b'x', b'y', 1, -3"),
            ("io_uring_setup", 425, "1, ctypes.create_string_buffer(120)"),
            ("bpf", 321, "0, 0, 0"),
            ("perf_event_open", 298, "0, 0, -1, -1, 0"),
            ("userfaultfd", 323, "0"),
            ("process_vm_readv", 310, "1, 0, 0, 0, 0, 0"),
            ("open_by_handle_at", 304, "0, 0, 0"),
            ("kexec_load", 246, "0, 0, 0, 0"),
            ("personality", 135, "0x0040000"),
        ];
        for (name, number, arguments) in cases {
            let output = sandboxed.run(&system_call(number, arguments)).await;
            assert_eq!(output.stdout.trim(), "denied 1", "{name}: {}", output.stderr);
        }
    }

    calls_nobody_judged_do_not_exist => |sandboxed| {
        // clone3, one newer than the list, and getpid by its x32 number.
        for (number, arguments) in [(435, "0, 0"), (469, "0"), (0x4000_0000 + 39, "0")] {
            let output = sandboxed.run(&system_call(number, arguments)).await;
            assert_eq!(output.stdout.trim(), "denied 38", "{number}: {}", output.stderr);
        }
    }
}
