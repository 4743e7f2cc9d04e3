//! What is installed, where, and that nothing of it stays behind.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use procherd_tools::TOOLS;
use tempfile::TempDir;

use crate::support::{programs, project, skip};

/// Runs a program in the project; it must succeed.
#[track_caller]
fn run(command: &mut Command) -> String {
    let Output { status, stdout, stderr } = command.current_dir(project()).output().expect("it runs");
    let said = String::from_utf8_lossy(&stdout).into_owned();
    assert!(status.success(), "{command:?}: {status}\n{said}{}", String::from_utf8_lossy(&stderr));
    said
}

/// make(1), for the programs that the tests use.
fn make(words: &[&str], root: &Path) -> Command {
    let mut make = Command::new("make");
    make.args(["--no-print-directory", "PREFIX=/usr"]).args(words);
    make.arg(format!("BUILT={}", programs().display())).arg(format!("DESTDIR={}", root.display()));
    // What calls the tests may be make itself, and its options are not for this one.
    make.env_remove("MAKEFLAGS").env_remove("MAKELEVEL");
    make
}

/// All files below a folder, as seen from it.
fn files(root: &Path) -> BTreeSet<PathBuf> {
    let (mut found, mut folders) = (BTreeSet::new(), vec![root.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten() {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.insert(path.strip_prefix(root).expect("below it").to_owned());
            }
        }
    }
    found
}

/// What every installation has of every tool.
fn assert_complete(root: &Path, page: &str) {
    for tool in TOOLS {
        let name = tool.name;
        for file in [
            format!("usr/bin/{name}"),
            format!("usr/share/man/man1/{name}.1{page}"),
            format!("usr/share/bash-completion/completions/{name}"),
            format!("usr/share/zsh/site-functions/_{name}"),
            format!("usr/share/fish/vendor_completions.d/{name}.fish"),
        ] {
            let path = root.join(&file);
            let mode = path.metadata().unwrap_or_else(|why| panic!("{file}: {why}")).permissions().mode();
            assert_eq!(mode & 0o777, if file.starts_with("usr/bin") { 0o755 } else { 0o644 }, "{file}");
        }
        let version = run(Command::new(root.join("usr/bin").join(name)).arg("--version"));
        assert_eq!(version, format!("{name} {}\n", env!("CARGO_PKG_VERSION")));
    }
    for file in [
        &format!("usr/share/man/man5/procherd-record.5{page}"),
        &format!("usr/share/man/man7/procherd.7{page}"),
        "usr/share/procherd/recipes/stop-dev",
        "usr/share/procherd/recipes/watchdog",
        "usr/share/procherd/hooks/procherd-watchdog.timer",
        "usr/share/procherd/procherd-record.schema.json",
        "usr/share/procherd/patterns/node-dev",
    ] {
        assert!(root.join(file).is_file(), "{file}");
    }
    for file in ["crontab", "procherd-watchdog.service"] {
        let text = std::fs::read_to_string(root.join("usr/share/procherd/hooks").join(file)).expect("a hook");
        let named = text.split_whitespace().filter_map(|word| word.split_once('/').map(|(_, path)| path));
        let named: Vec<&str> = named.filter(|path| path.contains("share/procherd/")).collect();
        assert!(!named.is_empty(), "{file}");
        for path in named {
            assert!(root.join(path).is_file(), "{file} names /{path}");
        }
    }
}

#[test]
fn make_installs_everything_and_takes_all_of_it_away() {
    let root = TempDir::with_prefix("procherd-test-").expect("a folder");
    std::fs::create_dir_all(root.path().join("usr/bin")).expect("a folder");
    std::fs::write(root.path().join("usr/bin/somebody-elses"), "").expect("written");
    let said = run(&mut make(&["install"], root.path()));
    assert_complete(root.path(), "");
    assert_eq!(said.lines().count() + 1, files(root.path()).len(), "each file is named: {said}");
    run(&mut make(&["uninstall"], root.path()));
    assert_eq!(files(root.path()), BTreeSet::from(["usr/bin/somebody-elses".into()]));
    assert!(!root.path().join("usr/share/procherd").exists());
}

#[test]
fn an_installation_says_what_is_not_built() {
    let (root, empty) = (TempDir::new().expect("a folder"), TempDir::new().expect("a folder"));
    let mut make = make(&["install"], root.path());
    let said =
        make.arg(format!("BUILT={}", empty.path().display())).current_dir(project()).output().expect("make");
    assert!(!said.status.success());
    assert!(String::from_utf8_lossy(&said.stderr).contains("is not built: run make first"), "{said:?}");
    assert!(files(root.path()).is_empty());
}

/// Makes the Debian package in a folder. None, said loudly, where that cannot be done.
pub(crate) fn debian_package(folder: &Path) -> Option<PathBuf> {
    if Command::new("dpkg-deb").arg("--version").output().is_err() {
        skip("dpkg-deb is not installed");
        return None;
    }
    let said = run(Command::new("packaging/deb")
        .arg(folder)
        .env("BUILT", programs())
        .env("COMPRESSION", "none")
        .env_remove("MAKEFLAGS")
        .env_remove("MAKELEVEL"));
    Some(PathBuf::from(said.trim_end()))
}

/// Installs or removes packages below a folder, which is all that dpkg(1) gets to see.
pub(crate) fn dpkg(root: &Path, words: &[&str]) -> String {
    let database = root.join("var/lib/dpkg");
    for folder in ["info", "updates", "triggers"] {
        std::fs::create_dir_all(database.join(folder)).expect("a folder");
    }
    if !database.join("status").exists() {
        std::fs::write(database.join("status"), "").expect("written");
    }
    let mut dpkg = Command::new("dpkg");
    dpkg.arg(format!("--root={}", root.display()));
    dpkg.args(["--force-not-root", "--force-depends", "--force-bad-path", "--log=/dev/null"]).args(words);
    run(&mut dpkg)
}

#[test]
fn a_debian_package_is_installed_and_removed_cleanly() {
    let (root, built) = (TempDir::new().expect("a folder"), TempDir::new().expect("a folder"));
    let Some(package) = debian_package(built.path()) else { return };
    let field =
        |name: &str| run(Command::new("dpkg-deb").arg("-f").arg(&package).arg(name)).trim_end().to_owned();
    assert_eq!((field("Package"), field("Version")), ("procherd".into(), env!("CARGO_PKG_VERSION").into()));
    let depends = field("Depends");
    assert!(depends.starts_with("libc6 (>= 2.") && depends.contains("libgcc-s1"), "{depends}");
    let dpkg = |words: &[&str]| dpkg(root.path(), words);
    dpkg(&["-i", &package.to_string_lossy()]);
    assert_complete(root.path(), ".gz");
    assert!(dpkg(&["--verify", "procherd"]).is_empty(), "what is installed is what was packed");
    for file in ["copyright", "README.md", "docs/troubleshooting.md", "docs/diagrams/lifecycle.svg"] {
        assert!(root.path().join("usr/share/doc/procherd").join(file).is_file(), "{file}");
    }
    dpkg(&["-P", "procherd"]);
    let left = files(&root.path().join("usr"));
    assert!(left.is_empty(), "{left:?}");
}
