//! Records as people read them: aligned tables and pictures of trees; sheets and graphs for the programs that show those.
//!
//! A view is made of the records that a tool would write into a pipe, and of nothing else. So what people see and what
//! the next tool reads cannot differ.

mod cell;
mod facts;
mod graph;
mod held;
mod kin;
mod lines;
mod picture;
mod row;
pub mod rows;
mod sheet;
mod show;

pub use cell::fitting;
pub use show::{Shape, Show, Style};
