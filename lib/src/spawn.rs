//! Starting services: at most one of a name, registered before it runs, and never half.
//!
//! # How a service starts
//!
//! | the spawner                                           | its child                                                  |
//! |-------------------------------------------------------|------------------------------------------------------------|
//! | forks                                                 | session, folder, descriptors, signals; then waits          |
//! | locks the registry, claims the name *for the child*   |                                                            |
//! | writes the registry, gives the lock back              |                                                            |
//! | writes the pid file                                   |                                                            |
//! | says go, the mark of the spawn, and the port          | opens the log, becomes the command                         |
//! | removes empty cgroups that others have left           |                                                            |
//! | reads the child's report up to its end                | the exec closes the report: nothing to say means it worked |
//!
//! Nobody forks while the lock is held. The child keeps its number and its inode over the exec, so what was registered is
//! what runs.
//!
//! # What a death in between leaves
//!
//! The word to go comes through a pipe whose only writer is the spawner. So:
//!
//! - *The spawner dies before it has said go*, however it dies and whether or not it had registered the child: the child
//!   reads the end of the pipe. It takes back the entry and the pid file that name it, if there are any, and exits. The
//!   command has not run, and the registry names nobody.
//! - *The spawner dies after that*: the child is registered and runs. Should its exec fail, it takes back its own entry.
//! - *The child dies before the exec*: the spawner cannot say go, or its report ends early. The spawner takes back the entry.
//! - *Both die in the same instant* between the claim and the exec: the entry stays, and names a dead process. Everybody
//!   judges it dead by its identity; the next claim replaces it, and `preap` drops it.
//!
//! Between the claim and the exec, some milliseconds, the entry names a process that lives and is not the command yet.
//! [`Starter::settled`] waits until it is, for those who found the name taken and want to rely on it.
//!
//! With [`Starter::become_command`] the process registers itself and becomes the command. Killed between the two, it leaves an entry
//! of a dead process, as above.

mod child;
mod enclose;
mod environment;
mod lifetime;
mod log;
mod order;
mod pidfile;
mod port;
mod program;
mod ready;
mod refusal;
mod wait;

use std::ffi::OsStr;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::resource::{Resource, getrlimit, rlim_t};
use nix::unistd::pipe2;

use crate::cgroup::Group;
use crate::error::{Error, Kind, Result};
use crate::evidence::Registered;
use crate::handle::{self, Handle, Look};
use crate::host::{Host, boot_ms, unix_ms};
use crate::id::{Identity, Pid};
use crate::record::Process;
use crate::registry::{self, Claim, Document, Entry, Known, Put, Registry, Replaced, Service, check_name};
use crate::select;
use crate::source::{Source, Wants};
use crate::status::End;
use crate::sys::{self, Side};
use crate::terminate::{self, Observer, Options, Root, Setting, Summary, Via};
use crate::text::{Text, visible};

pub use environment::Environment;
pub use log::Log;
pub use order::{Enclosure, Order, Output};
pub use port::Wish;
pub use program::Cannot;
pub use ready::{Probe, Ready};
pub use refusal::{Holder, Refusal};
pub use wait::{Waited, Waiter};

pub(crate) use lifetime::Nobody;
use wait::reap;

/// A name that is to be had.
#[derive(Debug)]
pub struct Free {
    /// What would be registered, without a process.
    pub service: Service,
    /// What its last holder, who is dead, has left in the registry.
    pub before: Option<Service>,
}

/// A service that was started.
#[derive(Debug)]
pub struct Started {
    /// Its entry.
    pub service: Service,
    /// Its process.
    pub identity: Identity,
    /// The process, held.
    pub handle: Handle,
}

impl Started {
    /// Waits for its end, and tells how it ended.
    pub fn reap(&self) -> Option<End> {
        reap(self.identity.pid)
    }
}

/// Starts services of one registry.
pub struct Starter<'a> {
    /// This machine.
    pub host: &'a Host,
    /// The live process table.
    pub source: &'a Source,
    /// The registry.
    pub registry: &'a Registry,
    open_files: Option<rlim_t>,
}

/// How long [`Starter::settled`] waits for a process to become its command.
const SETTLES_WITHIN: Duration = Duration::from_secs(5);

impl<'a> Starter<'a> {
    /// Prepares to start services. To be made before anything raises the limit of open files, which a service must not inherit.
    pub fn new(host: &'a Host, source: &'a Source, registry: &'a Registry) -> Self {
        let open_files = getrlimit(Resource::RLIMIT_NOFILE).ok().map(|(soft, _)| soft);
        Self { host, source, registry, open_files }
    }

