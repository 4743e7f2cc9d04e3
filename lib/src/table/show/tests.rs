use proptest::prelude::*;

use super::*;
use crate::table::lines::MOST_HELD;

const PLAIN: Style = Style { width: None, colour: false, ascii: false };

fn shown(shape: Shape, style: Style, lines: &[&str]) -> String {
    let (mut show, mut out) = (Show::new(shape, style), Vec::new());
    for line in lines {
        show.add(&Record::parse(line.as_bytes()).expect("a record"), &mut out);
    }
    show.end(&mut out);
    String::from_utf8(out).expect("utf-8")
}

fn process(pid: u32, depth: usize, more: &str, command: &str) -> String {
    format!(
        r#"{{"type":"process","v":1,"pid":{pid},"boot_id":"x","state":"S","comm":"c","cmdline":["{command}"],"user":"ann","rss_bytes":4096,"cpu_ms":20,"age_ms":125000,"depth":{depth}{more}}}"#
    )
}

#[test]
fn a_table_of_processes_says_ages_sizes_and_states_as_people_do() {
    let (one, two) =
        (process(7, 0, "", "node a.js"), process(4711, 1, r#","evidence":[{"kind":"tty-gone"}]"#, "x"));
    assert_eq!(
        shown(Shape::Table, PLAIN, &[&one, &two]),
        [
            " PID  USER    AGE   CPU   MEMORY  STATE     WHY            COMMAND\n",
            "   7  ann   2m 5s  20ms  4.0 KiB  sleeping  -              node a.js\n",
            "4711  ann   2m 5s  20ms  4.0 KiB  sleeping  terminal gone  x\n",
        ]
        .concat()
    );
}

#[test]
fn a_tree_is_drawn_and_orphans_and_zombies_stand_out_by_word() {
    let rows = [
        process(1, 0, "", "init"),
        process(20, 1, r#","orphan":true"#, "node"),
        process(21, 2, r#","zombie":true"#, ""),
        process(30, 1, "", "sh"),
    ];
    let rows: Vec<&str> = rows.iter().map(String::as_str).collect();
    let style = Style { width: Some(40), ..PLAIN };
    assert_eq!(
        shown(Shape::Tree, style, &rows),
        "\
PID  USER    AGE   CPU  COMMAND
  1  ann   2m 5s  20ms  init
 20  ann   2m 5s  20ms  ├─ [orphan] node
 21  ann   2m 5s  20ms  │  └─ [zombie] c
 30  ann   2m 5s  20ms  └─ sh
"
    );
    let ascii = shown(Shape::Tree, Style { ascii: true, ..PLAIN }, &rows);
    assert!(ascii.contains("|- [orphan] node\n") && ascii.contains("|  `- [zombie] c\n"), "{ascii}");
}

#[test]
fn colour_comes_beside_the_word_and_only_when_asked() {
    let row = process(20, 0, r#","orphan":true"#, "node");
    let coloured = shown(Shape::Tree, Style { colour: true, ..PLAIN }, &[&row]);
    assert!(coloured.contains("\x1b[1m\x1b[35m[orphan]\x1b[0m node"), "{coloured:?}");
    assert!(!shown(Shape::Tree, PLAIN, &[&row]).contains('\x1b'));
}

#[test]
fn outcomes_are_shown_one_by_one_as_they_come() {
    let mut show = Show::new(Shape::Table, Style { width: Some(80), ..PLAIN });
    let mut row = |more: &str| {
        let mut out = Vec::new();
        let line = format!(r#"{{"type":"outcome","v":1,"cmdline":["node","x"]{more}}}"#);
        show.add(&Record::parse(line.as_bytes()).expect("a record"), &mut out);
        String::from_utf8(out).expect("utf-8")
    };
    assert_eq!(
        row(r#","pid":7,"outcome":"exited","signal":"TERM","elapsed_ms":41,"via":["root"]"#),
        [
            "    PID  OUTCOME     SIGNAL  AFTER  VIA         COMMAND\n",
            "      7  ✔ exited    TERM     41ms  root        node x\n"
        ]
        .concat()
    );
    assert_eq!(
        row(r#","pid":8,"outcome":"survived","state":"D","wchan":"nfs_wait","via":["child","cookie"]"#),
        "      8  ✘ survived  -           -  child, cookie  [waits in nfs_wait] node x\n"
    );
}

#[test]
fn a_row_says_what_it_is_about_whatever_the_first_one_was() {
    let held = r#""sockets":[{"protocol":"tcp","address":"::","port":80,"state":"listen"}]"#;
    let rows = [
        r#"{"type":"outcome","v":1,"pid":7,"cmdline":["node","x"],"outcome":"exited","elapsed_ms":4}"#.into(),
        r#"{"type":"outcome","v":1,"port":80,"outcome":"free","elapsed_ms":4}"#.into(),
        r#"{"type":"outcome","v":1,"port":80,"last_port":90,"protocol":"tcp","outcome":"unsettled"}"#.into(),
        r#"{"type":"outcome","v":1,"file":"/srv/a\u001b","outcome":"changing"}"#.into(),
        r#"{"type":"outcome","v":1,"name":"api","outcome":"missing"}"#.into(),
        format!(
            r#"{{"type":"outcome","v":1,"pid":8,"service":"web","cmdline":["sh"],"outcome":"held",{held}}}"#
        ),
        r#"{"type":"outcome","v":1,"pid":9,"port":80,"outcome":"protected","why":"pid 1"}"#.to_owned(),
    ];
    let rows: Vec<&str> = rows.iter().map(String::as_str).collect();
    assert_eq!(
        shown(Shape::Table, Style { width: Some(80), ..PLAIN }, &rows),
        "    PID  OUTCOME     SIGNAL  AFTER  VIA         COMMAND
      7  ✔ exited    -         4ms  -           node x
      -  ✔ free      -         4ms  -           [port 80]
      -  ✘ unsettled  -           -  -           [port 80..90/tcp]
      -  ✘ changing   -           -  -           [/srv/a\\e]
      -  ✘ missing    -           -  -           [service api]
      8  ✘ held       -           -  -           [web] [tcp [::]:80] sh
      9  ! protected  -           -  -           [pid 1]
"
    );
}

#[test]
fn an_event_says_which_port_and_how_it_ended_and_the_time_has_room() {
    let event = |name: &str, more: &str| {
        format!(
            r#"{{"type":"event","v":1,"pid":7,"event":"{name}","at":"2026-11-21T22:23:33.588Z","state":"S","cmdline":["node"]{more}}}"#
        )
    };
    let rows = [
        event("started", ""),
        event("listening", r#","protocol":"tcp","address":"127.0.0.1","port":80"#),
        event("exited", r#","exit_status":0"#),
        event("exited", r#","exit_status":3"#),
        event("exited", r#","exit_signal":"KILL""#),
        event("unregistered", r#","service":"api","port":80"#),
    ];
    let rows: Vec<&str> = rows.iter().map(String::as_str).collect();
    let view = |colour| shown(Shape::Table, Style { width: Some(80), colour, ..PLAIN }, &rows);
    assert_eq!(
        view(false),
        "    PID  EVENT         AT (UTC)                 COMMAND
      7  started       2026-11-21 22:23:33.588  node
      7  listening     2026-11-21 22:23:33.588  [tcp 127.0.0.1:80] node
      7  exited        2026-11-21 22:23:33.588  [exit 0] node
      7  exited        2026-11-21 22:23:33.588  [exit 3] node
      7  exited        2026-11-21 22:23:33.588  [killed by KILL] node
      7  unregistered  2026-11-21 22:23:33.588  [api] node
"
    );
    assert!(view(true).contains("\x1b[1m\x1b[35m[exit 3]"), "what went wrong stands out");
}

#[test]
fn a_plan_says_why_each_is_in_it_and_nothing_of_what_the_registry_keeps() {
    let of_service = r#","service":"api","script":"node a","command":["node","a"],"parent":{"pid":3},"cookie":"c","cgroup_id":2,"via":"named""#;
    let rows = [
        process(7, 0, of_service, "node a"),
        process(8, 1, r#","via":"descendant","from":7,"protected":"init""#, "b"),
    ];
    let rows: Vec<&str> = rows.iter().map(String::as_str).collect();
    let view = shown(Shape::Table, PLAIN, &rows);
    let heading: Vec<&str> = view.lines().next().unwrap_or_default().split_whitespace().collect();
    let expected = "PID SERVICE USER AGE CPU MEMORY STATE VIA FROM PROTECTED COMMAND";
    assert_eq!(heading, expected.split(' ').collect::<Vec<_>>(), "{view}");
}

#[test]
fn a_column_that_says_nothing_new_takes_no_room_from_what_does() {
    let rows = [
        process(7, 0, r#","catches_chld":false,"tree_root":{"pid":7}"#, "node"),
        process(8, 0, r#","tree_root":{"pid":8}"#, "node"),
    ];
    let rows: Vec<&str> = rows.iter().map(String::as_str).collect();
    let heading = " PID  USER    AGE   CPU   MEMORY  STATE     COMMAND\n".trim_start();
    assert!(shown(Shape::Table, PLAIN, &rows).starts_with(heading));
    let other = process(9, 0, r#","tree_root":{"pid":7}"#, "node");
    assert!(shown(Shape::Table, PLAIN, &[rows[0], &other]).contains("TREE ROOT"));
}

#[test]
fn that_nothing_was_done_is_said_in_any_window() {
    let zeros = [0, 1, 2, 3, 4, 5, 6, 7, 8].map(|number| format!(r#","count_{number}":0"#)).concat();
    let totals = format!(r#"{{"type":"summary","v":1{zeros},"cleaned":3,"dry_run":true}}"#);
    let view = shown(Shape::Table, Style { width: Some(40), ..PLAIN }, &[&totals]);
    assert!(view.contains("CLEANED  DRY RUN\n") && view.contains("COUNT 0"), "{view}");
    let row = r#"{"type":"service","v":1,"service":"api","alive":"dead","why":"it has ended long ago","action":"forget","dry_run":true}"#;
    let view = shown(Shape::Table, Style { width: Some(44), ..PLAIN }, &[row]);
    assert!(view.contains("DRY RUN"), "{view}");
}

#[test]
fn services_show_their_scope_and_whether_they_live() {
    let services = [
        r#"{"type":"service","v":1,"pid":70,"boot_id":"b","service":"api","scope":"project","project":"/srv/a","status":"unhealthy","command":["uvicorn","x"],"alive":"alive","age_ms":3000}"#,
        r#"{"type":"service","v":1,"service":"db","scope":"global","script":"db.sh","status":"running","started_at":"2020-01-01T00:00:00Z","alive":"dead","why":"the process is gone"}"#,
    ];
    assert_eq!(
        shown(Shape::Table, PLAIN, &services),
        "\
SERVICE  SCOPE   PID  ALIVE    AGE  WHY                  COMMAND
api      /srv/a   70  ✔ alive   3s  -                    [unhealthy] uvicorn x
db       global    -  ✘ dead     -  the process is gone  db.sh
"
    );
}

#[test]
fn a_narrow_window_tells_services_apart_and_shows_what_was_asked() {
    let service = |pid: u32, project: &str| {
        format!(
            r#"{{"type":"service","v":1,"pid":{pid},"service":"worker","scope":"project","project":"{project}","alive":"alive","age_ms":3000,"port":8001,"cgroup":"/procherd-service-worker-12-1717fab","cgroup_id":2389,"log":"/home/ann/work/shop/.logs/worker.log","health":"healthy","command":["python3","-m","http.server","8001","--bind","127.0.0.1"]}}"#
        )
    };
    let rows = [service(70, "/home/ann/work/shop"), service(71, "/home/ann/work/bank")];
    let rows: Vec<&str> = rows.iter().map(String::as_str).collect();
    assert_eq!(
        shown(Shape::Table, Style { width: Some(80), ..PLAIN }, &rows),
        "\
SERVICE  SCOPE   PID  ALIVE    AGE  PORT  HEALTH     COMMAND
worker   …/shop   70  ✔ alive   3s  8001  ✔ healthy  python3 -m http.server 800…
worker   …/bank   71  ✔ alive   3s  8001  ✔ healthy  python3 -m http.server 800…
"
    );
    let wide = shown(Shape::Table, Style { width: None, ..PLAIN }, &rows);
    assert!(wide.contains("/home/ann/work/shop ") && wide.contains("worker.log"), "{wide}");
    assert!(!wide.contains("CGROUP"), "that is for programs: {wide}");
}

#[test]
fn why_nobody_holds_a_port_is_read_to_its_end() {
    let socket = r#"{"type":"socket","v":1,"protocol":"tcp","address":"0.0.0.0","port":2024,"inode":1453,"owner":"other-namespace","why":"no process of this pid namespace holds it: one outside of it does"}"#;
    assert_eq!(
        shown(Shape::Table, Style { width: Some(80), ..PLAIN }, &[socket]),
        "\
PROTOCOL  ADDRESS  PORT  OWNER            WHY
tcp       0.0.0.0  2024  other-namespace  no process of this pid namespace holds
                                          it: one outside of it does
"
    );
}

#[test]
fn totals_fill_a_window_to_its_last_column_and_name_what_they_count() {
    let totals =
        r#"{"type":"summary","v":1,"total":3,"by_type":{"global":0,"per-project":3},"details":[{"pid":7}]}"#;
    assert_eq!(
        shown(Shape::Table, Style { width: Some(30), ..PLAIN }, &[totals]),
        "TOTAL  BY TYPE\n    3  global 0, p…\n"
    );
    assert_eq!(
        shown(Shape::Table, Style { width: Some(100), ..PLAIN }, &[totals]),
        "TOTAL  BY TYPE\n    3  global 0, per-project 3\n"
    );
    let of = |columns: &[&str]| {
        let columns = columns.iter().map(|name| (*name).to_owned()).collect();
        let mut show = Show::with_columns(Shape::Table, PLAIN, columns);
        let mut out = Vec::new();
        show.add(&Record::parse(totals.as_bytes()).expect("a record"), &mut out);
        show.end(&mut out);
        String::from_utf8(out).expect("utf-8")
    };
    assert_eq!(of(&["total"]), "TOTAL\n    3\n");
    assert_eq!(of(&["pid", "age"]), "TOTAL  BY TYPE\n    3  global 0, per-project 3\n", "below processes");
}

#[test]
fn records_of_a_type_nobody_knows_are_shown_all_the_same() {
    let lines = [
        r#"{"type":"finding","v":1,"check":"pidfd","ok":true,"took_ms":1500,"sockets":[{"proto":"tcp","port":80}]}"#,
        r#"{"type":"finding","v":1,"check":"lock","ok":false,"note":{"bytes":"G1sy"}}"#,
    ];
    assert_eq!(
        shown(Shape::Table, PLAIN, &lines),
        "\
CHECK  OK   TOOK  SOCKETS  NOTE
pidfd  yes    1s  tcp 80   -
lock   no      -  -        \\e[2
"
    );
}

#[test]
fn sockets_are_shown_as_people_name_them() {
    let held = r#"{"protocol":"tcp","address":"::","port":80,"state":"listen","inode":7,"uid":0}"#;
    let client = r#"{"protocol":"tcp","address":"127.0.0.1","port":80,"peer_address":"::1","peer_port":9,"state":"time-wait"}"#;
    let path = r#"{"protocol":"unix","path":{"bytes":"L3gb"},"state":"bound"}"#;
    let name = r#"{"protocol":"unix","abstract":"x","state":"listen"}"#;
    let line = format!(r#"{{"type":"other","v":1,"sockets":[{held},{client},{path},{name}]}}"#);
    assert_eq!(
        shown(Shape::Table, PLAIN, &[&line]),
        "SOCKETS\ntcp [::]:80, tcp 127.0.0.1:80 > [::1]:9 (time wait), unix /x\\e, unix @x\n"
    );
}

#[test]
fn locks_and_sessions_are_shown_in_words() {
    let file = r#"{"kind":"flock","mode":"write","start":0}"#;
    let part = r#"{"kind":"posix","mode":"read","start":5,"end":9,"waits":true}"#;
    let tail = r#"{"kind":"ofd","mode":"read","start":5}"#;
    let line = format!(r#"{{"type":"other","v":1,"locks":[{file},{part},{tail}],"more":[{{"start":0}}]}}"#);
    let words = "flock write, posix read 5..9 (waits), ofd read 5..";
    assert!(shown(Shape::Table, PLAIN, &[&line]).contains(words));
    let session = |alive: &str| format!(r#"{{"type":"session","v":1,"session":"s","alive":"{alive}"}}"#);
    let view = shown(Shape::Table, PLAIN, &[&session("alive"), &session("dead"), &session("foreign")]);
    assert!(view.contains("✔ alive") && view.contains("✘ dead") && view.contains("! foreign"), "{view}");
}

#[test]
fn another_type_of_record_begins_another_table() {
    let (one, other) = (process(7, 0, "", "a"), r#"{"type":"summary","v":1,"count":3}"#);
    let text = shown(Shape::Table, PLAIN, &[&one, other]);
    assert!(text.ends_with("a\n\nCOUNT\n    3\n"), "{text}");
}

#[test]
fn what_follows_a_tree_stands_below_it() {
    let rows = [process(1, 0, "", "init"), process(20, 1, "", "node")];
    let text = shown(Shape::Tree, PLAIN, &[&rows[0], &rows[1], r#"{"type":"summary","v":1,"count":3}"#]);
    assert!(text.ends_with("└─ node\n\nCOUNT\n    3\n"), "{text}");
}

#[test]
fn a_tree_without_depths_is_drawn_by_the_parents() {
    let row = |pid: u32, ppid: u32| {
        format!(r#"{{"type":"process","pid":{pid},"ppid":{ppid},"start_ticks":{pid},"cmdline":["c{pid}"]}}"#)
    };
    let rows = [row(10, 1), row(11, 10), row(12, 1), row(13, 11), row(14, 10)];
    let rows: Vec<&str> = rows.iter().map(String::as_str).collect();
    assert_eq!(
        shown(Shape::Tree, PLAIN, &rows),
        "\
PID  COMMAND
 10  c10
 11  ├─ c11
 13  │  └─ c13
 14  └─ c14
 12  c12
"
    );
}

#[test]
fn chosen_columns_stand_in_their_order_and_none_leaves() {
    let rows = [process(7, 0, r#","extra_ms":1500"#, "node a.js")];
    let rows: Vec<&str> = rows.iter().map(String::as_str).collect();
    let view = |names: &[&str]| {
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        let (mut show, mut out) = (Show::with_columns(Shape::Table, PLAIN, names), Vec::new());
        for row in &rows {
            show.add(&Record::parse(row.as_bytes()).expect("a record"), &mut out);
        }
        show.end(&mut out);
        String::from_utf8(out).expect("UTF-8")
    };
    assert_eq!(view(&["extra_ms", "pid", "user"]), "EXTRA  PID  USER\n   1s    7  ann\n");
    assert_eq!(view(&["cmdline", "age", "nothing"]), "  AGE  NOTHING  COMMAND\n2m 5s        -  node a.js\n");
}

#[test]
fn nothing_is_shown_of_nothing() {
    assert_eq!(shown(Shape::Table, PLAIN, &[]), "");
    assert_eq!(shown(Shape::Tree, PLAIN, &[]), "");
}

#[test]
fn a_long_table_does_not_wait_for_its_end() {
    let (mut show, mut out) = (Show::new(Shape::Table, PLAIN), Vec::new());
    let record = Record::parse(process(7, 0, "", "a").as_bytes()).expect("a record");
    (0..MOST_HELD).for_each(|_| show.add(&record, &mut out));
    assert!(!out.is_empty());
    let later = Record::parse(process(4_194_304, 0, "", "b").as_bytes()).expect("a record");
    show.add(&later, &mut out);
    show.end(&mut out);
    let text = String::from_utf8(out).expect("UTF-8");
    let ends = |line: &str| line.find("  ann").or_else(|| line.find("  USER"));
    let (first, last) = (text.lines().next().unwrap_or_default(), text.lines().last().unwrap_or_default());
    assert_eq!(ends(first), ends(last), "a larger number stands where the first ones do: {first:?} {last:?}");
}

#[test]
fn an_argument_vector_of_two_megabytes_is_cut_before_it_is_measured() {
    let row = process(7, 0, "", &"é".repeat(1 << 20));
    let style = Style { width: Some(80), ..PLAIN };
    assert!(shown(Shape::Table, style, &[&row]).len() < 400);
}

/// Text as the worst process has it: controls, directions, wide and combining characters, and what is not UTF-8.
fn hostile() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        any::<char>().prop_map(String::from),
        Just("\u{1b}[2J\r\n\t\u{7}".to_owned()),
        Just("日本語é\u{301}❤\u{fe0f}👩\u{200d}👩\u{200d}👧🇩🇪".to_owned()),
        Just("\u{202e}\u{9b}31m\u{7f}\u{0}".to_owned()),
        "[ -~]{0,12}",
    ];
    proptest::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

fn record() -> impl Strategy<Value = String> {
    let kind = prop_oneof![Just("process"), Just("outcome"), Just("service"), Just("event"), Just("odd")];
    (kind, hostile(), hostile(), any::<u32>(), 0..40_usize, any::<bool>()).prop_map(
        |(kind, command, name, number, depth, mark)| {
            serde_json::json!({
                "type": kind, "pid": number, "comm": name, "cmdline": [command, name], "user": name,
                "state": command.chars().next(), "depth": depth, "orphan": mark, "zombie": !mark, "age_ms": number,
                "outcome": name, "reason": command, "service": name, "alive": name, "evidence": [{"kind": command}],
                "scope": "project", "project": {"bytes": "/5sbCg=="}, "found": {"a": [command, {"b": name}]},
            })
            .to_string()
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn no_line_is_wider_than_the_window_and_no_control_gets_through(
        records in proptest::collection::vec(record(), 0..12),
        width in prop_oneof![0..30_usize, 30..200_usize, Just(10_000)],
        tree in any::<bool>(),
        ascii in any::<bool>(),
    ) {
        let records: Vec<&str> = records.iter().map(String::as_str).collect();
        let shape = if tree { Shape::Tree } else { Shape::Table };
        let text = shown(shape, Style { width: Some(width), colour: false, ascii }, &records);
        for line in text.lines() {
            prop_assert!(!line.chars().any(char::is_control), "{line:?}");
            prop_assert!(unicode_width::UnicodeWidthStr::width(line) <= width, "{line:?}");
            prop_assert!(!ascii || line.is_ascii(), "{line:?}");
        }
        for shape in [Shape::Csv, Shape::Dot, Shape::Mermaid] {
            let text = shown(shape, PLAIN, &records);
            prop_assert!(!text.lines().any(|line| line.chars().any(char::is_control)), "{text:?}");
        }
        let coloured = shown(shape, Style { width: Some(width), colour: true, ascii }, &records);
        prop_assert_eq!(without_colour(&coloured), text);
    }
}

/// Takes the escape sequences of colours away, and no others.
fn without_colour(text: &str) -> String {
    let mut parts = text.split("\x1b[");
    let mut bare = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (code, rest) = part.split_once('m').expect("a colour");
        assert!(code.bytes().all(|byte| byte.is_ascii_digit() || byte == b';'), "{code:?}");
        bare.push_str(rest);
    }
    bare
}
