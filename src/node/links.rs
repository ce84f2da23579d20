//! The links that are up, those that come, and the attempts of this node to make one.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio::sync::futures::Notified;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::dial::DialError;
use super::handshake::{Step, Verdict};
use super::link::Link;
use crate::limits;
use crate::term::Atom;

/// Clones share the links.
#[derive(Clone, Default)]
pub(super) struct Links(Arc<Inner>);

#[derive(Default)]
struct Inner {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Default)]
struct State {
    last_id: u64,
    up: HashMap<Atom, Arc<Link>>,
    /// Peers that dialled this node and showed that they know the cookie; how many connections of each.
    arriving: HashMap<Atom, usize>,
    attempts: HashMap<Atom, Attempt>,
    failed: HashMap<Atom, (Instant, Arc<DialError>)>,
}

/// This node dials a peer.
#[derive(Default)]
struct Attempt {
    /// What was said last.
    step: Option<Step>,
    given_up: CancellationToken,
}

/// How it stands with the link to a peer.
pub(super) enum Outlook {
    Up(Arc<Link>),
    /// It is being made, by either side.
    Coming,
    /// An attempt has just failed.
    Failed(Arc<DialError>),
    Nothing,
}

/// An attempt to make a link; over when it is dropped.
pub(super) struct Dialling {
    links: Links,
    pub(super) peer: Atom,
    /// Cancelled when the peer's own attempt was faster.
    pub(super) given_up: CancellationToken,
}

/// A link that a peer has all but made; over when it is dropped.
pub(super) struct Arriving {
    links: Links,
    peer: Atom,
}

impl Links {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
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

    /// Tells of the next change after this call.
    pub(super) fn changed(&self) -> Notified<'_> {
        self.0.changed.notified()
    }

    pub(super) fn outlook(&self, peer: &Atom) -> Outlook {
        let state = self.state();
        if let Some(link) = state.up.get(peer) {
            return Outlook::Up(link.clone());
        }
        if state.arriving.contains_key(peer) || state.attempts.contains_key(peer) {
            return Outlook::Coming;
        }
        match state.failed.get(peer) {
            Some((at, why)) if at.elapsed() < limits::DIAL_MEMORY => Outlook::Failed(why.clone()),
            _ => Outlook::Nothing,
        }
    }

    /// Puts a link up in place of an older one to the same peer, which is closed: the peer came back before its end was
    /// noticed. An attempt of this node that the peer has not agreed to is given up.
    pub(super) fn put(&self, link: &Arc<Link>) {
        let mut state = self.state();
        let older = state.up.insert(link.peer.clone(), link.clone());
        if let Some(attempt) = state.attempts.get(&link.peer).filter(|attempt| attempt.step < Some(Step::Agreed)) {
            attempt.given_up.cancel();
        }
        drop(state);
        if let Some(older) = older {
            tracing::info!(peer = %link.peer, "the peer connected anew");
            older.closed.cancel();
        }
        self.0.changed.notify_waiters();
    }

    /// Takes a link down, if it is still the one to its peer.
    pub(super) fn remove(&self, link: &Link) {
        let mut state = self.state();
        if state.up.get(&link.peer).is_some_and(|current| current.id == link.id) {
            state.up.remove(&link.peer);
        }
    }

    /// Begins an attempt; `None` while there is another one to the same peer, or too many.
    pub(super) fn dialling(&self, peer: &Atom) -> Option<Dialling> {
        let mut state = self.state();
        let full = state.attempts.len() >= limits::DIALS || state.up.len() >= limits::LINKS;
        if full || state.attempts.contains_key(peer) {
            return None;
        }
        let attempt = Attempt::default();
        let given_up = attempt.given_up.clone();
        state.attempts.insert(peer.clone(), attempt);
        Some(Dialling { links: self.clone(), peer: peer.clone(), given_up })
    }

    /// A peer is about to hear that it is let in: from then on it may have others speak of it.
    pub(super) fn arriving(&self, peer: &Atom) -> Arriving {
        *self.state().arriving.entry(peer.clone()).or_default() += 1;
        Arriving { links: self.clone(), peer: peer.clone() }
    }

    /// How to answer a peer that dials: of two attempts at once that of the greater name wins (kernel, `net_kernel`), once
    /// the peer heard of both. A peer that comes back takes the place of its older link.
    pub(super) fn judge(&self, own: &Atom, peer: &Atom) -> Verdict {
        let state = self.state();
        if state.attempts.get(peer).is_some_and(|attempt| attempt.step.is_some()) {
            return if own > peer { Verdict::Decline } else { Verdict::ProceedSimultaneous };
        }
        let full = state.up.len() >= limits::LINKS && !state.up.contains_key(peer);
        if full { Verdict::Full } else { Verdict::Proceed }
    }
}

