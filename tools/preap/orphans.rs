//! Orphans that nobody has registered.

use procherd::error::{Error, Kind, Result};
use procherd::select::Selection;
use procherd::source::Wants;
use procherd::terminate::{Root, Via};

use super::Reaper;
use crate::frame::{Finder, LookArgs, RegistryArgs, Reporter, Scene};

/// Ends the orphans that the selectors want: those that porphans would show.
pub(super) fn end(
    reaper: Reaper,
    selection: Selection,
    registry: &RegistryArgs,
    reporter: &mut Reporter,
) -> Result<Reaper> {
    let mut scene = Scene::look(&LookArgs::default(), Wants::default(), reporter)?;
    scene.know(registry, reporter)?;
    let mut finder = Finder::new(scene, selection, false);
    let found = finder.find(None)?;
    for (fact, count) in &finder.hidden {
        let on = format!("{count} processes");
        let why = "not permitted, so they were not judged";
        reporter.fault(&Error::new(Kind::Denied, format!("read {fact}"), on, why));
    }
    let scene = &finder.scene;
    let root = |process: &procherd::record::Process| Root {
        identity: process.identity(scene.host().place()),
        sid: Some(process.sid),
        pgid: Some(process.pgid),
        cookie: None,
        via: Via::Named,
    };
    let roots: Vec<Root> = found.iter().map(|(index, _)| root(scene.table().get(*index))).collect();
    reaper.end(&roots, &scene.registered, reporter)
}
