//! What people see: tables and trees on terminals of any width, in colour and without, whatever a process is called.

use crate::support::scene::raw;
use crate::support::terminal::Terminal;
use crate::support::{Output, Scene, arena};

/// The lines of a screen, as a terminal that knows only colours would show them. Any other control fails the test.
#[track_caller]
fn lines(output: &Output) -> Vec<String> {
    let text = String::from_utf8(output.screen.clone()).expect("a screen is UTF-8");
    let mut bare = String::new();
    let mut parts = text.split("\x1b[");
    bare.push_str(parts.next().unwrap_or_default());
    for part in parts {
        let (colour, rest) = part.split_once('m').unwrap_or_else(|| panic!("no colour: {part:?}"));
        assert!(colour.bytes().all(|b| b.is_ascii_digit() || b == b';'), "no colour: {colour:?}");
        bare.push_str(rest);
    }
    let lines: Vec<String> = bare.lines().map(|line| line.trim_end_matches('\r').to_owned()).collect();
    for line in &lines {
        assert!(!line.chars().any(char::is_control), "{line:?}");
    }
    lines
}

/// How many columns the characters of these tests take: those of the Chinese pages two, the others one.
fn columns(line: &str) -> usize {
    line.chars().map(|letter| if ('\u{2e80}'..='\u{ffef}').contains(&letter) { 2 } else { 1 }).sum()
}

// proves: P28
#[test]
fn a_terminal_sees_a_tree_where_orphans_and_zombies_stand_out_by_word_and_by_colour() {
    arena::inside(|| {
        let scene = Scene::new();
        let orphan = scene.start(["orphan", "--depth", "1"]);
        let zombie = scene.start(["zombie"]);
        let run = |name: &str, value: &str| {
            let tool =
                scene.tool("pstree-json").env("LC_ALL", "C.UTF-8").env("TERM", "xterm").env(name, value);
            tool.on(Terminal::new(120, 30).output()).run().ended(0).quiet()
        };
        let coloured = run("X", "");
        let screen = String::from_utf8_lossy(&coloured.screen).into_owned();
        for word in ["[orphan]", "[zombie]"] {
            assert!(screen.contains(&format!("m{word}\x1b[0m")), "{word} is coloured: {coloured:?}");
        }
        let seen = lines(&coloured);
        let line = |id: crate::support::Id| {
            let begins = |line: &&String| line.trim_start().starts_with(&format!("{} ", id.pid));
            seen.iter().find(begins).unwrap_or_else(|| panic!("no line of {id:?}: {seen:#?}")).clone()
        };
        assert!(line(orphan.one("orphan")).contains("─ [orphan] "), "{seen:#?}");
        assert!(line(orphan.one("leaf")).contains("└─ "), "{seen:#?}");
        assert!(line(zombie.one("zombie")).contains("└─ [zombie] actor"), "{seen:#?}");
        assert!(seen[0].contains("PID") && seen[0].ends_with("COMMAND"), "{seen:#?}");
        for (name, value) in [("NO_COLOR", "1"), ("TERM", "dumb")] {
            let plain = run(name, value);
            assert!(!plain.screen.contains(&0x1b) && lines(&plain).len() >= 6, "{name}={value}: {plain:?}");
        }
    });
}

#[test]
fn no_name_of_a_process_reaches_a_terminal_as_a_command_to_it() {
    let scene = Scene::new();
    let words = [
        raw(b"argv"),
        raw(b"--"),
        raw(b"\x1b[2J\x1b]0;owned\x07\r\n\x08\x7f"),
        raw(b"\xc2\x9b31m\xff\xfe"),
        raw("\u{202e}gnp.exe\u{200f}".as_bytes()),
    ];
    let argv = scene.actor(words).start();
    let named = scene.actor([raw(b"zombie"), raw(b"--comm"), raw(b"z\x1b[8m\n\xff")]).start();
    for format in ["tree", "table", "ndjson"] {
        let tool = scene.tool("pstree-json").args(["--format", format]).env("LC_ALL", "C.UTF-8");
        let tool = tool.args([argv.root().operand(), named.root().operand()]);
        let seen = lines(&tool.on(Terminal::new(400, 30).output()).run().ended(0).quiet()).join("\n");
        assert!(!seen.contains('\u{202e}') || format == "ndjson", "{seen}");
        assert!(
            seen.contains(if format == "ndjson" { "\\u001b]0;owned\\u0007" } else { "\\e]0;owned" }),
            "{seen}"
        );
    }
}

