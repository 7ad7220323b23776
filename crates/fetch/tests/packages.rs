//! The managed environment and the assembly of files, with a real Python and real pip, against a
//! local folder of packages made here: nothing is asked of any network.

#![allow(clippy::unwrap_used)] // helpers outside of test functions

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use journeyman_fetch::{Environment, Error, FilePlan, Progress, Requirement, assemble};
use sha2::{Digest, Sha256};
use tempfile::TempDir;
use tokio::sync::OnceCell;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

/// One environment for all tests of this file, and the folder that is its pip's only index.
struct Shop {
    data_dir: TempDir,
    environment: Environment,
    shelf: PathBuf,
    reports: Vec<Progress>,
}

static SHOP: OnceCell<Shop> = OnceCell::const_new();

async fn shop() -> &'static Shop {
    SHOP.get_or_init(|| async {
        // A careful user: files are theirs alone unless the product says otherwise.
        rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
        let data_dir = tempfile::tempdir().unwrap();
        let python = data_dir.path().join("python");
        fs::create_dir_all(python.join("bin")).unwrap();
        fs::write(python.join("bin/python"), "half made").unwrap();
        fs::write(python.join("junk"), "of a crash").unwrap();
        let seen = Mutex::new(Vec::new());
        let report = |progress| seen.lock().unwrap().push(progress);
        let (one, two) = tokio::join!(
            Environment::ensure(data_dir.path(), &report),
            Environment::ensure(data_dir.path(), &report)
        );
        two.unwrap();
        let shelf = data_dir.path().join("shelf");
        fs::create_dir(&shelf).unwrap();
        // Stronger than what the machine that runs the tests says of indexes.
        let lib = fs::read_dir(python.join("lib")).unwrap().next().unwrap();
        let settings = format!(
            "import os; os.environ.update(PIP_NO_INDEX='1', PIP_FIND_LINKS='{}')\n",
            shelf.display()
        );
        let packages = lib.unwrap().path().join("site-packages");
        fs::write(packages.join("shelf.pth"), settings).unwrap();
        Shop {
            environment: one.unwrap(),
            shelf,
            reports: seen.into_inner().unwrap(),
            data_dir,
        }
    })
    .await
}

impl Shop {
    /// Puts a wheel on the shelf that carries `data`.
    fn offer(&self, package: &str, data: Option<&[u8]>) {
        let module = package.replace('-', "_");
        let path = self.shelf.join(format!("{module}-1.0-py3-none-any.whl"));
        let mut wheel = ZipWriter::new(File::create(path).unwrap());
        let info = format!("{module}-1.0.dist-info");
        let mut add = |name: String, content: &[u8]| {
            wheel
                .start_file(name, SimpleFileOptions::default())
                .unwrap();
            wheel.write_all(content).unwrap();
        };
        add(format!("{module}/__init__.py"), b"MEANING = 42\n");
        if let Some(data) = data {
            add(format!("{module}/data/part.bin"), data);
        }
        add(
            format!("{info}/METADATA"),
            format!("Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n").as_bytes(),
        );
        add(
            format!("{info}/WHEEL"),
            b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        );
        add(format!("{info}/RECORD"), b"");
        wheel.finish().unwrap();
    }

    fn withdraw(&self, package: &str) {
        let module = package.replace('-', "_");
        fs::remove_file(self.shelf.join(format!("{module}-1.0-py3-none-any.whl"))).unwrap();
    }

    async fn assemble(&self, plan: &FilePlan, folder: &Path) -> Result<PathBuf, Error> {
        assemble(plan, &self.environment, folder, &|_| {}).await
    }
}

