//! What sandboxed code finds around it, at every level. What it cannot reach is in `escapes.rs`.

#![allow(clippy::expect_used, clippy::print_stdout, reason = "this is a test")]

mod common;

use std::fs;

use journeyman_sandbox::Exit;

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

    connected_pairs_work_since_asyncio_needs_them => |sandboxed| {
        let output = sandboxed.run("import asyncio; asyncio.run(asyncio.sleep(0)); print('ok')").await;
        assert_eq!(output.stdout.trim(), "ok", "{}", output.stderr);
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
}
