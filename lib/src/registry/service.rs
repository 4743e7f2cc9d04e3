//! Services: what the registry knows of one process, and how that is written.

use serde::Serialize;
use serde_json::value::RawValue;

use super::scope::Scope;
use crate::error::{Error, Kind, Result};
use crate::id::{Cgroup, Identity, Pid, Source};
use crate::record::Record;
use crate::text::Text;

/// One entry of the registry: its fields as they came, read by type when they are asked for.
///
/// The fields of other programs keep their names and meanings: `pid`, `script`, `type`, `startTime`,
/// `lastHealthCheck`, `status`, `metadata`, `projectPath`, `sessionId`. Those that procherd adds: `identity`,
/// `command`, `cwd`, `pgid`, `sid`, `parent`, `owner`, `tree`, `cookie`, `cgroup`, `cgroup_id`, `restarts`, `health`,
/// `beat`. All others are kept.
#[derive(Clone, Debug)]
pub struct Service {
    /// The scope that it belongs to.
    pub scope: Scope,
    /// Its name, unique within the scope.
    pub name: String,
    pub(super) record: Record,
    /// Why the entry could not be read, where it is no object of fields.
    broken: Option<String>,
}

/// The states of a service (field `status`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Status {
    /// It was started and nothing speaks against it.
    Running,
    /// A check failed; it may be restarted.
    Unhealthy,
    /// It was restarted as often as allowed, and is left alone.
    Failed,
    /// A word of another program.
    Other(String),
}

impl Status {
    /// The word in the document.
    pub fn word(&self) -> &str {
        match self {
            Self::Running => "running",
            Self::Unhealthy => "unhealthy",
            Self::Failed => "failed",
            Self::Other(word) => word,
        }
    }

    /// Tells whether a service in this state may go to another without being registered anew.
    ///
    /// `running` and `unhealthy` lead to each other, `unhealthy` to `failed`; from `failed` only a new start leads on.
    /// Words of other programs are not judged.
    pub fn may_become(&self, next: &Self) -> bool {
        !matches!(
            (self, next),
            (Self::Failed, Self::Running | Self::Unhealthy) | (Self::Running, Self::Failed)
        )
    }
}

impl From<&str> for Status {
    fn from(word: &str) -> Self {
        match word {
            "running" => Self::Running,
            "unhealthy" => Self::Unhealthy,
            "failed" => Self::Failed,
            other => Self::Other(other.to_owned()),
        }
    }
}

/// What of an identity differs between processes of one place.
#[derive(Serialize)]
struct Near {
    pid: Pid,
    #[serde(skip_serializing_if = "Option::is_none")]
    pidfd_inode: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    start_ticks: Option<u64>,
}

impl From<&Identity> for Near {
    fn from(id: &Identity) -> Self {
        Self { pid: id.pid, pidfd_inode: id.inode, start_ticks: id.start_ticks }
    }
}

impl Service {
    /// Makes an entry that says only whose it is.
    pub fn new(scope: Scope, name: &str) -> Self {
        let mut record = Record::default();
        record.set("pid", &());
        record.set("script", &"");
        record.set("type", &scope.kind());
        record.set("startTime", &0);
        record.set("lastHealthCheck", &0);
        record.set("status", &Status::Running.word());
        record.set("metadata", &serde_json::Map::new());
        match &scope {
            Scope::Global => {}
            Scope::Project(path) => record.set("projectPath", path),
            Scope::Session(id) => record.set("sessionId", id),
        }
        Self::from_fields(scope, name, record)
    }

    /// Makes an entry from fields that another program, or an older self, wrote.
    pub fn from_fields(scope: Scope, name: &str, record: Record) -> Self {
        Self { scope, name: name.to_owned(), record, broken: None }
    }

    /// Reads an entry. One that is no object of fields has none, and names no process: it can be listed and removed.
    pub(super) fn parse(scope: Scope, name: &str, json: &str) -> Self {
        match Record::parse(json.as_bytes()) {
            Ok(record) => Self::from_fields(scope, name, record),
            Err(error) => Self {
                broken: Some(error.why().to_owned()),
                ..Self::from_fields(scope, name, Record::default())
            },
        }
    }

