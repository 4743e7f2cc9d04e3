//! What tools that wait show people meanwhile: one line in place, on a terminal alone, and nothing of it stays.

use nix::sys::signal::Signal;

use crate::support::Scene;
use crate::support::terminal::Terminal;

/// What stands on a screen in the end, as far as a line is drawn and taken away in place.
fn left_on(screen: &[u8]) -> String {
    let text = String::from_utf8_lossy(screen).replace("\r\n", "\n");
    let lines = text.split('\n').map(|line| {
        let last = line.rsplit('\r').next().unwrap_or_default();
        last.replace("\u{1b}[K", "")
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// All lines that were drawn, as wide as they are.
fn drawn(screen: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(screen).into_owned();
    let lines = text.split('\r').filter_map(|part| part.split_once("\u{1b}[K"));
    lines.map(|(line, _)| line.to_owned()).filter(|line| !line.is_empty()).collect()
}

// proves: S30
#[test]
fn pgone_names_what_is_still_there_and_how_much_time_is_left() {
    let scene = Scene::new();
    let actor = scene.start(["idle", "--comm", "stayer"]);
    let port = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    let number = port.local_addr().expect("an address").port().to_string();
    let operand = actor.root().operand();
    let tool = |limit: &str| scene.tool("pgone").args([operand.as_str(), "--port", &number, "-t", limit]);
    assert_eq!(
        tool("300ms").run().ended(124).one_message(),
        "pgone: wait: out of time",
        "a pipe is told no more"
    );
    let hushed = tool("300ms").arg("--quiet").on(Terminal::new(80, 24).messages()).run().ended(124);
    assert!(drawn(&hushed.screen).is_empty(), "{hushed:?}");
    let mut running = tool("9s").on(Terminal::new(80, 24).messages()).start();
    running.wait_for_screen("waiting for 2, ");
    drop(port);
    running.wait_for_screen("waiting for 1, ");
    actor.root().signal(Signal::SIGKILL);
    let said = running.finish().ended(0);
    let lines = drawn(&said.screen);
    assert!(lines.iter().all(|line| line.contains("s left: stayer(")), "{lines:?}");
    let both = format!("stayer({}), port {number}", actor.root().pid);
    assert!(lines[0].ends_with(&both), "{lines:?}");
    assert_eq!(left_on(&said.screen), "", "nothing of it stays: {said:?}");
}

#[test]
fn a_line_of_progress_never_fills_the_window() {
    let scene = Scene::new();
    let actors = ["one", "two", "three", "four", "five", "six"]
        .map(|name| scene.start(["idle", "--comm", &format!("number-{name}")]));
    let operands: Vec<String> = actors.iter().map(|actor| actor.root().operand()).collect();
    for width in [20, 41, 200] {
        let mut running = scene.tool("pgone").args(&operands).on(Terminal::new(width, 24).messages()).start();
        // Without an end in sight, time is counted upwards.
        running.wait_for_screen(if width > 40 { "s so far: number-one(" } else { "waiting for 6" });
        running.signal(Signal::SIGTERM);
        let lines = drawn(&running.finish().screen);
        assert!(
            !lines.is_empty() && lines.iter().all(|line| line.len() < width.into()),
            "{width}: {lines:?}"
        );
        assert!(
            width < 200 || lines.iter().all(|line| line.ends_with(", ...")),
            "that is not all: {lines:?}"
        );
    }
    // Nor does it when the window becomes narrower meanwhile.
    let mut running = scene.tool("pgone").args(&operands).on(Terminal::new(100, 24).messages()).start();
    running.wait_for_screen("number-two(");
    scene.sh(&format!("stty cols 30 </proc/{}/fd/2", running.id().pid)).run().ended(0);
    (0..3).for_each(|_| running.wait_for_screen("waiting for 6"));
    running.signal(Signal::SIGTERM);
    let lines = drawn(&running.finish().screen);
    assert!(lines[0].len() > 30 && lines.last().is_some_and(|line| line.len() < 30), "{lines:?}");
    let dumb = scene.tool("pgone").args(&operands).args(["-t", "300ms"]).env("TERM", "dumb");
    let said = dumb.on(Terminal::new(80, 24).messages()).run().ended(124);
    assert_eq!(String::from_utf8_lossy(&said.screen), "pgone: wait: out of time\r\n");
}

#[test]
fn pspawn_names_what_is_not_ready() {
    let scene = Scene::new();
    let file = scene.home().join("made");
    let ready = format!("file:{}", file.display());
    let words = ["api", "--ready", &ready, "--ready", "command:true", "--ready-timeout", "9s"];
    let tool = scene.tool("pspawn").args(words).args(["--", "sleep", "1000"]);
    let mut running = tool.on(Terminal::new(400, 24).messages()).start();
    running.wait_for_screen("s left: ");
    running.wait_for_screen("/made\u{1b}[K");
    std::fs::write(&file, "").expect("written");
    let said = running.finish().ended(0);
    let lines = drawn(&said.screen);
    assert!(lines.iter().all(|line| line.starts_with("waiting for api, ")), "{lines:?}");
    assert_eq!(left_on(&said.screen), "", "{said:?}");
    scene.tool("pkill-tree").args(["api", "--force"]).run().ended(0);
}

#[test]
fn pkeep_tells_how_many_are_healthy_and_when_it_tries_again() {
    let scene = Scene::new();
    let keep = |words: &[&str]| {
        let tool = scene.tool("pkeep").args(words).on(Terminal::new(100, 24).messages());
        tool.start()
    };
    let mut running = keep(&["--as", "one", "well", "--", "sleep", "1000"]);
    running.wait_for_screen("keeping 1, 1 healthy, ");
    running.wait_for_screen("s so far");
    running.signal(Signal::SIGTERM);
    let said = running.finish().ended(0);
    assert_eq!(said.records().len(), 2, "records are where they always are: {said:?}");
    assert_eq!(left_on(&said.screen), "", "{said:?}");
    let mut running = keep(&["--as", "two", "--pause", "9s", "ill", "--", "false"]);
    running.wait_for_screen("keeping 1, 0 healthy, 8.");
    running.wait_for_screen("s left: ill\u{1b}[K");
    running.signal(Signal::SIGTERM);
    running.finish().ended(0);
}

#[test]
fn records_on_the_same_terminal_take_its_place() {
    let scene = Scene::new();
    let (first, second) = (scene.start(["idle"]), scene.start(["idle"]));
    let operands = [first.root().operand(), second.root().operand()];
    let tool = scene.tool("pgone").args(&operands).args(["--format", "ndjson"]);
    let mut running = tool.on(Terminal::new(400, 24).output().messages()).start();
    running.wait_for_screen("waiting for 2");
    first.root().signal(Signal::SIGKILL);
    running.wait_for_screen("waiting for 1");
    second.root().signal(Signal::SIGKILL);
    let said = running.finish().ended(0);
    let left = left_on(&said.screen);
    let lines: Vec<&str> = left.trim_end().lines().collect();
    assert_eq!(lines.len(), 2, "{left}");
    assert!(lines.iter().all(|line| line.starts_with("{\"type\":\"outcome\"")), "{left}");
}
