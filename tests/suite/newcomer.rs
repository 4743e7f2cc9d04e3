//! Somebody who has Debian's base packages and ours, and nothing else: the README works as it is printed.
//!
//! The root of that machine is a folder with copies of the programs of a few packages. It is entered by a private mount
//! and pid namespace, and all that is mounted for it is mounted there.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::install::{debian_package, dpkg};
use crate::support::arena::inside;
use crate::support::running::Running;
use crate::support::terminal::Terminal;
use crate::support::{Scene, project, skip};

/// Packages whose programs are there: some that Debian calls essential, and the one that ours recommends.
const PACKAGES: [&str; 9] =
    ["bash", "dash", "coreutils", "findutils", "grep", "sed", "mawk", "util-linux", "jq"];

/// Goes into a root, which is its first argument, with the devices and the processes that a container has.
const ENTER: &str = r#"
for device in null zero full random urandom; do mount --bind "/dev/$device" "$1/dev/$device" || exit; done
mount -t proc proc "$1/proc" || exit
path=/usr/sbin:/usr/bin:/sbin:/bin
exec setsid --ctty chroot "$1" /usr/bin/env -i HOME=/root PATH=$path TERM=xterm LANG=C.UTF-8 \
    bash --norc -i
"#;

/// What a program says, none where it fails.
fn said(program: &str, words: &[&str]) -> Option<String> {
    let output = Command::new(program).args(words).output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The same place below the root, whose `/bin` is `/usr/bin` as everywhere in Debian.
fn below(root: &Path, file: &str) -> PathBuf {
    let merged = file.strip_prefix("/usr").unwrap_or(file);
    root.join("usr").join(merged.trim_start_matches('/'))
}

/// Copies the programs of packages, and the libraries of all programs. False, said loudly, where there is no such package.
fn furnish(root: &Path) -> bool {
    for folder in ["usr/bin", "usr/sbin", "usr/lib", "usr/lib64", "proc", "dev", "root/project", "tmp", "etc"]
    {
        fs::create_dir_all(root.join(folder)).expect("a folder");
    }
    for link in ["bin", "sbin", "lib", "lib64"] {
        symlink(format!("usr/{link}"), root.join(link)).expect("a link");
    }
    for device in ["null", "zero", "full", "random", "urandom"] {
        fs::write(root.join("dev").join(device), "").expect("written");
    }
    fs::write(root.join("etc/passwd"), "root:x:0:0:root:/root:/bin/bash\n").expect("written");
    for package in PACKAGES {
        let Some(files) = said("dpkg", &["-L", package]) else {
            skip(&format!("the package {package} is not installed"));
            return false;
        };
        for file in files.lines().filter(|file| file.contains("bin/")) {
            // Some may have been diverted, or deleted.
            let _ = fs::copy(file, below(root, file));
        }
    }
    // The shell that scripts ask for is a link, of which the package knows nothing.
    let _ = fs::copy("/bin/sh", root.join("usr/bin/sh"));
    true
}

/// Copies the libraries that the programs of the root ask for.
fn link_up(root: &Path) {
    let programs = ["usr/bin", "usr/sbin"].map(|folder| fs::read_dir(root.join(folder)).expect("a folder"));
    let programs = programs.into_iter().flatten().map(|entry| entry.expect("an entry").path());
    let output = Command::new("ldd").args(programs).output().expect("ldd");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let words: BTreeSet<&str> = text.split_whitespace().filter(|word| word.starts_with('/')).collect();
    for library in words.into_iter().filter(|word| word.contains(".so")) {
        let to = below(root, library);
        fs::create_dir_all(to.parent().expect("a folder")).expect("a folder");
        fs::copy(library, to).expect("copied");
    }
}

/// Types lines as a person does, and waits until all have been done.
fn type_in(shell: &mut Running, lines: &str, mark: usize) {
    for line in lines.lines() {
        shell.keys(&format!("{line}\n"));
    }
    // What is typed is shown as well: what is waited for must not look like it.
    shell.keys(&format!("echo done-$(({mark}))-\n"));
    shell.wait_for_screen(&format!("done-{mark}-"));
}

#[test]
fn the_readme_works_from_top_to_bottom_where_only_the_package_was_installed() {
    inside(|| {
        let scene = Scene::new();
        let root = scene.home().join("root");
        if !furnish(&root) {
            return;
        }
        let Some(package) = debian_package(scene.home()) else { return };
        dpkg(&root, &["-i", &package.to_string_lossy()]);
        link_up(&root);
        fs::write(scene.home().join("enter"), ENTER).expect("written");
        let own = "--mount --propagation private --pid --fork --kill-child";
        let script = format!("exec unshare {own} sh enter '{}'", root.display());
        let mut shell = scene.sh(&script).cwd(scene.home()).on(Terminal::of_a_person()).start();
        type_in(&mut shell, "cd ~/project; PS1='% '", 1000);
        let readme = fs::read_to_string(project().join("README.md")).expect("the page");
        let blocks: Vec<&str> =
            readme.split("```sh\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
        for (at, block) in blocks.iter().enumerate() {
            type_in(&mut shell, block, at);
        }
        type_in(
            &mut shell,
            "porphans --untracked --pattern 'sleep 1000' --expect 0 && echo all-''gone",
            1001,
        );
        shell.keys("exit\n");
        let screen = String::from_utf8_lossy(&shell.finish().screen).into_owned();
        let of = |at: usize| {
            let (before, after) = (at.checked_sub(1).unwrap_or(1000), at);
            let rest = screen.split(&format!("done-{before}-")).nth(1).unwrap_or_default();
            rest.split(&format!("done-{after}-")).next().unwrap_or_default()
        };
        for (first, expected) in [
            ("pstree-json $$", &["\"comm\":\"jq\"", "└─ pstree-json"][..]),
            ("sh -c 'sleep 1000 &'", &["group leader gone", "\"kind\": \"group-leader-gone\""]),
            ("porphans --pattern 'sleep 1000' | pkill-tree --dry-run", &["pkill-tree: ended 1 of 1"]),
            ("sleep 1000 & pkill-tree --dry-run", &["✔ exited", "✔ already gone"]),
            ("sleep 1000 & ptrack save nap", &["✔ alive", "✘ dead", "it does not run", "forget"]),
            ("psession -- sh -c", &["\"event\":\"terminated\",\"comm\":\"sleep\",\"exit_signal\":\"TERM\""]),
            ("pstree-json | jq -s", &["{\"root\":1,\"name\":\"bash\""]),
        ] {
            let at = blocks.iter().position(|block| block.starts_with(first));
            let at = at.unwrap_or_else(|| panic!("README.md has no block that begins with {first}"));
            // Colours come between signs and words.
            let shown = plain(of(at));
            for words in expected {
                assert!(shown.contains(words), "{first}: {words} is missing:\n{shown}");
            }
        }
        assert!(screen.contains("all-gone"), "what the README starts has ended:\n{screen}");
        // procps is no essential package; the README says where pgrep is from.
        let wrong: Vec<&str> = screen
            .lines()
            .filter(|line| {
                line.contains("not found") || line.contains("panicked") || line.contains("cannot open")
            })
            .filter(|line| !line.contains("pgrep"))
            .collect();
        assert!(wrong.is_empty(), "{wrong:?}:\n{screen}");
    });
}

/// Text without what makes its colours.
fn plain(text: &str) -> String {
    let mut parts = text.split("\u{1b}[");
    let first = parts.next().unwrap_or_default().to_owned();
    let uncoloured = |part: &str| {
        part.split_once(|letter: char| letter.is_ascii_alphabetic()).map(|(_, rest)| rest.to_owned())
    };
    parts.filter_map(uncoloured).fold(first, |text, part| text + &part)
}