    /// Looks whether the order could be carried out, without the lock and without forking, as far as a registry that has
    /// been read tells.
    ///
    /// What it finds can have changed a moment later; [`Self::start`] decides.
    pub fn look(&self, document: &Document, order: &Order) -> std::result::Result<Free, Refusal> {
        check_name(&order.name)?;
        program::find(order)?;
        let before = self.ask(document, order)?;
        Ok(Free { service: self.entry(document, order, None)?, before })
    }

    /// Starts a service. See the description of the module for what happens when somebody is killed meanwhile.
    pub fn start(&self, order: &Order) -> std::result::Result<Started, Refusal> {
        check_name(&order.name)?;
        let program = program::find(order)?;
        let failed = |errno: Errno| Error::system("start service", &order.name, errno);
        sys::keep_dead_children();
        let (gate, go) = pipe(failed)?;
        let (report, tell) = pipe(failed)?;
        let (side, group) = enclose::fork(order)?;
        let pid = match side {
            Side::Child => {
                drop((go, report));
                child::live(self, order, &program, gate, tell)
            }
            Side::Parent(pid) => pid,
        };
        drop((gate, tell));
        let started = self.let_go(order, &program, pid, group.as_ref(), go, report);
        if let (Err(_), Some(group)) = (&started, group) {
            // Its only process has been reaped.
            group.remove();
        }
        started
    }

    /// Claims the name for a child that waits, and lets it become the command.
    fn let_go(
        &self,
        order: &Order,
        program: &Path,
        pid: Pid,
        group: Option<&Group>,
        mut go: File,
        mut report: File,
    ) -> std::result::Result<Started, Refusal> {
        let claimed = self.look_at_child(pid, &order.name).and_then(|process| {
            let identity = process.identity(self.host.place());
            let handle = hold(self.host, self.source, &identity)?;
            let (service, replaced) = self.claim(order, &process, group)?;
            Ok((Started { service, identity, handle }, replaced))
        });
        let (started, replaced) = match claimed {
            Ok(claimed) => claimed,
            Err(refusal) => {
                // The end of the pipe is the word that it is not to go.
                drop(go);
                reap(pid);
                return Err(refusal);
            }
        };
        let word = child::Word::of(&started.service, order).to_string();
        let told = pidfile::write(order.pidfile.as_deref(), pid)
            .and_then(|()| go.write_all(word.as_bytes()).map_err(|_| killed_early(&order.name)));
        drop(go);
        // While the child becomes the command there is time.
        drop(replaced);
        if let Some(group) = group {
            group.tidy();
        }
        let mut said = Vec::new();
        let heard = report.read_to_end(&mut said);
        let outcome = match (told, child::Failure::read(&said)) {
            (Err(error), _) => Err(Refusal::Failed(error)),
            (Ok(()), Some(failure)) => Err(failure.refusal(order, program)),
            (Ok(()), None) => match heard {
                Ok(_) => return Ok(started),
                Err(error) => Err(Error::system("start service", &order.name, error).into()),
            },
        };
        reap(pid);
        self.withdraw(order, &started.identity)?;
        outcome
    }

    /// Registers the calling process and becomes the command. Returns only when that is refused or has failed.
    pub fn become_command(&self, order: &Order) -> Refusal {
        let program =
            match check_name(&order.name).map_err(Refusal::Failed).and_then(|()| Ok(program::find(order)?)) {
                Ok(program) => program,
                Err(refusal) => return refusal,
            };
        let process = match self.look_at_child(Pid::this(), &order.name) {
            Ok(process) => process,
            Err(refusal) => return refusal,
        };
        let inside = match enclose::enter(order) {
            Ok(inside) => inside,
            Err(error) => return error.into(),
        };
        let service = match self.claim(order, &process, inside.group()) {
            Ok((service, _)) => service,
            Err(refusal) => {
                inside.leave();
                return refusal;
            }
        };
        let refusal = match pidfile::write(order.pidfile.as_deref(), process.pid) {
            Ok(()) => child::become_in_place(self, order, &program, &service).refusal(order, &program),
            Err(error) => error.into(),
        };
        inside.leave();
        if let Err(error) = self.withdraw(order, &process.identity(self.host.place())) {
            return error.into();
        }
        refusal
    }