    /// All fields of the entry.
    pub fn record(&self) -> &Record {
        &self.record
    }

    /// Sets a field of the entry.
    pub fn set(&mut self, name: &str, value: &(impl Serialize + ?Sized)) {
        self.record.set(name, value);
    }

    /// Takes a field of the entry away.
    pub fn unset(&mut self, name: &str) {
        self.record.remove(name);
    }

    /// Names the process, and forgets what was known of an earlier one.
    pub fn set_process(&mut self, id: &Identity, started_ms: u64) {
        for field in
            ["parent", "owner", "tree", "command", "cwd", "pgid", "sid", "cookie", "beat", "ended", "guard"]
        {
            self.record.remove(field);
        }
        set_identity(&mut self.record, id, started_ms);
    }

    /// Names no process any more. What is known of the service otherwise stays.
    pub fn unset_process(&mut self) {
        self.record.set("pid", &());
        for field in ["identity", "parent", "tree", "pgid", "sid", "cookie", "beat", "guard"] {
            self.record.remove(field);
        }
        self.set_status(&Status::Unhealthy);
    }

    /// Names the parent of the process, of the same place.
    pub fn set_parent(&mut self, id: &Identity) {
        self.record.set("parent", &Near::from(id));
    }

    /// Names the process that it must not outlive, of the same place.
    pub fn set_owner(&mut self, id: &Identity) {
        self.record.set("owner", &Near::from(id));
    }

    /// Names the process that ends it when its time is over, of the same place.
    pub fn set_guard(&mut self, id: &Identity) {
        self.record.set("guard", &Near::from(id));
    }

