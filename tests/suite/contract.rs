//! The contract: `man/procherd-record.5` and its JSON Schema, held against what the tools really write.
//!
//! A validator that is not ours does the judging. In the tests the schema allows no field that it does not name: a new
//! field is a promise, and is written down in schema and page first.

use std::collections::BTreeSet;

use jsonschema::Validator;
use procherd::record::Process;
use procherd_tools::TOOLS;
use serde_json::{Value, json};

use crate::support::scene::raw;
use crate::support::{Output, SOON, Scene, project, wait_until};

fn schema() -> Value {
    let text =
        std::fs::read_to_string(project().join("man/procherd-record.schema.json")).expect("the schema");
    serde_json::from_str(&text).expect("JSON")
}

/// The schema as it is published.
fn published() -> Validator {
    jsonschema::validator_for(&schema()).expect("a schema")
}

/// The schema, and nothing beside it.
fn strict() -> Validator {
    let mut schema = schema();
    schema["unevaluatedProperties"] = json!(false);
    jsonschema::validator_for(&schema).expect("a schema")
}

/// What is wrong with a record, in one text; none when nothing is.
fn wrong(validator: &Validator, record: &Value) -> Option<String> {
    let errors: Vec<String> =
        validator.iter_errors(record).map(|error| format!("{}: {error}", error.instance_path())).collect();
    (!errors.is_empty()).then(|| errors.join("; "))
}

/// What a tool was made to write, and of which types the records are.
type Streams = (Vec<Output>, &'static [&'static str]);

type Writer = fn(&Scene) -> Streams;

/// Each tool, and how it is made to write all that it can write.
const WRITERS: &[(&str, Writer)] = &[
    ("pstree-json", pstree_json),
    ("porphans", porphans),
    ("pzombies", pzombies),
    ("phung", phung),
    ("pdups", pdups),
    ("pports", pports),
    ("pkill-tree", pkill_tree),
    ("pgone", pgone),
    ("phealth", phealth),
    ("ptrack", ptrack),
    ("preap", preap),
    ("pspawn", pspawn),
    ("psession", psession),
    ("pwatch", pwatch),
    ("pkeep", pkeep),
    ("pfmt", pfmt),
    ("pdoctor", pdoctor),
];

fn pstree_json(scene: &Scene) -> Streams {
    let argv = [raw(b"argv"), raw(b"--"), raw(b"\xff\xfe"), raw(b""), raw(b"a\nb")];
    let comm = [raw(b"idle"), raw(b"--comm"), raw(b"a) R\n\xff")];
    let _kinds = ["stopped", "zombie", "dead-main-thread", "orphan"].map(|mode| scene.start([mode]));
    let (odd, _named) = (scene.start(argv), scene.start(comm));
    let pid = odd.root().pid.to_string();
    let run = |words: &[&str]| scene.tool("pstree-json").args(words).run();
    let outputs = vec![
        run(&[]),
        run(&["--with", "exe,cwd"]),
        run(&["--ancestors", &pid]),
        run(&["--depth", "1", &pid]),
        scene.tool("pstree-json").arg("-").stdin(pid.clone()).run(),
    ];
    (outputs, &["process"])
}

fn porphans(scene: &Scene) -> Streams {
    let _orphans = scene.start(["orphan", "2", "--depth", "1"]);
    let run = |words: &[&str]| scene.tool("porphans").args(["--pattern", "actor"]).args(words).run();
    (vec![run(&[]), run(&["--all"]), run(&["--untracked"])], &["process"])
}

fn pzombies(scene: &Scene) -> Streams {
    let _dead = [scene.start(["zombie", "2"]), scene.start(["zombie", "--then", "stop"])];
    let run = |words: &[&str]| scene.tool("pzombies").args(["--twice", "10ms"]).args(words).run();
    (vec![run(&[]), run(&["--parents"]), scene.tool("pzombies").arg("--once").run()], &["process"])
}

fn phung(scene: &Scene) -> Streams {
    let _hung = [scene.start(["stopped"]), scene.start(["uninterruptible"]), scene.start(["spin"])];
    let deaf = scene.start(["spin", "--on-term", "ignore"]);
    scene.tool("ptrack").args(["save", "deaf", &deaf.root().operand()]).run().ended(0);
    deaf.root().signal(nix::sys::signal::Signal::SIGTERM);
    let words = ["--sample", "300ms", "--cpu", "0.01", "--stopped", "0s", "--beat", "0s"];
    let said = scene.tool("phung").args(words).run();
    let evidence = |record: &Value| record["evidence"].as_array().cloned().unwrap_or_default();
    let kinds: BTreeSet<String> =
        said.records().iter().flat_map(evidence).map(|one| one["kind"].to_string()).collect();
    assert_eq!(kinds.len(), 5, "all kinds are to be judged: {kinds:?}");
    (vec![said], &["process"])
}