fn plan(name: &str, packages: &[&str], whole: &[u8]) -> FilePlan {
    let mut sha256 = String::new();
    for byte in Sha256::digest(whole) {
        write!(sha256, "{byte:02x}").unwrap();
    }
    FilePlan {
        name: name.to_owned(),
        packages: packages.iter().map(|name| format!("{name}==1.0")).collect(),
        sha256,
        bytes: whole.len() as u64,
    }
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[tokio::test]
async fn a_half_made_environment_is_made_anew_once_even_when_two_want_it() {
    let shop = shop().await;
    assert!(!shop.data_dir.path().join("python/junk").exists());
    assert!(Environment::find(shop.data_dir.path()).is_some());
    let made = |report: &&Progress| report.what.starts_with("making");
    assert_eq!(shop.reports.iter().filter(made).count(), 1);
}

#[tokio::test]
async fn other_users_can_read_the_environment_whatever_the_umask() {
    let shop = shop().await;
    let mut folders = vec![shop.data_dir.path().join("python")];
    let mut looked_at = 0;
    while let Some(folder) = folders.pop() {
        let mode = fs::metadata(&folder).unwrap().permissions().mode();
        // What journeyman keeps for itself does not matter: the markers.
        if folder.ends_with("markers") {
            continue;
        }
        assert_eq!(mode & 0o055, 0o055, "{}", folder.display());
        for entry in fs::read_dir(&folder).unwrap().map(Result::unwrap) {
            if entry.file_type().unwrap().is_dir() {
                folders.push(entry.path());
            } else if entry
                .path()
                .extension()
                .is_some_and(|ending| ending == "py")
            {
                let mode = entry.metadata().unwrap().permissions().mode();
                assert_eq!(mode & 0o044, 0o044, "{}", entry.path().display());
                looked_at += 1;
            }
        }
    }
    assert!(looked_at > 100);
}

#[tokio::test]
async fn an_environment_whose_base_python_changed_is_not_found() {
    let folder = tempfile::tempdir().unwrap();
    let python = folder.path().join("python");
    fs::create_dir_all(python.join("markers")).unwrap();
    fs::create_dir_all(python.join("bin")).unwrap();
    let base = folder.path().canonicalize().unwrap().join("python3.11");
    fs::write(&base, "").unwrap();
    std::os::unix::fs::symlink(&base, python.join("bin/python")).unwrap();
    fs::write(python.join("markers/made"), base.to_str().unwrap()).unwrap();
    assert!(Environment::find(folder.path()).is_some());
    fs::write(python.join("markers/made"), "/usr/bin/python3.8").unwrap();
    assert!(Environment::find(folder.path()).is_none());
}

#[tokio::test]
async fn a_package_is_installed_once_and_can_be_imported() {
    let shop = shop().await;
    shop.offer("tiny-tool", None);
    let tool = Requirement {
        name: "tiny-tool",
        version: "1.0",
        bytes: 1,
    };
    let steps = Mutex::new(0);
    let report = |_| *steps.lock().unwrap() += 1;
    assert!(!shop.environment.has(tool));
    shop.environment.install(tool, &report).await.unwrap();
    assert!(shop.environment.has(tool));
    shop.withdraw("tiny-tool");
    shop.environment.install(tool, &report).await.unwrap();
    assert_eq!(
        *steps.lock().unwrap(),
        1,
        "the second time nothing is to be done"
    );
    let output = std::process::Command::new(shop.environment.interpreter())
        .args(["-c", "import tiny_tool; print(tiny_tool.MEANING)"])
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "42");
}

#[tokio::test]
async fn an_installation_that_fails_says_what_pip_said_and_is_not_counted() {
    let shop = shop().await;
    let missing = Requirement {
        name: "no-such-tool",
        version: "1.0",
        bytes: 1,
    };
    let error = shop
        .environment
        .install(missing, &|_| {})
        .await
        .unwrap_err();
    assert!(matches!(error, Error::Command { .. }), "{error:?}");
    let text = error.to_string();
    assert!(
        text.contains("installing no-such-tool==1.0 failed"),
        "{text}"
    );
    assert!(text.contains("No matching distribution"), "{text}");
    assert!(!shop.environment.has(missing));
}

#[tokio::test]
async fn parts_become_one_file_in_order_and_nothing_else_is_left() {
    let shop = shop().await;
    let folder = tempfile::tempdir().unwrap();
    shop.offer("whole-part1", Some(b"the quick "));
    shop.offer("whole-part2", Some(b"brown fox"));
    let plan = plan(
        "fox.txt",
        &["whole-part1", "whole-part2"],
        b"the quick brown fox",
    );
    let steps = Mutex::new(Vec::new());
    let report = |step: Progress| steps.lock().unwrap().push(step.to_string());
    let path = assemble(&plan, &shop.environment, folder.path(), &report)
        .await
        .unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"the quick brown fox");
    assert_eq!(names(folder.path()), ["fox.txt", "fox.txt.lock"]);
    assert_eq!(
        *steps.lock().unwrap(),
        [
            "downloading fox.txt: 0 of 2 parts",
            "downloading fox.txt: 1 of 2 parts",
            "downloading fox.txt: 2 of 2 parts",
            "checking fox.txt",
        ]
    );
    shop.withdraw("whole-part1");
    assert_eq!(shop.assemble(&plan, folder.path()).await.unwrap(), path);
}

#[tokio::test]
async fn a_wrong_checksum_leaves_no_file_and_no_parts() {
    let shop = shop().await;
    let folder = tempfile::tempdir().unwrap();
    shop.offer("wrong-part1", Some(b"tampered"));
    let mut plan = plan("right.txt", &["wrong-part1"], b"original");
    let error = shop.assemble(&plan, folder.path()).await.unwrap_err();
    assert!(matches!(error, Error::Checksum { .. }), "{error:?}");
    assert_eq!(names(folder.path()), ["right.txt.lock"]);
    // The right one, when it is offered, is fetched afresh.
    shop.offer("wrong-part1", Some(b"original"));
    plan.sha256 = plan.sha256.to_uppercase();
    shop.assemble(&plan, folder.path()).await.unwrap();
}

