//! Manners that all tools share: help, versions, misuse, odd input, odd output.
//!
//! A new tool is one line in [`TOOLS`].

use std::time::Duration;

use crate::support::arena::{inside, read_only};
use crate::support::scene::raw;
use crate::support::terminal::Terminal;
use crate::support::{Output, Scene, project, sources, tool};

/// How a tool meets standard input.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Input {
    /// It reads records when it gets no operand.
    Required,
    /// The same, and any JSON object is a record to it. Its operands are files.
    Anything,
    /// It reads records when its operand is `-`.
    OnRequest,
    /// It reads nothing.
    Never,
}
use Input::{Anything, Never, OnRequest, Required};

/// Whether operands may name processes by number.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Operands {
    Processes,
    Others,
}
use Operands::{Others, Processes};

/// All tools: the name, how it meets its input, its operands, and a command line that is valid and only looks.
const TOOLS: &[(&str, Input, Operands, &[&str])] = &[
    ("pstree-json", OnRequest, Processes, &[]),
    ("porphans", OnRequest, Others, &[]),
    ("pzombies", OnRequest, Others, &[]),
    ("phung", OnRequest, Others, &["--sample", "10ms"]),
    ("pdups", OnRequest, Others, &["-p", "nobody-is-called-this"]),
    ("pports", OnRequest, Others, &["--first-free", "1..65535"]),
    ("pkill-tree", Required, Processes, &["--dry-run"]),
    ("pgone", Required, Processes, &["--port", "1"]),
    ("phealth", OnRequest, Processes, &[]),
    ("ptrack", Never, Others, &["list"]),
    ("preap", Never, Others, &["--dry-run"]),
    ("pspawn", Never, Others, &["name", "--dry-run", "--", "true"]),
    ("psession", Never, Others, &["true"]),
    ("pwatch", OnRequest, Processes, &["--timeout", "100ms", "-p", "nobody-is-called-this"]),
    ("pkeep", Never, Others, &["--once", "/dev/null"]),
    ("pfmt", Anything, Others, &[]),
    ("pdoctor", Never, Others, &[]),
];

