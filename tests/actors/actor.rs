//! The processes that tests watch and end: one program, one mode for each idea.
//!
//! `actor MODE [options] [operands]`. Each process that it makes writes one line of JSON when it is as it is meant to
//! be: `{"role":…,"more":…,"pid":…,"start_ticks":…,"inode":…,"ppid":…,"pgid":…,"sid":…}`. `more` counts the lines
//! that its own children will write, so a reader knows when it has them all: lines = 1 + the sum of `more`.
//! `settles` is the state that the process is about to be in: `T`, `Z` or `gone`. What happens later is written as
//! `{"event":…}`.
//!
//! Standard input is the life line. All processes of one actor share it, and each of them ends when its writer closes
//! it. It must therefore be a pipe; with `--outlive SECONDS` the clock ends them instead, never later than that.
//!
//! The first process leads a session of its own, unless `--same-session` is given: a test that goes wrong does not
//! take its terminal with it.

mod cast;
mod faults;
mod holds;
mod life;
mod names;
mod reapers;
mod serve;
mod shapes;
mod sockets;
mod storms;
mod sys;

use std::ffi::OsString;
use std::io::Write as _;
use std::process::ExitCode;

use cast::Cast;

/// What the modes return: the exit code of the process that returns it, parent or child.
type Played = Result<ExitCode, Box<dyn std::error::Error>>;

type Mode = (&'static str, fn(&Cast) -> Played, &'static str);

const MODES: &[Mode] = &[
    ("idle", shapes::idle, "wait"),
    ("ignore-term", shapes::idle, "wait, and ignore TERM, INT and HUP"),
    ("slow-exit", shapes::idle, "MS: end that long after TERM, with --code"),
    ("stopped", shapes::idle, "stop oneself"),
    ("spin", shapes::idle, "use up a processor"),
    ("late-spin", shapes::late_spin, "wait, and from USR1 on use up a processor"),
    ("uninterruptible", shapes::uninterruptible, "wait for a child, in state D"),
    ("witness", shapes::idle, "write an event for each signal that arrives, and go on"),
    ("tree", shapes::tree, "--depth --width: a bushy tree, the root included"),
    ("chain", shapes::chain, "N: each the parent of the next"),
    ("wide", shapes::wide, "N children of one parent"),
    ("orphan", shapes::orphan, "[N]: children that stay when their parent ends; --depth --width below each"),
    ("double-fork", shapes::double_fork, "a grandchild that is adopted while the root lives"),
    ("setsid-child", shapes::setsid_child, "a child in a session of its own"),
    (
        "brothers",
        shapes::brothers,
        "[N]: made with CLONE_PARENT, so they are children of the actor's parent; --setsid",
    ),
    ("daemon", shapes::daemon, "setsid and a double fork: a member of a session whose leader has gone"),
    ("clear-env", names::clear_env, "idle with an empty environment"),
    ("argv", names::argv, "[ARG…]: idle with these bytes as its arguments; --size --count, --none"),
    ("exec-later", names::exec_later, "exec on USR1, as --uid if given"),
    ("zombie", reapers::zombie, "[N]: dead children that nobody reaps"),
    (
        "late-reaper",
        reapers::late_reaper,
        "a dead child at a time, reaped and replaced by the clock (--reap-every MS) or on USR1; on USR2 another one dies and is reaped",
    ),
    ("dead-main-thread", reapers::dead_main_thread, "state Z with a living thread"),
    (
        "subreaper",
        reapers::subreaper,
        "-- COMMAND: adopt and reap what is orphaned below; --reap-every MS, --until-command",
    ),
    ("respawner", storms::respawner, "restart a child at once when it dies, --budget times"),
    (
        "fork-storm",
        storms::storm,
        "--rate a second, --lanes parents, each child lives --life MS; --budget in all, --seconds",
    ),
    (
        "hopper",
        storms::hopper,
        "a process that forks its successor and ends, --rate a second; --budget, --seconds",
    ),
    ("tracer", holds::tracer, "PID: trace a process, which stops for it"),
    ("lock", holds::lock, "FILE: hold an exclusive lock on it; --kind, --heirs"),
    ("want-lock", holds::want_lock, "FILE: wait for a lock on it; dies of any signal"),
    (
        "listen",
        sockets::listen,
        "[[v4:|v6:|udp:]PORT | unix:PATH | abstract:NAME]: listen; the port is in the line; --share, --heirs, --uid",
    ),
    (
        "serve",
        serve::serve,
        "[PORT|PATH] [WORDS]: listen, accept everybody and say these words; the port is in the line",
    ),
    ("deaf", serve::serve, "[PORT|PATH]: likewise, and accept nobody; --forked: below a parent that ends"),
    ("hand-over", sockets::hand_over, "[PORT]: make a listening socket and pass it to a child, as --uid"),
    ("client", sockets::client, "PORT…: connect to the loopback, and stay connected"),
    ("time-wait", sockets::time_wait, "leave a closed connection on a port; the port is in the line"),
    (
        "kill-at",
        faults::kill_at,
        "N -- COMMAND: kill it in its Nth call, counted from the start or its fork (--forked), or kill that --child",
    ),
    ("under", holds::under, "-- COMMAND under limits: --nofile --fsize --uid --no-pidfd --no-netlink --ctty"),
];

fn main() -> ExitCode {
    play().unwrap_or_else(|why| {
        // Nothing better can be done with a closed standard error.
        let _ = writeln!(std::io::stderr(), "actor: {why}");
        ExitCode::from(2)
    })
}

fn play() -> Played {
    // A process whose argument vector is part of the scene is told by its environment what to play.
    let words: Vec<OsString> = match std::env::var(cast::ACTOR_AS) {
        Ok(text) => text.split(' ').map(OsString::from).collect(),
        Err(_) => std::env::args_os().skip(1).collect(),
    };
    let cast = Cast::parse(words)?;
    let Some((_, mode, _)) = MODES.iter().find(|(name, ..)| *name == cast.mode) else {
        let known: Vec<_> = MODES.iter().map(|(name, _, what)| format!("\n  {name:18}{what}")).collect();
        return Err(format!("no mode named '{}'; there are:{}", cast.mode, known.concat()).into());
    };
    if cast.lives_by_pipe() {
        life::require_pipe()?;
    }
    if !cast.same_session {
        // A leader stays where it is: it has been made one by whoever started it.
        let _ = nix::unistd::setsid();
    }
    mode(&cast)
}
