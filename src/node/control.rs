//! Control messages (erts, "Protocol between connected nodes"): what a frame says, typed.

use crate::term::{Atom, DecodeError, Pid, Reference, Term, atom, tuple};

/// Operations, by the first element of the control tuple.
pub(super) mod op {
    pub(in crate::node) const LINK: i64 = 1;
    pub(in crate::node) const SEND: i64 = 2;
    pub(in crate::node) const EXIT: i64 = 3;
    pub(in crate::node) const UNLINK: i64 = 4;
    pub(in crate::node) const REG_SEND: i64 = 6;
    pub(in crate::node) const GROUP_LEADER: i64 = 7;
    pub(in crate::node) const EXIT2: i64 = 8;
    pub(in crate::node) const SEND_TT: i64 = 12;
    pub(in crate::node) const EXIT_TT: i64 = 13;
    pub(in crate::node) const REG_SEND_TT: i64 = 16;
    pub(in crate::node) const EXIT2_TT: i64 = 18;
    pub(in crate::node) const MONITOR: i64 = 19;
    pub(in crate::node) const DEMONITOR: i64 = 20;
    pub(in crate::node) const MONITOR_EXIT: i64 = 21;
    pub(in crate::node) const SEND_SENDER: i64 = 22;
    pub(in crate::node) const SEND_SENDER_TT: i64 = 23;
    pub(in crate::node) const PAYLOAD_EXIT: i64 = 24;
    pub(in crate::node) const PAYLOAD_EXIT_TT: i64 = 25;
    pub(in crate::node) const PAYLOAD_EXIT2: i64 = 26;
    pub(in crate::node) const PAYLOAD_EXIT2_TT: i64 = 27;
    pub(in crate::node) const PAYLOAD_MONITOR_EXIT: i64 = 28;
    pub(in crate::node) const SPAWN_REQUEST: i64 = 29;
    pub(in crate::node) const SPAWN_REQUEST_TT: i64 = 30;
    pub(in crate::node) const SPAWN_REPLY: i64 = 31;
    pub(in crate::node) const SPAWN_REPLY_TT: i64 = 32;
    pub(in crate::node) const ALIAS_SEND: i64 = 33;
    pub(in crate::node) const ALIAS_SEND_TT: i64 = 34;
    pub(in crate::node) const UNLINK_ID: i64 = 35;
    pub(in crate::node) const UNLINK_ID_ACK: i64 = 36;
}

/// What is monitored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Target {
    Pid(Pid),
    Name(Atom),
}

impl Target {
    fn read(term: &Term) -> Option<Self> {
        match term {
            Term::Pid(pid) => Some(Self::Pid((**pid).clone())),
            Term::Atom(name) => Some(Self::Name(name.clone())),
            _ => None,
        }
    }

    fn term(&self) -> Term {
        match self {
            Self::Pid(pid) => Term::from(pid.clone()),
            Self::Name(name) => Term::Atom(name.clone()),
        }
    }
}

/// A request to spawn a process here.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct SpawnRequest {
    pub(super) id: Reference,
    pub(super) from: Pid,
    pub(super) group_leader: Term,
    pub(super) module: Atom,
    pub(super) function: Atom,
    pub(super) args: Vec<Term>,
    pub(super) options: Vec<Term>,
    /// Bytes that the arguments take in memory.
    pub(super) memory: usize,
    pub(super) token: Option<Term>,
}

/// What a peer says.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Incoming {
    Link {
        from: Pid,
        to: Pid,
    },
    Unlink {
        from: Pid,
        to: Pid,
        id: Option<Term>,
    },
    /// Of the end of a linked process.
    Exit {
        from: Pid,
        to: Pid,
        reason: Term,
    },
    /// `exit/2`.
    Exit2 {
        from: Pid,
        to: Pid,
        reason: Term,
    },
    Send {
        to: Pid,
        message: Term,
        token: Option<Term>,
    },
    SendNamed {
        name: Atom,
        message: Term,
        token: Option<Term>,
    },
    Monitor {
        from: Pid,
        target: Target,
        reference: Reference,
    },
    Demonitor {
        target: Target,
        reference: Reference,
    },
    /// The end of what a process here monitors.
    Down {
        reference: Reference,
        reason: Term,
    },
    Spawn(Box<SpawnRequest>),
    /// Something that takes more than one message may.
    TooMuch {
        request: Option<Box<SpawnRequest>>,
        why: DecodeError,
    },
    /// Another group leader.
    Lead {
        leader: Term,
        of: Pid,
    },
    /// Known, and nothing to be done for it here.
    Nothing,
    /// Not known.
    Unknown(i64),
}