/// The tools that can read records, with the words that make them do it.
fn readers() -> impl Iterator<Item = (&'static str, &'static [&'static str])> {
    TOOLS.iter().filter_map(|(name, input, ..)| match input {
        Required | Anything => Some((*name, &[][..])),
        OnRequest => Some((*name, &["-"][..])),
        Never => None,
    })
}

fn takes_any_object(tool: &str) -> bool {
    TOOLS.iter().any(|(name, input, ..)| *name == tool && *input == Anything)
}

/// All programs that the project builds.
fn programs() -> Vec<String> {
    let name = |path: &std::path::Path| path.file_stem().map(|stem| stem.to_string_lossy().into_owned());
    sources("tools/bin", &[".rs"]).iter().filter_map(|(path, _)| name(path)).collect()
}

#[test]
fn every_tool_is_held_to_its_manners() {
    let mut known: Vec<_> = TOOLS.iter().map(|(name, ..)| *name).collect();
    known.sort_unstable();
    assert_eq!(programs(), known);
}

#[test]
fn help_says_what_a_tool_is_for_how_it_is_called_and_shows_examples() {
    for (name, ..) in TOOLS {
        let short = tool(name).arg("-h").run().ended(0).quiet();
        let long = tool(name).arg("--help").run().ended(0).quiet();
        for help in [short.text(), long.text()] {
            let purpose = help.lines().next().unwrap_or_default();
            assert!(purpose.starts_with(|letter: char| letter.is_ascii_uppercase()), "{name}: {purpose:?}");
            assert!(
                !purpose.ends_with('.') && purpose.len() <= 80,
                "{name}: one short line first: {purpose:?}"
            );
            assert!(help.contains(&format!("Usage: {name}")), "{name}: {help}");
            assert!(!help.contains('\x1b'), "{name}: no colour outside of a terminal");
        }
        assert!(long.text().contains("\nExamples:\n"), "{name}: --help shows examples: {}", long.text());
        assert!(short.text().len() < long.text().len(), "{name}: -h is shorter than --help");
    }
}

#[test]
fn the_version_is_that_of_the_suite() {
    for (name, ..) in TOOLS {
        let said = tool(name).arg("--version").run().ended(0).quiet();
        assert_eq!(said.text(), format!("{name} {}\n", env!("CARGO_PKG_VERSION")));
    }
}

#[test]
fn misuse_is_one_line_and_exit_2() {
    for (name, ..) in TOOLS {
        let said = tool(name).arg("--no-such-option").run().ended(2);
        assert!(said.one_message().contains("--no-such-option"), "{said:?}");
        assert!(said.stdout.is_empty(), "{said:?}");
    }
}

#[test]
fn an_option_whose_value_is_empty_or_missing_is_named() {
    for words in [&["--cwd", ""][..], &["--cwd"]] {
        let said = tool("porphans").args(words).run().ended(2);
        let message = said.one_message();
        assert!(message.contains("--cwd") && message.contains("a value is needed"), "{said:?}");
    }
}

#[test]
fn an_argument_that_is_not_utf_8_is_misuse_and_no_panic() {
    for (name, input, ..) in TOOLS {
        for words in [vec![raw(b"\xff\xfe")], vec![raw(b"--\xff")], vec![raw(b"--format"), raw(b"\xff")]] {
            let said = tool(name).args(&words).run();
            // Any bytes may be the name of a command, or of a file, which there is not.
            let no_command = said.code == Some(127) && *name == "psession";
            let no_file = said.code == Some(3) && *input == Anything;
            assert!(matches!(said.code, Some(1 | 2)) || no_command || no_file, "{words:?}: {said:?}");
            said.one_message();
        }
    }
}

#[test]
fn a_reader_that_left_is_no_fault() {
    for (name, .., looks) in TOOLS {
        for words in [&["--help"][..], &["--version"], looks] {
            let said = tool(name).args(words).reader_leaves_after(0).run();
            assert_eq!((said.code, said.stderr.as_str()), (Some(0), ""), "{said:?}");
        }
    }
}

#[test]
fn a_full_output_is_reported_once() {
    // Where nobody else starts and ends processes between two looks.
    inside(|| {
        for (name, .., looks) in TOOLS {
            let (wanted, said) = (tool(name).args(*looks).run(), tool(name).args(*looks).output_full().run());
            if wanted.stdout.is_empty() {
                continue;
            }
            assert_eq!(said.code, Some(3), "{said:?}");
            assert!(said.one_message().contains("no space left on device"), "{said:?}");
        }
    });
}

#[test]
fn an_empty_stream_is_success() {
    for (name, words) in readers() {
        let said = tool(name).args(words).stdin("").run().ended(0);
        assert!(said.stdout.is_empty(), "{said:?}");
    }
}

#[test]
fn empty_lines_are_passed_over() {
    for (name, words) in readers() {
        let said = tool(name).args(words).stdin("\n\n").run().ended(0);
        assert!(said.stdout.is_empty(), "{said:?}");
    }
}

#[test]
fn a_bad_line_is_reported_with_its_number_and_turns_the_exit_into_3() {
    for (name, words) in readers() {
        for bad in [
            "nonsense",
            "{\"pid\":",
            "[1]",
            "-1",
            "0",
            "1.5",
            "4194305",
            "{}",
            "{\"pid\":\"7\"}",
            "\u{0}",
            "7 8",
        ] {
            let said = tool(name).args(words).stdin(format!("\n{bad}\n")).run();
            if bad.ends_with('}') && takes_any_object(name) {
                said.ended(0);
                continue;
            }
            let said = said.ended(3);
            assert!(said.stderr.contains("line 2"), "{bad:?}: {said:?}");
            assert!(said.stdout.is_empty(), "{bad:?}: {said:?}");
            assert!(said.stderr.starts_with(&format!("{name}: ")), "{bad:?}: {said:?}");
        }
    }
}

#[test]
fn every_bad_line_is_reported_and_the_rest_is_read() {
    for (name, words) in readers() {
        let said = tool(name).args(words).stdin(&b"x\n{\"a\":1\n\xff\xfe\n\n{"[..]).run().ended(3);
        for number in [1, 2, 3, 5] {
            assert!(said.stderr.contains(&format!("line {number}")), "line {number}: {said:?}");
        }
        assert!(!said.stderr.contains("line 4"), "{said:?}");
    }
}

#[test]
fn strict_stops_at_the_first_bad_line() {
    for (name, words) in readers() {
        let said = tool(name).args(words).arg("--strict").stdin("x\ny\n").run().ended(3);
        assert!(said.one_message().contains("line 1"), "{said:?}");
    }
}

#[test]
fn a_line_that_is_too_long_or_too_deep_is_a_bad_line() {
    // The longest record of a real process, 2 MiB of arguments all escaped, stays below 16 MiB.
    let long = format!("{{\"x\":\"{}\"}}\n", "a".repeat(17 << 20));
    let deep = format!("{{\"x\":{}{}}}\n", "[".repeat(100_000), "]".repeat(100_000));
    for (name, words) in readers() {
        for line in [&long, &deep] {
            let said = tool(name).args(words).stdin(line.as_str()).run().ended(3);
            assert!(said.one_message().contains("line 1"), "{said:?}");
            assert!(said.elapsed < Duration::from_secs(5), "{said:?}");
        }
    }
}

#[test]
fn a_terminal_is_not_read_for_records() {
    for (name, ..) in TOOLS.iter().filter(|(_, input, ..)| matches!(input, Required | Anything)) {
        let said =
            tool(name).on(Terminal::new(80, 24).input()).within(Duration::from_secs(20)).run().ended(2);
        assert!(said.one_message().contains("terminal"), "{said:?}");
    }
}

#[test]
fn a_home_is_not_needed_to_look() {
    for (name, input, _, looks) in TOOLS {
        let homeless = |words: &[&str]| -> Output {
            let tool = tool(name).args(words).without_env("HOME").without_env("XDG_STATE_HOME");
            tool.without_env("PROCHERD_REGISTRY").run()
        };
        homeless(&["--help"]).ended(0);
        homeless(&["--version"]).ended(0);
        // A registry cannot be found without a home: that is said, and is no panic.
        let looked = homeless(looks);
        if *input == Never {
            assert!(matches!(looked.code, Some(0 | 1 | 3)), "{looked:?}");
        } else {
            // The home of the account may have a registry, with services that do not run.
            assert!(matches!(looked.code, Some(0 | 1)), "{looked:?}");
        }
    }
}

#[test]
// proves: S29
fn a_disk_that_nobody_may_write_keeps_no_tool_from_looking() {
    inside(|| {
        let scene = Scene::new();
        let state = scene.home().join("state");
        std::fs::create_dir_all(&state).expect("a folder");
        read_only(&state);
        for (name, _, _, looks) in TOOLS {
            let said = scene.tool(name).args(*looks).stdin("").run();
            // psession registers its session, and says that it could not.
            let may_fail = ["psession", "pdoctor"].contains(name);
            assert!(said.code == Some(0) || may_fail && matches!(said.code, Some(1 | 125)), "{said:?}");
            assert!(!said.stderr.contains("panicked"), "{said:?}");
        }
        let refused =
            scene.tool("ptrack").args(["save", "x", &std::process::id().to_string()]).run().ended(3);
        assert!(refused.one_message().contains("read-only"), "{refused:?}");
    });
}

#[test]
fn a_window_of_ten_thousand_columns_and_a_strict_umask_change_nothing() {
    for (name, input, _, looks) in TOOLS {
        let stdin = if *input == Never { "" } else { "{\"type\":\"event\",\"v\":1}\n" };
        let wide = tool(name).args(*looks).on(Terminal::new(10_000, 50).output()).stdin(stdin).run();
        let plain = tool(name).args(*looks).stdin(stdin).run();
        assert_eq!(wide.code, plain.code, "{wide:?}\n{plain:?}");
        let scene = Scene::new();
        let strict = scene.sh(&format!("umask 077; exec {name} {}", looks.join(" "))).stdin(stdin).run();
        assert_eq!(strict.code, plain.code, "{strict:?}\n{plain:?}");
    }
}

#[test]
fn a_process_number_that_cannot_be_is_refused() {
    for (name, ..) in TOOLS.iter().filter(|(_, _, operands, _)| *operands == Processes) {
        for operand in ["0", "-1", "4194305", "99999999999999999999", "7:", "7:x", "", "1e3:4"] {
            let said = tool(name).args(["--", operand]).run();
            assert!(matches!(said.code, Some(1 | 2)), "{operand:?}: {said:?}");
            said.one_message();
            assert!(said.stdout.is_empty(), "{operand:?}: {said:?}");
        }
    }
}

#[test]
fn durations_and_formats_that_make_no_sense_are_misuse() {
    for words in [["--format", "xml"], ["--color", "blue"], ["--min-age", "soon"], ["--min-age", "-3s"]] {
        let said = tool("porphans").args(words).run().ended(2);
        said.one_message();
    }
}

#[test]
fn the_project_says_where_its_tools_are_listed() {
    let listed = std::fs::read_to_string(project().join("Cargo.toml")).expect("the manifest");
    for name in programs() {
        assert!(
            listed.contains(&format!("path = \"tools/bin/{name}.rs\"")),
            "{name} is no program of Cargo.toml"
        );
    }
}
