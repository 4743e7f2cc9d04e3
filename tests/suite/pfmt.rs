//! `pfmt`: any stream of records, as people and their programs read it.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::scene::raw;
use crate::support::terminal::Terminal;
use crate::support::{Output, Scene, arena, tool};

/// A tree of three, in the order of birth and without depths, as filters leave it.
fn family() -> Vec<Value> {
    let row = |pid: u32, ppid: u32, more: Value| {
        let mut row = json!({
            "type": "process", "v": 1, "pid": pid, "ppid": ppid, "start_ticks": pid, "state": "S", "user": "ann",
            "comm": "c", "cmdline": ["node", format!("{pid}.js")], "rss_bytes": 1_048_576, "cpu_ms": 1500, "age_ms": 125_000
        });
        row.as_object_mut().expect("an object").extend(more.as_object().cloned().unwrap_or_default());
        row
    };
    vec![
        row(10, 1, json!({})),
        row(20, 10, json!({"orphan": true})),
        row(30, 1, json!({})),
        row(40, 20, json!({})),
    ]
}

fn shown(words: &[&str], records: &[Value]) -> Output {
    tool("pfmt").args(words).records(records).env("LC_ALL", "C.UTF-8").run().ended(0).quiet()
}

#[test]
fn a_pipe_gets_a_view_too() {
    let table = shown(&["--columns", "pid,age,memory,command"], &family());
    assert_eq!(
        table.text(),
        "\
PID   AGE   MEMORY  COMMAND
 10  2m 5s  1.0 MiB  node 10.js
 20  2m 5s  1.0 MiB  [orphan] node 20.js
 30  2m 5s  1.0 MiB  node 30.js
 40  2m 5s  1.0 MiB  node 40.js
"
        .replace("PID   AGE   MEMORY", "PID    AGE   MEMORY")
    );
}

// proves: P28
#[test]
fn records_without_depth_are_drawn_as_the_tree_that_their_parents_make() {
    let tree = shown(&["--format", "tree", "--columns", "pid,command"], &family());
    assert_eq!(
        tree.text(),
        "\
PID  COMMAND
 10  node 10.js
 20  └─ [orphan] node 20.js
 40     └─ node 40.js
 30  node 30.js
"
    );
}

#[test]
fn what_a_tree_tool_saved_is_a_tree_again() {
    let scene = Scene::new();
    let actor = scene.start(["tree", "--depth", "1", "--width", "2"]);
    let saved = scene.tool("pstree-json").arg(actor.root().operand()).run().ended(0);
    let again = scene.tool("pfmt").stdin(saved.text()).env("LC_ALL", "C.UTF-8").run().ended(0).quiet();
    assert_eq!(again.text().matches("─ ").count(), 2, "{again:?}");
}

#[test]
fn a_window_is_fitted_and_a_named_width_goes_first() {
    let (scene, records) = (Scene::new(), family());
    let on = |words: &[&str]| {
        let output = scene.tool("pfmt").args(words).records(&records).env("TERM", "xterm");
        let output = output.on(Terminal::new(60, 20).output()).run().ended(0);
        String::from_utf8(output.screen).expect("UTF-8")
    };
    let widest = |screen: &str| screen.lines().map(|line| line.trim_end().chars().count()).max();
    assert!(widest(&on(&["--color", "never"])) <= Some(60));
    assert!(widest(&on(&["--color", "never", "--width", "30"])) <= Some(30));
    let coloured = on(&[]);
    assert!(coloured.contains("m[orphan]\x1b[0m"), "{coloured:?}");
}

// proves: S30
#[test]
fn verdicts_have_a_sign_and_a_word_and_names_stand_beside_them() {
    let outcome = |word: &str, name: &str| json!({"type": "outcome", "v": 1, "pid": 7, "service": name, "outcome": word});
    let records = [outcome("exited", "api"), outcome("protected", "db"), outcome("survived", "web")];
    let utf8 = shown(&["--columns", "service,outcome"], &records);
    assert_eq!(
        utf8.text(),
        "SERVICE  OUTCOME\napi      ✔ exited\ndb       ! protected\nweb      ✘ survived\n"
    );
    let ascii =
        tool("pfmt").args(["--columns", "outcome"]).records(&records).env("LC_ALL", "C").run().ended(0);
    assert_eq!(ascii.text(), "OUTCOME\nok exited\n! protected\nx survived\n");
}

