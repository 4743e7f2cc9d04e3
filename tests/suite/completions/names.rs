//! Names in completions: services, sessions, signals and pattern sets, asked for when they are completed.
//!
//! The generator knows options and their fixed values. Where a value is a name that only this machine knows, the
//! generated text is changed to ask for it.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use clap::{Arg, Command};
use clap_complete::Shell;
use procherd_tools::frame::Tool;

/// What a value is the name of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Names {
    Services,
    Sessions,
    Signals,
    Patterns,
}

impl Names {
    /// What an argument takes; none where that is no name, or a new one.
    fn of(command: &Command, argument: &Arg) -> Option<Self> {
        let known = ["get", "status", "beat", "rm"];
        match (argument.get_id().as_str(), argument.is_positional()) {
            ("service", false) => Some(Self::Services),
            ("session", false) => Some(Self::Sessions),
            ("signal", false) => Some(Self::Signals),
            ("patterns_from", false) => Some(Self::Patterns),
            ("id", true) if command.get_name() == "end" => Some(Self::Sessions),
            (_, true) if known.contains(&command.get_name()) => Some(Self::Services),
            (_, true) => {
                let named = |name: &clap::builder::Str| name.split('|').any(|word| word == "NAME");
                let process = |name: &clap::builder::Str| name.contains("PID");
                argument
                    .get_value_names()?
                    .iter()
                    .any(|name| named(name) && process(name))
                    .then_some(Self::Services)
            }
            _ => None,
        }
    }

    /// The function that writes the names, one a line.
    fn function(self) -> &'static str {
        match self {
            Self::Services => "_procherd_services",
            Self::Sessions => "_procherd_sessions",
            Self::Signals => "_procherd_signals",
            Self::Patterns => "_procherd_patterns",
        }
    }

    /// How the names are asked for, in any shell.
    fn command(self) -> &'static str {
        match self {
            Self::Services => {
                "ptrack list --format ndjson 2>/dev/null | pfmt --format csv --columns service 2>/dev/null | tail -n +2"
            }
            Self::Sessions => {
                "ptrack session list --format ndjson 2>/dev/null | pfmt --format csv --columns session 2>/dev/null | tail -n +2"
            }
            Self::Signals => "printf '%s\\n' TERM INT HUP KILL QUIT USR1 USR2 STOP CONT ALRM PIPE",
            Self::Patterns => {
                // In words that all shells read alike: none of them minds a variable that is not set.
                "ls $XDG_CONFIG_HOME/procherd/patterns ~/.config/procherd/patterns /usr/local/share/procherd/patterns \
                 /usr/share/procherd/patterns 2>/dev/null | grep -v -e / -e '^$' | sort -u"
            }
        }
    }
}

/// An argument that takes names, and the command that it belongs to.
struct Asking {
    /// The words of the command, without the tool.
    path: Vec<String>,
    argument: Arg,
    names: Names,
}

fn asking(command: &Command, path: &[String], found: &mut Vec<Asking>) {
    for argument in command.get_arguments() {
        if let Some(names) = Names::of(command, argument) {
            found.push(Asking { path: path.to_vec(), argument: argument.clone(), names });
        }
    }
    for below in command.get_subcommands().filter(|below| below.get_name() != "help") {
        asking(below, &[path, &[below.get_name().to_owned()]].concat(), found);
    }
}

/// Changes the completions of a tool, as the generator writes them, so that names are asked for.
pub(super) fn with_names(shell: Shell, tool: &Tool, generated: String) -> String {
    let (mut all, mut definition) = (Vec::new(), (tool.command)());
    definition.build();
    asking(&definition, &[], &mut all);
    if all.is_empty() {
        return generated;
    }
    match shell {
        Shell::Bash => bash(tool, &all, generated),
        Shell::Zsh => zsh(&all, generated),
        _ => fish(tool, &all, generated),
    }
}

/// The functions that ask, each once.
fn functions(all: &[Asking]) -> String {
    let function = |names: Names| format!("{}() {{\n    {}\n}}\n\n", names.function(), names.command());
    kinds(all).into_iter().map(function).collect::<Vec<_>>().concat()
}

/// What is asked for, each once.
fn kinds(all: &[Asking]) -> BTreeSet<Names> {
    all.iter().map(|one| one.names).collect()
}

