//! Answering from what was saved.

use std::path::Path;

use procherd::error::{Error, Kind, Result};
use procherd::record::Record;
use procherd::sockets::{Missing, Socket};
use procherd::stream::{Item, Reader};

use super::Args;
use super::look::{Findings, Ownerless};
use super::wanted::Wanted;
use crate::frame::{Holder, Reporter, Scene, Search};

/// Reads a file of records that pports has written, and keeps what the options want.
pub(super) fn read(args: &Args, file: &Path, wanted: &Wanted, reporter: &mut Reporter) -> Result<Findings> {
    let failed = |error| Error::system("read snapshot", file.display(), error);
    let mut reader = Reader::new(std::io::BufReader::new(std::fs::File::open(file).map_err(failed)?));
    let (mut processes, mut sockets) = (Vec::new(), Vec::new());
    let mut any = false;
    while let Some(item) = reader.next_item().map_err(failed)? {
        match item {
            Ok(Item::Record(record)) => {
                any = true;
                match record.text("type").as_deref() {
                    Some("process") if record.get("sockets").is_some() => processes.push(record),
                    Some("socket") => sockets.push(record),
                    _ => {}
                }
            }
            Ok(Item::Identity(_)) => reporter.bad_line(reader.line_number(), "a snapshot holds records"),
            Err(bad) => reporter.bad_line(bad.number, bad.why),
        }
    }
    if processes.is_empty() && sockets.is_empty() {
        let why =
            if any { "there are no sockets in it: pports saves them" } else { "there is no record in it" };
        return Err(Error::new(Kind::Damaged, "read snapshot", file.display(), why));
    }
    let mut found = Findings { search: None, holders: Vec::new(), ownerless: Vec::new() };
    if !processes.is_empty() {
        let mut scene = Scene::saved(processes, reporter)?;
        scene.know(&args.registry, reporter)?;
        let mut search = Search::new(scene, args.selection()?);
        found.holders = holders(&mut search, wanted)?;
        found.search = Some(search);
    }
    let of_socket = |record: Record| {
        let socket = Socket::of_record(&record).filter(|socket| wanted.query.wants(socket))?;
        Some(Ownerless { missing: missing(&record), socket, record: Some(record) })
    };
    if !args.chooses() {
        found.ownerless = sockets.into_iter().filter_map(of_socket).collect();
    }
    Ok(found)
}

fn holders(search: &mut Search, wanted: &Wanted) -> Result<Vec<Holder>> {
    let mut found = Vec::new();
    for index in 0..search.scene.table().processes().len() {
        let Some(record) = search.scene.record(index) else { continue };
        let theirs: Vec<Record> = record.field("sockets")?.unwrap_or_default();
        let theirs = theirs.iter().filter_map(Socket::of_record);
        let sockets: Vec<Socket> = theirs.filter(|socket| wanted.query.wants(socket)).collect();
        if !sockets.is_empty() && search.wants(index) {
            found.push((index, sockets));
        }
    }
    Ok(found)
}

/// What was proved when it was saved. Only whether it was permitted to look still matters.
fn missing(record: &Record) -> Missing {
    match record.text("owner").as_deref() {
        Some("not-permitted") => Missing::NotPermitted(record.text("why").unwrap_or_default()),
        _ => Missing::Kernel,
    }
}
