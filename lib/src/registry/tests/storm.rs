//! The registry under fault: many writers, killed and stopped at random, on a disk that gets full.
//!
//! The writers are processes: this test program, started again for one of its ignored tests.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid as RawPid;

use super::super::*;
use crate::id::{Identity, Pid};
use crate::record::Record;
use crate::source::Wants;

const WRITERS: usize = 200;
const CHANGES: usize = 50;
const NAMES: usize = 2;
const ROUNDS: usize = 100;
const DEADLINE: Duration = Duration::from_mins(5);

/// A small generator, so that a run can be repeated by its seed.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 16).expect("64 bits") % sides
    }
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

fn again(test: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    command
        .args(["--exact", "--ignored", "--nocapture", "-q"])
        .arg(format!("registry::tests::storm::{test}"));
    command
}

/// Runs a test of this program in a mount namespace of its own. False, loudly, where that is not permitted.
fn inside(test: &str, folder: &Path) -> bool {
    let root = nix::unistd::geteuid().is_root();
    let flags: &[&str] = if root { &["-m"] } else { &["-m", "-r"] };
    let unshare = |words: &[&str]| {
        let mut command = Command::new("unshare");
        command.args(flags).args(words).stdin(Stdio::null());
        command
    };
    let permitted = unshare(&["true"]).stderr(Stdio::null()).status().is_ok_and(|status| status.success());
    if !permitted {
        let _ = writeln!(std::io::stderr(), "SKIPPED {test}: mount namespaces are not permitted here");
        return false;
    }
    let worker = again(test);
    let mut command = unshare(&["--"]);
    command.arg(worker.get_program()).args(worker.get_args()).env("STORM", folder);
    assert!(command.status().expect("unshare runs").success(), "{test} failed: see above");
    true
}

#[test]
// proves: M01 M02
fn two_hundred_writers_lose_nothing_when_they_are_killed_and_the_disk_is_full() {
    let folder = tempfile::tempdir().expect("a folder");
    inside("arena", folder.path());
}

#[test]
#[ignore = "a part of the test above"]
fn arena() {
    let Some(folder) = variable("STORM").map(PathBuf::from) else { return };
    let disk = folder.join("disk");
    fs::create_dir(&disk).expect("made");
    let mounted =
        Command::new("mount").args(["-t", "tmpfs", "-o", "size=1m,mode=700", "tmpfs"]).arg(&disk).status();
    assert!(mounted.expect("mount runs").success());
    let registry = Registry::at(disk.join("registry.json"));
    let mut writers: Vec<Child> = (0..WRITERS)
        .map(|number| {
            let log = File::create(folder.join(format!("log-{number}"))).expect("a log");
            let mut command = again("writer");
            command.env("STORM_NUMBER", number.to_string()).env("STORM_REGISTRY", registry.path());
            command.env("STORM_LOG", folder.join(format!("log-{number}")));
            drop(log);
            command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().expect("a writer")
        })
        .collect();
    disturb(&folder, &registry, &mut writers);
    // Now that all writers are gone, the next change has no reason to wait.
    let begun = Instant::now();
    registry
        .change(|document| {
            document.insert_session(&Session::from_fields("last", Record::default()));
            Ok(())
        })
        .expect("works");
    assert!(begun.elapsed() < Duration::from_secs(2), "the lock is stale");
    let names: Vec<String> = fs::read_dir(&disk)
        .expect("the disk")
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .filter(|name| !["registry.json", "registry.json.flock"].contains(&name.as_str()))
        .collect();
    assert!(names.is_empty(), "litter: {names:?}");
    let document = registry.read().expect("valid");
    let mut failed = 0;
    for number in 0..WRITERS {
        failed += verify(
            number,
            &fs::read_to_string(folder.join(format!("log-{number}"))).expect("a log"),
            &document,
        );
    }
    assert!(failed > 0, "the disk was never full for a writer");
}

