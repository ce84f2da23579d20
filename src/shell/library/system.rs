//! What speaks with the shell or the node: printing, help, processes.

use futures::FutureExt;
use futures::future::BoxFuture;

use super::{Entry, arg, integer, take, text, to_text};
use crate::limits;
use crate::node::Raise;
use crate::shell::eval::{Evaluator, Outcome};
use crate::shell::help;
use crate::shell::session::SILENT;
use crate::shell::value::{Value, terms};
use crate::term::{Base, Binaries, Pid, Pretty, Term, atom, binary};

const IO: &str = "Elixir.IO";
const PROCESS: &str = "Elixir.Process";
const NODE: &str = "Elixir.Node";

pub(super) const ENTRIES: &[Entry] = &[
    Entry::shell("", "apply", 2..=3, apply),
    Entry::shell("", "clear", 0..=0, |shell, _| print(shell, "\x1b[H\x1b[2J".to_owned(), Term::OK)),
    Entry::node("", "exit", 1..=1, ("erlang", "exit")),
    Entry::shell("", "exports", 1..=1, exports),
    Entry::shell("", "flush", 0..=0, flush),
    Entry::shell("", "h", 0..=1, overview),
    Entry::shell("", "i", 1..=1, describe),
    Entry::pure("", "inspect", 1..=2, |args| Ok(binary(pretty(args, false)?.text(arg(args, 0)?)))),
    Entry::shell("", "is_function", 1..=2, is_function),
    Entry::node("", "node", 0..=1, ("erlang", "node")),
    Entry::shell("", "pid", 1..=1, pid),
    Entry::node("", "self", 0..=0, ("erlang", "self")),
    Entry::node("", "send", 2..=2, ("erlang", "send")),
    Entry::shell("", "v", 0..=1, value),
    Entry::shell("", "dbg", 1..=2, io_inspect),
    Entry::shell("", "make_ref", 0..=0, make_ref),
    Entry::shell("erlang", "make_ref", 0..=0, make_ref),
    Entry::shell(IO, "inspect", 1..=3, |shell, mut args| {
        // All is printed to the shell's terminal.
        if args.len() == 3 {
            args.remove(0);
        }
        io_inspect(shell, args)
    }),
    Entry::shell(IO, "puts", 1..=2, |shell, args| written(shell, args, "\n")),
    Entry::shell(IO, "write", 1..=2, |shell, args| written(shell, args, "")),
    Entry::node(PROCESS, "alive?", 1..=1, ("erlang", "is_process_alive")),
    Entry::node(PROCESS, "exit", 2..=2, ("erlang", "exit")),
    Entry::node(PROCESS, "info", 1..=2, ("erlang", "process_info")),
    Entry::node(PROCESS, "list", 0..=0, ("erlang", "processes")),
    Entry::node(PROCESS, "registered", 0..=0, ("erlang", "registered")),
    Entry::shell(PROCESS, "sleep", 1..=1, sleep),
    Entry::shell(PROCESS, "whereis", 1..=1, whereis),
    Entry::shell("timer", "sleep", 1..=1, sleep),
    Entry::node(NODE, "list", 0..=1, ("erlang", "nodes")),
    Entry::node(NODE, "self", 0..=0, ("erlang", "node")),
    Entry::shell("Elixir.GenServer", "call", 2..=3, server_call),
];

/// The options of `inspect` and `IO.inspect`.
///
/// What does not fit is broken if they say so, or if they do not and `breaks` does.
fn pretty(args: &[Term], breaks: bool) -> Result<Pretty, Raise> {
    let mut pretty = Pretty::default();
    let nothing = Term::List(Vec::new());
    let options = args.get(1).unwrap_or(&nothing);
    let get = |key| crate::shell::eval::access(options, &atom(key));
    let number = |term: Term| match term {
        Term::Int(value) => usize::try_from(value).ok(),
        other => other.is_atom("infinity").then_some(usize::MAX),
    };
    let asked = get("pretty")?;
    pretty.width = match number(get("width")?) {
        _ if !(asked.is_atom("true") || asked.is_atom("nil") && breaks) => usize::MAX,
        width => width.unwrap_or(pretty.width),
    };
    pretty.structs = !get("structs")?.is_atom("false");
    pretty.base = match get("base")?.as_atom() {
        Some("hex") => Base::Hexadecimal,
        Some("octal") => Base::Octal,
        Some("binary") => Base::Binary,
        _ => Base::Decimal,
    };
    pretty.limit = number(get("limit")?).unwrap_or(pretty.limit);
    pretty.lists = get("charlists")?.is_atom("as_lists");
    pretty.bytes = match get("binaries")?.as_atom() {
        Some("as_binaries") => Binaries::Bytes,
        Some("as_strings") => Binaries::Texts,
        _ => Binaries::Inferred,
    };
    pretty.text = number(get("printable_limit")?).unwrap_or(pretty.text);
    Ok(pretty)
}