    /// Names the processes below the process, of the same place.
    pub fn set_tree<'a>(&mut self, tree: impl Iterator<Item = &'a Identity>) {
        self.record.set("tree", &tree.map(Near::from).collect::<Vec<_>>());
    }

    /// Notes a sign of life: wall-clock milliseconds for people and other programs, milliseconds since boot for us.
    pub fn set_beat(&mut self, boot: crate::id::BootId, boot_ms: u64, unix_ms: u64) {
        #[derive(Serialize)]
        struct Beat {
            boot_id: crate::id::BootId,
            boot_ms: u64,
        }
        self.record.set("lastHealthCheck", &unix_ms);
        self.record.set("beat", &Beat { boot_id: boot, boot_ms });
    }

    /// How long ago the last sign of life was, in milliseconds.
    ///
    /// By the clock of this boot where the sign was given in it; else by the wall clock, which may have been set since.
    pub fn silent_ms(&self, boot: crate::id::BootId, boot_ms: u64, unix_ms: u64) -> Option<u64> {
        #[derive(serde::Deserialize)]
        struct Beat {
            boot_id: crate::id::BootId,
            boot_ms: u64,
        }
        match self.record.field::<Beat>("beat") {
            Ok(Some(beat)) if beat.boot_id == boot => Some(boot_ms.saturating_sub(beat.boot_ms)),
            _ => self.milliseconds("lastHealthCheck").map(|last| unix_ms.saturating_sub(last)),
        }
    }

    /// Sets the state.
    pub fn set_status(&mut self, status: &Status) {
        self.record.set("status", &status.word());
    }

    /// The process that is meant, as far as the entry says.
    ///
    /// An identity that names another number than `pid` is that of an earlier process: some other program has changed
    /// `pid` since. Then only the number is known. An error says why the entry names no process that could be meant.
    pub fn identity(&self) -> Result<Identity> {
        if let Some(why) = &self.broken {
            let why = format!("the entry cannot be read: {why}");
            return Err(Error::new(Kind::Damaged, "use entry", &self.name, why));
        }
        identity_in(&self.record, &self.name)
    }

    /// The parent of the process when it was registered.
    pub fn parent(&self) -> Option<Identity> {
        let record = self.record.field::<Record>("parent").ok()??;
        near(&record, &self.identity().ok()?)
    }

    /// The text of the fields that say which process is meant: equal texts mean the same process.
    pub(super) fn process_text(&self) -> [Option<&str>; 3] {
        ["pid", "identity", "startTime"].map(|field| self.record.get(field).map(RawValue::get))
    }

    /// Tells whether the process had ended already when the entry was imported, and its number says nothing any more.
    pub fn had_ended(&self) -> bool {
        let pid = self.record.get("pid").map(RawValue::get);
        self.record.get("ended").is_some_and(|ended| Some(ended.get()) == pid)
    }

    /// The process that it must not outlive, where one was named.
    pub fn owner(&self) -> Option<Identity> {
        let record = self.record.field::<Record>("owner").ok()??;
        near(&record, &self.identity().ok()?)
    }

    /// The process that ends it when its time is over, where there is one.
    pub fn guard(&self) -> Option<Identity> {
        let record = self.record.field::<Record>("guard").ok()??;
        near(&record, &self.identity().ok()?)
    }

    /// The processes that were below the process when it was last looked at.
    pub fn tree(&self) -> Vec<Identity> {
        let (Ok(Some(records)), Ok(id)) = (self.record.field::<Vec<Record>>("tree"), self.identity()) else {
            return Vec::new();
        };
        records.iter().filter_map(|record| near(record, &id)).collect()
    }

    /// The script or program that was started, in the words of who registered it.
    pub fn script(&self) -> Option<String> {
        self.record.text("script").filter(|script| !script.is_empty())
    }

    /// When it started: wall-clock milliseconds since the epoch.
    pub fn started_ms(&self) -> Option<u64> {
        self.milliseconds("startTime").filter(|ms| *ms > 0)
    }

    /// When it last gave a sign of life: wall-clock milliseconds since the epoch.
    pub fn last_health_check_ms(&self) -> Option<u64> {
        self.milliseconds("lastHealthCheck").filter(|ms| *ms > 0)
    }

    /// Its state.
    pub fn status(&self) -> Status {
        self.record.text("status").as_deref().map_or(Status::Running, Status::from)
    }

    /// What others have noted with it.
    pub fn metadata(&self) -> Option<&RawValue> {
        self.record.get("metadata")
    }

    /// Tells whether it is supervised (field `keep`), and was not given up.
    pub fn is_kept(&self) -> bool {
        self.record.get("keep").is_some() && self.status() != Status::Failed
    }

    /// The port that it was given.
    pub fn port(&self) -> Option<u16> {
        self.record.field("port").ok().flatten().filter(|port| *port > 0)
    }

    /// How often it was restarted.
    pub fn restarts(&self) -> u64 {
        self.milliseconds("restarts").unwrap_or(0)
    }

    /// The mark in the environment of everything that it started (`PROCHERD_ID`).
    pub fn cookie(&self) -> Option<String> {
        self.record.text("cookie").filter(|cookie| !cookie.is_empty())
    }

    /// The cgroup that was made for it.
    pub fn cgroup(&self) -> Option<Cgroup> {
        cgroup_in(&self.record)
    }

    /// Notes the cgroup that was made for it.
    pub fn set_cgroup(&mut self, name: &Cgroup) {
        set_cgroup(&mut self.record, name);
    }

    /// The session that it belongs to, by its scope or by the field that says so beside another scope.
    pub fn session(&self) -> Option<String> {
        match &self.scope {
            Scope::Session(id) => Some(id.clone()),
            _ => self.record.text("sessionId").filter(|id| !id.is_empty()),
        }
    }

    /// The project that it belongs to, by its scope or by the field that says so beside another scope.
    pub fn project(&self) -> Option<String> {
        match &self.scope {
            Scope::Project(path) => Some(path.clone()),
            _ => self.record.text("projectPath").filter(|path| !path.is_empty()),
        }
    }

    /// The argument vector that it was started with.
    pub fn command(&self) -> Option<Vec<Text>> {
        self.record.field("command").ok().flatten()
    }

    /// The same as one line for people.
    pub fn command_line(&self) -> String {
        let words: Vec<String> =
            self.command().iter().flatten().map(|word| crate::text::visible(word.bytes())).collect();
        words.join(" ")
    }

    /// The folder that it was started in.
    pub fn cwd(&self) -> Option<Text> {
        self.record.field("cwd").ok().flatten()
    }

    /// A number of the entry that is not negative. Programs without integers write `1.7e12` and `12.5` too.
    pub fn milliseconds(&self, field: &str) -> Option<u64> {
        milliseconds(&self.record, field)
    }
}