/// Reads all the while, and kills, stops and continues writers and fills the disk as the work goes on.
fn disturb(folder: &Path, registry: &Registry, writers: &mut [Child]) {
    let (begun, mut dice) = (Instant::now(), Dice(0x5eed));
    let progress = || -> u64 {
        let size =
            |number: usize| fs::metadata(folder.join(format!("log-{number}"))).map_or(0, |facts| facts.len());
        (0..WRITERS).map(size).sum()
    };
    let send = |writer: &Child, signal| {
        let _ = kill(RawPid::from_raw(writer.id().cast_signed()), signal);
    };
    let whole = u64::try_from(WRITERS * CHANGES * 22).expect("small");
    let (mut next, mut full, mut reads, mut stopped) = (whole / 100, None, 0_u64, Vec::new());
    loop {
        registry.read().unwrap_or_else(|error| panic!("a torn read, number {reads}: {error}"));
        reads += 1;
        if writers.iter_mut().all(|writer| writer.try_wait().expect("ours").is_some()) {
            break;
        }
        assert!(begun.elapsed() < DEADLINE, "stuck after {} of {whole}", progress());
        let done = progress();
        if done < next && full.is_none() {
            // Stopped writers are all that is left to wait for: let them go on.
            let waits = writers.iter_mut().enumerate().all(|(number, writer)| {
                stopped.contains(&number) || writer.try_wait().expect("ours").is_some()
            });
            if waits {
                stopped.drain(..).for_each(|number| send(&writers[number], Signal::SIGCONT));
            }
            continue;
        }
        next = done + whole / 100;
        send(&writers[dice.roll(WRITERS)], Signal::SIGKILL);
        let number = dice.roll(WRITERS);
        send(&writers[number], Signal::SIGSTOP);
        stopped.push(number);
        if stopped.len() > 20 {
            send(&writers[stopped.remove(0)], Signal::SIGCONT);
        }
        match full {
            None if done > whole / 3 && !folder.join("was-full").exists() => {
                fill(&registry.path().with_file_name("filler"));
                full = Some(());
                File::create(folder.join("was-full")).expect("noted");
            }
            Some(()) if errors(folder) > 20 => {
                fs::remove_file(registry.path().with_file_name("filler")).expect("freed");
                full = None;
            }
            _ => {}
        }
    }
    assert!(reads > 100, "the reader read {reads} times only");
}

/// How many changes have failed so far.
fn errors(folder: &Path) -> usize {
    let count = |number: usize| {
        fs::read_to_string(folder.join(format!("log-{number}"))).map_or(0, |log| log.matches("no\n").count())
    };
    (0..WRITERS).map(count).sum()
}

/// Uses up the disk to the last byte.
fn fill(path: &Path) {
    let mut file = File::create(path).expect("a file");
    let mut size = 64 << 10;
    while size > 0 {
        if file.write_all(&vec![0; size]).is_err() {
            size /= 2;
        }
    }
}

/// What one writer does: it logs what it tries, and whether that was acknowledged.
#[test]
#[ignore = "a part of the test above"]
fn writer() {
    let (Some(number), Some(path), Some(log)) =
        (variable("STORM_NUMBER"), variable("STORM_REGISTRY"), variable("STORM_LOG"))
    else {
        return;
    };
    let number: usize = number.parse().expect("a number");
    let registry = Registry::at(path).lock_timeout(DEADLINE);
    let mut log = OpenOptions::new().append(true).open(log).expect("the log");
    let mut dice = Dice(0x9e37_79b9 + u64::try_from(number).expect("small"));
    for step in 0..CHANGES {
        let (name, verb) =
            (format!("{number}-{}", dice.roll(NAMES)), ["save", "save", "beat", "rm"][dice.roll(4)]);
        log.write_all(format!("{verb} {name} {step} ").as_bytes()).expect("logged");
        let done = registry.change(|document| {
            let before = document.get(&Scope::Global, &name)?;
            match (verb, before) {
                ("rm", _) => drop(document.remove(&Scope::Global, &name)?),
                ("beat", Some(mut service)) => {
                    service.set("lastHealthCheck", &step);
                    document.insert(&service);
                }
                ("beat", None) => {}
                (_, before) => {
                    let fields = Record::default();
                    let mut service = before.unwrap_or(Service::from_fields(Scope::Global, &name, fields));
                    service.set("lastHealthCheck", &step);
                    document.insert(&service);
                }
            }
            Ok(())
        });
        log.write_all(if done.is_ok() { b"ok\n" } else { b"no\n" }).expect("logged");
    }
}

/// Holds the log of a writer against the document. Gives how many of its changes have failed.
fn verify(number: usize, log: &str, document: &Document) -> usize {
    let mut state: BTreeMap<String, Option<usize>> = BTreeMap::new();
    let mut open = None;
    let mut failed = 0;
    for line in log.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [verb, name, step, rest @ ..] = words.as_slice() else {
            // Killed in the middle of a word: that change was not begun.
            break;
        };
        let before = state.get(*name).copied().flatten();
        let after = match *verb {
            "rm" => None,
            "beat" if before.is_none() => None,
            _ => step.parse().ok(),
        };
        match rest {
            ["ok"] => drop(state.insert((*name).to_owned(), after)),
            ["no"] => failed += 1,
            _ => open = Some(((*name).to_owned(), after)),
        }
    }
    for index in 0..NAMES {
        let name = format!("{number}-{index}");
        let found = document.get(&Scope::Global, &name).expect("readable");
        let found = found.and_then(|service| service.milliseconds("lastHealthCheck"));
        let found = found.map(|step| usize::try_from(step).expect("small"));
        let expected = state.get(&name).copied().flatten();
        let maybe = open.iter().any(|(open, after)| *open == name && *after == found);
        assert!(found == expected || maybe, "{name}: {found:?}, acknowledged was {expected:?}: {log}");
    }
    failed
}

