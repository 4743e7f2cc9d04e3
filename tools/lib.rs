//! The tools of procherd. Each is a module with a `main` that its three-line binary calls.
//!
//! What they share stands in [`frame`]; what they know of processes, in the library.

pub mod frame;

pub mod pdoctor;
pub mod pdups;
pub mod pfmt;
pub mod pgone;
pub mod phealth;
pub mod phung;
pub mod pkeep;
pub mod pkill_tree;
pub mod porphans;
pub mod pports;
pub mod preap;
pub mod psession;
pub mod pspawn;
pub mod pstree_json;
pub mod ptrack;
pub mod pwatch;
pub mod pzombies;

/// Every tool of the suite by name, in the order of the manual. Tests and generators go through this list.
pub const TOOLS: &[frame::Tool] = &[
    pstree_json::TOOL,
    porphans::TOOL,
    pzombies::TOOL,
    phung::TOOL,
    pdups::TOOL,
    pports::TOOL,
    pkill_tree::TOOL,
    pgone::TOOL,
    phealth::TOOL,
    ptrack::TOOL,
    preap::TOOL,
    pspawn::TOOL,
    psession::TOOL,
    pwatch::TOOL,
    pkeep::TOOL,
    pfmt::TOOL,
    pdoctor::TOOL,
];
