//! Orphans that nobody has registered.

use procherd::error::Result;
use procherd::select::Selection;
use procherd::source::Wants;
use procherd::terminate::{Root, Via};

use super::Reaper;
use crate::frame::{Finder, LookArgs, RegistryArgs, Reporter, Scene, Search};

/// Ends the orphans that the selectors want: those that porphans would show.
pub(super) fn end(
    reaper: Reaper,
    selection: Selection,
    registry: &RegistryArgs,
    reporter: &mut Reporter,
) -> Result<Reaper> {
    let mut scene = Scene::look(&LookArgs::default(), Wants::default(), reporter)?;
    scene.know(registry, reporter)?;
    let mut finder = Finder::new(Search::new(scene, selection), false);
    let found = finder.find()?;
    finder.search.end(reporter);
    let scene = &finder.search.scene;
    let root = |process: &procherd::record::Process| Root {
        sid: Some(process.sid),
        pgid: Some(process.pgid),
        ..Root::of(process.identity(scene.host().place()), Via::Named)
    };
    let roots: Vec<Root> = found.iter().map(|(index, _)| root(scene.table().get(*index))).collect();
    reaper.end(&roots, &scene.registered, reporter)
}