    /// Claims the name for a process within one transaction.
    fn claim(
        &self,
        order: &Order,
        process: &Process,
        group: Option<&Group>,
    ) -> std::result::Result<(Service, Replaced), Refusal> {
        let Put { result, replaced } = self.registry.put(|document| {
            match self.ask(document, order) {
                Ok(_) => {}
                Err(Refusal::Failed(error)) => return Err(error),
                Err(refusal) => return Ok(Err(refusal)),
            }
            let port = match self.choose_port(document, order) {
                Err(error) if error.kind() == Kind::Busy => return Ok(Err(Refusal::Port(error))),
                chosen => chosen?,
            };
            let mut service = self.entry(document, order, Some(process))?;
            if let Some(port) = port {
                service.set("port", &port);
            }
            if let Some(group) = group {
                service.set_cgroup(group.name());
            }
            document.insert(&service);
            Ok(Ok(service))
        })?;
        result.map(|service| (service, replaced))
    }

    /// Decides whether the name is to be had. Gives what a dead holder left.
    fn ask(&self, document: &Document, order: &Order) -> std::result::Result<Option<Service>, Refusal> {
        let scope = order.choice.for_new(document)?;
        let defines_another = |service: &Service| {
            let words = service.command();
            words.is_some_and(|words| {
                !words.iter().map(Text::bytes).eq(order.command.iter().map(|word| word.as_bytes()))
            })
        };
        match registry::claim(document, self.host, self.source, &scope, &order.name)? {
            Claim::Free(None) => Ok(None),
            Claim::Free(Some(old)) => {
                // Only what was started here is a definition; another entry shows what a process happened to be called.
                if old.cookie().is_some() && !order.replace && defines_another(&old) {
                    let verdict = registry::judge(self.host, self.source, &old);
                    return Err(Refusal::Different(Holder::boxed(old, verdict)));
                }
                Ok(Some(old))
            }
            Claim::Held(service, verdict) if !order.replace && defines_another(&service) => {
                Err(Refusal::Different(Holder::boxed(*service, verdict)))
            }
            Claim::Held(service, verdict) => Err(Refusal::Taken(Holder::boxed(*service, verdict))),
        }
    }

    /// The entry that an order makes, of a process that is about to become the command, or of none yet.
    fn entry(&self, document: &Document, order: &Order, process: Option<&Process>) -> Result<Service> {
        let mut service = Service::new(order.choice.for_new(document)?, &order.name);
        if let Some(process) = process {
            self.name_process(&mut service, process);
        }
        let words: Vec<Text> = order.command.iter().map(|word| Text::from(word.as_bytes())).collect();
        let line: Vec<String> = words.iter().map(|word| visible(word.bytes())).collect();
        service.set("script", &line.join(" "));
        service.set("command", &words);
        service.set("cwd", &Text::from(order.cwd.as_os_str().as_bytes()));
        if service.session().is_none()
            && let Some(id) = order.environment.get("PROCHERD_SESSION").and_then(OsStr::to_str)
            && document.session(id).is_ok_and(|session| session.is_some())
        {
            service.set("sessionId", id);
        }
        let log = if let Output::Log(log) = &order.output { Some(&log.path) } else { None };
        for (field, path) in [("pidfile", order.pidfile.as_ref()), ("log", log)] {
            if let Some(path) = path {
                service.set(field, &Text::from(path.as_os_str().as_bytes()));
            }
        }
        for (name, value) in &order.notes {
            service.set(name, value);
        }
        Ok(service)
    }

    fn name_process(&self, service: &mut Service, process: &Process) {
        let place = self.host.place();
        let identity = process.identity(place);
        service.set_process(&identity, self.host.view(std::iter::empty()).started_ms(process));
        // A child leads the session and the group that it makes for itself.
        let own = Pid::this() == process.pid;
        service.set("pgid", &if own { process.pgid } else { process.pid.get() });
        service.set("sid", &if own { process.sid } else { process.pid.get() });
        let identities = Wants { identity: true, ..Wants::default() };
        if let Some(parent) = Pid::new(process.ppid)
            && let Ok(Some(parent)) = self.source.reader(identities).read(parent)
        {
            service.set_parent(&parent.identity(place));
        }
        service.set("cookie", &cookie(&identity));
        service.set_beat(place.boot, boot_ms(), unix_ms());
    }

    fn look_at_child(&self, pid: Pid, name: &str) -> std::result::Result<Process, Refusal> {
        let wants = Wants { identity: true, ..Wants::default() };
        Ok(self.source.reader(wants).read(pid)?.ok_or_else(|| killed_early(name))?)
    }

    /// Takes back the entry and the pid file of a process that is not to run. Tells whether there was an entry.
    pub fn withdraw(&self, order: &Order, identity: &Identity) -> Result<bool> {
        pidfile::remove(order.pidfile.as_deref(), identity.pid);
        self.forget(&order.name, identity)
    }

