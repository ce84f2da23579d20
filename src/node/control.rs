//! Control messages (erts, "Protocol between connected nodes"): what a frame says, typed.

use crate::term::codec::{Decoder, Encoder};
use crate::term::{Atom, DecodeError, Pid, Reference, Term, atom};

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
}

impl Target {
    fn write(&self, head: Encoder) -> Encoder {
        match self {
            Self::Pid(pid) => head.pid(pid),
            Self::Name(name) => head.atom(name),
        }
    }
}

/// A request to spawn a process here.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct SpawnRequest {
    pub(super) id: Reference,
    pub(super) from: Pid,
    pub(super) group_leader: Pid,
    pub(super) module: Atom,
    pub(super) function: Atom,
    pub(super) arity: usize,
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
        leader: Pid,
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

/// Reads the control tuples of calls and messages, piece by piece: nothing is built for them. `None` for all others, and for
/// those that are wrong, which [`read`] tells of.
pub(super) fn read_common(control: &mut Decoder<'_>) -> Option<Incoming> {
    let elements = control.tuple().ok()?;
    Some(match (control.int().ok()?, elements) {
        (op::SEND_SENDER, 3) => {
            control.pid().ok()?;
            Incoming::Send { to: control.pid().ok()?, message: Term::NIL, token: None }
        }
        (op::REG_SEND, 4) => {
            control.pid().ok()?;
            control.term().ok()?;
            Incoming::SendNamed { name: control.atom().ok()?, message: Term::NIL, token: None }
        }
        (op::MONITOR, 4) => {
            let (from, target) = (control.pid().ok()?, common_target(control)?);
            Incoming::Monitor { from, target, reference: control.reference().ok()? }
        }
        (op::DEMONITOR, 4) => {
            control.pid().ok()?;
            Incoming::Demonitor { target: common_target(control)?, reference: control.reference().ok()? }
        }
        (op::SPAWN_REQUEST, 6) => Incoming::Spawn(Box::new(common_spawn(control)?)),
        _ => return None,
    })
}

fn common_target(control: &mut Decoder<'_>) -> Option<Target> {
    if control.is_at_atom() {
        return control.atom().ok().map(Target::Name);
    }
    control.pid().ok().map(Target::Pid)
}

fn common_spawn(control: &mut Decoder<'_>) -> Option<SpawnRequest> {
    let (id, from) = (control.reference().ok()?, control.pid().ok()?);
    let group_leader = control.pid().ok()?;
    let 3 = control.tuple().ok()? else { return None };
    let (module, function, arity) = (control.atom().ok()?, control.atom().ok()?, control.int().ok()?);
    let Term::List(options) = control.term().ok()? else { return None };
    let (args, arity) = (Vec::new(), usize::try_from(arity).ok()?);
    Some(SpawnRequest { id, from, group_leader, module, function, arity, args, options, memory: 0, token: None })
}

impl Incoming {
    /// Whether a term follows what [`read_common`] read.
    pub(super) fn wants_payload(&self) -> bool {
        !matches!(self, Self::Monitor { .. } | Self::Demonitor { .. })
    }

    /// Takes the term that followed, and the memory that it takes.
    pub(super) fn with_payload(mut self, payload: Term, memory: usize) -> Result<Self, WrongShape> {
        match (&mut self, payload) {
            (Self::Send { message, .. } | Self::SendNamed { message, .. }, payload) => *message = payload,
            (Self::Spawn(request), Term::List(args)) if request.arity == args.len() => {
                request.args = args;
                request.memory = memory;
            }
            _ => return Err(WrongShape { op: op::SPAWN_REQUEST }),
        }
        Ok(self)
    }

