//! From the first look to the end of the wait.

use std::os::unix::ffi::OsStrExt as _;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use procherd::error::{Error, Kind, Result};
use procherd::handle::{self, Handle, Look, Watch};
use procherd::host::{self, Host};
use procherd::record::Process;
use procherd::source::{Source, Wants};
use procherd::table::Shape;
use procherd::text::visible;
use procherd::wait::{Ports, Quiet};

use super::goals::{Goal, Goals};
use super::say::Say;
use super::{Args, never, service_of, waiting};
use crate::frame::{Exit, Outcome, Output, Progress, Reporter, named};

/// A process that is waited for.
pub(super) struct Target {
    pub(super) goal: Goal,
    /// What it was when it was found.
    pub(super) process: Option<Process>,
    /// None while descriptors have run out, or where the kernel has none for processes.
    handle: Option<Handle>,
    watched: bool,
    done: bool,
}

/// All that is waited for, and what has become of it.
pub(super) struct Course<'a> {
    args: &'a Args,
    say: Say,
    host: Host,
    source: Source,
    watch: Watch,
    targets: Vec<Target>,
    /// Those that no descriptor tells of.
    unwatched: Vec<usize>,
    /// How many are held, and how many may be.
    held: usize,
    most: usize,
    names: Vec<String>,
    ports: Option<Ports>,
    files: Vec<Quiet>,
    begun: Instant,
    progress: Progress,
    /// Something cannot be judged here, or can never be.
    hopeless: Exit,
}

/// The tokens of what is no process.
const PORTS: usize = usize::MAX;
const FILES: usize = usize::MAX / 2;

/// How many descriptors are not used for holding processes.
const SPARE: usize = 18;

/// How often processes are looked at that no descriptor tells of, and names that are not registered yet.
const PAUSE: Duration = Duration::from_millis(50);

impl<'a> Course<'a> {
    /// Looks for the first time, and begins to watch.
    pub(super) fn begin(args: &'a Args, goals: Goals, reporter: &mut Reporter) -> Result<Self> {
        let begun = Instant::now();
        let most = usize::try_from(host::raise_file_limit()).unwrap_or(usize::MAX).saturating_sub(SPARE);
        let (host, source) = (Host::look()?, Source::live()?);
        let ports =
            if args.port.is_empty() { None } else { Some(Ports::new(args.port.clone(), args.ready)?) };
        let files = args.quiet_file.iter().map(|file| Quiet::new(file)).collect::<Result<Vec<_>>>()?;
        let watch = Watch::new().map_err(waiting)?;
        if let Some(fd) = ports.as_ref().and_then(Ports::fd) {
            watch.add_lasting(fd, PORTS).map_err(waiting)?;
        }
        for (at, file) in files.iter().enumerate() {
            if let Some(fd) = file.fd() {
                watch.add_lasting(fd, FILES + at).map_err(waiting)?;
            }
        }
        let targets = goals.processes.into_iter();
        let targets: Vec<Target> = targets
            .map(|goal| Target { goal, process: None, handle: None, watched: false, done: false })
            .collect();
        let say = Say::new(Output::new(&args.output, Shape::Table), host.view(std::iter::empty()), begun);
        let mut course = Self {
            args,
            say,
            host,
            source,
            watch,
            unwatched: (0..targets.len()).collect(),
            held: 0,
            most,
            targets,
            names: goals.names,
            ports,
            files,
            begun,
            progress: Progress::new(!args.output.quiet),
            hopeless: Exit::Done,
        };
        course.look(&[], reporter)?;
        Ok(course)
    }

    /// Waits to the end, and gives the exit.
    pub(super) fn run(mut self, reporter: &mut Reporter) -> Outcome {
        let mut news = Vec::new();
        loop {
            self.look(&news, reporter)?;
            if self.is_over() && self.holds_still()? {
                self.say.ends(&self.args.port, self.ports.as_ref(), &self.files, self.args.ready)?;
                break;
            }
            let left = self.args.timeout.map(|timeout| timeout.saturating_sub(self.begun.elapsed()));
            if left.is_some_and(|left| left.is_zero()) {
                self.left(reporter)?;
                self.hopeless = self.hopeless.max(Exit::TimedOut);
                break;
            }
            self.say.flush()?;
            self.draw(left);
            news.clear();
            let next = self.next().map(|next| next.saturating_duration_since(Instant::now()));
            let pauses = [next, left, self.progress.due_in()];
            let pause = pauses.into_iter().flatten().min().unwrap_or(Duration::MAX);
            self.watch.wait(pause, &mut news);
        }
        self.say.close()?;
        Ok(self.hopeless)
    }