    /// Takes the entry of a process away, in whichever scope it stands; that of a supervised service names nobody then.
    /// Tells whether there was one.
    pub fn forget(&self, name: &str, identity: &Identity) -> Result<bool> {
        let names_it = |entry: &Entry<'_>| {
            let names = |service: Service| service.identity().is_ok_and(|id| id.same_as(identity));
            entry.name == name && entry.service().is_ok_and(names)
        };
        // Nobody else writes an entry of this process, so a look without the lock says whether there is one.
        if !self.registry.read()?.services().any(|entry| names_it(&entry)) {
            return Ok(false);
        }
        self.registry.change(|document| {
            // Of one that is supervised it must stay known how often it was tried.
            let mut kept: Vec<Service> = document
                .services()
                .filter(names_it)
                .filter_map(|entry| entry.service().ok())
                .filter(|service| service.record().get("keep").is_some())
                .collect();
            let removed = document.remove_all(names_it);
            for service in &mut kept {
                service.unset_process();
                document.insert(service);
            }
            Ok(removed > 0)
        })
    }

    /// Waits until the process of a service is its command, or has ended. False: it has ended, or its entry is gone.
    ///
    /// A process that was registered and has not called exec yet lacks the mark. One that hides its environment is
    /// taken for settled after a while.
    pub fn settled(&self, service: &Service, identity: &Identity) -> bool {
        let Some(cookie) = service.cookie() else { return true };
        let end = Instant::now() + SETTLES_WITHIN;
        loop {
            let Look::Found(handle) = handle::open(self.host, self.source, identity) else { return false };
            let environ = self.source.environ(identity.pid);
            let marked = environ
                .is_ok_and(|environ| select::variable(&environ, "PROCHERD_ID") == Some(cookie.as_bytes()));
            if handle.has_ended() {
                return false;
            }
            if marked || Instant::now() >= end {
                return true;
            }
            // The exec is some microseconds away, and nothing announces it; the end would be seen at once.
            if handle.ended_within(Duration::from_millis(2)) {
                return false;
            }
        }
    }

    /// Ends a service with all that it has started. Its entry stays; a dead one leads to what it has left behind.
    pub fn end(&self, service: &Service, options: &Options, observer: &mut dyn Observer) -> Result<Summary> {
        let number = |name| service.record().field::<u32>(name).ok().flatten();
        let mut roots = vec![Root {
            identity: service.identity()?,
            sid: number("sid"),
            pgid: number("pgid"),
            cookie: service.cookie(),
            cgroup: service.cgroup(),
            planned_ticks: None,
            via: Via::Named,
        }];
        roots.extend(service.tree().into_iter().map(|identity| Root::of(identity, Via::Tree)));
        self.end_roots(&roots, options, observer)
    }

    /// Ends processes with all that they have started.
    pub fn end_roots(
        &self,
        roots: &[Root],
        options: &Options,
        observer: &mut dyn Observer,
    ) -> Result<Summary> {
        let registered = match self.registry.read() {
            Ok(document) => Known::of(&document, self.host, self.source).registered(),
            Err(_) => Registered::default(),
        };
        let setting =
            Setting { host: self.host, source: self.source, registered: &registered, registry: None };
        terminate::run(setting, roots, options, observer)
    }
}

/// The mark of a spawn: the run of the kernel, and the root of the spawn by number and inode, or start.
///
/// No two spawns have the same one, and it says which process carries it first.
fn cookie(identity: &Identity) -> String {
    let boot: String =
        identity.boot.map(|boot| boot.to_string().chars().take(8).collect()).unwrap_or_default();
    let which = identity.inode.or(identity.start_ticks).unwrap_or(0);
    format!("{boot}-{}-{which}", identity.pid)
}

fn killed_early(name: &str) -> Error {
    Error::new(Kind::System, "start service", name, "its process was killed before it ran")
}

fn pipe(failed: impl Fn(Errno) -> Error) -> Result<(File, File)> {
    let (read, write) = pipe2(OFlag::O_CLOEXEC).map_err(failed)?;
    Ok((read.into(), write.into()))
}

fn hold(host: &Host, source: &Source, identity: &Identity) -> Result<Handle> {
    match handle::open(host, source, identity) {
        Look::Found(handle) => Ok(handle),
        other => {
            let why = format!("its process cannot be held ({other:?})");
            Err(Error::new(Kind::System, "start service", identity, why))
        }
    }
}

#[cfg(test)]
mod tests;
