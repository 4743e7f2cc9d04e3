//! Who has a file open, and who holds the locks on it.

use std::path::Path;

use procherd::error::Result;
use procherd::handle::{self, Look};
use procherd::host::Host;
use procherd::id::Identity;
use procherd::record::Line;
use procherd::sockets::{self, FileId, Opened};
use procherd::source::Source;
use procherd::table::Shape;
use procherd::text::Text;

use super::look::sheet;
use super::wanted::Wanted;
use super::{Args, live};
use crate::frame::{self, Asked, Outcome, Output, Reporter, Scene, Search};

/// Reports who has each of the files open, with the locks on it.
pub(super) fn report(args: &Args, wanted: &Wanted, reporter: &mut Reporter) -> Outcome {
    let asked = if wanted.input { Some(frame::input(reporter, args.strict)?) } else { None };
    let mut output = Output::new(&args.output, Shape::Table);
    let mut count = 0;
    for path in &args.locks {
        count += of_file(args, path, asked.as_deref(), &mut output, reporter)?;
    }
    output.end()?;
    Ok(args.expect.judge(count, "holders", reporter))
}

fn of_file(
    args: &Args,
    path: &Path,
    asked: Option<&[Asked]>,
    output: &mut Output,
    reporter: &mut Reporter,
) -> Result<usize> {
    use std::os::unix::ffi::OsStrExt as _;
    let (host, source) = (Host::look()?, Source::live()?);
    let file = FileId::of(path)?;
    let shown = Text::from(path.as_os_str().as_bytes());
    let pids = asked.map_or_else(|| source.pids(), |asked| Ok(live::pids(asked)))?;
    let (mut opened, denied) = sockets::openers(&source, &pids, file)?;
    let mut unseen = sockets::unseen_locks(file, &mut opened, &denied)?;
    if asked.is_some() || args.chooses() {
        unseen.clear();
    }
    let numbers = if asked.is_some() { pids } else { opened.iter().map(|one| one.pid).collect() };
    let mut scene = Scene::of_lineage(host, source, &numbers)?;
    scene.know(&args.registry, reporter)?;
    let mut search = Search::new(scene, args.selection()?);
    if let Some(asked) = asked {
        search.only(asked.to_vec(), reporter);
    }
    let mut count = 0;
    for one in &opened {
        let table = search.scene.table();
        let Some(index) = table.find(one.pid.get()) else { continue };
        let identity = table.get(index).identity(&table.view.place);
        if !search.is_asked(index) || !still(&search.scene, &identity, one, file) || !search.wants(index) {
            continue;
        }
        count += 1;
        output.record(|out| {
            let mut sheet = sheet(&search, index, out);
            sheet.field("file", &shown);
            sheet.known("open_fds", (!one.fds.is_empty()).then_some(&one.fds));
            sheet.known("locks", (!one.locks.is_empty()).then_some(&one.locks));
            sheet.end();
        })?;
    }
    for (_, lock) in &unseen {
        count += 1;
        let why = "no process that can be seen holds it";
        output.record(|out| {
            let mut line = Line::new(out, "finding");
            line.field("finding", "unseen-lock")
                .field("file", &shown)
                .field("locks", &[lock])
                .field("why", why);
            line.end();
        })?;
    }
    live::fault_denied(args, &denied, reporter)?;
    search.end(reporter);
    Ok(count)
}

/// Tells whether what was read of a number belongs to the process that was identified afterwards. Where its table may not
/// be read, the kernel's own list of locks named it.
fn still(scene: &Scene, identity: &Identity, one: &Opened, file: FileId) -> bool {
    let Look::Found(handle) = handle::open(scene.host(), scene.source(), identity) else { return false };
    let again = one.fds.is_empty()
        || sockets::openers(scene.source(), &[one.pid], file).is_ok_and(|(opened, _)| !opened.is_empty());
    again && !handle.has_ended()
}
