//! The links that are up, by peer, and the peers that are being dialled.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::handshake::Verdict;
use super::link::Link;
use crate::limits;
use crate::term::Atom;

#[derive(Default)]
pub(super) struct Links(Mutex<State>);

#[derive(Default)]
struct State {
    last_id: u64,
    up: HashMap<Atom, Arc<Link>>,
    dialling: HashSet<Atom>,
}

/// Says that a peer is dialled; taken back when it is dropped.
pub(super) struct Dialling<'a> {
    links: &'a Links,
    peer: Atom,
}

impl Drop for Dialling<'_> {
    fn drop(&mut self) {
        self.links.state().dialling.remove(&self.peer);
    }
}

impl Links {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A number for a new link.
    pub(super) fn new_id(&self) -> u64 {
        let mut state = self.state();
        state.last_id += 1;
        state.last_id
    }

    /// The link to a peer.
    pub(super) fn get(&self, peer: &Atom) -> Option<Arc<Link>> {
        self.state().up.get(peer).cloned()
    }

    pub(super) fn all(&self) -> Vec<Arc<Link>> {
        self.state().up.values().cloned().collect()
    }

    /// Puts a link up in place of an older one to the same peer, which is closed: the peer came back before its end was
    /// noticed.
    pub(super) fn put(&self, link: &Arc<Link>) {
        let older = self.state().up.insert(link.peer.clone(), link.clone());
        if let Some(older) = older {
            tracing::info!(peer = %link.peer, "the peer connected anew");
            older.closed.cancel();
        }
    }

    /// Takes a link down, if it is still the one to its peer.
    pub(super) fn remove(&self, link: &Link) {
        let mut state = self.state();
        if state.up.get(&link.peer).is_some_and(|current| current.id == link.id) {
            state.up.remove(&link.peer);
        }
    }

    /// Marks a peer as being dialled.
    pub(super) fn dialling(&self, peer: &Atom) -> Dialling<'_> {
        self.state().dialling.insert(peer.clone());
        Dialling { links: self, peer: peer.clone() }
    }

    /// How to answer a peer that dials: of two attempts at once that of the greater name wins (kernel, `net_kernel`). A
    /// peer that comes back takes the place of its older link.
    pub(super) fn judge(&self, own: &Atom, peer: &Atom) -> Verdict {
        let state = self.state();
        if state.dialling.contains(peer) {
            return if own > peer { Verdict::Decline } else { Verdict::ProceedSimultaneous };
        }
        let full = state.up.len() >= limits::LINKS && !state.up.contains_key(peer);
        if full { Verdict::Full } else { Verdict::Proceed }
    }
}
