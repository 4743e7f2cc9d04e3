//! The shell completions: generated from the definitions of the tools, committed, and understood by their shells.
//!
//! `make completions` writes them anew.

mod names;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use clap_complete::Shell;
use procherd_tools::TOOLS;

use crate::support::{Scene, programs, project, skip};

const SHELLS: &[Shell] = &[Shell::Bash, Shell::Zsh, Shell::Fish];

/// Set to `write`, the files are made what they should be.
const SWITCH: &str = "PROCHERD_COMPLETIONS";

/// Where the completions of a tool stand, named as the shell wants to find them.
fn path(shell: Shell, tool: &str) -> PathBuf {
    let name = match shell {
        Shell::Zsh => format!("_{tool}"),
        Shell::Fish => format!("{tool}.fish"),
        _ => tool.to_owned(),
    };
    project().join("completions").join(shell.to_string()).join(name)
}

fn generated(shell: Shell, tool: &procherd_tools::frame::Tool) -> String {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut (tool.command)(), tool.name, &mut text);
    names::with_names(shell, tool, String::from_utf8(text).expect("text"))
}

#[test]
fn completions_are_those_of_the_programs() {
    let write = std::env::var_os(SWITCH).is_some_and(|value| value == "write");
    for shell in SHELLS {
        let folder = path(*shell, "any").parent().expect("a folder").to_owned();
        let mut expected: Vec<PathBuf> = TOOLS.iter().map(|tool| path(*shell, tool.name)).collect();
        if write {
            let _ = std::fs::remove_dir_all(&folder);
            std::fs::create_dir_all(&folder).expect("a folder");
        }
        for tool in TOOLS {
            let (file, text) = (path(*shell, tool.name), generated(*shell, tool));
            if write {
                std::fs::write(&file, &text).expect("written");
            }
            let committed = std::fs::read_to_string(&file).unwrap_or_default();
            assert!(committed == text, "{}: out of date: run make completions", file.display());
        }
        let files = std::fs::read_dir(&folder).expect("a folder");
        let mut files: Vec<PathBuf> = files.map(|entry| entry.expect("an entry").path()).collect();
        files.sort();
        expected.sort();
        assert_eq!(files, expected, "a file of a tool that is no more");
    }
}

/// What a shell that starts without any configuration says to a script; `file` is its first argument. None where it is
/// not installed.
fn ask(shell: &str, options: &[&str], script: &str, file: &Path, env: Env<'_>) -> Option<String> {
    let mut command = Command::new("timeout");
    command.args(["20", shell]).args(options).args(["-c", script]).arg(file).stdin(Stdio::null());
    command.envs(env.iter().map(|(name, value)| (name, value)));
    let output = command.output().expect("timeout runs");
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    if output.status.code() == Some(127) {
        skip(&format!("{shell} is not installed"));
        return None;
    }
    assert!(output.status.success(), "{shell}: {}:\n{script}\n{said}", output.status);
    Some(said.into_owned())
}

