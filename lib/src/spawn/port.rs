//! The port of a service: one that nobody listens on, and that no other living service was given.

use super::{Order, Starter};
use crate::error::{Error, Kind, Result};
use crate::registry::{Document, given_ports};
use crate::sockets;

/// A port that is chosen when the name is claimed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wish {
    /// The one that is wanted.
    pub first: u16,
    /// How many after it will do.
    pub more: u16,
}

impl Starter<'_> {
    /// Chooses a port within the transaction that claims the name, so that no two starters ever choose the same one. None
    /// where the order wishes for none. `Busy`: none of them is free.
    pub(super) fn choose_port(&self, document: &Document, order: &Order) -> Result<Option<u16>> {
        let Some(wish) = order.port_wish else { return Ok(None) };
        let given: Vec<u16> = given_ports(document, self.host, self.source).map(|(_, port)| port).collect();
        for port in wish.first..=wish.first.saturating_add(wish.more) {
            if sockets::listeners(port)?.is_empty() && !given.contains(&port) {
                return Ok(Some(port));
            }
        }
        let why = format!("neither it nor any of the {} after it is free", wish.more);
        Err(Error::new(Kind::Busy, "choose port", wish.first, why))
    }
}
