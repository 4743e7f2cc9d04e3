//! Sessions whose owner has ended.

use procherd::cgroup;
use procherd::error::Result;
use procherd::record::Record;
use procherd::registry::{self, Document, Known, Session, Verdict};

use super::Reaper;
use crate::frame::Reporter;

/// Ends the members of dead sessions and forgets the sessions. A session of which a member survives stays.
pub(super) fn end_dead(mut reaper: Reaper, document: &Document, reporter: &mut Reporter) -> Result<Reaper> {
    let registered = Known::of(document, &reaper.host, &reaper.source).registered();
    for session in document.sessions() {
        let session = match session {
            Ok(session) => session,
            Err(error) => {
                reporter.fault(&error);
                continue;
            }
        };
        let verdict = registry::judge_session(&reaper.host, &reaper.source, &session);
        if !verdict.is_dead() {
            continue;
        }
        let roots = registry::session_roots(document, &reaper.host, &reaper.source, &session.id)?;
        let before = reaper.counts.survived;
        reaper = reaper.end(&roots, &registered, reporter)?;
        if reaper.counts.survived == before {
            forget(&mut reaper, document, &session, &verdict)?;
        }
    }
    Ok(reaper)
}

/// Forgets a session, unless somebody has registered its id anew.
fn forget(reaper: &mut Reaper, document: &Document, session: &Session, verdict: &Verdict) -> Result<()> {
    let members = document.services().filter_map(|entry| entry.service().ok());
    let members: Vec<_> = members.filter(|service| service.session().as_ref() == Some(&session.id)).collect();
    if !reaper.dry_run {
        let gone = reaper.registry.change(|document| {
            let now = document.session(&session.id)?;
            let same = now.is_some_and(|now| now.owner().ok() == session.owner().ok());
            Ok(same && document.remove_session(&session.id))
        })?;
        if !gone {
            return Ok(());
        }
        if let Some(name) = session.cgroup() {
            cgroup::remove(&name);
        }
    }
    reaper.counts.sessions += 1;
    let mut line = Vec::new();
    registry::write_session(session, verdict, members.len(), &mut line);
    reaper.act(Record::parse(&line)?, "forget")?;
    members.iter().try_for_each(|service| reaper.expect(service))
}
