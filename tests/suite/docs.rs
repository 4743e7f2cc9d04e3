//! The documents and the programs agree: options, sections, references, and every command that is shown.
//!
//! A block of commands below a line `<!-- run -->` (README) or `.\" run` (manual pages) is also run, in a home of its
//! own, and must succeed. The others of the manual pages are run in a world that has what they speak of: see `world`.

mod help;
mod words;
mod world;

use std::collections::BTreeSet;
use std::path::PathBuf;

use clap::Command;
use procherd_tools::TOOLS;
use procherd_tools::frame::Tool;

use crate::support::{Scene, project, skip, sources};

fn text(path: &str) -> String {
    std::fs::read_to_string(project().join(path)).unwrap_or_else(|why| panic!("{path}: {why}"))
}

/// All manual pages, by the name and section that others refer to them with.
fn pages() -> Vec<((String, String), String)> {
    let all = sources("man", &[".1", ".5", ".7"]);
    let named = |path: PathBuf| {
        let part = |part: Option<&std::ffi::OsStr>| part.unwrap_or_default().to_string_lossy().into_owned();
        (part(path.file_stem()), part(path.extension()))
    };
    all.into_iter().map(|(path, text)| (named(path), text)).collect()
}

fn page(tool: &Tool) -> String {
    text(&format!("man/{}.1", tool.name))
}

/// A tool and its subcommands.
fn commands(tool: &Tool) -> Vec<Command> {
    let mut top = (tool.command)();
    top.build();
    let mut all = vec![top];
    let mut next = 0;
    while let Some(command) = all.get(next) {
        let below: Vec<Command> =
            command.get_subcommands().filter(|sub| sub.get_name() != "help").cloned().collect();
        all.extend(below);
        next += 1;
    }
    all
}

/// The options that a program has. Those that all have are described once, in procherd(7).
fn options_of(tool: &Tool) -> BTreeSet<String> {
    let commands = commands(tool);
    let arguments = commands.iter().flat_map(Command::get_arguments);
    let ours = arguments.filter(|argument| !matches!(argument.get_id().as_str(), "help" | "version"));
    let names = |argument: &clap::Arg| {
        let short = argument.get_short_and_visible_aliases().unwrap_or_default();
        let long = argument.get_long_and_visible_aliases().unwrap_or_default();
        let short = short.into_iter().map(|letter| format!("-{letter}"));
        short.chain(long.into_iter().map(|word| format!("--{word}"))).collect::<Vec<_>>()
    };
    ours.flat_map(names).collect()
}

/// The options that a page describes: the items `.It Fl a , -all Ar value`.
fn options_in(page: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for item in page.lines().filter_map(|line| line.strip_prefix(".It ")) {
        let mut in_flag = false;
        for word in item.split_whitespace() {
            match word {
                "Fl" => in_flag = true,
                "," | "|" => {}
                // Another macro ends the flags.
                _ if word.len() == 2 && word.starts_with(|c: char| c.is_ascii_uppercase()) => in_flag = false,
                _ if in_flag => {
                    found.insert(format!("-{word}"));
                }
                _ => {}
            }
        }
    }
    found
}

#[test]
fn every_option_stands_in_the_page_and_every_option_of_the_page_exists() {
    for tool in TOOLS {
        let (has, describes) = (options_of(tool), options_in(&page(tool)));
        let missing: Vec<_> = has.difference(&describes).collect();
        let invented: Vec<_> = describes.difference(&has).collect();
        assert!(missing.is_empty(), "man/{}.1 does not describe {missing:?}", tool.name);
        assert!(invented.is_empty(), "man/{}.1 describes {invented:?}, which does not exist", tool.name);
    }
}

#[test]
fn every_subcommand_stands_in_the_page() {
    for tool in TOOLS {
        let page = page(tool);
        for command in commands(tool).iter().skip(1) {
            let name = command.get_name();
            let described = ["Cm", "Ic"].iter().any(|macro_| page.contains(&format!("{macro_} {name}")));
            assert!(described, "man/{}.1 does not describe {name}", tool.name);
        }
    }
}

/// The headings of a page, in order.
fn sections(page: &str) -> Vec<&str> {
    page.lines().filter_map(|line| line.strip_prefix(".Sh ")).collect()
}

