//! What `--help` looks like: each option under its heading, and every example in a window of eighty columns.

use super::{TOOLS, commands};

/// Options that several tools have, by what they are about. Under these headings nothing else stands.
const GROUPS: &[(&str, &[&str])] = &[
    ("Output", &["format", "color", "quiet", "log"]),
    ("Where to look", &["from", "registry"]),
    ("Gate", &["expect"]),
    ("Scope", &["global", "project", "session"]),
    (
        "Which processes",
        &[
            "pattern",
            "patterns-from",
            "exe",
            "cwd",
            "project",
            "env",
            "service",
            "session",
            "user",
            "all-users",
            "min-age",
        ],
    ),
];

#[test]
fn nothing_stands_under_the_heading_of_something_else() {
    let mut seen = Vec::new();
    for tool in TOOLS {
        for command in commands(tool) {
            for option in command.get_opts().chain(command.get_arguments()) {
                let (Some(name), Some(heading)) = (option.get_long(), option.get_help_heading()) else {
                    continue;
                };
                let Some((group, names)) = GROUPS.iter().find(|(group, _)| heading.starts_with(group)) else {
                    continue;
                };
                assert!(names.contains(&name), "{}: --{name} stands under '{heading}'", command.get_name());
                seen.push(*group);
            }
        }
    }
    assert!(GROUPS.iter().all(|(group, _)| seen.contains(group)), "only {seen:?}");
}

#[test]
fn examples_fit_a_window_of_eighty_columns_with_what_they_do_beside_them() {
    for tool in TOOLS {
        let help = (tool.command)().render_long_help().to_string();
        let examples = help.split_once("Examples:\n").unwrap_or_else(|| panic!("{}: none", tool.name)).1;
        let mut beside = None;
        for line in examples.lines() {
            assert!(line.len() <= 80, "{}: {} columns: {line}", tool.name, line.len());
            let words = line.trim_start();
            let explained =
                if line.starts_with("   ") { Some(words) } else { words.split_once("  ").map(|two| two.1) };
            let Some(column) = explained.map(|text| line.len() - text.trim_start().len()) else { continue };
            assert_eq!(*beside.get_or_insert(column), column, "{}: {line}", tool.name);
        }
        assert!(beside.is_some(), "{}: {examples}", tool.name);
    }
}
