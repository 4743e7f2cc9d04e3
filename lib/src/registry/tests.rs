//! The registry as its callers see it: places, transactions, damage, claims.

mod steps;
mod storm;

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::process::{Child, Command, Stdio};

use super::*;
use crate::id::{Identity, Pid};
use crate::source::Wants;

struct Place {
    folder: tempfile::TempDir,
    registry: Registry,
}

fn place() -> Place {
    let folder = tempfile::tempdir().expect("a folder");
    let registry = Registry::at(folder.path().join("state/registry.json"));
    Place { folder, registry }
}

impl Place {
    fn write(&self, text: &str) {
        let path = self.registry.path();
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        std::fs::write(path, text).expect("written");
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).expect("mode");
    }

    fn text(&self) -> String {
        std::fs::read_to_string(self.registry.path()).expect("a registry")
    }

    /// Everything in the folder of the registry but the registry and its lock.
    fn litter(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.folder.path().join("state")).expect("a folder");
        let names = entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned());
        names.filter(|name| name != "registry.json" && name != "registry.json.flock").collect()
    }
}

fn looking() -> (Host, Source) {
    (Host::look().expect("a host"), Source::live().expect("/proc"))
}

fn child() -> Child {
    Command::new("cat").stdin(Stdio::piped()).spawn().expect("a child")
}

fn identity(host: &Host, source: &Source, child: &Child) -> Identity {
    let pid = Pid::new(child.id()).expect("a pid");
    source.reader(Wants::EVERYDAY).read(pid).expect("readable").expect("alive").identity(host.place())
}

fn service(name: &str, id: &Identity) -> Service {
    let mut service = Service::new(Scope::Global, name);
    service.set_process(id, unix_ms());
    service
}

#[test]
// proves: P36 P04
fn the_first_change_makes_the_registry_for_this_user_alone() {
    let place = place();
    assert!(place.registry.read().expect("empty").services().next().is_none());
    assert!(!place.registry.exists(), "reading makes nothing");
    place
        .registry
        .change(|document| {
            document.insert(&Service::new(Scope::Global, "a"));
            Ok(())
        })
        .expect("changed");
    let facts = std::fs::metadata(place.registry.path()).expect("a file");
    assert_eq!(facts.mode() & 0o7777, 0o600);
    let folder = std::fs::metadata(place.registry.path().parent().expect("a folder")).expect("a folder");
    assert_eq!(folder.mode() & 0o7777, 0o700);
    assert!(place.litter().is_empty(), "{:?}", place.litter());
    let json: serde_json::Value = serde_json::from_str(&place.text()).expect("JSON");
    assert_eq!(json["version"], "3.0.0");
    assert!(json["lastChange"].as_u64().is_some_and(|ms| ms > 1_600_000_000_000));
    assert_eq!(json["services"]["global"]["a"]["type"], "global");
}

#[test]
fn what_nobody_touches_survives_byte_for_byte() {
    let place = place();
    let odd = r#"{"pid": 1.5e2,   "x":"\u00e9", "nested": {"b":[1, 2.50],
        "a":1e400}}"#;
    place.write(&format!(
        r#"{{"future":[ 1,2 ],"version":"3.0.0","services":{{"odd":7,"global":{{"keep":{odd}}},"projects":{{}}}},"sessions":{{"s":{odd}}}}}"#
    ));
    place
        .registry
        .change(|document| {
            document.insert(&Service::new(Scope::Project("/tmp".into()), "new"));
            Ok(())
        })
        .expect("changed");
    let text = place.text();
    assert_eq!(text.matches(odd).count(), 2, "{text}");
    assert!(text.contains("\"future\": [ 1,2 ]") && text.contains("\"odd\": 7"), "{text}");
    assert!(text.find("future") < text.find("version"), "the order stays");
}

