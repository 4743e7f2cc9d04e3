//! Services that were to live for so long only, and live on because nobody is left to end them.

use procherd::error::Result;
use procherd::record::Record;
use procherd::registry::{self, Document, Known, Verdict};
use procherd::text::short_duration;

use super::Reaper;
use crate::frame::Reporter;

/// Ends the services whose time is over, all within one grace. They are forgotten with the dead.
pub(super) fn end(mut reaper: Reaper, document: &Document, reporter: &mut Reporter) -> Result<Reaper> {
    let mut overdue = registry::overdue(document, &reaper.host, &reaper.source);
    overdue.retain(|found| !reaper.is_expected(&found.service));
    let mut roots = Vec::new();
    for found in &overdue {
        reaper.counts.overdue += 1;
        roots.extend(registry::service_roots(&reaper.host, &reaper.source, &found.service));
        let (mut line, verdict) = (Vec::new(), Verdict::Alive(found.identity.clone()));
        registry::write_service(&found.service, &verdict, &mut line);
        let mut record = Record::parse(&line)?;
        let (ttl, late) = (short_duration(found.ttl), short_duration(found.late));
        record.set("why", &format!("it was to live for {ttl}, which was over {late} ago"));
        reaper.act(record, "end")?;
    }
    let registered = Known::of(document, &reaper.host, &reaper.source).registered();
    reaper = reaper.end(&roots, &registered, reporter)?;
    for found in &overdue {
        reaper.expect(&found.service)?;
    }
    Ok(reaper)
}