/// Checks that a name can be given to a service: not empty, no control characters, and neither a dash nor a number, which
/// mean something else where services are named. What other programs have registered may have any name.
pub fn check_name(name: &str) -> Result<()> {
    let why = match name {
        "" => "empty",
        _ if name.starts_with('-') => "it begins with a dash",
        _ if name.bytes().all(|byte| byte.is_ascii_digit()) => "a number means a process",
        _ if name.chars().any(char::is_control) => "it has control characters",
        _ => return Ok(()),
    };
    Err(Error::new(Kind::Invalid, "use service name", format_args!("'{name}'"), why))
}

pub(super) fn milliseconds(record: &Record, field: &str) -> Option<u64> {
    if let Ok(Some(number)) = record.field::<u64>(field) {
        return Some(number);
    }
    let number = record.field::<f64>(field).ok()??;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the range was checked")]
    (0.0..1e18).contains(&number).then_some(number as u64)
}

/// Writes `cgroup` and `cgroup_id`.
pub(super) fn set_cgroup(record: &mut Record, name: &Cgroup) {
    record.set("cgroup", &name.path);
    record.set("cgroup_id", &name.id);
}

/// Reads which cgroup an entry, or the record of one, names.
pub fn cgroup_in(record: &Record) -> Option<Cgroup> {
    let id = record.field("cgroup_id").ok()??;
    record.text("cgroup").map(|path| Cgroup { path, id })
}

/// Writes `pid`, `startTime` and `identity`.
pub(super) fn set_identity(record: &mut Record, id: &Identity, started_ms: u64) {
    record.set("pid", &id.pid);
    record.set("startTime", &started_ms);
    let mut identity = Record::default();
    identity.set("pid", &id.pid);
    if let Some(inode) = id.inode {
        identity.set("pidfd_inode", &inode);
    }
    if let Some(ticks) = id.start_ticks {
        identity.set("start_ticks", &ticks);
    }
    if let Some(boot) = id.boot {
        identity.set("boot_id", &boot);
    }
    if let Some(pid_ns) = id.pid_ns {
        identity.set("pid_ns", &pid_ns);
    }
    if let Some(host) = &id.host {
        identity.set("host", &**host);
    }
    if let Some(machine) = id.machine {
        identity.set("machine", &machine);
    }
    record.set("identity", &identity);
}

/// Reads which process an entry or a session names.
pub(super) fn identity_in(record: &Record, name: &str) -> Result<Identity> {
    let bad = |why: String| Error::new(Kind::Refused, "use entry", name, why);
    let raw = record.get("pid").map_or("null", RawValue::get);
    let pid = match serde_json::from_str::<f64>(raw) {
        Ok(number) if number.fract() == 0.0 && (1.0..=f64::from(Pid::MAX)).contains(&number) =>
        {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "the range was checked"
            )]
            Pid::new(number as u32)
        }
        _ => None,
    };
    let pid = pid.ok_or_else(|| {
        let shown: String = raw.chars().take(40).collect();
        bad(format!("pid {shown} names no process"))
    })?;
    if pid == Pid::INIT {
        return Err(bad("pid 1 is nobody's service".into()));
    }
    let known = record.field::<Record>("identity").ok().flatten().map(|identity| identity.identity());
    Ok(match known {
        Some(Ok(identity)) if identity.pid == pid => identity,
        _ => Identity { source: Source::Number, ..Identity::typed(pid, None) },
    })
}

fn near(record: &Record, place: &Identity) -> Option<Identity> {
    let found = record.identity().ok()?;
    Some(Identity { pid: found.pid, inode: found.inode, start_ticks: found.start_ticks, ..place.clone() })
}

#[cfg(test)]
mod tests {
    use super::check_name;

    #[test]
    fn names_that_mean_something_else_are_refused() {
        for name in ["", "-", "--x", "77", "a\nb", "\u{9b}"] {
            assert!(check_name(name).is_err(), "{name:?} was accepted");
        }
        for name in ["api", "7zip", "worker 1", "größe"] {
            assert!(check_name(name).is_ok(), "{name:?} was refused");
        }
    }
}