/// A control tuple that is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("control message {op} has another shape than wanted")]
pub(super) struct WrongShape {
    op: i64,
}

/// The operation of a control tuple.
pub(super) fn operation(control: &Term) -> Option<i64> {
    match control.as_tuple()?.first()? {
        Term::Int(op) => Some(*op),
        _ => None,
    }
}

/// Whether a term follows the control tuple.
pub(super) fn has_payload(op: i64) -> bool {
    matches!(
        op,
        op::SEND
            | op::REG_SEND
            | op::SEND_TT
            | op::REG_SEND_TT
            | op::SEND_SENDER
            | op::SEND_SENDER_TT
            | op::PAYLOAD_EXIT
            | op::PAYLOAD_EXIT_TT
            | op::PAYLOAD_EXIT2
            | op::PAYLOAD_EXIT2_TT
            | op::PAYLOAD_MONITOR_EXIT
            | op::SPAWN_REQUEST
            | op::SPAWN_REQUEST_TT
            | op::ALIAS_SEND
            | op::ALIAS_SEND_TT
    )
}

/// Reads a control tuple and the term that followed it. Forms with a trace token carry it as an element more, which is
/// passed over.
pub(super) fn read(control: &Term, payload: Option<Term>) -> Result<Incoming, WrongShape> {
    let op = operation(control).ok_or(WrongShape { op: 0 })?;
    let parts = control.as_tuple().and_then(|parts| parts.get(1..)).unwrap_or_default();
    read_signal(op, parts, payload.as_ref())
        .or_else(|| read_message(op, parts, payload))
        .unwrap_or(Err(WrongShape { op }))
}

type Read = Option<Result<Incoming, WrongShape>>;

/// Links, monitors and exits. `None`: not one of these, or of another shape.
fn read_signal(op: i64, parts: &[Term], payload: Option<&Term>) -> Read {
    let pid = |at: usize| parts.get(at).and_then(Term::as_pid).cloned();
    let reference = |at: usize| parts.get(at).and_then(Term::as_ref_term).cloned();
    let [from, to] = [pid(0), pid(1)];
    Some(Ok(match op {
        op::LINK => Incoming::Link { from: from?, to: to? },
        op::UNLINK => Incoming::Unlink { from: from?, to: to?, id: None },
        op::UNLINK_ID => Incoming::Unlink { from: pid(1)?, to: pid(2)?, id: parts.first().cloned() },
        op::EXIT => Incoming::Exit { from: from?, to: to?, reason: parts.get(2)?.clone() },
        op::EXIT_TT => Incoming::Exit { from: from?, to: to?, reason: parts.get(3)?.clone() },
        op::EXIT2 => Incoming::Exit2 { from: from?, to: to?, reason: parts.get(2)?.clone() },
        op::EXIT2_TT => Incoming::Exit2 { from: from?, to: to?, reason: parts.get(3)?.clone() },
        op::PAYLOAD_EXIT | op::PAYLOAD_EXIT_TT => Incoming::Exit { from: from?, to: to?, reason: payload.cloned()? },
        op::PAYLOAD_EXIT2 | op::PAYLOAD_EXIT2_TT => Incoming::Exit2 { from: from?, to: to?, reason: payload.cloned()? },
        op::MONITOR => {
            Incoming::Monitor { from: from?, target: Target::read(parts.get(1)?)?, reference: reference(2)? }
        }
        op::DEMONITOR => Incoming::Demonitor { target: Target::read(parts.get(1)?)?, reference: reference(2)? },
        op::MONITOR_EXIT => Incoming::Down { reference: reference(2)?, reason: parts.get(3)?.clone() },
        op::PAYLOAD_MONITOR_EXIT => Incoming::Down { reference: reference(2)?, reason: payload.cloned()? },
        _ => return None,
    }))
}

