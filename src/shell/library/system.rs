//! What speaks with the shell or the node: printing, help, processes, time.

use futures::FutureExt;
use futures::future::BoxFuture;
use jiff::Timestamp;

use super::{Body, Entry, arg, integer, take, text, to_text};
use crate::limits;
use crate::node::Raise;
use crate::shell::eval::{Evaluator, Outcome};
use crate::shell::help;
use crate::shell::session::SILENT;
use crate::shell::value::{Value, terms};
use crate::term::{Pid, Pretty, Term, atom, binary, elixir, tuple};

const IO: &str = "Elixir.IO";
const PROCESS: &str = "Elixir.Process";
const NODE: &str = "Elixir.Node";
const TIME: &str = "Elixir.DateTime";

pub(super) const ENTRIES: &[Entry] = &[
    Entry::new("", "apply", 3..=3, Body::Shell(apply)),
    Entry::new("", "clear", 0..=0, Body::Shell(|shell, _| print(shell, "\x1b[H\x1b[2J".to_owned(), Term::OK))),
    Entry::new("", "exit", 1..=1, Body::Node("erlang", "exit")),
    Entry::new("", "exports", 1..=1, Body::Shell(exports)),
    Entry::new("", "flush", 0..=0, Body::Shell(flush)),
    Entry::new("", "h", 0..=1, Body::Shell(help)),
    Entry::new("", "i", 1..=1, Body::Shell(describe)),
    Entry::new("", "inspect", 1..=2, Body::Pure(|args| Ok(binary(pretty(args)?.text(arg(args, 0)?))))),
    Entry::new("", "node", 0..=1, Body::Node("erlang", "node")),
    Entry::new("", "pid", 1..=1, Body::Shell(pid)),
    Entry::new("", "self", 0..=0, Body::Node("erlang", "self")),
    Entry::new("", "send", 2..=2, Body::Node("erlang", "send")),
    Entry::new("", "v", 0..=1, Body::Shell(value)),
    Entry::new(IO, "inspect", 1..=2, Body::Shell(io_inspect)),
    Entry::new(IO, "puts", 1..=1, Body::Shell(puts)),
    Entry::new(PROCESS, "alive?", 1..=1, Body::Node("erlang", "is_process_alive")),
    Entry::new(PROCESS, "exit", 2..=2, Body::Node("erlang", "exit")),
    Entry::new(PROCESS, "info", 1..=2, Body::Node("erlang", "process_info")),
    Entry::new(PROCESS, "list", 0..=0, Body::Node("erlang", "processes")),
    Entry::new(PROCESS, "registered", 0..=0, Body::Node("erlang", "registered")),
    Entry::new(PROCESS, "sleep", 1..=1, Body::Shell(sleep)),
    Entry::new(PROCESS, "whereis", 1..=1, Body::Shell(whereis)),
    Entry::new("timer", "sleep", 1..=1, Body::Shell(sleep)),
    Entry::new(NODE, "list", 0..=1, Body::Node("erlang", "nodes")),
    Entry::new(NODE, "self", 0..=0, Body::Node("erlang", "node")),
    Entry::new(TIME, "diff", 2..=3, Body::Pure(diff)),
    Entry::new(TIME, "from_iso8601", 1..=1, Body::Pure(from_iso8601)),
    Entry::new(TIME, "utc_now", 0..=0, Body::Pure(|_| Ok(elixir::date_time(Timestamp::now())))),
    Entry::new("Elixir.GenServer", "call", 2..=3, Body::Shell(server_call)),
];

/// The options of `inspect` and `IO.inspect`.
fn pretty(args: &[Term]) -> Result<Pretty, Raise> {
    let mut pretty = Pretty { width: usize::MAX, ..Pretty::default() };
    let Some(options) = args.get(1) else { return Ok(pretty) };
    let get = |key| crate::shell::eval::access(options, &atom(key));
    if get("pretty")?.is_atom("true") {
        pretty.width = Pretty::default().width;
    }
    let number = |term: Term| match term {
        Term::Int(value) => usize::try_from(value).ok(),
        other => other.is_atom("infinity").then_some(usize::MAX),
    };
    pretty.width = number(get("width")?).unwrap_or(pretty.width);
    pretty.limit = number(get("limit")?).unwrap_or(pretty.limit);
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

fn puts(shell: &mut Evaluator, args: Vec<Value>) -> BoxFuture<'_, Outcome> {
    let text = terms(args).and_then(|args| to_text(arg(&args, 0)?));
    async move { print(shell, format!("{}\n", text?), Term::OK).await }.boxed()
}

/// Prints a value as it is shown, behind its `label`, and gives it.
fn io_inspect(shell: &mut Evaluator, args: Vec<Value>) -> BoxFuture<'_, Outcome> {
    async move {
        let args = terms(args)?;
        let mut shown = pretty(&args)?;
        shown.width = shown.width.min(Pretty::default().width);
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

fn help(shell: &mut Evaluator, mut args: Vec<Value>) -> BoxFuture<'_, Outcome> {
    async move {
        let text = match args.pop() {
            None => help::overview(&shell.context.node),
            Some(Value::Term(Term::Atom(module))) => help::module(&shell.context.node, module.as_str()),
            Some(Value::Term(Term::Binary(topic))) => {
                help::topic(&shell.context.node, &String::from_utf8_lossy(&topic))
            }
            Some(_) => {
                "h wants a module or a function: h Otturnaut.AppState, h \"Otturnaut.AppState.list\"\n".to_owned()
            }
        };
        print(shell, text, atom(SILENT)).await
    }
    .boxed()
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

fn apply(shell: &mut Evaluator, mut args: Vec<Value>) -> BoxFuture<'_, Outcome> {
    async move {
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

/// Microseconds since the epoch of a `%DateTime{}`.
fn micros(term: &Term) -> Result<i64, Raise> {
    let text = to_text(term)?.replace(' ', "T");
    text.parse::<Timestamp>().map(Timestamp::as_microsecond).map_err(|_| Raise::argument("wanted a %DateTime{}"))
}

fn diff(args: &[Term]) -> Result<Term, Raise> {
    let micros = micros(arg(args, 0)?)? - micros(arg(args, 1)?)?;
    let unit = match args.get(2).map(Term::as_atom) {
        None | Some(Some("second")) => 1_000_000,
        Some(Some("millisecond")) => 1_000,
        Some(Some("microsecond")) => 1,
        Some(Some("minute")) => 60_000_000,
        Some(Some("hour")) => 3_600_000_000,
        Some(Some("day")) => 86_400_000_000,
        Some(_) => {
            return Err(Raise::argument("a unit is :day, :hour, :minute, :second, :millisecond or :microsecond"));
        }
    };
    Ok(Term::Int(micros.div_euclid(unit)))
}

fn from_iso8601(args: &[Term]) -> Result<Term, Raise> {
    let time = super::kernel::date_time(text(args, 0)?);
    Ok(match time {
        Some(time) => tuple([Term::OK, time, Term::Int(0)]),
        None => tuple([atom("error"), atom("invalid_format")]),
    })
}