#[test]
fn every_line_fits_the_window_however_narrow_or_wide() {
    let scene = Scene::new();
    let tree = scene.start(["tree", "--depth", "4", "--width", "2"]);
    let wide = scene.start(["argv", "--", &"日本語のプロセス".repeat(300)]);
    for width in [1, 2, 8, 20, 40, 80, 81, 200, 10_000] {
        for format in ["tree", "table"] {
            let tool = scene.tool("pstree-json").args(["--format", format]).env("LC_ALL", "C.UTF-8");
            let tool = tool.args([tree.root().operand(), wide.root().operand()]);
            let seen = lines(&tool.on(Terminal::new(width, 30).output()).run().ended(0).quiet());
            assert_eq!(seen.len(), 33, "{width}: {seen:#?}");
            for line in &seen {
                assert!(columns(line) <= usize::from(width), "{width}: {line:?}");
            }
        }
    }
}

#[test]
fn without_utf8_a_tree_is_drawn_in_ascii() {
    let scene = Scene::new();
    let tree = scene.start(["tree", "--depth", "1", "--width", "2"]);
    let named = scene.start(["argv", "--", "caf\u{e9}"]);
    let tool = scene.tool("pstree-json").args([tree.root().operand(), named.root().operand()]);
    let shown = tool.env("LC_ALL", "C").on(Terminal::new(300, 30).output()).run().ended(0).quiet();
    let seen = lines(&shown).join("\n");
    assert!(seen.is_ascii(), "{seen}");
    assert!(seen.contains("|- ") && seen.contains("`- ") && seen.contains("caf\\u{e9}"), "{seen}");
}

#[test]
fn a_pipe_gets_records_and_a_view_only_on_request_uncut_and_without_colour() {
    let scene = Scene::new();
    let long = scene.start(["argv", "--size", "3000"]);
    let shown = |words: &[&str]| {
        scene
            .tool("pstree-json")
            .args(words)
            .arg(long.root().operand())
            .run()
            .ended(0)
            .quiet()
            .text()
            .to_owned()
    };
    assert!(shown(&[]).starts_with("{\"type\":\"process\""));
    for format in ["table", "tree"] {
        let text = shown(&["--format", format]);
        assert!(text.contains(&"a".repeat(3000)) && !text.contains('\x1b'), "{format}");
        assert!(shown(&["--format", format, "--color", "always"]).contains("\x1b[1m"), "{format}");
    }
}

// proves: S07 S10
#[test]
fn a_table_says_service_memory_age_and_command_of_each_process() {
    let scene = Scene::new();
    let idle = scene.start(["idle"]);
    scene.tool("ptrack").args(["save", "orchestrator", &idle.root().pid.to_string()]).run().ended(0);
    let tool = scene.tool("pstree-json").args(["--format", "table", "orchestrator"]);
    let shown = tool.run().ended(0).quiet();
    let rows: Vec<&str> = shown.text().lines().collect();
    let [heading, row] = rows[..] else { panic!("{shown:?}") };
    for word in ["PID", "SERVICE", "USER", "AGE", "CPU", "MEMORY", "STATE", "COMMAND"] {
        assert!(heading.contains(word), "{shown:?}");
    }
    for word in [&idle.root().pid.to_string(), "orchestrator", "iB", "sleeping", "actor idle"] {
        assert!(row.contains(word), "{word}: {shown:?}");
    }
}

#[test]
fn an_outcome_is_seen_when_it_is_known_and_not_at_the_end() {
    let scene = Scene::new();
    let (fast, slow) = (scene.start(["idle"]), scene.start(["slow-exit", "2500"]));
    let script = format!(
        "pkill-tree --grace 20s --format table {} {} |
         while IFS= read -r line; do printf '%s %s\\n' \"$(date +%s%3N)\" \"$line\"; done",
        fast.root().operand(),
        slow.root().operand()
    );
    let shown = scene.sh(&script).run().ended(0);
    let seen_at = |id: crate::support::Id| -> u64 {
        let mut rows = shown.text().lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
        let row = rows.find(|words| words.get(1) == Some(&id.pid.to_string().as_str()));
        row.and_then(|words| words[0].parse().ok()).unwrap_or_else(|| panic!("no row of {id:?}: {shown:?}"))
    };
    assert!(seen_at(slow.root()) - seen_at(fast.root()) > 500, "{shown:?}");
}