/// Messages, spawns and the rest.
fn read_message(op: i64, parts: &[Term], payload: Option<Term>) -> Read {
    let pid = |at: usize| parts.get(at).and_then(Term::as_pid).cloned();
    Some(Ok(match op {
        op::SEND | op::SEND_TT | op::SEND_SENDER | op::SEND_SENDER_TT => {
            Incoming::Send { to: pid(1)?, message: payload?, token: parts.get(2).cloned() }
        }
        op::REG_SEND | op::REG_SEND_TT => match parts.get(2)? {
            Term::Atom(name) => {
                Incoming::SendNamed { name: name.clone(), message: payload?, token: parts.get(3).cloned() }
            }
            _ => return None,
        },
        op::SPAWN_REQUEST | op::SPAWN_REQUEST_TT => Incoming::Spawn(Box::new(read_spawn(parts, payload?)?)),
        op::GROUP_LEADER => Incoming::Lead { leader: parts.first()?.clone(), of: pid(1)? },
        // Nothing of this node has an alias, spawns elsewhere or asked for an unlink.
        op::ALIAS_SEND | op::ALIAS_SEND_TT | op::SPAWN_REPLY | op::SPAWN_REPLY_TT | op::UNLINK_ID_ACK => {
            Incoming::Nothing
        }
        op::LINK..=op::UNLINK_ID_ACK if is_known(op) => return None,
        other => Incoming::Unknown(other),
    }))
}

fn is_known(op: i64) -> bool {
    has_payload(op) || matches!(op, 1 | 3 | 4 | 7 | 8 | 13 | 18 | 19 | 20 | 21 | 35)
}

fn read_spawn(parts: &[Term], payload: Term) -> Option<SpawnRequest> {
    let (request, arity) = read_spawn_head(parts)?;
    let Term::List(args) = payload else { return None };
    (usize::try_from(arity) == Ok(args.len())).then_some(SpawnRequest { args, ..request })
}

/// A request to spawn without its arguments, and how many it should have.
fn read_spawn_head(parts: &[Term]) -> Option<(SpawnRequest, i64)> {
    let [Term::Ref(id), Term::Pid(from), group_leader, what, options, ..] = parts else { return None };
    let [Term::Atom(module), Term::Atom(function), Term::Int(arity)] = what.as_tuple()? else { return None };
    let request = SpawnRequest {
        id: (**id).clone(),
        from: (**from).clone(),
        group_leader: group_leader.clone(),
        module: module.clone(),
        function: function.clone(),
        args: Vec::new(),
        options: options.as_list().unwrap_or_default().to_vec(),
        memory: 0,
        token: parts.get(5).cloned(),
    };
    Some((request, *arity))
}

/// What is known of a message whose payload is more than this node takes.
pub(super) fn without_payload(control: &Term, why: DecodeError) -> Incoming {
    let parts = control.as_tuple().unwrap_or_default();
    let spawn = matches!(parts.first(), Some(Term::Int(op::SPAWN_REQUEST | op::SPAWN_REQUEST_TT)));
    let head = parts.get(1..).filter(|_| spawn).and_then(read_spawn_head);
    Incoming::TooMuch { request: head.map(|(request, _)| Box::new(request)), why }
}

/// Links and monitors that a spawned process was given: the flags of a spawn reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct SpawnFlags {
    pub(super) link: bool,
    pub(super) monitor: bool,
}

pub(super) fn spawn_reply(request: &SpawnRequest, flags: SpawnFlags, result: Term) -> Term {
    let flags = i64::from(flags.link) | i64::from(flags.monitor) << 1;
    let rest = [request.id.clone().into(), request.from.clone().into(), flags.into(), result];
    traced((op::SPAWN_REPLY, op::SPAWN_REPLY_TT), rest, request.token.as_ref())
}

/// A control tuple, or its form with a trace token: who is sent a message with one answers with it.
fn traced<const N: usize>((plain, with_token): (i64, i64), rest: [Term; N], token: Option<&Term>) -> Term {
    let op = if token.is_some() { with_token } else { plain };
    Term::Tuple([Term::Int(op)].into_iter().chain(rest).chain(token.cloned()).collect())
}

/// The head of a DOWN; its reason follows.
pub(super) fn down(target: &Target, to: &Pid, reference: &Reference) -> Term {
    tuple([op::PAYLOAD_MONITOR_EXIT.into(), target.term(), to.clone().into(), reference.clone().into()])
}

/// The head of a linked process's exit; its reason follows.
pub(super) fn exit(from: &Pid, to: &Pid) -> Term {
    tuple([op::PAYLOAD_EXIT.into(), from.clone().into(), to.clone().into()])
}

/// The head of an `exit/2`; its reason follows.
pub(super) fn exit2(from: &Pid, to: &Pid) -> Term {
    tuple([op::PAYLOAD_EXIT2.into(), from.clone().into(), to.clone().into()])
}