    /// The term that followed is more than is taken.
    pub(super) fn without_payload(self, why: DecodeError) -> Self {
        let request = if let Self::Spawn(request) = self { Some(request) } else { None };
        Self::TooMuch { request, why }
    }
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
        op::SPAWN_REQUEST | op::SPAWN_REQUEST_TT => {
            Incoming::Spawn(Box::new(read_spawn(parts)?)).with_payload(payload?, 0).ok()?
        }
        op::GROUP_LEADER => Incoming::Lead { leader: pid(0)?, of: pid(1)? },
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

/// A request to spawn without its arguments.
fn read_spawn(parts: &[Term]) -> Option<SpawnRequest> {
    let [Term::Ref(id), Term::Pid(from), Term::Pid(group_leader), what, options, ..] = parts else { return None };
    let [Term::Atom(module), Term::Atom(function), Term::Int(arity)] = what.as_tuple()? else { return None };
    Some(SpawnRequest {
        id: (**id).clone(),
        from: (**from).clone(),
        group_leader: (**group_leader).clone(),
        module: module.clone(),
        function: function.clone(),
        arity: usize::try_from(*arity).ok()?,
        args: Vec::new(),
        options: options.as_list().unwrap_or_default().to_vec(),
        memory: 0,
        token: parts.get(5).cloned(),
    })
}

/// What is known of a message whose payload is more than this node takes.
pub(super) fn without_payload(control: &Term, why: DecodeError) -> Incoming {
    let parts = control.as_tuple().unwrap_or_default();
    let spawn = matches!(parts.first(), Some(Term::Int(op::SPAWN_REQUEST | op::SPAWN_REQUEST_TT)));
    let head = parts.get(1..).filter(|_| spawn).and_then(read_spawn);
    Incoming::TooMuch { request: head.map(Box::new), why }
}

/// Links and monitors that a spawned process was given: the flags of a spawn reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct SpawnFlags {
    pub(super) link: bool,
    pub(super) monitor: bool,
}

pub(super) fn spawn_reply(request: &SpawnRequest, flags: SpawnFlags, result: &Term) -> Encoder {
    let flags = i64::from(flags.link) | i64::from(flags.monitor) << 1;
    let token = request.token.as_ref();
    let reply = start((op::SPAWN_REPLY, op::SPAWN_REPLY_TT), 4, token).reference(&request.id).pid(&request.from);
    end(reply.int(flags).term(result), token)
}

/// The start of a control tuple with so many elements behind its operation, or of its form with a trace token: who is sent a
/// message with one answers with it.
fn start((plain, with_token): (i64, i64), rest: u8, token: Option<&Term>) -> Encoder {
    match token {
        None => Encoder::tuple(1 + rest).int(plain),
        Some(_) => Encoder::tuple(2 + rest).int(with_token),
    }
}

fn end(control: Encoder, token: Option<&Term>) -> Encoder {
    match token {
        None => control,
        Some(token) => control.term(token),
    }
}

/// The head of a DOWN; its reason follows.
pub(super) fn down(target: &Target, to: &Pid, reference: &Reference) -> Encoder {
    target.write(Encoder::tuple(4).int(op::PAYLOAD_MONITOR_EXIT)).pid(to).reference(reference)
}

/// The head of a linked process's exit; its reason follows.
pub(super) fn exit(from: &Pid, to: &Pid) -> Encoder {
    Encoder::tuple(3).int(op::PAYLOAD_EXIT).pid(from).pid(to)
}

/// The head of an `exit/2`; its reason follows.
pub(super) fn exit2(from: &Pid, to: &Pid) -> Encoder {
    Encoder::tuple(3).int(op::PAYLOAD_EXIT2).pid(from).pid(to)
}

/// The head of a message to a process; the message follows.
pub(super) fn send(from: &Pid, to: &Pid, token: Option<&Term>) -> Encoder {
    end(start((op::SEND_SENDER, op::SEND_SENDER_TT), 2, token).pid(from).pid(to), token)
}

/// The head of a message to an alias; the message follows.
pub(super) fn alias_send(from: &Pid, alias: &Reference, token: Option<&Term>) -> Encoder {
    end(start((op::ALIAS_SEND, op::ALIAS_SEND_TT), 2, token).pid(from).reference(alias), token)
}

/// The head of a message to a name; the message follows.
pub(super) fn send_named(from: &Pid, name: &Atom) -> Encoder {
    Encoder::tuple(4).int(op::REG_SEND).pid(from).atom(&Atom::from_static("")).atom(name)
}

pub(super) fn monitor(from: &Pid, target: &Target, reference: &Reference) -> Encoder {
    target.write(Encoder::tuple(4).int(op::MONITOR).pid(from)).reference(reference)
}

pub(super) fn demonitor(from: &Pid, target: &Target, reference: &Reference) -> Encoder {
    target.write(Encoder::tuple(4).int(op::DEMONITOR).pid(from)).reference(reference)
}

pub(super) fn unlink_ack(id: &Term, from: &Pid, to: &Pid) -> Encoder {
    Encoder::tuple(4).int(op::UNLINK_ID_ACK).term(id).pid(from).pid(to)
}

/// The reason of what is not there.
pub(super) fn noproc() -> Term {
    atom("noproc")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::term::{list, tuple};

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
