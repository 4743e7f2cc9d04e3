//! What an actor is told to be: its command line.

use std::ffi::{CString, OsString};
use std::os::unix::ffi::OsStringExt as _;
use std::time::Duration;

/// The environment variable that stands in for the arguments, separated by spaces.
pub(crate) const ACTOR_AS: &str = "ACTOR_AS";

/// What a process does when it is asked to end.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum OnTerm {
    /// What every process does: it dies of the signal.
    Die,
    /// TERM, INT and HUP have no effect.
    Ignore,
    /// It ends by itself after a while.
    Exit(Duration),
    /// It writes an event for every signal that can be caught, and goes on.
    Tell,
}

/// What a process does meanwhile.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Then {
    /// It waits.
    Wait,
    /// It stops itself.
    Stop,
    /// It uses up a processor.
    Spin,
}

/// When a process reaps its children.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reaps {
    /// As soon as they are dead.
    AtOnce,
    /// By the clock, as some init processes do.
    Every(Duration),
    /// Never.
    Never,
}

/// All that an actor can be told.
#[derive(Clone)]
#[allow(clippy::struct_excessive_bools, reason = "each is a switch of the command line")]
pub(crate) struct Cast {
    pub(crate) mode: String,
    pub(crate) operands: Vec<OsString>,
    /// The words of the command line without the mode, for an actor that starts itself again.
    pub(crate) words: Vec<OsString>,
    pub(crate) role: Option<String>,
    pub(crate) event: Option<String>,
    /// Whether it writes no line about itself.
    pub(crate) silent: bool,
    pub(crate) on_term: OnTerm,
    pub(crate) then: Then,
    pub(crate) code: u8,
    pub(crate) outlive: Option<Duration>,
    pub(crate) comm: Option<CString>,
    pub(crate) title: Option<OsString>,
    pub(crate) same_session: bool,
    pub(crate) own_group: bool,
    pub(crate) depth: usize,
    pub(crate) width: usize,
    pub(crate) lanes: usize,
    pub(crate) rate: u32,
    pub(crate) budget: usize,
    pub(crate) life: Duration,
    pub(crate) last: Duration,
    pub(crate) setsid: bool,
    pub(crate) reaps: Reaps,
    pub(crate) until_command: bool,
    pub(crate) size: usize,
    pub(crate) count: usize,
    pub(crate) none: bool,
    pub(crate) nofile: Option<u64>,
    pub(crate) fsize: Option<u64>,
    pub(crate) uid: Option<u32>,
    pub(crate) no_pidfd: bool,
    pub(crate) no_netlink: bool,
    pub(crate) share: bool,
    pub(crate) heirs: usize,
    pub(crate) kind: Option<String>,
    pub(crate) ctty: bool,
    pub(crate) child: bool,
    pub(crate) forked: bool,
}