fn pdups(scene: &Scene) -> Streams {
    let _two = [scene.start(["idle"]), scene.start(["idle"])];
    let run = |words: &[&str]| scene.tool("pdups").args(["-p", "actor idle"]).args(words).run();
    (vec![run(&[]), run(&["--by", "script", "--older-than", "0s"])], &["process"])
}

fn pports(scene: &Scene) -> Streams {
    let listener = scene.start(["listen", "--heirs", "1"]);
    let (both, closed) = (scene.start(["listen", "v6:0"]), scene.start(["time-wait"]));
    let unix = [raw(b"listen"), raw(b"abstract:\xc2\x9b")];
    let (_unix, file) = (scene.start(unix), scene.home().join("LOCK"));
    std::fs::write(&file, "").expect("written");
    let file = file.to_str().expect("a plain name").to_owned();
    let (_lock, port) = (scene.start(["lock", &file]), listener.fact("port").to_string());
    let _client = scene.start(["client", &port]);
    let (both, closed) = (both.fact("port").to_string(), closed.fact("port").to_string());
    let run = |words: &[&str]| scene.tool("pports").args(words).run();
    let outputs = vec![
        run(&["--any", &port, &both, &closed]),
        run(&["--unix"]),
        run(&["--locks", &file]),
        scene.tool("pports").arg(&port).under(["--uid", "65534"]).run(),
    ];
    (outputs, &["process", "socket"])
}

fn pgone(scene: &Scene) -> Streams {
    let (zombie, tree) = (scene.start(["zombie"]), scene.start(["tree", "--depth", "1"]));
    let listener = scene.start(["listen"]);
    let port = listener.fact("port").to_string();
    scene.tool("ptrack").args(["save", "api", &tree.root().operand()]).run().ended(0);
    let file = scene.home().join("file").display().to_string();
    let run = |words: &[&str]| scene.tool("pgone").args(["-t", "50ms"]).args(words).run();
    let mut outputs = vec![
        run(&["4194304", &zombie.one("zombie").operand(), &tree.root().operand()]),
        run(&["api"]),
        run(&["--ready", "api", "web", "--port", &port, "--port", "1..2/udp", "--quiet-file", &file]),
        run(&["--port", &port]),
        run(&["--port", "1..2", "--settle", "1m"]),
        run(&["--port", "1", "--quiet-file", &file]),
        run(&["--port", "1", "--quiet-file", &file, "--for", "1ms"]),
        scene.tool("pgone").args(["-t", "50ms", "--port", &port]).under(["--uid", "65534"]).run(),
    ];
    outputs.push(scene.tool("pgone").stdin(format!("{}\n", tree.root().operand())).arg("-t0s").run());
    (outputs, &["outcome"])
}

fn pkill_tree(scene: &Scene) -> Streams {
    let tree = scene.start(["tree", "--depth", "1", "--width", "2"]);
    let deaf = scene.start(["ignore-term"]);
    let kept = scene.actor(["idle"]).env("PROCHERD_KEEP", "1").start();
    let (gone, respawner) = (scene.start(["idle"]), scene.start(["respawner"]));
    let mut stale = scene.tool("pstree-json").arg(gone.root().operand()).run().record();
    drop(gone);
    // What comes along stays: these two are another tool's.
    for name in ["depth", "root"] {
        stale.as_object_mut().expect("an object").remove(name);
    }
    let mut foreign = stale.clone();
    foreign["host"] = json!("elsewhere");
    foreign["boot_id"] = json!("00000000-0000-0000-0000-000000000001");
    let run = |words: &[&str]| scene.tool("pkill-tree").args(words).run();
    let (root, deaf, kept) = (tree.root().operand(), deaf.root().operand(), kept.root().operand());
    let outputs = vec![
        run(&["--dry-run", &root, &deaf, &kept]),
        run(&["--dry-run", &tree.root().pid.to_string()]),
        run(&["--grace", "100ms", &root, &deaf, &kept]),
        run(&["--settle", "5s", &respawner.one("child").operand()]),
        run(&["4194304"]),
        scene.tool("pkill-tree").records([&stale, &foreign]).run(),
    ];
    let seen: BTreeSet<String> = outputs
        .iter()
        .flat_map(Output::records)
        .filter_map(|record| Some(record["outcome"].as_str()?.to_owned()))
        .collect();
    for word in ["exited", "killed", "already-gone", "foreign", "replaced"] {
        assert!(seen.contains(word), "no outcome is '{word}': {seen:?}");
    }
    (outputs, &["outcome", "process"])
}

