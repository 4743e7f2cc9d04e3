//! Waiting for what has no descriptor of its own: ports that are to be free, files that are to be quiet.
//!
//! Each of them says how long it has been as it is wanted, offers a descriptor that becomes readable when there may be
//! news, and the moment at which to look again in any case. Between these, nothing is done.

mod ports;
mod quiet;

pub use ports::{Port, Ports};
pub use quiet::Quiet;