#[test]
fn every_page_has_the_sections_that_its_readers_look_for() {
    for ((name, section), text) in pages() {
        let wanted: &[&str] = match section.as_str() {
            "1" => &["NAME", "SYNOPSIS", "DESCRIPTION", "EXIT STATUS", "EXAMPLES", "SEE ALSO", "CAVEATS"],
            _ => &["NAME", "DESCRIPTION", "SEE ALSO"],
        };
        let found = sections(&text);
        let kept: Vec<_> = found.iter().filter(|heading| wanted.contains(heading)).collect();
        assert!(kept.iter().copied().eq(wanted), "man/{name}.{section}: {kept:?}, not {wanted:?}");
    }
}

#[test]
fn every_tool_has_a_page_and_every_page_of_a_tool_a_tool() {
    let tools: BTreeSet<String> = TOOLS.iter().map(|tool| tool.name.to_owned()).collect();
    let of_tools = pages().into_iter().filter(|((_, section), _)| section == "1").map(|((name, _), _)| name);
    assert_eq!(of_tools.collect::<BTreeSet<_>>(), tools);
}

#[test]
fn references_between_pages_lead_somewhere() {
    let pages = pages();
    let exists = |name: &str, section: &str| pages.iter().any(|((n, s), _)| n == name && s == section);
    let ours = |name: &str| name.starts_with("procherd") || TOOLS.iter().any(|tool| tool.name == name);
    for ((page, _), text) in &pages {
        for line in text.lines() {
            let words: Vec<&str> = line.split_whitespace().collect();
            for at in words.iter().enumerate().filter_map(|(at, word)| word.ends_with("Xr").then_some(at)) {
                let [name, section] = words[at + 1..at + 3] else { panic!("{page}: {line}") };
                assert!(!ours(name) || exists(name, section), "{page} refers to {name}({section})");
            }
        }
    }
}

#[test]
fn every_tool_is_introduced_in_readme_overview_and_changelog() {
    let overview = text("man/procherd.7");
    for tool in TOOLS {
        for file in ["README.md", "CHANGELOG.md"] {
            assert!(text(file).contains(&format!("`{}`", tool.name)), "{file} does not name {}", tool.name);
        }
        assert!(overview.contains(&format!("Xr {} 1", tool.name)), "procherd.7 does not name {}", tool.name);
    }
}

#[test]
// proves: M37
fn every_diagram_is_drawn_as_its_source_says() {
    let drawn = sources("docs/diagrams", &[".dot"]);
    let names: Vec<_> =
        drawn.iter().filter_map(|(path, _)| path.file_stem()?.to_str().map(str::to_owned)).collect();
    assert_eq!(names, ["architecture", "health-check", "lifecycle", "start-up"]);
    let readme = text("README.md");
    for ((_, source), name) in drawn.iter().zip(&names) {
        let picture = text(&format!("docs/diagrams/{name}.svg"));
        let labels = source.split("label=\"").skip(1).filter_map(|rest| rest.split('"').next());
        for line in labels.flat_map(|label| label.split("\\n")).map(str::trim).filter(|line| !line.is_empty())
        {
            let written: String = line.replace('&', "&amp;").replace('>', "&gt;").replace('-', "&#45;");
            let shown = picture.replace("&#160;", " ");
            assert!(
                shown.contains(&written),
                "docs/diagrams/{name}.svg: '{line}' is missing: run make diagrams"
            );
        }
        assert!(readme.contains(&format!("docs/diagrams/{name}.svg")), "README.md does not show {name}");
    }
}

