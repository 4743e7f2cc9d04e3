//! Fifty services that are killed at random moments. `PROCHERD_SOAK` makes it a minute.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io::Write as _;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use super::{entry, record, registry};
use crate::support::process::Id;
use crate::support::wait::pass;
use crate::support::{SOON, Scene, wait_until};

const SERVICES: usize = 50;

/// The first pause and the longest one, in milliseconds.
const PAUSES: (u64, u64) = (20, 100);

/// Numbers that nobody foresees: splitmix64.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % end as u64).expect("small")
    }
}

fn name(at: usize) -> String {
    format!("s{at}")
}

/// The processes that the registry has, by the number of the service.
fn processes(scene: &Scene) -> HashMap<usize, Id> {
    let registry = registry(scene);
    let of = |at: usize| {
        let entry = &registry["services"]["global"][name(at)];
        let (pid, id) = (&entry["pid"], &entry["identity"]);
        Id::in_record(
            &json!({"pid": pid, "start_ticks": id["start_ticks"], "pidfd_inode": id["pidfd_inode"]}),
        )
    };
    (0..SERVICES).filter_map(|at| Some((at, of(at)?))).collect()
}

/// Kills living services at random moments, and all of them at least once; gives who was killed, by the number.
fn kill_for(scene: &Scene, time: Duration, random: &mut Random) -> HashMap<usize, HashSet<Id>> {
    let mut killed: HashMap<usize, HashSet<Id>> = HashMap::new();
    let (begun, end) = (Instant::now(), Instant::now() + time);
    while Instant::now() < end || killed.len() < SERVICES {
        assert!(begun.elapsed() < time + SOON, "some never live: {killed:?}");
        let now = processes(scene);
        // One, a few or many at once, whatever they are just doing.
        for _ in 0..=[0, 2, 20][random.below(3)] {
            let at = random.below(SERVICES);
            if let Some(id) = now.get(&at).filter(|id| id.alive() && id.signal(Signal::SIGKILL)) {
                killed.entry(at).or_default().insert(*id);
            }
        }
        pass(Duration::from_millis(random.below(30) as u64));
    }
    killed
}

/// Milliseconds of a time as records have it, within a day that does not end meanwhile.
fn milliseconds(at: &Value) -> u64 {
    let text = at.as_str().and_then(|text| text.split_once('T')).expect("a time").1.trim_end_matches('Z');
    let parts: Vec<f64> = text.split(':').map(|part| part.parse().expect("a number")).collect();
    let seconds = parts[0] * 3600.0 + parts[1] * 60.0 + parts[2];
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a day has few milliseconds")]
    let milliseconds = (seconds * 1000.0).round() as u64;
    milliseconds
}

/// Holds the events of one service against the schedule.
fn assert_by_schedule(name: &str, events: &[&Value], killed: usize) {
    let (mut due, mut tries, mut begun) = (None, 0, 0);
    for event in events {
        let at = milliseconds(&event["at"]);
        match event["event"].as_str().expect("a word") {
            "unhealthy" => {
                assert_eq!(due, None, "{name}: {events:?}");
                assert_eq!(event["tries"], tries, "{name}: no try is forgotten: {events:?}");
                let pause = event["pause_ms"].as_u64().expect("a pause");
                assert_eq!(pause, (PAUSES.0 << tries.min(20)).min(PAUSES.1), "{name}: {events:?}");
                due = Some(at + pause);
            }
            "started" | "refused" => {
                if begun > 0 {
                    tries += 1;
                    let due = due.take().expect("it was planned");
                    // Midnight is passed by.
                    assert!(at + 1 >= due || due - at > 80_000_000, "{name}: {at} before {due}: {events:?}");
                }
                begun += 1;
            }
            "stopped" => assert_eq!(due, None, "{name}"),
            other => panic!("{name}: {other}: {events:?}"),
        }
    }
    assert_eq!(begun, killed + 1, "{name}: started as often as killed, and once: {events:?}");
}

#[test]
// proves: R19 R20 R21 M07 S32
fn fifty_that_are_killed_at_random_moments_are_never_two_and_never_lost() {
    let scene = Scene::new();
    let soaks = std::env::var_os("PROCHERD_SOAK").is_some();
    let time = Duration::from_secs(if soaks { 60 } else { 4 });
    let folder = scene.home().join("locks");
    fs::create_dir(&folder).expect("a folder");
    let lock = |at: usize| folder.join(name(at));
    let lines: Vec<String> = (0..SERVICES)
        .map(|at| {
            // The child inherits the lock: what is left of the old tree has to be ended before the new one begins.
            let path = lock(at).display().to_string();
            let words = ["lock", &path, "--kind", "sole", "--heirs", "1", "--outlive", "300"];
            let mut record = record(&name(at), &words, &json!({}));
            record["command"].as_array_mut().expect("words").truncate(words.len() + 1);
            record.to_string()
        })
        .collect();
    let (file, log) = (scene.home().join("services.ndjson"), scene.home().join("log"));
    fs::write(&file, lines.join("\n")).expect("written");
    let options = ["--pause", "20ms", "--longest-pause", "100ms", "--tries", "1000000", "--interval", "2s"];
    let tool = scene.tool("pkeep").args(options).args(["--quiet", "--log"]).args([&log, &file]);
    let mut keeper = tool.within(time + Duration::from_mins(3)).start();
    let all_run = || processes(&scene).values().filter(|id| id.alive()).count() == SERVICES;
    wait_until(Duration::from_mins(1), "all run", all_run);
    let seed =
        u64::from(std::process::id()) ^ Id::of(std::process::id()).map_or(0, |id| id.inode.unwrap_or(0));
    let killed = kill_for(&scene, time, &mut Random(seed));
    wait_until(Duration::from_mins(1), "all run again", || {
        let now = processes(&scene);
        let lives = |at: &usize| now.get(at).is_some_and(|id| id.alive() && !killed[at].contains(id));
        (0..SERVICES).all(|at| lives(&at) && entry(&scene, &name(at))["keep"]["well_ms"].is_u64())
    });
    assert!(keeper.runs(), "the keeper lives");
    let memory = fs::read_to_string(format!("/proc/{}/status", keeper.id().pid)).expect("its status");
    keeper.signal(Signal::SIGTERM);
    keeper.finish().ended(0).quiet();
    assert!(scene.carriers().is_empty(), "nothing is left: {:?}", scene.carriers());
    let text = fs::read_to_string(&log).expect("a log");
    let records: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let mut total = 0;
    for at in 0..SERVICES {
        let name = name(at);
        let of: Vec<&Value> = records.iter().filter(|record| record["service"] == name).collect();
        assert_by_schedule(&name, &of, killed[&at].len());
        let held = fs::read_to_string(lock(at)).expect("a lock");
        assert!(!held.contains("twice"), "{name}: two at once, seed {seed}");
        let sole = held.lines().count();
        assert!(sole >= 1 && sole <= killed[&at].len() + 1, "{name}: {sole} ran");
        total += killed[&at].len();
    }
    assert!(registry(&scene)["services"]["global"].as_object().is_none_or(serde_json::Map::is_empty));
    if soaks {
        let peak = memory.lines().find(|line| line.starts_with("VmHWM")).unwrap_or_default();
        let _ = writeln!(std::io::stderr(), "{total} kills in {time:?}, seed {seed}; of the keeper: {peak}");
    }
}