fn print(shell: &Evaluator, text: String, result: impl Into<Value>) -> BoxFuture<'_, Outcome> {
    let result = result.into();
    async move {
        shell.terminal.print(text).await.map_err(|_| Raise::Exit(atom("terminated")))?;
        Ok(result)
    }
    .boxed()
}

/// Whether a term is what Elixir prints to; here all is printed to the shell's terminal.
fn is_device(term: &Term) -> bool {
    term.is_atom("stdio") || term.is_atom("stderr")
}

/// Prints a text, which may have a device before it.
fn written<'a>(shell: &'a mut Evaluator, args: Vec<Value>, end: &'static str) -> BoxFuture<'a, Outcome> {
    let text = terms(args).and_then(|args| match args.as_slice() {
        [device, text] if is_device(device) => to_text(text),
        [device, _] => Err(Raise::argument(format!("{device:?} is no device here: :stdio or :stderr"))),
        _ => to_text(arg(&args, 0)?),
    });
    async move { print(shell, text? + end, Term::OK).await }.boxed()
}

/// Prints a value as it is shown, behind its `label`, and gives it.
fn io_inspect(shell: &mut Evaluator, args: Vec<Value>) -> BoxFuture<'_, Outcome> {
    async move {
        let args = terms(args)?;
        let shown = pretty(&args, true)?;
        let label = match args.get(1) {
            Some(options) => crate::shell::eval::access(options, &atom("label"))?,
            None => Term::NIL,
        };
        let label = if label.is_atom("nil") { String::new() } else { format!("{}: ", to_text(&label)?) };
        let value = arg(&args, 0)?.clone();
        print(shell, format!("{label}{}\n", shown.text(&value)), value).await
    }
    .boxed()
}

fn make_ref(shell: &mut Evaluator, _: Vec<Value>) -> BoxFuture<'_, Outcome> {
    let made = shell.context.node.make_reference().map(Term::from);
    async move { made.map(Value::Term).ok_or_else(|| Raise::Exit(atom("terminated"))) }.boxed()
}

fn overview(shell: &mut Evaluator, _: Vec<Value>) -> BoxFuture<'_, Outcome> {
    let text = help::overview(&shell.context.node);
    print(shell, text, atom(SILENT)).boxed()
}

fn exports(shell: &mut Evaluator, mut args: Vec<Value>) -> BoxFuture<'_, Outcome> {
    async move {
        let Term::Atom(module) = take(&mut args)?.term()? else {
            return Err(Raise::argument("exports wants a module"));
        };
        let text = help::exports(&shell.context.node, module.as_str());
        print(shell, text, atom(SILENT)).await
    }
    .boxed()
}

/// Prints what was sent to this shell.
fn flush(shell: &mut Evaluator, _: Vec<Value>) -> BoxFuture<'_, Outcome> {
    async move {
        let mut text = String::new();
        while let Some(message) = shell.inbox.take() {
            text.push_str(&Pretty::default().text(&message));
            text.push('\n');
        }
        if shell.inbox.dropped() {
            text.push_str("some messages were dropped: more were sent than are kept until flush()\n");
        }
        print(shell, text, Term::OK).await
    }
    .boxed()
}

fn value(shell: &mut Evaluator, mut args: Vec<Value>) -> BoxFuture<'_, Outcome> {
    async move {
        let number = match args.pop() {
            None => -1,
            Some(number) => integer(&[number.term()?], 0)?,
        };
        shell.history.get(number).ok_or_else(|| Raise::argument(format!("v({number}) is out of bounds")))
    }
    .boxed()
}

