//! Who has a file open, and who holds which locks on it.

use serde_json::Value;

use super::{pports, sorted};
use crate::support::arena::inside;
use crate::support::form::{OPEN_FILE, assert_processes};
use crate::support::scene::raw;
use crate::support::{SOON, Scene, wait_until};

/// The kinds of the locks of a process, those that it waits for with a star.
fn locks(record: &Value) -> Vec<String> {
    let all = record["locks"].as_array().cloned().unwrap_or_default();
    let star = |lock: &Value| if lock["waits"] == true { "*" } else { "" };
    all.iter().map(|lock| format!("{}{}", lock["kind"].as_str().unwrap_or_default(), star(lock))).collect()
}

/// An empty file in the home of a scene.
fn file(scene: &Scene) -> String {
    let path = scene.home().join("LOCK");
    std::fs::write(&path, "").expect("written");
    path.display().to_string()
}

// proves: P13
#[test]
fn the_holder_of_a_lock_file_of_a_database_is_named() {
    let scene = Scene::new();
    let path = file(&scene);
    assert!(pports(&scene, ["--locks", &path]).run().quiet_but_denied().stdout.is_empty());
    // LevelDB takes a POSIX lock on the whole file.
    let database = scene.start(["lock", &path, "--kind", "posix"]);
    let mut beside = scene.start(["lock", &path, "--kind", "open"]);
    let said = pports(&scene, ["--locks", &path]).run().quiet_but_denied();
    assert_eq!(sorted(said.ids()), sorted(vec![database.root(), beside.root()]));
    let record = said.about(database.root());
    assert_eq!((locks(&record), &record["file"]), (vec!["posix".into()], &path.clone().into()));
    assert_eq!(record["locks"][0]["mode"], "write");
    assert!(locks(&said.about(beside.root())).is_empty());
    assert_processes(&said, &[OPEN_FILE]);
    let link = scene.home().join("link");
    std::os::unix::fs::symlink(&path, &link).expect("a link");
    let said = pports(&scene, ["--locks", link.to_str().expect("plain")]).run();
    assert_eq!(said.ids().len(), 2, "the file counts, not its name: {said:?}");
    beside.assert_untouched();
}

#[test]
fn every_kind_of_lock_is_that_of_who_holds_it_now() {
    inside(|| {
        let scene = Scene::new();
        for (kind, words) in
            [("flock", &[][..]), ("ofd", &["--kind", "ofd"]), ("posix", &["--kind", "posix"])]
        {
            let path = file(&scene);
            let mut actor = scene.start(["lock", &path, "--heirs", "1"].iter().chain(words));
            let said = pports(&scene, ["--locks", &path]).run().ended(0).quiet();
            assert_eq!(sorted(said.ids()), sorted(actor.ids()));
            assert_eq!(locks(&said.about(actor.root())), [kind]);
            // A POSIX lock is not inherited; the other two are.
            let inherited = if kind == "posix" { vec![] } else { vec![kind.to_owned()] };
            assert_eq!(locks(&said.about(actor.one("heir"))), inherited, "{kind}");
            let heir = actor.one("heir");
            actor.root().signal(nix::sys::signal::Signal::SIGKILL);
            wait_until(SOON, "the first one is gone", || actor.reap().is_some());
            let said = pports(&scene, ["--locks", &path]).run().ended(0).quiet();
            assert_eq!((said.ids(), locks(&said.record())), (vec![heir], inherited), "{kind}");
            actor.close();
        }
    });
}

#[test]
fn who_waits_for_a_lock_is_said_to_wait() {
    let scene = Scene::new();
    let path = file(&scene);
    let holder = scene.start(["lock", &path]);
    let waiter = scene.start(["want-lock", &path]);
    let look = || pports(&scene, ["--locks", &path]).run().quiet_but_denied();
    wait_until(SOON, "it waits", || !locks(&look().about(waiter.root())).is_empty());
    let said = look();
    assert_eq!(locks(&said.about(holder.root())), ["flock"]);
    assert_eq!(locks(&said.about(waiter.root())), ["flock*"]);
    assert_processes(&said, &[OPEN_FILE]);
}

#[test]
fn a_name_that_is_no_text_and_selectors_and_records() {
    let scene = Scene::new();
    let path = scene.home().join(raw(b"a\n\xff"));
    std::fs::write(&path, "").expect("written");
    let one = scene.start([raw(b"lock"), path.clone().into_os_string()]);
    let two = scene.start([raw(b"lock"), path.clone().into_os_string(), raw(b"--kind"), raw(b"open")]);
    let look = |words: &[&str]| scene.tool("pports").arg("--locks").arg(&path).args(words);
    let said = look(&[]).run().quiet_but_denied();
    assert_eq!(said.ids().len(), 2);
    assert!(said.records()[0]["file"]["bytes"].is_string(), "{said:?}");
    assert_eq!(look(&["--pattern", "kind open"]).run().ids(), [two.root()]);
    let said = look(&["-"]).stdin(format!("{}\n", one.root().operand())).run().ended(0).quiet();
    assert_eq!(said.ids(), [one.root()]);
    look(&["--expect", "7", "-q"]).run().ended_or_denied(1);
    pports(&scene, ["--locks", "/no/such/file"]).run().ended(3).one_message();
}

#[test]
fn without_permission_the_list_of_the_kernel_names_the_holder_and_the_rest_is_said() {
    let scene = Scene::new();
    let path = file(&scene);
    let holder = scene.start(["lock", &path]);
    let open = std::process::Command::new("chmod").args(["-R", "a+rX"]).arg(scene.home()).status();
    assert!(open.is_ok_and(|status| status.success()));
    let said = pports(&scene, ["--locks", &path]).under(["--uid", "65534"]).run().ended(3);
    assert_eq!((said.ids(), locks(&said.record())), (vec![holder.root()], vec!["flock".into()]));
    assert!(said.stderr.contains("not permitted"), "{said:?}");
}

/// The first process of some machines may not be looked into even by root; that is said, with exit 3.
trait ButDenied {
    fn quiet_but_denied(self) -> Self;
    fn ended_or_denied(self, code: i32) -> Self;
}

impl ButDenied for crate::support::Output {
    #[track_caller]
    fn quiet_but_denied(self) -> Self {
        let denied = self.code == Some(3) && self.one_message().contains("not permitted");
        assert!(denied || (self.code == Some(0) && self.stderr.is_empty()), "{self:?}");
        self
    }

    #[track_caller]
    fn ended_or_denied(self, code: i32) -> Self {
        let denied = self.code == Some(3) && self.stderr.contains("not permitted");
        assert!(denied || self.code == Some(code), "{self:?}");
        self
    }
}