#[test]
// proves: R11 P40
fn of_two_hundred_starters_exactly_one_gets_the_name_in_every_round() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("registry.json");
    let starters: Vec<Child> = (0..WRITERS)
        .map(|_| {
            let mut command = again("starter");
            command.env("STORM_REGISTRY", &path).stdin(Stdio::piped()).stdout(Stdio::piped());
            command.spawn().expect("a starter")
        })
        .collect();
    let mut wins = vec![0; ROUNDS];
    // Nobody ends before all have tried: a name is free again when its holder has ended.
    let outputs: Vec<String> = starters
        .into_iter()
        .map(|mut starter| {
            let mut output = starter.stdout.take().expect("a pipe");
            let mut text = String::new();
            let mut byte = [0];
            while !text.ends_with("done\n") {
                assert_eq!(output.read(&mut byte).expect("read"), 1, "a starter failed: {text}");
                text.push(char::from(byte[0]));
            }
            (starter, text)
        })
        .collect::<Vec<_>>()
        .into_iter()
        .map(|(mut starter, text)| {
            drop(starter.stdin.take());
            starter.wait().expect("ended");
            text
        })
        .collect();
    for line in outputs.iter().flat_map(|output| output.lines()) {
        if let Some(round) = line.strip_prefix("won ") {
            wins[round.parse::<usize>().expect("a round")] += 1;
        }
    }
    assert!(wins.iter().all(|count| *count == 1), "{wins:?}");
}

#[test]
#[ignore = "a part of the test above"]
fn starter() {
    let Some(path) = variable("STORM_REGISTRY") else { return };
    let registry = Registry::at(path).lock_timeout(DEADLINE);
    let (host, source) = (Host::look().expect("a host"), Source::live().expect("/proc"));
    let own = source.reader(Wants::EVERYDAY).read(Pid::this()).expect("readable").expect("alive");
    let identity: Identity = own.identity(host.place());
    let mut out = std::io::stdout();
    for round in 0..ROUNDS {
        let name = format!("name-{round}");
        let won = registry.change(|document| {
            if let Claim::Held(..) = claim(document, &host, &source, &Scope::Global, &name)? {
                return Ok(false);
            }
            let mut service = Service::new(Scope::Global, &name);
            service.set_process(&identity, unix_ms());
            document.insert(&service);
            Ok(true)
        });
        if won.expect("a registry") {
            writeln!(out, "won {round}").expect("said");
        }
    }
    writeln!(out, "done").expect("said");
    let _ = std::io::stdin().read(&mut [0]);
}

#[test]
fn a_writer_that_was_stopped_holding_the_lock_is_overtaken_and_loses_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let registry = Registry::at(folder.path().join("registry.json"));
    let mut command = again("holder");
    command.env("STORM_REGISTRY", registry.path()).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut holder = command.spawn().expect("a holder");
    let raw = RawPid::from_raw(holder.id().cast_signed());
    let (mut input, mut output) =
        (holder.stdin.take().expect("a pipe"), holder.stdout.take().expect("a pipe"));
    let mut said = String::new();
    while !said.ends_with("holding\n") {
        let mut byte = [0];
        assert_eq!(output.read(&mut byte).expect("read"), 1, "{said}");
        said.push(char::from(byte[0]));
    }
    let save = |name: &str| {
        registry.change(|document| {
            document.insert(&Service::new(Scope::Global, name));
            Ok(())
        })
    };
    kill(raw, Signal::SIGSTOP).expect("stopped");
    let begun = Instant::now();
    save("mine").expect("saved");
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    input.write_all(b"x").expect("written");
    kill(raw, Signal::SIGCONT).expect("continued");
    output.read_to_string(&mut said).expect("read");
    assert!(holder.wait().expect("ended").success());
    assert!(said.contains("calls 2"), "its first version must not be written: {said}");
    save("later").expect("saved");
    let document = registry.read().expect("valid");
    let names: Vec<&str> = document.services().map(|entry| entry.name).collect();
    assert_eq!(names, ["mine", "late", "later"]);
}

#[test]
#[ignore = "a part of the test above"]
fn holder() {
    let Some(path) = variable("STORM_REGISTRY") else { return };
    let (mut out, mut calls) = (std::io::stdout(), 0);
    Registry::at(path)
        .change(|document| {
            calls += 1;
            if calls == 1 {
                writeln!(out, "holding").expect("said");
                std::io::stdin().read_exact(&mut [0]).expect("read");
            }
            document.insert(&Service::new(Scope::Global, "late"));
            Ok(())
        })
        .expect("changed");
    writeln!(out, "calls {calls}").expect("said");
}
