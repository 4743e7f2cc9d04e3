//! Waiting for many processes to die: see [`crate::handle::Watch`].

pub(super) use crate::handle::Watch;