// proves: P29 R16 W29 M40
#[test]
fn guide_and_runbook_treat_every_situation() {
    let (guide, runbook) = (text("docs/spawning.md"), text("docs/troubleshooting.md"));
    for heading in ["In the shell", "In Python", "In TypeScript"] {
        let part =
            guide.split(&format!("## {heading}\n")).nth(1).unwrap_or_else(|| panic!("no part {heading}"));
        let part = part.split("\n## ").next().unwrap_or_default();
        assert!(
            part.contains("Wrong:") && part.contains("Right"),
            "{heading}: what is wrong, and what is right"
        );
    }
    for situation in [
        "Address already in use",
        "Processes stay after a stop",
        "Zombies",
        "A process hangs",
        "Two daemons",
        "nothing runs, and it does",
        "it runs, and it does not",
        "damaged, or locked",
        "Pid files that name the dead",
        "when a session ends",
        "restarted again and again",
        "It does not start",
        "from the beginning",
        "container",
    ] {
        let known = runbook.lines().any(|line| line.starts_with("## ") && line.contains(situation));
        assert!(known, "docs/troubleshooting.md has no part '{situation}'");
    }
    let shown: Vec<Vec<String>> = blocks_of_markdown("docs/troubleshooting.md")
        .iter()
        .flat_map(|block| commands_of(&block.script))
        .collect();
    for tool in [
        "pports",
        "porphans",
        "pkill-tree",
        "pzombies",
        "phung",
        "pdups",
        "ptrack",
        "preap",
        "phealth",
        "pdoctor",
    ] {
        assert!(shown.iter().any(|words| words[0] == tool), "the runbook does not use {tool}");
    }
    let readme = text("README.md");
    assert!(readme.contains("docs/spawning.md") && readme.contains("docs/troubleshooting.md"));
}

/// Some lines of a document that show commands.
struct Block {
    place: String,
    script: String,
    run: bool,
}

impl Block {
    fn add(&mut self, line: &str) {
        self.script.push_str(line);
        self.script.push('\n');
    }
}

/// The blocks between ```sh and ``` of a Markdown text.
fn blocks_of_markdown(file: &str) -> Vec<Block> {
    let mut found = Vec::new();
    let (mut open, mut run) = (None, false);
    for (number, line) in text(file).lines().enumerate() {
        match (&mut open, line) {
            (None, "```sh") => {
                open = Some(Block { place: format!("{file}:{}", number + 1), script: String::new(), run });
            }
            (None, "<!-- run -->") => run = true,
            (None, "") => {}
            (None, _) => run = false,
            (Some(_), "```") => {
                found.extend(open.take());
                run = false;
            }
            (Some(block), line) => block.add(line),
        }
    }
    assert!(open.is_none(), "{file}: a block does not end");
    found
}