impl Cast {
    /// Reads the words of a command line; the first is the mode.
    pub(crate) fn parse(words: Vec<OsString>) -> Result<Self, Box<dyn std::error::Error>> {
        use lexopt::Arg::{Long, Value};
        use lexopt::ValueExt as _;
        let mut words = words.into_iter();
        let mode =
            words.next().ok_or("no mode is given")?.into_string().map_err(|_| "the mode is not text")?;
        let words: Vec<OsString> = words.collect();
        let mut cast = Self::named(mode, words.clone());
        let mut parser = lexopt::Parser::from_args(words);
        while let Some(word) = parser.next()? {
            let ms = |value: OsString| value.parse().map(Duration::from_millis);
            match word {
                Value(value) => cast.operands.push(value),
                Long("role") => cast.role = Some(parser.value()?.string()?),
                Long("event") => cast.event = Some(parser.value()?.string()?),
                Long("on-term") => {
                    cast.on_term = match parser.value()?.string()?.as_str() {
                        "die" => OnTerm::Die,
                        "ignore" => OnTerm::Ignore,
                        "exit" => OnTerm::Exit(Duration::ZERO),
                        "tell" => OnTerm::Tell,
                        other => {
                            return Err(
                                format!("--on-term: '{other}' is not die, ignore, exit or tell").into()
                            );
                        }
                    }
                }
                Long("exit-after") => cast.on_term = OnTerm::Exit(ms(parser.value()?)?),
                Long("then") => {
                    cast.then = match parser.value()?.string()?.as_str() {
                        "wait" => Then::Wait,
                        "stop" => Then::Stop,
                        "spin" => Then::Spin,
                        other => return Err(format!("--then: '{other}' is not wait, stop or spin").into()),
                    }
                }
                Long("code") => cast.code = parser.value()?.parse()?,
                Long("outlive") => cast.outlive = Some(Duration::from_secs(parser.value()?.parse()?)),
                Long("comm") => cast.comm = Some(CString::new(parser.value()?.into_vec())?),
                Long("title") => cast.title = Some(parser.value()?),
                Long("same-session") => cast.same_session = true,
                Long("own-group") => cast.own_group = true,
                Long("depth") => cast.depth = parser.value()?.parse()?,
                Long("width") => cast.width = parser.value()?.parse()?,
                Long("lanes") => cast.lanes = parser.value()?.parse()?,
                Long("rate") => cast.rate = parser.value()?.parse()?,
                Long("budget") => cast.budget = parser.value()?.parse()?,
                Long("life") => cast.life = ms(parser.value()?)?,
                Long("seconds") => cast.last = Duration::from_secs(parser.value()?.parse()?),
                Long("setsid") => cast.setsid = true,
                Long("reap-every") => cast.reaps = Reaps::Every(ms(parser.value()?)?),
                Long("until-command") => {
                    (cast.until_command, cast.silent, cast.same_session) = (true, true, true);
                }
                Long("size") => cast.size = parser.value()?.parse()?,
                Long("count") => cast.count = parser.value()?.parse()?,
                Long("none") => cast.none = true,
                Long("nofile") => cast.nofile = Some(parser.value()?.parse()?),
                Long("fsize") => cast.fsize = Some(parser.value()?.parse()?),
                Long("uid") => cast.uid = Some(parser.value()?.parse()?),
                Long("no-pidfd") => cast.no_pidfd = true,
                Long("no-netlink") => cast.no_netlink = true,
                Long("share") => cast.share = true,
                Long("heirs") => cast.heirs = parser.value()?.parse()?,
                Long("kind") => cast.kind = Some(parser.value()?.string()?),
                Long("ctty") => cast.ctty = true,
                Long("child") => cast.child = true,
                Long("forked") => cast.forked = true,
                other => return Err(other.unexpected().into()),
            }
        }
        if cast.mode == "slow-exit" {
            cast.on_term = OnTerm::Exit(Duration::from_millis(cast.number(0, 0)?.try_into()?));
        }
        Ok(cast)
    }

    /// The cast of a mode before any option is read.
    fn named(mode: String, words: Vec<OsString>) -> Self {
        let on_term = match mode.as_str() {
            "ignore-term" => OnTerm::Ignore,
            "witness" => OnTerm::Tell,
            _ => OnTerm::Die,
        };
        let then = match mode.as_str() {
            "stopped" => Then::Stop,
            "spin" => Then::Spin,
            _ => Then::Wait,
        };
        let reaps = if mode == "zombie" || mode == "late-reaper" { Reaps::Never } else { Reaps::AtOnce };
        Self {
            // It becomes its command, whose session is its own affair.
            same_session: mode == "under" || mode == "kill-at",
            mode,
            words,
            on_term,
            then,
            reaps,
            silent: false,
            operands: Vec::new(),
            role: None,
            event: None,
            code: 0,
            outlive: None,
            comm: None,
            title: None,
            own_group: false,
            depth: 0,
            width: 1,
            lanes: 1,
            rate: 100,
            budget: 1000,
            life: Duration::from_millis(100),
            last: Duration::from_secs(10),
            setsid: false,
            until_command: false,
            size: 0,
            count: 1,
            none: false,
            nofile: None,
            fsize: None,
            uid: None,
            no_pidfd: false,
            no_netlink: false,
            share: false,
            heirs: 0,
            kind: None,
            ctty: false,
            child: false,
            forked: false,
        }
    }

    /// Tells whether the life line ends this actor: not where a clock or a command does.
    pub(crate) fn lives_by_pipe(&self) -> bool {
        self.outlive.is_none() && self.mode != "under" && self.mode != "kill-at" && !self.until_command
    }

    /// How long to wait before dead children are looked for, where that is done by the clock.
    pub(crate) fn reap_interval(&self) -> Option<Duration> {
        match self.reaps {
            Reaps::Every(time) => Some(time),
            Reaps::AtOnce | Reaps::Never => None,
        }
    }

    /// The operand at a place as a number.
    pub(crate) fn number(&self, at: usize, default: usize) -> Result<usize, Box<dyn std::error::Error>> {
        match self.operands.get(at) {
            None => Ok(default),
            Some(word) => Ok(word.to_str().ok_or("an operand is not text")?.parse()?),
        }
    }

    /// The role to announce: the one that was given, else the mode's own word.
    pub(crate) fn role<'a>(&'a self, default: &'a str) -> &'a str {
        self.role.as_deref().unwrap_or(default)
    }
}