/// Variables of the environment.
type Env<'a> = &'a [(&'static str, String)];

/// What bash offers for the last of some words of a tool's command line.
fn bash(tool: &str, words: &str, env: Env<'_>) -> Option<String> {
    let script = format!(
        r#"source "$0"
        words=({words})
        COMP_WORDS=({tool} "${{words[@]}}") COMP_CWORD=${{#words[@]}}
        function=$(complete -p {tool} | sed 's/.*-F \([^ ]*\).*/\1/')
        "$function" {tool} "${{words[-1]}}" "${{COMP_WORDS[-2]}}"
        printf '%s\n' "${{COMPREPLY[@]}}""#
    );
    ask("bash", &["--norc", "--noprofile"], &script, &path(Shell::Bash, tool), env)
}

/// What fish offers at the end of a command line.
fn fish(tool: &str, words: &str, env: Env<'_>) -> Option<String> {
    let script = format!("source $argv[1]; complete --do-complete '{tool} {words}'");
    ask("fish", &["--no-config"], &script, &path(Shell::Fish, tool), env)
}

/// What zsh shows when the tabulator is pressed at the end of a command line, as soon as that has a word.
///
/// Its completion needs its line editor, so one runs behind a pseudo-terminal of zsh's own.
fn zsh(tool: &str, words: &str, until: &str, env: Env<'_>) -> Option<String> {
    let script = format!(
        r#"zmodload zsh/zpty || exit 1
        zpty line zsh -f -i
        zpty -w line "PS1=; fpath=(${{0:h}} \$fpath); autoload -Uz compinit; compinit -D -u; echo re''ady"
        zpty -r -m line said '*ready*'
        zpty -n -w line $'{tool} {words}\t'
        zpty -r -m line said '*{until}*'
        zpty -d line
        print -r -- "$said""#
    );
    ask("zsh", &["-f"], &script, &path(Shell::Zsh, tool), env)
}

/// Fails the test unless these words are offered, one a line.
#[track_caller]
fn assert_offered(said: &str, wanted: &[&str], tool: &str) {
    let offered: Vec<&str> = said.lines().filter_map(|line| line.split_whitespace().next()).collect();
    for word in wanted {
        assert!(offered.contains(word), "{tool}: {word} is not offered: {said}");
    }
}

/// The values of an option that every tool has.
const WHEN: [&str; 3] = ["auto", "always", "never"];

#[test]
fn bash_completes_options_and_their_values() {
    for tool in TOOLS {
        let Some(said) = bash(tool.name, "--qui", &[]) else { return };
        assert_offered(&said, &["--quiet"], tool.name);
        assert_offered(&bash(tool.name, "--color ''", &[]).unwrap_or_default(), &WHEN, tool.name);
    }
}

#[test]
fn fish_completes_options_and_their_values() {
    for tool in TOOLS {
        // Before the command of a tool that has commands, fish offers no values of options.
        let definition = (tool.command)();
        let command = definition.get_subcommands().next().map_or("", clap::Command::get_name);
        let ask = |words: &str| fish(tool.name, &format!("{command} {words}"), &[]);
        let Some(said) = ask("--qui") else { return };
        assert_offered(&said, &["--quiet"], tool.name);
        assert_offered(&ask("--color ").unwrap_or_default(), &WHEN, tool.name);
    }
}

#[test]
fn zsh_completes_options_and_their_values() {
    for tool in TOOLS {
        let Some(said) = zsh(tool.name, "--q", "uiet", &[]) else { return };
        assert!(said.contains("--quiet"), "{}: {said}", tool.name);
        let said = zsh(tool.name, "--color ", "never", &[]).unwrap_or_default();
        assert!(said.contains("always") && said.contains("never"), "{}: {said}", tool.name);
    }
}

/// Command lines, and the name that completes each: of a service, of a session, of a signal, of a pattern set.
const NAMED: &[(&str, &str, &str)] = &[
    ("pkill-tree", "", "api-server"),
    ("pkill-tree", "--signal", "TERM"),
    ("pstree-json", "", "api-server"),
    ("porphans", "--service", "api-server"),
    ("porphans", "--session", "agent-7"),
    ("porphans", "--patterns-from", "my-stack"),
    ("ptrack", "get", "api-server"),
    ("ptrack", "rm", "api-server"),
    ("ptrack", "session end", "agent-7"),
];

/// A home with a service, a session and a pattern set, whose tools the shells find.
fn home_with_names() -> (Scene, [(&'static str, String); 3]) {
    let scene = Scene::new();
    let run = |words: &[&str]| scene.tool("ptrack").args(words).run().ended(0);
    let actor = scene.start(["idle"]);
    run(&["save", "api-server", &actor.root().operand()]);
    run(&["session", "start", "agent-7", "--pid", &actor.root().operand()]);
    let settings = scene.home().join("settings");
    std::fs::create_dir_all(settings.join("procherd/patterns")).expect("a folder");
    std::fs::write(settings.join("procherd/patterns/my-stack"), "vitest\n").expect("written");
    let path = std::env::var("PATH").unwrap_or_default();
    let path = format!("{}:{path}", programs().display());
    let registry = scene.registry().display().to_string();
    let settings = settings.display().to_string();
    (scene, [("PATH", path), ("PROCHERD_REGISTRY", registry), ("XDG_CONFIG_HOME", settings)])
}

#[test]
fn bash_completes_names_that_only_this_machine_knows() {
    let (_scene, env) = home_with_names();
    for (tool, before, wanted) in NAMED {
        let Some(said) = bash(tool, &format!("{before} ''"), &env) else { return };
        assert_offered(&said, &[wanted], tool);
    }
}

#[test]
fn fish_completes_names_that_only_this_machine_knows() {
    let (_scene, env) = home_with_names();
    for (tool, before, wanted) in NAMED {
        let Some(said) = fish(tool, &format!("{before} "), &env) else { return };
        assert_offered(&said, &[wanted], tool);
    }
}

#[test]
fn zsh_completes_names_that_only_this_machine_knows() {
    let (_scene, env) = home_with_names();
    for (tool, before, wanted) in NAMED {
        let begun = &wanted[..2];
        let Some(said) = zsh(tool, &format!("{before} {begun}"), wanted, &env) else { return };
        assert!(said.contains(wanted), "{tool} {before}: {said}");
    }
}