    /// Looks for a process for the first time, and holds it.
    fn meet(&mut self, at: usize, reporter: &mut Reporter) -> Result<()> {
        let identity = self.targets[at].goal.identity.clone();
        let found = handle::open(&self.host, &self.source, &identity);
        let (outcome, why) = match found {
            Look::Found(handle) if !handle.has_ended() => return self.hold(at, handle),
            Look::Found(_) => ("exited", None),
            // It was seen to live before.
            Look::Gone | Look::Changed if self.targets[at].process.is_some() => ("exited", None),
            Look::Gone => ("already-gone", None),
            Look::Changed => ("identity-changed", None),
            Look::Foreign(why) | Look::TooWeak(why) => {
                reporter.fault(&Error::new(Kind::Unsupported, "wait for process", &identity, why));
                self.hopeless = Exit::Failed;
                ("foreign", Some(why))
            }
            // It lives, as far as is known: it is looked for again.
            Look::Failed(Errno::EMFILE | Errno::ENFILE) => return Ok(()),
            Look::Failed(errno) => {
                return Err(Error::system("wait for process", &identity, errno));
            }
        };
        let target = &mut self.targets[at];
        target.done = true;
        if outcome == "exited" {
            if target.process.is_none() {
                target.process = self.source.reader(Wants::EVERYDAY).read(identity.pid)?;
            }
            self.say.gone(&self.targets[at], None)?;
        } else {
            self.say.missing(&self.targets[at], outcome, why)?;
        }
        if self.args.ready && outcome != "foreign" {
            never(reporter, &identity, "it has gone, and will never be there again");
            self.hopeless = self.hopeless.max(Exit::No);
        }
        Ok(())
    }

    /// Waits for the end of a process that lives; or, where it only has to be there, has seen enough.
    fn hold(&mut self, at: usize, handle: Handle) -> Result<()> {
        let target = &mut self.targets[at];
        if target.process.is_none() {
            let mut reader = self.source.reader(Wants::EVERYDAY);
            let process = match handle.inode() {
                Some(inode) => reader.read_held(handle.pid(), inode)?,
                None => reader.read(handle.pid())?,
            };
            // What was read of the number is what the handle holds, as long as that lives.
            target.process = process.filter(|_| !handle.has_ended());
        }
        if self.args.ready {
            target.done = true;
            return self.say.there(&self.targets[at]);
        }
        // Some descriptors are kept free for looking at others; who is not held is looked for again and again.
        if self.held < self.most {
            self.held += 1;
            target.watched = handle.pidfd().is_some_and(|pidfd| self.watch.add(pidfd, at).is_ok());
            target.handle = Some(handle);
        }
        Ok(())
    }

    /// Looks at what there is news of, and at what is due.
    fn look(&mut self, news: &[usize], reporter: &mut Reporter) -> Result<()> {
        let (count, unwatched) = (self.targets.len(), std::mem::take(&mut self.unwatched));
        for at in news.iter().copied().filter(|token| *token < count).chain(unwatched) {
            match &self.targets[at].handle {
                Some(handle) if handle.has_ended() => {
                    let handle = self.targets[at].handle.take();
                    self.held -= 1;
                    self.targets[at].done = true;
                    self.say.gone(&self.targets[at], handle.as_ref())?;
                }
                Some(_) => {}
                None => self.meet(at, reporter)?,
            }
            if !self.targets[at].done && !self.targets[at].watched {
                self.unwatched.push(at);
            }
        }
        if let Some(ports) = &mut self.ports {
            ports.look_if(news.contains(&PORTS))?;
        }
        for file in &mut self.files {
            file.look()?;
        }
        let (args, say) = (self.args, &mut self.say);
        let mut waiting = Vec::new();
        for name in std::mem::take(&mut self.names) {
            match service_of(&name, args) {
                Ok(record) if record.text("alive").as_deref() == Some("alive") => say.runs(record)?,
                Ok(_) => waiting.push(name),
                Err(error) if error.kind() == Kind::Gone => waiting.push(name),
                Err(error) => return Err(error),
            }
        }
        self.names = waiting;
        Ok(())
    }