#[test]
fn a_sheet_has_a_column_for_every_field_of_any_record() {
    let mut records = family();
    records.truncate(2);
    records[0]["extra"] = json!({"a": [1]});
    let sheet = shown(&["--format", "csv"], &records);
    let lines: Vec<&str> = sheet.text().lines().collect();
    let names = "type,v,pid,ppid,start_ticks,state,user,comm,cmdline,rss_bytes,cpu_ms,age_ms,extra,orphan";
    let sorted = |line: &str| {
        let mut names: Vec<String> = line.split(',').map(str::to_owned).collect();
        names.sort();
        names
    };
    assert_eq!(sorted(lines[0]), sorted(names));
    assert!(lines[1].contains(r#""{""a"":[1]}""#) && lines[1].contains("node 10.js"), "{lines:?}");
    assert!(lines[2].ends_with("true"), "{lines:?}");
    assert_eq!(
        shown(&["--format", "csv", "--columns", "comm,pid"], &records).text(),
        "comm,pid\nc,10\nc,20\n"
    );
}

#[test]
fn graphs_have_a_box_for_each_process_and_an_arrow_to_each_child() {
    let dot = shown(&["--format", "dot"], &family());
    let text = dot.text();
    assert!(text.starts_with("digraph ") && text.ends_with("}\n"), "{text}");
    assert_eq!((text.matches("[label=").count(), text.matches(" -> ").count()), (4, 2), "{text}");
    assert!(text.contains("p20_20 -> p40_40") && text.contains("[orphan] node 20.js"), "{text}");
    let mermaid = shown(&["--format", "mermaid"], &family());
    let text = mermaid.text();
    assert!(text.starts_with("flowchart ") && text.contains("  p20_20 --> p40_40\n"), "{text}");
    assert!(text.contains("p20_20[\"20<br/>[orphan] node 20.js\"]:::notice"), "{text}");
}

#[test]
fn totals_count_each_process_once_and_name_what_the_machine_has() {
    let mut records = family();
    records.push(records[0].clone());
    let said = shown(&["--totals", "--format", "ndjson"], &records);
    let all = said.records();
    assert_eq!(all.len(), 6);
    let totals = &all[5];
    assert_eq!(
        (&totals["processes"], &totals["rss_bytes"], &totals["cpu_ms"]),
        (&json!(4), &json!(4_194_304), &json!(6000))
    );
    let (total, free) = (totals["memory_bytes"].as_u64(), totals["available_bytes"].as_u64());
    assert!(total > Some(0) && free <= total, "{totals}");
    assert!(
        totals["memory_percent"].as_f64().is_some_and(|percent| (0.0..100.0).contains(&percent)),
        "{totals}"
    );
    let load: Vec<f64> = serde_json::from_value(totals["load"].clone()).expect("three numbers");
    assert!(load.len() == 3 && totals["cores"].as_u64() > Some(0), "{totals}");
    let table = shown(&["--totals"], &records);
    assert!(table.text().contains("\n\nPROCESSES"), "a table of their own: {table:?}");
    let refused = tool("pfmt").args(["--totals", "--format", "dot"]).stdin("").run().ended(2);
    assert!(refused.one_message().contains("--totals"), "{refused:?}");
}

#[test]
fn a_stream_is_shown_while_its_writer_is_still_at_work() {
    let mut running =
        tool("pfmt").args(["--columns", "pid"]).stdin_open().on(Terminal::new(80, 20).output()).start();
    running.write("{\"type\":\"process\",\"v\":1,\"pid\":7}\n");
    running.wait_for_screen("  7");
    running.write("{\"type\":\"process\",\"v\":1,\"pid\":123}\n{\"type\":\"pro");
    running.wait_for_screen("123");
    running.write("cess\",\"v\":1,\"pid\":55}\n");
    running.wait_for_screen(" 55");
    running.close();
    running.finish().ended(0);
}

#[test]
fn files_are_read_one_after_the_other_and_a_missing_one_is_a_failure() {
    let scene = Scene::new();
    std::fs::write(scene.home().join("a"), "{\"pid\":7}\n").expect("written");
    std::fs::write(scene.home().join("b"), "nonsense\n9:77\n").expect("written");
    let run = |files: &[&str]| {
        scene.tool("pfmt").args(["--format", "ndjson"]).args(files).cwd(scene.home()).stdin("8\n").run()
    };
    assert_eq!(run(&["a", "-", "a"]).ended(0).text(), "{\"pid\":7}\n{\"pid\":8}\n{\"pid\":7}\n");
    let damaged = run(&["b"]).ended(3);
    assert!(damaged.one_message().contains("line 1: neither"), "{damaged:?}");
    assert_eq!(damaged.text(), "{\"pid\":9,\"pidfd_inode\":77}\n");
    let missing = run(&["gone", "a"]).ended(3);
    assert!(missing.one_message().contains("read records: gone: "), "{missing:?}");
    assert_eq!(missing.text(), "{\"pid\":7}\n");
    let folder = run(&["."]).ended(3);
    folder.one_message();
}

#[test]
fn strict_stops_at_the_first_bad_line_and_quiet_only_judges() {
    let strict = tool("pfmt").args(["--strict", "--format", "ndjson"]).stdin("7\nx\n8\n").run().ended(3);
    assert!(strict.one_message().contains("line 2"), "{strict:?}");
    let quiet = tool("pfmt").arg("-q").stdin("7\nx\n8\n").run().ended(3);
    assert!(quiet.stdout.is_empty() && quiet.one_message().contains("line 2"), "{quiet:?}");
    tool("pfmt").arg("-q").stdin("7\n").run().ended(0).quiet();
}

#[test]
fn no_name_of_a_process_reaches_the_terminal_raw_in_any_form() {
    arena::inside(|| {
        let scene = Scene::new();
        let actor = scene.start([raw(b"argv"), raw(b"--"), raw(b"\x1b[2J\xff\n\xe2\x80\xae\",|\\<b>")]);
        let saved = scene.tool("pstree-json").arg(actor.root().operand()).run().ended(0);
        for form in ["table", "tree", "csv", "dot", "mermaid"] {
            let said = scene
                .tool("pfmt")
                .args(["--format", form])
                .stdin(saved.text())
                .within(Duration::from_secs(20))
                .run();
            let text = said.ended(0);
            assert!(!text.text().lines().any(|line| line.chars().any(char::is_control)), "{form}: {text:?}");
            assert!(!text.text().contains('\u{202e}'), "{form}: {text:?}");
            assert!(
                text.text().contains("\\e[2J") || text.text().contains("\\\\e[2J") || form == "mermaid",
                "{form}: {text:?}"
            );
        }
    });
}