/// The literal blocks of the examples of a manual page.
fn blocks_of_page(name: &str, section: &str, page: &str) -> Vec<Block> {
    let mut found = Vec::new();
    let (mut in_examples, mut open, mut run) = (false, None, false);
    for (number, line) in page.lines().enumerate() {
        let place = format!("man/{name}.{section}:{}", number + 1);
        match (&mut open, line) {
            (_, line) if line.starts_with(".Sh ") => in_examples = line == ".Sh EXAMPLES",
            (None, r#".\" run"#) => run = true,
            (None, line) if in_examples && line.starts_with(".Bd -literal") => {
                open = Some(Block { place, script: String::new(), run });
            }
            (Some(_), ".Ed") => {
                found.extend(open.take());
                run = false;
            }
            (Some(block), line) => {
                let plain = line.replace("\\e", "\\").replace("\\(aq", "'").replace("\\&", "");
                block.add(&plain);
            }
            (None, _) => {}
        }
    }
    found
}

/// The examples of `--help`: the command, then at least two spaces, then what it does.
fn blocks_of_help(tool: &Tool) -> Vec<Block> {
    let help = (tool.command)().render_long_help().to_string();
    let examples = help.split_once("Examples:\n").unwrap_or_else(|| panic!("{}: no examples", tool.name)).1;
    // What has no room beside its command stands below it.
    let lines = examples.lines().filter(|line| !line.starts_with("   "));
    let commands: Vec<&str> = lines.map(|line| line.trim().split("  ").next().unwrap_or_default()).collect();
    vec![Block { place: format!("{} --help", tool.name), script: commands.join("\n"), run: false }]
}

fn blocks() -> Vec<Block> {
    let mut all = blocks_of_markdown("README.md");
    for (path, _) in sources("docs", &[".md"]) {
        all.extend(blocks_of_markdown(&path.to_string_lossy()));
    }
    for ((name, section), text) in pages() {
        all.extend(blocks_of_page(&name, &section, &text));
    }
    all.extend(TOOLS.iter().flat_map(blocks_of_help));
    all
}

/// The simple commands of a script of the shell, each as its words. Redirections and comments are left out.
fn commands_of(script: &str) -> Vec<Vec<String>> {
    let mut commands = vec![Vec::new()];
    let mut letters = script.chars().peekable();
    let mut word: Option<String> = None;
    let mut quote = None;
    while let Some(letter) = letters.next() {
        match (quote, letter) {
            (Some(open), _) if letter == open => quote = None,
            (None, '\'' | '"') => {
                quote = Some(letter);
                word.get_or_insert_default();
            }
            (None, '\\') => match letters.next() {
                Some('\n') | None => {}
                Some(next) => word.get_or_insert_default().push(next),
            },
            (None, '#') if word.is_none() => while letters.next_if(|next| *next != '\n').is_some() {},
            (None, '$') if letters.peek() == Some(&'(') => {
                // What stands in here is a command of its own, and what it writes is some word.
                word.get_or_insert_default().push('0');
                let inner: String = letters.by_ref().skip(1).take_while(|next| *next != ')').collect();
                commands.splice(0..0, commands_of(&inner));
            }
            (None, '<' | '>') => {
                word.take_if(|word| word.bytes().all(|byte| byte.is_ascii_digit()));
                commands.last_mut().expect("one").extend(word.take());
                while letters.next_if(|next| matches!(next, '>' | '&' | ' ')).is_some() {}
                while letters.next_if(|next| !" \n;|&)".contains(*next)).is_some() {}
            }
            (None, ' ' | '\t') => commands.last_mut().expect("one").extend(word.take()),
            (None, '\n' | ';' | '|' | '&' | '(' | ')') => {
                commands.last_mut().expect("one").extend(word.take());
                commands.push(Vec::new());
            }
            _ => word.get_or_insert_default().push(letter),
        }
    }
    commands.last_mut().expect("one").extend(word.take());
    let keywords = ["if", "then", "else", "do", "while", "until", "!", "exec", "time"];
    for command in &mut commands {
        let leading = command.iter().take_while(|word| keywords.contains(&word.as_str())).count();
        command.drain(..leading);
    }
    commands.retain(|command| !command.is_empty());
    commands
}

/// Parses a command line as the program would.
fn parse(tool: &Tool, words: &[String]) -> Result<(), String> {
    // Signals as kill(1) takes them are read before the other options.
    let kill_style = |word: &&String| {
        let name = word.strip_prefix('-').unwrap_or_default();
        tool.name == "pkill-tree" && name.parse::<procherd::signal::Signal>().is_ok()
    };
    let words = words.iter().filter(|word| !kill_style(word));
    (tool.command)().try_get_matches_from(words).map(|_| ()).map_err(|why| why.to_string())
}

#[test]
fn every_command_that_is_shown_is_understood_by_its_program() {
    let mut shown = BTreeSet::new();
    for block in blocks() {
        for words in commands_of(&block.script) {
            let Some(tool) = TOOLS.iter().find(|tool| tool.name == words[0]) else { continue };
            shown.insert(tool.name);
            if let Err(why) = parse(tool, &words) {
                panic!("{}: {}\n{why}", block.place, words.join(" "));
            }
        }
    }
    assert!(TOOLS.iter().all(|tool| shown.contains(tool.name)), "only {shown:?} have examples");
}

#[test]
fn the_commands_that_are_marked_work() {
    let marked: Vec<Block> = blocks().into_iter().filter(|block| block.run).collect();
    assert!(!marked.is_empty());
    let has_jq = std::process::Command::new("jq").arg("--version").output().is_ok();
    for block in marked {
        if block.script.contains("jq ") && !has_jq {
            skip("jq is not installed");
            continue;
        }
        let scene = Scene::new();
        let output = scene.sh(&format!("set -eu\n{}", block.script)).cwd(scene.home()).run();
        assert_eq!(output.code, Some(0), "{}: {output:?}", block.place);
    }
}

#[test]
fn a_script_is_taken_apart_as_the_shell_does() {
    let script = "a -b 'c d' | e > f.txt 2>&1 # g\nif h \"$i\"; then j \\\n k & fi; l=$(m n) && o <p";
    let commands = commands_of(script);
    let commands: Vec<String> = commands.iter().map(|words| words.join(",")).collect();
    assert_eq!(commands, ["m,n", "a,-b,c d", "e", "h,$i", "j,k", "fi", "l=0", "o"]);
}