fn ptrack(scene: &Scene) -> Streams {
    let tree = scene.start(["tree", "--depth", "1", "--width", "2"]);
    let root = tree.root().operand();
    let run = |words: &[&str]| scene.tool("ptrack").args(words).run();
    let mut outputs = vec![
        run(&["save", "api", &root, "--meta", "a=b", "--script", "server"]),
        run(&["save", "web", &root, "--project", "/"]),
        run(&["beat", "api", "--status", "unhealthy"]).ended(0),
        run(&["list"]),
        run(&["get", "api"]),
        run(&["get", "--pid", &root, "--format", "ndjson"]),
    ];
    let (owning, member) = (scene.start(["idle"]), scene.start(["idle"]));
    let owner = owning.root().operand();
    outputs.extend([
        run(&["session", "start", "s", "--pid", &owner, "--project", "/"]),
        run(&["save", "in", &member.root().operand(), "--session", "s"]),
        run(&["session", "list"]),
        run(&["session", "end", "s", "--outcomes"]),
    ]);
    drop(tree);
    outputs.extend([run(&["status"]), run(&["rm", "api"])]);
    outputs.retain(|output| !output.stdout.is_empty());
    (outputs, &["outcome", "service", "session", "summary"])
}

fn phealth(scene: &Scene) -> Streams {
    let run = |name: &str, words: &[&str]| scene.tool(name).args(words).run();
    let (server, idle, dead) =
        (scene.start(["serve", "0", "hi"]), scene.start(["idle"]), scene.start(["idle"]));
    let (port, file) = (format!("port:{}", server.fact("port")), scene.home().join("health.json"));
    std::fs::write(&file, json!({"pid": idle.root().pid}).to_string()).expect("written");
    let file = format!("file:{}", file.display());
    run("ptrack", &["save", "server", &server.root().operand(), "--health", &port]).ended(0);
    run("ptrack", &["save", "idle", &idle.root().operand(), "--health", &port, "--health", &file]).ended(0);
    run("ptrack", &["save", "dead", &dead.root().operand(), "--health", "max-age:1h"]).ended(0);
    drop(dead);
    let socket = scene.home().join("none.sock").display().to_string();
    let outputs = vec![
        run("phealth", &["--beat"]),
        run("phealth", &["--summary"]),
        run("phealth", &["--socket", &socket, "--command", "false", "--banner", "x", "--within", "100ms"]),
        run("phealth", &[&idle.root().operand(), "--port", "1"]),
        run("phealth", &[&std::process::id().to_string()]),
        scene
            .tool("phealth")
            .arg("-")
            .records([&run("pstree-json", &[&idle.root().operand()]).record()])
            .run(),
    ];
    (outputs, &["process", "service", "summary"])
}

