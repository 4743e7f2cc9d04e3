//! Words of documents that somebody relies on: what the suite is for, and names that no shell keeps for itself.

use super::{blocks, commands_of, text};
use crate::support::sources;

// proves: W01
#[test]
fn the_readme_says_for_which_systems_this_is_and_what_takes_the_place_of_others() {
    let readme = text("README.md");
    let part = readme.split("## Platforms\n").nth(1).and_then(|rest| rest.split("\n## ").next());
    let part = part.expect("a part on platforms").replace('\n', " ");
    for words in ["Linux only", "Windows is out of scope", "the Linux equivalent", "pidfd", "WSL 2"] {
        assert!(part.contains(words), "{words}: {part}");
    }
    let manifest = text("Cargo.toml") + &text("lib/Cargo.toml");
    assert!(!manifest.contains("windows"), "no part of it is for Windows");
}

/// Names that a shell, or what people paste commands into, keeps for itself: a script that sets one fails there, or harms.
const KEPT: [&str; 24] = [
    // bash
    "UID",
    "EUID",
    "PPID",
    "BASHPID",
    "BASHOPTS",
    "SHELLOPTS",
    "BASH_VERSINFO",
    "SECONDS",
    "RANDOM",
    "LINENO",
    // zsh, where path is PATH
    "path",
    "cdpath",
    "fpath",
    "manpath",
    "status",
    "pipestatus",
    "argv",
    "HISTCMD",
    // fish
    "fish_pid",
    "version",
    "hostname",
    // PowerShell, whatever the case
    "pid",
    "home",
    "input",
];

/// The names that a script gives values to.
fn given(script: &str) -> Vec<String> {
    let mut names = Vec::new();
    for words in commands_of(script) {
        let assigned = words.iter().map_while(|word| word.split_once('=').map(|(name, _)| name));
        let is_name = |name: &&str| name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        names.extend(assigned.take_while(is_name).map(str::to_owned));
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        match words[..] {
            ["export" | "local" | "readonly" | "read", ref rest @ ..] => {
                let named = rest.iter().filter(|word| !word.starts_with('-'));
                names.extend(named.map(|word| word.split('=').next().unwrap_or_default().to_owned()));
            }
            ["for", name, ..] => names.push(name.to_owned()),
            _ => {}
        }
    }
    names
}

// proves: W50
#[test]
fn no_command_that_is_shown_or_shipped_sets_a_name_that_a_shell_keeps() {
    let shown = blocks().into_iter().map(|block| (block.place, block.script));
    let shipped = ["tools/recipes", "tools/hooks", "tools/psession"].into_iter();
    let shipped = shipped.flat_map(|folder| sources(folder, &[""])).filter(|(path, script)| {
        script.starts_with("#!/bin/sh") || path.extension().is_some_and(|ending| ending == "sh")
    });
    let shipped = shipped.map(|(path, script)| (path.display().to_string(), script));
    let mut seen = 0;
    for (place, script) in shown.chain(shipped) {
        for name in given(&script) {
            seen += 1;
            assert!(!KEPT.contains(&name.as_str()), "{place} sets {name}");
        }
    }
    assert!(seen > 20, "{seen} names");
    let script = "a=1 b=2 env; export C=3; for pid in 1; do read -r status rest; done; path=x";
    assert_eq!(given(script), ["a", "b", "C", "pid", "status", "rest", "path"], "names are found");
}
