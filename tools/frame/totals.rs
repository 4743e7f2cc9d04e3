//! How all services are, in one record.

use procherd::host::{Host, boot_ms, unix_ms};
use procherd::record::Line;
use procherd::registry::{Scope, Service, Verdict};
use serde::Serialize;

/// Counts services. What is not healthy is unhealthy, whatever it is besides.
pub struct Totals<'a> {
    host: &'a Host,
    total: usize,
    healthy: usize,
    dead: usize,
    foreign: usize,
    unknown: usize,
    by_type: ByType,
    details: Vec<Detail>,
}

#[derive(Default, Serialize)]
struct ByType {
    global: usize,
    #[serde(rename = "per-project")]
    per_project: usize,
    #[serde(rename = "per-session")]
    per_session: usize,
}

#[derive(Serialize)]
struct Detail {
    service: String,
    scope: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    project: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    session: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pid: Option<u32>,
    status: String,
    alive: &'static str,
    healthy: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    health: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    silent_ms: Option<u64>,
}

impl<'a> Totals<'a> {
    /// Begins to count, as seen from this machine now.
    pub fn new(host: &'a Host) -> Self {
        Self {
            host,
            total: 0,
            healthy: 0,
            dead: 0,
            foreign: 0,
            unknown: 0,
            by_type: ByType::default(),
            details: Vec::new(),
        }
    }

    /// Counts a service. `health` is the verdict where one was made.
    pub fn add(
        &mut self,
        service: &Service,
        verdict: &Verdict,
        is_healthy: bool,
        health: Option<&'static str>,
    ) {
        self.total += 1;
        self.healthy += usize::from(is_healthy);
        match verdict {
            Verdict::Alive(_) => {}
            Verdict::Dead(_) => self.dead += 1,
            Verdict::Foreign(_) => self.foreign += 1,
            Verdict::Unknown(_) | Verdict::Inert(_) => self.unknown += 1,
        }
        match service.scope {
            Scope::Global => self.by_type.global += 1,
            Scope::Project(_) => self.by_type.per_project += 1,
            Scope::Session(_) => self.by_type.per_session += 1,
        }
        self.details.push(Detail {
            // A process that is not registered has no name but its number.
            service: match service.identity() {
                Ok(id) if service.name.is_empty() => id.pid.to_string(),
                _ => service.name.clone(),
            },
            scope: service.scope.word(),
            project: service.project(),
            session: service.session(),
            pid: service.identity().ok().map(|id| id.pid.get()),
            status: service.status().word().to_owned(),
            alive: verdict.word(),
            healthy: is_healthy,
            health,
            silent_ms: service.silent_ms(self.host.place().boot, boot_ms(), unix_ms()),
        });
    }

    /// Writes the record.
    pub fn write(&self, out: &mut Vec<u8>) {
        let mut line = Line::new(out, "summary");
        line.field("total", &self.total)
            .field("healthy", &self.healthy)
            .field("unhealthy", &(self.total - self.healthy))
            .field("dead", &self.dead)
            .field("foreign", &self.foreign)
            .field("unknown", &self.unknown)
            .field("by_type", &self.by_type)
            .field("details", &self.details);
        line.end();
    }
}