#[test]
fn a_change_that_fails_or_changes_nothing_leaves_the_file_as_it_is() {
    let place = place();
    place.write(r#"{"version":"3.0.0"}"#);
    let before = std::fs::metadata(place.registry.path()).expect("a file").ino();
    let failed: Result<()> = place.registry.change(|document| {
        document.insert(&Service::new(Scope::Global, "a"));
        Err(Error::new(Kind::Refused, "test", "", "no"))
    });
    assert!(failed.is_err());
    assert!(!place.registry.change(|document| Ok(document.remove_session("x"))).expect("no change"));
    assert_eq!(std::fs::metadata(place.registry.path()).expect("a file").ino(), before);
    assert!(place.litter().is_empty());
}

#[test]
// proves: S36
fn damage_is_said_never_overwritten_and_set_aside_on_request() {
    let deep = format!(r#"{{"version":"3.0.0","x":{}{}}}"#, "[".repeat(200_000), "]".repeat(200_000));
    for (text, why) in [
        ("", "empty"),
        ("   \n", "empty"),
        ("{", "EOF"),
        ("[]", "expected an object"),
        ("7", "expected an object"),
        (r#"{"version":"3.0.0"} x"#, "trailing"),
        (r#"{"version":"3.0.0","services":[]}"#, "expected an object"),
        (r#"{"version":"3.0.0","sessions":{"a":1,"a":2}}"#, "twice"),
        (r#"{"version":"3.1.0"}"#, "newer"),
        (r#"{"version":"4.0.0"}"#, "newer"),
        (r#"{"version":"1.0.0"}"#, "import"),
        (r#"{"version":3}"#, "no version"),
        ("{}", "no version"),
        (deep.as_str(), "deeper"),
    ] {
        let place = place();
        place.write(text);
        for error in [
            place.registry.read().expect_err("damaged"),
            place.registry.change(|document| Ok(document.remove_session("x"))).expect_err("damaged"),
        ] {
            assert_eq!(error.kind(), Kind::Damaged, "{error}");
            assert!(error.to_string().contains(why), "{error} does not say '{why}'");
            assert!(!error.to_string().contains('\n'));
        }
        assert_eq!(place.text(), text);
        let aside = place.registry.repair().expect("repaired").expect("set aside");
        assert_eq!(std::fs::read_to_string(aside).expect("kept"), text);
        assert!(place.registry.repair().expect("nothing to do").is_none());
    }
}

#[test]
fn a_gigabyte_of_nothing_is_refused_without_being_read() {
    let place = place();
    place.write("");
    let file = std::fs::OpenOptions::new().write(true).open(place.registry.path()).expect("opened");
    file.set_len(1 << 30).expect("a hole");
    let error = place.registry.read().expect_err("too large");
    assert_eq!(error.kind(), Kind::Damaged);
    assert!(error.to_string().contains("larger"), "{error}");
}

#[test]
fn a_registry_that_others_could_have_written_is_refused() {
    let place = place();
    place.write(r#"{"version":"3.0.0"}"#);
    let refused = |what: &str| {
        let read = place.registry.read().expect_err("refused");
        assert_eq!(read.kind(), Kind::Refused, "{what}: {read}");
        let change = place.registry.change(|document| Ok(document.remove_session("x")));
        assert_eq!(change.expect_err("refused").kind(), Kind::Refused, "{what}");
    };
    let path = place.registry.path();
    let mode = |path: &Path, mode| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("mode");
    };
    mode(path, 0o622);
    refused("world-writable");
    mode(path, 0o620);
    refused("group-writable");
    mode(path, 0o600);
    mode(path.parent().expect("a folder"), 0o777);
    refused("in a folder for everybody");
    mode(path.parent().expect("a folder"), 0o700);
    let elsewhere = place.folder.path().join("elsewhere");
    std::fs::rename(path, &elsewhere).expect("moved");
    symlink(&elsewhere, path).expect("linked");
    refused("a link");
    std::fs::remove_file(path).expect("removed");
    std::fs::create_dir(path).expect("made");
    refused("a folder");
}

#[test]
fn scopes_that_do_not_exist_are_errors_with_the_choices() {
    let place = place();
    let project = place.folder.path().join("project");
    std::fs::create_dir_all(&project).expect("made");
    symlink(&project, place.folder.path().join("link")).expect("linked");
    let linked = format!("{}/", place.folder.path().join("link").display());
    let (mut document, real) = (Document::empty(), std::fs::canonicalize(&project).expect("a path"));
    document.insert(&Service::new(Scope::Project(linked.clone()), "a"));
    document.insert(&Service::new(Scope::Global, "a"));
    for (choice, words) in [
        (Choice { project: Some(String::new()), ..Choice::default() }, "empty"),
        (Choice { project: Some("/no/such/folder".into()), ..Choice::default() }, linked.as_str()),
        (Choice { session: Some("no such".into()), ..Choice::default() }, "not registered"),
        (Choice { session: Some(String::new()), ..Choice::default() }, "empty"),
        (Choice { global: true, session: Some("x".into()), ..Choice::default() }, "only one"),
    ] {
        let error = choice.typed(&document).expect_err("an error");
        assert_eq!(error.kind(), Kind::Invalid);
        assert!(error.to_string().contains(words), "{error} lacks '{words}'");
    }
    let scope = Scope::project(real.to_str().expect("UTF-8"), &document).expect("known by another name");
    assert_eq!(scope, Scope::Project(linked.clone()));
    let error = document.find("a", None).expect_err("ambiguous");
    assert!(error.to_string().contains("--global") && error.to_string().contains(&linked), "{error}");
    assert!(document.find("a", Some(&Scope::Global)).expect("found").is_some());
    assert!(document.find("b", None).expect("none").is_none());
}

#[test]
fn a_process_is_judged_by_identity() {
    let ((host, source), mut child) = (looking(), child());
    let id = identity(&host, &source, &child);
    let alive = service("a", &id);
    assert!(judge(&host, &source, &alive).is_alive());
    let mut elsewhere = id.clone();
    elsewhere.boot = "00000000-0000-0000-0000-000000000001".parse().ok();
    elsewhere.host = Some("another".into());
    assert_eq!(judge(&host, &source, &service("a", &elsewhere)).word(), "foreign");
    child.kill().expect("killed");
    while !matches!(judge(&host, &source, &alive), Verdict::Dead(_)) {
        std::thread::yield_now();
    }
    child.wait().expect("reaped");
    assert!(judge(&host, &source, &alive).is_dead());
}

#[test]
fn an_entry_with_a_bare_number_is_judged_by_the_time_of_its_registration() {
    let ((host, source), mut child) = (looking(), child());
    let bare = |pid: u32, started: u64| {
        let fields = format!(r#"{{"pid":{pid},"startTime":{started}}}"#);
        let record = crate::record::Record::parse(fields.as_bytes()).expect("a record");
        Service::from_fields(Scope::Global, "a", record)
    };
    let later = unix_ms() + 20;
    let Verdict::Alive(found) = judge(&host, &source, &bare(child.id(), later)) else { panic!("not alive") };
    assert!(found.same_as(&identity(&host, &source, &child)));
    assert_eq!(judge(&host, &source, &bare(child.id(), later - 60_000)).word(), "unknown");
    assert_eq!(judge(&host, &source, &bare(child.id(), 0)).word(), "unknown");
    child.kill().and_then(|()| child.wait()).expect("ended");
    assert!(judge(&host, &source, &bare(child.id(), later)).is_dead());
}

#[test]
fn entries_that_can_be_nobodys_service_are_inert() {
    let (host, source) = looking();
    for pid in ["0", "-1", "1", "4194305", "1.5", "\"7\"", "null", "[1]", "1e300"] {
        let record = format!(r#"{{"pid":{pid},"startTime":1}}"#);
        let record = crate::record::Record::parse(record.as_bytes()).expect("a record");
        let service = Service::from_fields(Scope::Global, "a", record);
        let verdict = judge(&host, &source, &service);
        assert!(matches!(verdict, Verdict::Inert(_)), "{pid}: {verdict:?}");
        let mut out = Vec::new();
        write_service(&service, &verdict, &mut out);
        let line = crate::record::Record::parse(&out).expect("a record");
        assert!(line.get("pid").is_none() && line.get("why").is_some());
    }
}

#[test]
fn an_identity_that_names_another_number_is_an_older_one() {
    let ((host, source), child) = (looking(), child());
    let mut service = service("a", &identity(&host, &source, &child));
    service.set("pid", &std::process::id());
    let id = service.identity().expect("a number");
    assert_eq!((id.pid, id.inode, id.boot), (Pid::this(), None, None));
    drop(child);
}

#[test]
// proves: P30
fn a_name_is_claimed_once_while_its_holder_lives() {
    let ((host, source), place, mut child) = (looking(), place(), child());
    let mine = service("a", &identity(&host, &source, &child));
    let take = || {
        place
            .registry
            .change(|document| {
                let claim = claim(document, &host, &source, &Scope::Global, "a")?;
                if matches!(claim, Claim::Free(_)) {
                    document.insert(&mine);
                }
                Ok(matches!(claim, Claim::Free(_)))
            })
            .expect("changed")
    };
    assert_eq!((take(), take()), (true, false));
    child.kill().and_then(|()| child.wait()).expect("ended");
    assert!(take(), "the holder is dead");
}

#[test]
// proves: M02 M32
fn a_lock_that_is_held_is_waited_for_and_its_holder_is_named() {
    let place = place();
    place.write(r#"{"version":"3.0.0"}"#);
    let lock = File::create(place.folder.path().join("state/registry.json.flock")).expect("a file");
    lock.lock().expect("locked");
    let short = place.registry.clone().lock_timeout(Duration::from_millis(30));
    let error = short.change(|document| Ok(document.remove_session("x"))).expect_err("busy");
    assert_eq!(error.kind(), Kind::Busy);
    assert!(error.to_string().contains(&std::process::id().to_string()), "{error}");
    let waiting = std::thread::spawn({
        let registry = place.registry.clone();
        move || registry.change(|document| Ok(document.remove_session("x")))
    });
    drop(lock);
    assert!(!waiting.join().expect("no panic").expect("changed"));
}

#[test]
// proves: M32
fn a_lock_file_that_somebody_removed_is_no_way_past_the_lock() {
    let place = place();
    let lock_path = place.folder.path().join("state/registry.json.flock");
    place.write(r#"{"version":"3.0.0"}"#);
    let mut calls = 0;
    place
        .registry
        .change(|document| {
            calls += 1;
            if calls == 1 {
                std::fs::remove_file(&lock_path).expect("removed");
                place
                    .registry
                    .change(|document| {
                        document.insert(&Service::new(Scope::Global, "other"));
                        Ok(())
                    })
                    .expect("the other changes");
            }
            document.insert(&Service::new(Scope::Global, "mine"));
            Ok(())
        })
        .expect("changed");
    assert_eq!(calls, 2, "the first attempt was overtaken and must not be written");
    let document = place.registry.read().expect("a registry");
    let names: Vec<&str> = document.services().map(|entry| entry.name).collect();
    assert_eq!(names, ["other", "mine"]);
    assert!(place.litter().is_empty());
}

#[test]
fn what_killed_writers_left_is_removed_by_the_next() {
    let place = place();
    place.write(r#"{"version":"3.0.0"}"#);
    let left = place.folder.path().join("state/.registry.json.4711.0123456789abcdef.tmp");
    std::fs::write(&left, "half").expect("written");
    std::fs::write(place.folder.path().join("state/.registry.json.mine"), "kept").expect("written");
    place.registry.change(|document| Ok(document.remove_session("x"))).expect("changed");
    assert_eq!(place.litter(), [".registry.json.mine"]);
}

#[test]
// proves: M03 M33
fn a_session_and_its_services_are_told_apart_by_their_owner() {
    let ((host, source), mut owner) = (looking(), child());
    let id = identity(&host, &source, &owner);
    let mut document = Document::empty();
    document.insert_session(&Session::new("s 1", &id, unix_ms(), Some("/tmp")));
    let mut member = Service::new(Scope::Session("s 1".into()), "a");
    member.set_process(&id, unix_ms());
    member.set("cookie", "c1");
    document.insert(&member);
    let known = Known::of(&document, &host, &source);
    assert!(known.session_lives("s 1") && known.service_of_cookie("c1").is_some());
    owner.kill().and_then(|()| owner.wait()).expect("ended");
    let known = Known::of(&document, &host, &source);
    assert!(known.session_has_ended("s 1") && known.living.is_empty());
    assert_eq!(known.ended.len(), 1);
    assert_eq!(document.remove_all(|entry| entry.scope == Scope::Session("s 1".into())), 1);
}
