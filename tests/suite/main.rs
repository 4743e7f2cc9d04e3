//! Tests of the programs as their users meet them, and of the project as its developers do.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that meets the unexpected has failed")]
#![allow(dead_code, reason = "the support of all suites, of which some use more than others")]

mod acceptance;
mod actors;
mod completions;
mod contract;
mod docs;
mod ecosystem;
mod finders;
mod fleet;
mod hooks;
mod install;
mod layers;
mod logs;
mod manners;
mod newcomer;
mod pdoctor;
mod pdups;
mod pfmt;
mod pgone;
mod phealth;
mod phung;
mod pipelines;
mod pkeep;
mod pkill_tree;
mod porphans;
mod pports;
mod preap;
mod progress;
mod psession;
mod pspawn;
mod pstree_json;
mod ptrack;
mod pwatch;
mod pzombies;
mod recipes;
mod support;
mod views;
