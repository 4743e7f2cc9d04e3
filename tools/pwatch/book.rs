//! The registry while it is watched: what is entered and struck out, and the trees that are kept up to date.

use std::collections::{BTreeMap, HashSet};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::time::{Duration, Instant};

use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use procherd::error::{Error, Result};
use procherd::evidence::Registered;
use procherd::handle::{self, Look};
use procherd::host::Host;
use procherd::id::Identity;
use procherd::registry::{Document, Known, Registry, Service, Verdict, judge};
use procherd::source::Source;
use procherd::tree::Table;

use crate::frame::{RegistryArgs, Reporter};

/// An entry that has come or gone.
pub(super) struct Change {
    /// Whether it has come.
    pub(super) came: bool,
    /// The entry.
    pub(super) service: Service,
}

/// What is known of the registry.
pub(super) struct Book<'a> {
    host: &'a Host,
    source: &'a Source,
    registry: Registry,
    /// Tells of changes in the folder of the registry, as soon as there is one.
    inotify: Option<Inotify>,
    watched: bool,
    services: BTreeMap<String, Service>,
    /// What it says of processes.
    pub(super) registered: Registered,
    /// When the saved trees were compared last.
    compared: Option<Instant>,
}

/// How often saved trees are written at most.
const WRITES: Duration = Duration::from_secs(1);

impl<'a> Book<'a> {
    /// Opens the registry that the options mean. It need not exist.
    pub(super) fn open(
        args: &RegistryArgs,
        host: &'a Host,
        source: &'a Source,
        reporter: &mut Reporter,
    ) -> Result<Self> {
        let inotify = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK).ok();
        let (services, registered) = (BTreeMap::new(), Registered::default());
        let registry = args.open()?;
        let mut book =
            Self { host, source, registry, inotify, watched: false, services, registered, compared: None };
        book.watch();
        book.read(reporter);
        Ok(book)
    }

    /// The descriptor that is readable when something in the folder of the registry has changed.
    pub(super) fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.inotify.as_ref().filter(|_| self.watched).map(|inotify| inotify.as_fd())
    }

    /// Watches the folder, once there is one. Tells whether that is new.
    fn watch(&mut self) -> bool {
        let changes = AddWatchFlags::IN_MOVED_TO
            | AddWatchFlags::IN_CLOSE_WRITE
            | AddWatchFlags::IN_DELETE
            | AddWatchFlags::IN_DELETE_SELF
            | AddWatchFlags::IN_MOVE_SELF;
        let (Some(inotify), Some(folder)) = (&self.inotify, self.registry.path().parent()) else {
            return false;
        };
        let before = std::mem::replace(&mut self.watched, inotify.add_watch(folder, changes).is_ok());
        self.watched && !before
    }

    /// Looks whether the registry has changed, and gives what has come and gone.
    pub(super) fn look(&mut self, reporter: &mut Reporter) -> Vec<Change> {
        // Its folder may have been made, or made anew, since: to watch it again costs one call and changes nothing.
        let mut due = self.watch() || self.inotify.is_none();
        while let Some(events) = self.inotify.as_ref().and_then(|inotify| inotify.read_events().ok()) {
            due |= !events.is_empty();
        }
        if !due {
            return Vec::new();
        }
        let before = std::mem::take(&mut self.services);
        if !self.read(reporter) {
            // What cannot be read now has not gone.
            self.services = before;
            return Vec::new();
        }
        let differs = |key: &String, service: &Service, other: &BTreeMap<String, Service>| {
            let identity = |service: &Service| service.identity().ok();
            other.get(key).is_none_or(|known| match (identity(known), identity(service)) {
                (Some(one), Some(other)) => !one.same_as(&other),
                (one, other) => one.is_some() != other.is_some(),
            })
        };
        let left = before.iter().filter(|(key, service)| differs(key, service, &self.services));
        let left = left.map(|(_, service)| Change { came: false, service: service.clone() });
        let came = self.services.iter().filter(|(key, service)| differs(key, service, &before));
        left.chain(came.map(|(_, service)| Change { came: true, service: service.clone() })).collect()
    }

    /// Reads the registry. Tells whether that was possible.
    fn read(&mut self, reporter: &mut Reporter) -> bool {
        let document = match self.registry.read() {
            Ok(document) => document,
            Err(error) => {
                reporter.fault(&error);
                return false;
            }
        };
        let services = document.services().filter_map(|entry| entry.service().ok());
        self.services =
            services.map(|service| (format!("{}\0{}", service.scope, service.name), service)).collect();
        self.registered = Known::of(&document, self.host, self.source).registered();
        true
    }

    /// Brings the saved trees of living services up to date, at most once a second. Tells when to come again, if that was
    /// too early.
    ///
    /// A tree is what descends from the process, and what was in it and still lives: when a wrapper ends, its children get
    /// another parent, and are remembered all the same.
    pub(super) fn track(&mut self, table: &Table, reporter: &mut Reporter) -> Option<Duration> {
        let since = self.compared.map_or(WRITES, |then| then.elapsed());
        if since < WRITES {
            return Some(WRITES.saturating_sub(since));
        }
        self.compared = Some(Instant::now());
        let changed: Vec<(Service, Vec<Identity>)> = self
            .services
            .values()
            .filter_map(|service| Some((service.clone(), self.tree(service, table)?)))
            .collect();
        if changed.is_empty() {
            return None;
        }
        let written = self.registry.change(|document: &mut Document| {
            for (service, tree) in &changed {
                let Some(mut now) = document.get(&service.scope, &service.name)? else { continue };
                let same = now.identity().ok().zip(service.identity().ok());
                if same.is_some_and(|(now, then)| now.same_as(&then)) {
                    now.set_tree(tree.iter());
                    document.insert(&now);
                }
            }
            Ok(())
        });
        if let Err(error) = written {
            reporter.fault(&Error::new(error.kind(), "keep trees", self.registry.path().display(), &error));
        }
        None
    }

    /// The tree of a service as it is now; none where the saved one is right.
    fn tree(&self, service: &Service, table: &Table) -> Option<Vec<Identity>> {
        let saved = service.tree();
        let below: Vec<Identity> = match judge(self.host, self.source, service) {
            Verdict::Alive(identity) => {
                let root = table.find_exactly(identity.pid, identity.inode, identity.start_ticks)?;
                let members = table.walk(&[root], usize::MAX).into_iter().map(|step| step.index);
                let living = members.filter(|index| *index != root && !table.get(*index).is_zombie());
                living.map(|index| table.get(index).identity(&table.view.place)).collect()
            }
            Verdict::Dead(_) => Vec::new(),
            _ => return None,
        };
        let known: HashSet<u32> = below.iter().map(|identity| identity.pid.get()).collect();
        let lives = |identity: &&Identity| matches!(handle::open(self.host, self.source, identity), Look::Found(handle) if !handle.has_ended());
        let adopted = saved.iter().filter(|identity| !known.contains(&identity.pid.get())).filter(lives);
        let tree: Vec<Identity> = below.iter().chain(adopted).cloned().collect();
        let same =
            tree.len() == saved.len() && tree.iter().all(|one| saved.iter().any(|other| one.same_as(other)));
        (!same).then_some(tree)
    }
}
