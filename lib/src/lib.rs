//! Seeing processes, naming them for ever, ending their trees, and remembering them.
//!
//! This is the library below the tools of procherd. It knows nothing of terminals, command lines or exit codes; the
//! tools know nothing of how processes are read.
//!
//! # Layers
//!
//! A module imports only from its own row and the rows above it. A test reads the imports and holds this table.
//!
//! | row       | modules |
//! |-----------|---------|
//! | words     | `error` `id` `text` `signal` `status` |
//! | meaning   | `record` `tree` `select` `program` `evidence` |
//! | form      | `stream` `table` |
//! | system    | `sys` `host` `source` `handle` `sockets` `cgroup` `stamp` |
//! | behaviour | `snapshot` `pipeline` `registry` `zombies` `hung` `follow` `terminate` `health` `spawn` `session` `supervise` `wait` |
//!
//! The procfs crate is named in `source` alone, and unsafe code stands in `sys` alone.
//!
//! # The order of every action
//!
//! Open, verify, act: an [`id::Identity`] says which process is meant, a [`handle`] proves that it still lives and
//! holds it, and only then is anything done to it, through that handle.

pub mod error;
pub mod id;
pub mod signal;
pub mod status;
pub mod text;

pub mod evidence;
pub mod program;
pub mod record;
pub mod select;
pub mod tree;

pub mod stream;
pub mod table;

pub mod cgroup;
pub mod handle;
pub mod host;
pub mod sockets;
pub mod source;
pub mod stamp;
pub mod sys;

pub mod follow;
pub mod health;
pub mod hung;
pub mod pipeline;
pub mod registry;
pub mod session;
pub mod snapshot;
pub mod spawn;
pub mod supervise;
pub mod terminate;
pub mod wait;
pub mod zombies;