#[tokio::test]
async fn a_fetch_that_was_cut_off_goes_on_with_the_parts_that_it_has() {
    let shop = shop().await;
    let folder = tempfile::tempdir().unwrap();
    shop.offer("cut-part1", Some(b"one "));
    shop.offer("cut-part2", Some(b"two "));
    let plan = plan(
        "cut.txt",
        &["cut-part1", "cut-part2", "cut-part3"],
        b"one two three",
    );
    shop.assemble(&plan, folder.path()).await.unwrap_err();
    // The third fails, and with it the fetch: of the others, those that had come are there.
    let parts = folder.path().join("cut.txt.parts");
    let arrived = |part: &str| parts.join(part).exists();
    let kept = ["cut-part1==1.0", "cut-part2==1.0"].map(arrived);
    for (package, kept) in ["cut-part1", "cut-part2"].into_iter().zip(kept) {
        if kept {
            shop.withdraw(package);
        }
    }
    // What a killed process left on its way is not taken for a part.
    fs::create_dir_all(parts.join("cut-part3==1.0.partial-1")).unwrap();
    shop.offer("cut-part3", Some(b"three"));
    let path = shop.assemble(&plan, folder.path()).await.unwrap();
    assert_eq!(fs::read(path).unwrap(), b"one two three");
    assert_eq!(names(folder.path()), ["cut.txt", "cut.txt.lock"]);
}

#[tokio::test]
async fn parts_that_are_there_are_not_asked_for_again() {
    let shop = shop().await;
    let folder = tempfile::tempdir().unwrap();
    shop.offer("kept-part1", Some(b"kept"));
    let part = folder.path().join("kept.txt.parts/kept-part1==1.0");
    fs::create_dir_all(&part).unwrap();
    let wheel = "kept_part1-1.0-py3-none-any.whl";
    fs::rename(shop.shelf.join(wheel), part.join(wheel)).unwrap();
    let plan = plan("kept.txt", &["kept-part1"], b"kept");
    let path = shop.assemble(&plan, folder.path()).await.unwrap();
    assert_eq!(fs::read(path).unwrap(), b"kept");
}

#[tokio::test]
async fn two_that_want_the_same_file_get_it_and_it_is_fetched_once() {
    let shop = shop().await;
    let folder = tempfile::tempdir().unwrap();
    shop.offer("both-part1", Some(b"shared"));
    let plan = plan("both.txt", &["both-part1"], b"shared");
    let seen = Mutex::new(Vec::new());
    let report = |step: Progress| seen.lock().unwrap().push(step.to_string());
    let (one, two) = tokio::join!(
        assemble(&plan, &shop.environment, folder.path(), &report),
        assemble(&plan, &shop.environment, folder.path(), &report)
    );
    assert_eq!(one.unwrap(), two.unwrap());
    let seen = seen.into_inner().unwrap();
    assert_eq!(
        seen.iter()
            .filter(|step| step.starts_with("checking"))
            .count(),
        1
    );
    assert!(
        seen.iter()
            .any(|step| step.contains("waiting for another process"))
    );
}

#[tokio::test]
async fn a_package_without_a_part_is_named_and_not_kept() {
    let shop = shop().await;
    let folder = tempfile::tempdir().unwrap();
    shop.offer("hollow-part1", None);
    let plan = plan("hollow.txt", &["hollow-part1"], b"solid");
    let error = shop.assemble(&plan, folder.path()).await.unwrap_err();
    assert!(error.to_string().contains("hollow-part1"), "{error}");
    shop.offer("hollow-part1", Some(b"solid"));
    shop.assemble(&plan, folder.path()).await.unwrap();
}

#[tokio::test]
async fn a_file_of_another_size_is_not_taken_for_the_whole() {
    let shop = shop().await;
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("cutoff.txt"), "who").unwrap();
    shop.offer("cutoff-part1", Some(b"whole"));
    let plan = plan("cutoff.txt", &["cutoff-part1"], b"whole");
    let path = shop.assemble(&plan, folder.path()).await.unwrap();
    assert_eq!(fs::read(path).unwrap(), b"whole");
}

#[tokio::test]
async fn a_disk_without_room_refuses_before_anything_is_fetched() {
    let shop = shop().await;
    let folder = tempfile::tempdir().unwrap();
    let mut plan = plan("huge.txt", &["never-asked-for"], b"");
    plan.bytes = 1 << 60;
    let error = shop.assemble(&plan, folder.path()).await.unwrap_err();
    let Error::NoSpace { needed, .. } = error else {
        panic!("{error:?}");
    };
    assert_eq!(needed, 2 << 60);
}