/// Every option is a branch with its values; operands are offered with the options of their command.
fn bash(tool: &Tool, all: &[Asking], mut text: String) -> String {
    for one in all {
        let ask = one.names.function();
        if let Some(long) = one.argument.get_long() {
            let short = one.argument.get_short().map(|letter| format!("-{letter}"));
            for option in [Some(format!("--{long}")), short].into_iter().flatten() {
                let files = format!(
                    "                {option})\n                    COMPREPLY=($(compgen -f \"${{cur}}\"))"
                );
                let both = if one.names == Names::Patterns { "-f " } else { "" };
                let names = format!(
                    "                {option})\n                    COMPREPLY=($(compgen {both}-W \"$({ask})\" -- \"${{cur}}\"))"
                );
                text = text.replace(&files, &names);
            }
        } else {
            let words: Vec<String> = one.path.iter().map(|word| format!("__subcmd__{word}")).collect();
            let head =
                format!("        {}{})\n            opts=\"", tool.name.replace('-', "__"), words.concat());
            let at =
                text.find(&head).unwrap_or_else(|| panic!("{}: no branch {head}", tool.name)) + head.len();
            let end = at + text[at..].find('\n').expect("a line");
            let more = format!("\n            [[ ${{cur}} == -* ]] || opts=\"${{opts}} $({ask})\"");
            text.insert_str(end, &more);
        }
    }
    functions(all) + &text
}

/// Every argument is a line that ends in what completes it.
fn zsh(all: &[Asking], text: String) -> String {
    let mut lines: Vec<String> = Vec::new();
    let mut place = Vec::new();
    for line in text.lines() {
        // The generator names the command that the following lines belong to in the branch before them.
        if let Some(branch) = line.trim().strip_prefix('(').and_then(|rest| rest.strip_suffix(')')) {
            place = vec![branch.to_owned()];
        }
        let of = |one: &&Asking| {
            let Some(long) = one.argument.get_long() else {
                let id = one.argument.get_id();
                let here = one.path.last().is_none_or(|last| place.last() == Some(last));
                return here && (line.contains(&format!(":{id} -- ")) || line.contains(&format!(":{id}:")));
            };
            let short = one.argument.get_short().map(|letter| format!("'-{letter}+["));
            let short = short.is_some_and(|option| line.contains(&option) && line.contains(":SIGNAL:"));
            short || line.contains(&format!("--{long}=["))
        };
        let asked = all.iter().find(of).filter(|_| line.contains(":_default'"));
        lines.push(match asked {
            Some(one) => line.replace(":_default'", &format!(":{}'", completer(one.names))),
            None => line.to_owned(),
        });
    }
    let mut helpers = String::new();
    for names in kinds(all) {
        let _ = write!(
            helpers,
            "\n(( $+functions[{0}] )) ||\n{0}() {{\n    local -a names\n    names=(${{(f)\"$({1})\"}})\n    compadd -a names\n}}\n",
            names.function(),
            names.command()
        );
    }
    let text = lines.join("\n") + "\n";
    // The last lines run the completion: what they need stands before them.
    match text.rfind("\nif [ \"$funcstack[1]\"") {
        Some(at) => format!("{}{helpers}{}", &text[..at], &text[at..]),
        None => text + &helpers,
    }
}

fn completer(names: Names) -> String {
    match names {
        Names::Patterns => "{_procherd_patterns; _files}".to_owned(),
        names => names.function().to_owned(),
    }
}

/// Every option is a line; operands get one of their own.
fn fish(tool: &Tool, all: &[Asking], text: String) -> String {
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    for one in all {
        let ask = format!(" -a '({})'", one.names.command().replace('\\', "\\\\").replace('\'', "\\'"));
        if let Some(long) = one.argument.get_long() {
            for line in lines
                .iter_mut()
                .filter(|line| line.contains(&format!(" -l {long} ")) && line.ends_with(" -r"))
            {
                line.push_str(if one.names == Names::Patterns { "" } else { " -f" });
                line.push_str(&ask);
            }
        } else {
            let when = match one.path.as_slice() {
                [] => String::new(),
                path => {
                    let seen: Vec<String> =
                        path.iter().map(|word| format!("__fish_seen_subcommand_from {word}")).collect();
                    format!(" -n \"{}\"", seen.join("; and "))
                }
            };
            lines.push(format!("complete -c {}{when} -f{ask}", tool.name));
        }
    }
    lines.join("\n") + "\n"
}