fn preap(scene: &Scene) -> Streams {
    let run = |name: &str, words: &[&str]| scene.tool(name).args(words).run();
    let (dead, owner, member) = (scene.start(["idle"]), scene.start(["idle"]), scene.start(["idle"]));
    run("ptrack", &["save", "dead", &dead.root().operand()]).ended(0);
    run("ptrack", &["session", "start", "s", "--pid", &owner.root().operand()]).ended(0);
    run("ptrack", &["save", "in", &member.root().operand(), "--session", "s"]).ended(0);
    drop((dead, owner));
    let _parent = scene.start(["zombie"]);
    let pidfile = scene.home().join("late.pid").display().to_string();
    let spawn = ["late", "--foreground", "--pidfile", &pidfile, "--", "sleep", "60"];
    let _late = scene.tool("pspawn").args(spawn).start();
    let registry = || std::fs::read_to_string(scene.registry()).unwrap_or_default();
    wait_until(SOON, "a service with a pid file", || registry().contains("late.pid"));
    // What nobody guards has outlived its time at once.
    let text = registry().replace(r#""pidfile":"#, r#""ttl_ms":0,"pidfile":"#);
    std::fs::write(scene.registry(), text).expect("written");
    let stale = scene.home().join("stale.pid");
    std::fs::write(&stale, "4194304\n").expect("written");
    let files = stale.to_string_lossy().into_owned();
    let outputs = vec![
        run("preap", &["--dry-run", "--pidfiles", &files]),
        run("preap", &["--pidfiles", &files, "--remove", "--nudge"]),
    ];
    (outputs, &["finding", "outcome", "process", "service", "session", "summary"])
}

fn pspawn(scene: &Scene) -> Streams {
    let log = scene.home().join("log").display().to_string();
    let command = |name: &str, options: &[&str]| {
        scene.tool("pspawn").arg(name).args(options).args(["--", "sleep", "60"]).run()
    };
    let outputs = vec![
        command("api", &["--log", &log, "--pidfile", &format!("{log}.pid")]),
        command("api", &["--ensure"]),
        command("worker", &["--project", &scene.home().display().to_string()]),
        command("plan", &["--dry-run"]),
        command("timed", &["--ttl", "1m", "--port", "1"]),
    ];
    (outputs, &["service"])
}

fn pkeep(scene: &Scene) -> Streams {
    let run = |words: &[&str]| {
        let quick = ["--pause", "10ms", "--tries", "1", "--once"];
        scene.tool("pkeep").args(quick).args(words).run()
    };
    let project = scene.home().display().to_string();
    let idle = ["api", "--project", &project, "--", "sleep", "60"];
    let mut outputs = vec![run(&idle), run(&idle)];
    let wanted = ["started", "adopted", "refused", "unhealthy", "failed"];
    // A round that comes before its pause is over has nothing to say yet.
    wait_until(SOON, "every kind of event was told", || {
        outputs.push(run(&["bad", "--", "/no/such/program"]));
        outputs.push(run(&["short", "--", "true"]));
        let told: Vec<Value> = outputs.iter().flat_map(Output::records).collect();
        wanted.iter().all(|word| told.iter().any(|record| record["event"] == *word))
    });
    outputs.retain(|output| !output.stdout.is_empty());
    (outputs, &["event"])
}

fn psession(scene: &Scene) -> Streams {
    let script =
        "setsid sleep 0.1 & (setsid sleep 1001 &); PROCHERD_KEEP=1 sleep 1002 & sleep 0.5; kill -USR1 $$";
    let tool = scene.tool("psession").args(["--events", "1", "--", "sh", "-c", script]);
    let output = tool.run();
    // Both have to have happened for all fields to be judged.
    let words = ["started", "adopted", "exited", "terminated", "left"];
    let records = output.records();
    assert!(words.iter().all(|word| records.iter().any(|record| record["event"] == *word)), "{output:?}");
    (vec![output], &["event"])
}

fn pfmt(scene: &Scene) -> Streams {
    let own = scene.tool("pstree-json").arg(std::process::id().to_string()).run();
    let shown = scene.tool("pfmt").args(["--totals", "--format", "ndjson"]).stdin(own.text()).run();
    (vec![shown], &["process", "summary"])
}

fn pdoctor(scene: &Scene) -> Streams {
    let (dead, living) = (scene.start(["idle"]), scene.start(["idle"]));
    for (name, actor) in [("dead", &dead), ("living", &living)] {
        scene.tool("ptrack").args(["save", name, &actor.root().operand()]).run().ended(0);
    }
    drop(dead);
    let examined = scene.tool("pdoctor").arg("--all").run().ended(0);
    std::fs::write(scene.registry(), "{").expect("written");
    (vec![examined, scene.tool("pdoctor").run().ended(1)], &["finding"])
}

fn pwatch(scene: &Scene) -> Streams {
    let wrapper = scene.start(["respawner"]);
    let operand = wrapper.root().operand();
    scene.tool("ptrack").args(["save", "api", &operand]).run().ended(0);
    let mut running = scene.tool("pwatch").args([&operand, "--until", "gone"]).start();
    wait_until(SOON, "it follows", || running.waits());
    wrapper.one("child").signal(nix::sys::signal::Signal::SIGKILL);
    let started = |record: &Value| record["event"] == "started";
    wait_until(SOON, "its successor is told", || running.seen(started));
    scene.tool("ptrack").args(["rm", "api"]).run().ended(0);
    wait_until(SOON, "it is struck out", || running.seen(|record| record["event"] == "unregistered"));
    drop(wrapper);
    (vec![running.finish()], &["event"])
}

#[test]
fn what_the_tools_write_is_what_the_schema_says() {
    let validator = strict();
    for tool in TOOLS {
        let writer = WRITERS.iter().find(|(name, _)| *name == tool.name);
        let (_, write) = writer.unwrap_or_else(|| panic!("{}: not held against the schema here", tool.name));
        let (outputs, kinds) = write(&Scene::new());
        let mut seen = BTreeSet::new();
        for output in outputs {
            let records = output.records();
            assert!(!records.is_empty(), "there is nothing to judge: {output:?}");
            for record in records {
                if let Some(why) = wrong(&validator, &record) {
                    panic!("{}: {why}\nin {record}", tool.name);
                }
                seen.insert(record["type"].as_str().unwrap_or_default().to_owned());
            }
        }
        assert!(seen.iter().eq(kinds), "{}: records of the types {seen:?}", tool.name);
    }
}

#[test]
fn the_schema_is_one() {
    assert!(jsonschema::meta::is_valid(&schema()));
}

fn a_process() -> Value {
    json!({
        "type": "process", "v": 1, "pid": 77, "pidfd_inode": 5000, "start_ticks": 9000,
        "boot_id": "6cbf2b60-0d3e-4cf5-b2b8-2f0d2a2b7a11", "pid_ns": 4_026_531_836_u64, "host": "here",
        "ppid": 1, "pgid": 70, "sid": 70, "state": "S", "comm": "node", "cmdline": ["node", {"bytes": "//4="}],
        "threads": 2, "rss_bytes": 4096, "cpu_ms": 120, "started_at": "2023-11-14T22:13:10.000Z", "age_ms": 10000
    })
}

#[test]
fn the_schema_refuses_what_the_page_forbids() {
    let (published, strict) = (published(), strict());
    assert_eq!(wrong(&strict, &a_process()), None);
    let mut foreign = a_process();
    foreign["somebody_elses"] = json!({"any": ["thing"]});
    assert_eq!(wrong(&published, &foreign), None, "fields of others pass through");
    assert!(wrong(&strict, &foreign).is_some());
    for (field, value) in [
        ("v", json!(2)),
        ("type", json!("animal")),
        ("pid", json!(0)),
        ("pid", json!("77")),
        ("pid", json!(4_194_305)),
        ("pidfd_inode", json!(0)),
        ("boot_id", json!("today")),
        ("cmdline", json!("node server.js")),
        ("cmdline", json!([{"bytes": "no base64"}])),
        ("comm", json!({"bytes": "//4=", "more": 1})),
        ("state", json!("sleeping")),
        ("started_at", json!(1_700_000_000_000_u64)),
        ("denied", json!([])),
        ("evidence", json!([{"kind": "a hunch", "strength": "certain"}])),
        ("orphan", json!(false)),
        ("service", json!("api")),
    ] {
        let mut record = a_process();
        record[field] = value;
        assert!(wrong(&published, &record).is_some(), "accepted: {record}");
    }
    for missing in ["type", "v", "pid", "boot_id", "pid_ns", "host", "start_ticks", "ppid"] {
        let mut record = a_process();
        record.as_object_mut().expect("an object").remove(missing);
        assert!(wrong(&published, &record).is_some(), "accepted without {missing}");
    }
}

#[test]
fn what_was_denied_may_be_missing() {
    let hidden = json!({
        "type": "process", "v": 1, "pid": 77, "pidfd_inode": 5000, "boot_id": "6cbf2b60-0d3e-4cf5-b2b8-2f0d2a2b7a11",
        "pid_ns": 4_026_531_836_u64, "host": "here", "uid": 0, "denied": ["stat"]
    });
    assert_eq!(wrong(&strict(), &hidden), None);
}

/// The fields of records, as the schema has them. Those of objects inside of records are not among them.
fn fields() -> BTreeSet<String> {
    let schema = schema();
    let of = |part: &Value| {
        part["properties"].as_object().into_iter().flatten().map(|(name, _)| name.clone()).collect::<Vec<_>>()
    };
    let inner = ["evidence", "lock", "near", "sample", "text"];
    let defs = schema["$defs"].as_object().expect("definitions").iter();
    defs.filter(|(name, _)| !inner.contains(&name.as_str()))
        .flat_map(|(_, part)| of(part))
        .chain(of(&schema))
        .collect()
}

#[test]
fn page_and_schema_name_the_same_fields() {
    let page = std::fs::read_to_string(project().join("man/procherd-record.5")).expect("the page");
    let named: BTreeSet<String> = page
        .lines()
        .filter_map(|line| line.strip_prefix(".It Va "))
        .filter_map(|line| line.split_whitespace().next())
        .map(str::to_owned)
        .collect();
    assert_eq!(named, fields());
    for name in Process::FIELDS {
        assert!(named.contains(name), "{name}: the library knows it, the page does not");
    }
}