    /// Tells whether everything is as it was waited for, and has been for as long as it has to.
    fn is_over(&self) -> bool {
        let now = Instant::now();
        let settled = |since: Instant, long: Duration| now.saturating_duration_since(since) >= long;
        self.targets.iter().all(|target| target.done)
            && self.names.is_empty()
            && self
                .ports
                .as_ref()
                .is_none_or(|ports| ports.since().is_some_and(|since| settled(since, self.args.settle)))
            && self
                .files
                .iter()
                .all(|file| settled(file.since(), self.args.quiet_for) && (file.exists() || !self.args.ready))
    }

    /// Looks at everything once more that could have changed while something else was waited for.
    fn holds_still(&mut self) -> Result<bool> {
        if let Some(ports) = &mut self.ports {
            ports.look()?;
        }
        for file in &mut self.files {
            file.look()?;
        }
        Ok(self.is_over())
    }

    /// When something is to be looked at without news.
    fn next(&self) -> Option<Instant> {
        let now = Instant::now();
        let looked_for = !(self.unwatched.is_empty() && self.names.is_empty());
        let looked_for = looked_for.then(|| now + PAUSE);
        let ports = self.ports.as_ref().map(|ports| {
            let settled =
                ports.since().map(|since| since + self.args.settle).filter(|settled| *settled > now);
            settled.map_or(ports.next(), |settled| settled.min(ports.next()))
        });
        let missing = |file: &&Quiet| !(self.args.ready && !file.exists() && file.fd().is_some());
        let files = self.files.iter().filter(missing).map(|file| file.next(self.args.quiet_for));
        // What is quiet already needs no look before something else is over.
        let files = files.filter(|next| *next > now).min();
        looked_for.into_iter().chain(ports).chain(files).min()
    }

    /// Shows people what is not yet as it was waited for.
    fn draw(&mut self, left: Option<Duration>) {
        if !self.progress.is_due() {
            return;
        }
        let targets = self.targets.iter().filter(|target| !target.done).map(|target| match &target.process {
            Some(process) => named(process.comm.bytes(), process.pid),
            None => target.goal.identity.pid.to_string(),
        });
        let names = self.names.iter().cloned();
        let open = self
            .ports
            .as_ref()
            .is_some_and(|ports| ports.since().is_none_or(|since| since.elapsed() < self.args.settle));
        let ports =
            self.args.port.iter().filter(|_| open).map(|(range, _)| match range.end() - range.start() {
                0 => format!("port {}", range.start()),
                _ => format!("ports {}..{}", range.start(), range.end()),
            });
        let files = self
            .files
            .iter()
            .filter(|file| file.since().elapsed() < self.args.quiet_for || self.args.ready && !file.exists());
        let files = files.map(|file| visible(file.path().as_os_str().as_bytes()));
        let all: Vec<String> = targets.chain(names).chain(ports).chain(files).collect();
        self.progress.draw(&format!("waiting for {}", all.len()), all.len(), left, all.into_iter());
    }

    /// Says what is left when time has run out.
    fn left(&mut self, reporter: &mut Reporter) -> Result<()> {
        for target in self.targets.iter().filter(|target| !target.done) {
            self.say.survived(target)?;
        }
        for name in &self.names {
            self.say.absent_service(name)?;
        }
        if let Some(ports) = &self.ports {
            let outcome = match ports.since().map(|since| since.elapsed() >= self.args.settle) {
                Some(true) if self.args.ready => Some("ready"),
                Some(true) => Some("free"),
                Some(false) => Some("unsettled"),
                None => None,
            };
            if let Some(outcome) = outcome {
                self.say.ports(&self.args.port, outcome)?;
            } else if self.args.ready {
                self.say.absent_ports(&self.args.port, ports.found())?;
            } else {
                self.say.holders(ports, &self.args.registry, reporter)?;
            }
        }
        for file in &self.files {
            let outcome = match (file.exists(), file.since().elapsed() >= self.args.quiet_for) {
                (false, _) if self.args.ready => "missing",
                (_, false) => "changing",
                (_, true) if self.args.ready => "ready",
                (_, true) => "quiet",
            };
            self.say.file(file, outcome)?;
        }
        let error = Error::new(Kind::Busy, "wait", "", "out of time");
        reporter.note(error);
        Ok(())
    }
}