/// The head of a message to a process; the message follows.
pub(super) fn send(from: &Pid, to: &Pid, token: Option<&Term>) -> Term {
    traced((op::SEND_SENDER, op::SEND_SENDER_TT), [from.clone().into(), to.clone().into()], token)
}

/// The head of a message to an alias; the message follows.
pub(super) fn alias_send(from: &Pid, alias: &Reference, token: Option<&Term>) -> Term {
    traced((op::ALIAS_SEND, op::ALIAS_SEND_TT), [from.clone().into(), alias.clone().into()], token)
}

/// The head of a message to a name; the message follows.
pub(super) fn send_named(from: &Pid, name: &Atom) -> Term {
    tuple([op::REG_SEND.into(), from.clone().into(), atom(""), name.clone().into()])
}

pub(super) fn monitor(from: &Pid, target: &Pid, reference: &Reference) -> Term {
    tuple([op::MONITOR.into(), from.clone().into(), target.clone().into(), reference.clone().into()])
}

pub(super) fn demonitor(from: &Pid, target: &Pid, reference: &Reference) -> Term {
    tuple([op::DEMONITOR.into(), from.clone().into(), target.clone().into(), reference.clone().into()])
}

pub(super) fn unlink_ack(id: Term, from: &Pid, to: &Pid) -> Term {
    tuple([op::UNLINK_ID_ACK.into(), id, from.clone().into(), to.clone().into()])
}

/// The reason of what is not there.
pub(super) fn noproc() -> Term {
    atom("noproc")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::term::list;

    fn pid(id: u32) -> Pid {
        Pid { node: Atom::from_static("a@h"), id, serial: 0, creation: 1 }
    }

    fn reference() -> Reference {
        Reference::new(Atom::from_static("a@h"), 1, &[1, 2, 3]).unwrap()
    }

    #[test]
    fn a_message_with_a_trace_token_is_the_message_and_the_token() {
        let plain = tuple([Term::Int(op::SEND_SENDER), pid(1).into(), pid(2).into()]);
        let traced = tuple([Term::Int(op::SEND_SENDER_TT), pid(1).into(), pid(2).into(), atom("token")]);
        let sent = |token| Ok(Incoming::Send { to: pid(2), message: Term::OK, token });
        assert_eq!(read(&plain, Some(Term::OK)), sent(None));
        assert_eq!(read(&traced, Some(Term::OK)), sent(Some(atom("token"))));
        let exit = tuple([Term::Int(op::EXIT2_TT), pid(1).into(), pid(2).into(), atom("token"), atom("why")]);
        assert_eq!(read(&exit, None), Ok(Incoming::Exit2 { from: pid(1), to: pid(2), reason: atom("why") }));
    }

    #[test]
    fn a_spawn_request_has_as_many_arguments_as_it_says() {
        let what = |arity| tuple([atom("m"), atom("f"), Term::Int(arity)]);
        let control = |arity| {
            let head = [Term::Int(op::SPAWN_REQUEST), reference().into(), pid(1).into(), pid(1).into()];
            Term::Tuple(head.into_iter().chain([what(arity), list([])]).collect())
        };
        let args = list([Term::Int(1), Term::Int(2)]);
        assert!(matches!(read(&control(2), Some(args.clone())), Ok(Incoming::Spawn(_))));
        assert!(read(&control(3), Some(args)).is_err());
    }

    #[test]
    fn what_is_unknown_is_no_error() {
        assert_eq!(read(&tuple([Term::Int(99)]), None), Ok(Incoming::Unknown(99)));
        assert_eq!(read(&tuple([Term::Int(op::UNLINK_ID_ACK)]), None), Ok(Incoming::Nothing));
    }

    proptest! {
        #[test]
        fn no_shape_panics(op in -2_i64..40, parts in proptest::collection::vec(0_u8..5, 0..6), payload in any::<bool>()) {
            let part = |kind| match kind {
                0 => pid(1).into(),
                1 => reference().into(),
                2 => atom("x"),
                3 => list([Term::Int(1)]),
                _ => tuple([atom("m"), atom("f"), Term::Int(1)]),
            };
            let control = Term::Tuple([Term::Int(op)].into_iter().chain(parts.into_iter().map(part)).collect());
            drop(read(&control, payload.then_some(Term::OK)));
        }
    }
}