impl Dialling {
    /// Whether the attempt may take its next step: not where the peer's own has led to a link meanwhile.
    pub(super) fn may(&self, step: Step) -> bool {
        let mut state = self.links.state();
        let there = state.up.contains_key(&self.peer) || state.arriving.contains_key(&self.peer);
        if there && step != Step::Agreed {
            return false;
        }
        if let Some(attempt) = state.attempts.get_mut(&self.peer) {
            attempt.step = Some(step);
        }
        true
    }

    /// The attempt came to nothing: for a moment there is no other.
    pub(super) fn failed(self, why: DialError) -> Arc<DialError> {
        let why = Arc::new(why);
        let mut state = self.links.state();
        state.failed.retain(|_, (at, _)| at.elapsed() < limits::DIAL_MEMORY);
        if state.failed.len() < limits::DIALS {
            state.failed.insert(self.peer.clone(), (Instant::now(), why.clone()));
        }
        why
    }
}

impl Drop for Dialling {
    fn drop(&mut self) {
        self.links.state().attempts.remove(&self.peer);
        self.links.0.changed.notify_waiters();
    }
}

impl Drop for Arriving {
    fn drop(&mut self) {
        let mut state = self.links.state();
        if let Some(count) = state.arriving.get_mut(&self.peer) {
            *count -= 1;
            if *count == 0 {
                state.arriving.remove(&self.peer);
            }
        }
        drop(state);
        self.links.0.changed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Atom = Atom::from_static("a@h");
    const B: Atom = Atom::from_static("b@h");

    #[test]
    fn of_two_attempts_at_once_that_of_the_greater_name_goes_on() {
        let links = Links::default();
        let dialling = (links.dialling(&B).unwrap(), links.dialling(&A).unwrap());
        assert!(dialling.0.may(Step::Greet) && dialling.1.may(Step::Greet));
        assert_eq!(links.judge(&A, &B), Verdict::ProceedSimultaneous);
        assert_eq!(links.judge(&B, &A), Verdict::Decline);
    }

    #[test]
    fn an_attempt_that_the_peer_has_not_heard_of_is_in_nobodys_way() {
        let links = Links::default();
        let _dialling = links.dialling(&A).unwrap();
        assert_eq!(links.judge(&B, &A), Verdict::Proceed);
    }

    #[test]
    fn an_attempt_ends_where_the_peers_own_is_all_but_through() {
        let links = Links::default();
        let dialling = links.dialling(&A).unwrap();
        let arriving = links.arriving(&A);
        assert!(!dialling.may(Step::Greet) && !dialling.may(Step::Replace));
        assert!(dialling.may(Step::Agreed), "the peer chose this one");
        drop(arriving);
        assert!(dialling.may(Step::Replace));
    }

    #[test]
    fn one_attempt_a_peer_and_so_many_in_all() {
        let links = Links::default();
        let peer = |n: usize| Atom::new(format!("peer{n}@h")).unwrap();
        let mut all: Vec<_> = (0..limits::DIALS).map(|n| links.dialling(&peer(n)).unwrap()).collect();
        assert!(links.dialling(&peer(limits::DIALS)).is_none());
        all.pop();
        assert!(links.dialling(&peer(0)).is_none());
        assert!(links.dialling(&peer(limits::DIALS)).is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn an_attempt_that_failed_is_not_made_again_for_a_moment() {
        let links = Links::default();
        links.dialling(&A).unwrap().failed(DialError::NotRegistered);
        assert!(matches!(links.outlook(&A), Outlook::Failed(_)));
        assert!(matches!(links.outlook(&B), Outlook::Nothing));
        tokio::time::advance(limits::DIAL_MEMORY).await;
        assert!(matches!(links.outlook(&A), Outlook::Nothing));
    }
}