/// What a value is.
fn describe(shell: &mut Evaluator, mut args: Vec<Value>) -> BoxFuture<'_, Outcome> {
    async move {
        let text = match take(&mut args)? {
            Value::Term(term) => help::description(&term),
            Value::Function(function) => format!("A function of {} arguments\n", function.arity()),
        };
        print(shell, text, atom(SILENT)).await
    }
    .boxed()
}

/// `pid("0.123.0")`: a process of this node.
fn pid(shell: &mut Evaluator, args: Vec<Value>) -> BoxFuture<'_, Outcome> {
    async move {
        let args = terms(args)?;
        let text = text(&args, 0)?.trim_start_matches("#PID<").trim_end_matches('>');
        let numbers: Vec<&str> = text.rsplit('.').collect();
        let this = &shell.context.this;
        let parsed = match numbers.as_slice() {
            [serial, id, ..] => serial.parse().ok().zip(id.parse().ok()),
            _ => None,
        };
        let (serial, id) = parsed.ok_or_else(|| Raise::argument("pid wants a text like \"0.123.0\""))?;
        Ok(Term::from(Pid { node: this.node.clone(), id, serial, creation: this.creation }).into())
    }
    .boxed()
}

fn is_function(_: &mut Evaluator, mut args: Vec<Value>) -> BoxFuture<'_, Outcome> {
    async move {
        let function = take(&mut args)?;
        let arity = match args.pop() {
            Some(arity) => Some(integer(&[arity.term()?], 0)?),
            None => None,
        };
        Ok(match function {
            Value::Function(of) => arity.is_none_or(|arity| usize::try_from(arity) == Ok(of.arity())).into(),
            Value::Term(_) => false.into(),
        })
    }
    .boxed()
}

fn apply(shell: &mut Evaluator, mut args: Vec<Value>) -> BoxFuture<'_, Outcome> {
    async move {
        if args.len() == 2 {
            let (function, list) = (take(&mut args)?, take(&mut args)?.term()?);
            let Term::List(list) = list else { return Err(Raise::error(atom("badarg"))) };
            return shell.apply(&function, list.into_iter().map(Value::Term).collect()).await;
        }
        let (module, name) = (take(&mut args)?.term()?, take(&mut args)?.term()?);
        let list = take(&mut args)?.term()?;
        match (module, name, list) {
            (Term::Atom(module), Term::Atom(name), Term::List(args)) => {
                shell.remote(&module, name.as_str(), args.into_iter().map(Value::Term).collect()).await
            }
            _ => Err(Raise::error(atom("badarg"))),
        }
    }
    .boxed()
}

fn sleep(_: &mut Evaluator, args: Vec<Value>) -> BoxFuture<'_, Outcome> {
    async move {
        let wanted = u64::try_from(integer(&terms(args)?, 0)?).map_err(|_| Raise::error(atom("badarg")))?;
        let time = std::time::Duration::from_millis(wanted);
        if time > limits::SHELL_SLEEP {
            return Err(Raise::argument(format!("a sleep takes at most {} s here", limits::SHELL_SLEEP.as_secs())));
        }
        tokio::time::sleep(time).await;
        Ok(Term::OK.into())
    }
    .boxed()
}

fn whereis(shell: &mut Evaluator, args: Vec<Value>) -> BoxFuture<'_, Outcome> {
    async move {
        let args = terms(args)?;
        let name = arg(&args, 0)?.as_atom().ok_or_else(|| Raise::error(atom("badarg")))?;
        Ok(Term::from(shell.context.node.whereis(name)).into())
    }
    .boxed()
}

/// `GenServer.call(server, request, timeout)`: the node's servers answer at once, so no timeout passes.
fn server_call(shell: &mut Evaluator, args: Vec<Value>) -> BoxFuture<'_, Outcome> {
    async move {
        let args = terms(args)?;
        let node = shell.context.node.clone();
        node.call_server(&shell.context, arg(&args, 0)?, arg(&args, 1)?).await.map(Value::Term)
    }
    .boxed()
}
