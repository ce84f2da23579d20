//! The shell on a node, at a terminal of the test: what people and strangers type is bounded in stack, memory and time.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test ends there"
)]

mod support;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use otturnaut::limits;
use otturnaut::node::{Context, Node};
use otturnaut::shell::{Closed, Line, Outcome, Session, Terminal, complete, converse};
use otturnaut::term::{Pid, Term, atom, tuple};
use tokio::sync::{mpsc, oneshot};

/// Keeps what is printed; lines are what the test types.
#[derive(Default)]
struct Typed {
    printed: Mutex<String>,
    lines: Mutex<Vec<&'static str>>,
}

#[async_trait]
impl Terminal for Typed {
    async fn print(&self, text: String) -> Result<(), Closed> {
        self.printed.lock().unwrap().push_str(&text);
        Ok(())
    }

    async fn read(&self, prompt: String) -> Result<Line, Closed> {
        self.printed.lock().unwrap().push_str(&prompt);
        let mut lines = self.lines.lock().unwrap();
        Ok(if lines.is_empty() { Line::End } else { Line::Text(lines.remove(0).to_owned() + "\n") })
    }
}

/// A shell in a process of a node.
struct Shell {
    node: Node,
    pid: Pid,
    lines: mpsc::Sender<(String, oneshot::Sender<Outcome>)>,
    terminal: Arc<Typed>,
}

async fn node() -> Node {
    support::start(support::settings(support::free_port())).await
}

async fn shell() -> Shell {
    open(&node().await)
}

fn open(node: &Node) -> Shell {
    let (lines, mut came) = mpsc::channel::<(String, oneshot::Sender<Outcome>)>(1);
    let terminal = Arc::new(Typed::default());
    let (of, screen) = (node.clone(), terminal.clone());
    let pid = node.spawn(("test", "shell", 0), |this| async move {
        let mut session = Session::new(context(&of, &this), screen, of.open_inbox(&this));
        while let Some((line, answer)) = came.recv().await {
            let outcome = session.line(&line).await;
            // Who asked may have gone.
            answer.send(outcome).unwrap_or_default();
        }
        atom("normal")
    });
    Shell { node: node.clone(), pid, lines, terminal }
}

fn context(node: &Node, this: &Pid) -> Context {
    Context { node: node.clone(), caller: this.clone(), group_leader: Term::from(this.clone()), this: this.clone() }
}

impl Shell {
    async fn line(&self, line: &str) -> Outcome {
        let (tell, told) = oneshot::channel();
        self.lines.send((format!("{line}\n"), tell)).await.expect("the shell lives");
        tokio::time::timeout(Duration::from_secs(120), told).await.expect("it answers").expect("the shell lives")
    }

    /// What is shown of a line.
    async fn shown(&self, line: &str) -> String {
        match self.line(line).await {
            Outcome::Value(_, text) | Outcome::Error(text) => text,
            Outcome::Nothing => String::new(),
            Outcome::More => {
                self.line("#iex:break").await;
                "more".to_owned()
            }
        }
    }

    /// A line that is too much is an error in one line, and the shell goes on.
    async fn refuses(&self, line: &str) {
        let head: String = line.chars().take(60).collect();
        let shown = self.shown(line).await;
        assert!(shown.starts_with("** (") && !shown.contains('\n') && shown.len() < 2000, "{head}: {shown}");
        assert_eq!(self.shown("1 + 1").await, "2", "behind {head}");
    }

    /// A line that may be answered or refused, as long as the shell goes on.
    async fn survives(&self, line: &str) {
        let head: String = line.chars().take(60).collect();
        let shown = self.shown(line).await;
        assert!(shown.len() < 16 * 1024 * 1024, "{head}: {} bytes", shown.len());
        assert_eq!(self.shown("1 + 1").await, "2", "behind {head}");
    }
}

/// A pattern, so many times.
fn times(count: usize, part: &str) -> String {
    part.repeat(count)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nesting_is_bounded() {
    let shell = shell().await;
    for (open, close) in [
        ("(", ")"),
        ("[", "]"),
        ("{", "}"),
        ("%{a: ", "}"),
        ("<<", ">>"),
        ("f(", ")"),
        ("fn -> ", " end"),
        ("- ", ""),
        ("not ", ""),
        ("! ", ""),
        ("&(", ")"),
        ("\"#{", "}\""),
        ("if true do ", " end"),
        ("a[", "]"),
        ("f.(", ")"),
        ("[a: ", "]"),
        ("f ", ""),
        ("^", ""),
        ("case 1 do _ -> ", " end"),
        ("%A{b: ", "}"),
        ("~s(#{", "})"),
        ("(fn -> ", " end).()"),
        ("x = ", ""),
        ("[1 | ", "]"),
        ("for _ <- [1], do: ", ""),
        ("1..", ""),
        ("1 ++ ", ""),
        ("& ", ""),
        ("x when ", ""),
        ("1 <> ", ""),
        ("&f/", ""),
        ("@", ""),
        ("%{", "}"),
        ("f x, ", ""),
        ("1 :: ", ""),
    ] {
        for depth in [1, 10, 30, 38, 39, 40, 41, 100, 1000, 5000] {
            shell.survives(&format!("{}1{}", times(depth, open), times(depth, close))).await;
        }
        shell.survives(&times(8000, open)).await;
    }
    shell.refuses(&format!("{}1{}", times(1000, "["), times(1000, "]"))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn chains_are_bounded() {
    let shell = shell().await;
    for link in [
        "+1",
        "*1",
        "|> a()",
        ".a",
        "[1]",
        ".()",
        ".(1)",
        "++[1]",
        "<>\"a\"",
        "||1",
        "&&1",
        "=1",
        "..1",
        "//1",
        " in [1]",
        " not in [1]",
        " and true",
        "==1",
        "|1",
        "::1",
        "<-1",
        " when 1",
        "--[1]",
        "**1",
        "()",
        " 1",
        ",1",
        ";1",
        "\n1",
        "; x = [1]",
        " -1",
        "=~\"a\"",
    ] {
        for length in [10, 90, 99, 100, 101, 1000, 20_000] {
            let line = format!("1{}", times(length, link));
            if line.len() < limits::SHELL_INPUT {
                shell.survives(&line).await;
            }
        }
    }
    assert_eq!(shell.shown(&format!("1{}", times(90, "+1"))).await, "91");
    shell.refuses(&format!("1{}", times(20_000, "+1"))).await;
    shell.refuses(&times(limits::SHELL_INPUT + 1, "1")).await;
}

/// Values that nest deeper with each line, so that no line is deep: what goes over them goes down.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn values_that_nest_deeper_with_each_step_are_bounded() {
    let shell = shell().await;
    for grown in ["[x]", "{x}", "%{a: x}", "%{x => 1}", "[x | x]", "[1 | {x}]"] {
        shell.line("x = 1").await;
        for _ in 0..3 {
            shell.survives(&format!("x = Enum.reduce(1..1000, x, fn _, x -> {grown} end); 1")).await;
        }
        for over in [
            "x",
            "inspect(x)",
            "x == x",
            "[x] -- [x]",
            "Enum.sort([x, x])",
            "IO.inspect(x, limit: :infinity)",
            "v()",
            "send(self(), x)",
            "flush()",
            "Trial.echo(x)",
            "%{x => x}",
            "List.flatten([x])",
            "\"#{[x]}\"",
            "Enum.uniq([x, x])",
            "x = 1",
        ] {
            shell.survives(over).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn functions_that_call_themselves_end() {
    let shell = shell().await;
    for line in [
        "f = fn f -> f.(f) end; f.(f)",
        "f = fn f, n -> [f.(f, n + 1)] end; f.(f, 0)",
        "f = fn f, n -> if n > 1_000_000, do: n, else: f.(f, n + 1) end; f.(f, 0)",
        "f = fn f -> Enum.map([1], fn _ -> f.(f) end) end; f.(f)",
        "f = fn f -> \"#{f.(f)}\" end; f.(f)",
        "f = fn f -> case f.(f) do x -> x end end; f.(f)",
        "f = fn f -> for _ <- [1], do: f.(f) end; f.(f)",
        "f = fn f -> with x <- f.(f), do: x end; f.(f)",
        "f = fn f -> Enum.sort([1, 2], fn _, _ -> f.(f) end) end; f.(f)",
        "f = fn f -> Enum.reduce([1, 2], fn _, _ -> f.(f) end) end; f.(f)",
        "f = fn f -> Enum.find([1], fn _ -> f.(f) end) end; f.(f)",
        "f = fn f -> 1 |> then(fn _ -> f.(f) end) end; f.(f)",
        "f = fn f -> %{a: f.(f)} end; f.(f)",
        "f = fn f -> apply(f, [f]) end; f.(f)",
        "f = &(&1.(&1)); f.(f)",
    ] {
        shell.refuses(line).await;
    }
}

fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() / 1024
}

/// Expressions that would take all of something.
const LARGE: &[&str] = &[
    "Enum.to_list(1..1_000_000_000_000)",
    "Enum.count(1..9_000_000_000_000_000_000)",
    "Enum.map(1..100_000_000, & &1)",
    "for _ <- 1..100_000, _ <- 1..100_000, do: 1",
    "for _ <- 1..1000, _ <- 1..1000, _ <- 1..1000, into: %{}, do: {1, 1}",
    "String.duplicate(\"abcdefgh\", 1_000_000_000)",
    "String.pad_leading(\"a\", 10_000_000_000)",
    "List.duplicate(1, 10_000_000_000)",
    "2 ** 10_000_000_000",
    "2 ** 2 ** 2 ** 2 ** 2 ** 2",
    "Integer.pow(10, 1_000_000_000)",
    "Enum.reduce(1..1000, 2, fn _, x -> x * x end)",
    "Enum.reduce(1..100, \"x\", fn _, x -> x <> x end)",
    "Enum.reduce(1..100, [1], fn _, x -> x ++ x end)",
    "Enum.reduce(1..100, [1], fn _, x -> Enum.concat(x, x) end)",
    "Enum.reduce(1..100, [1], fn _, x -> Enum.flat_map(x, fn y -> [y, y] end) end)",
    "Enum.reduce(1..40, [1], fn _, x -> {x, x} end) |> inspect(limit: :infinity) |> String.length()",
    "Enum.reduce(1..100, \"x\", fn _, x -> \"#{x}#{x}\" end)",
    "Enum.reduce(1..100, <<1>>, fn _, x -> <<x::binary, x::binary>> end)",
    "Enum.reduce(1..100, \"ab\", fn _, x -> String.replace(x, \"a\", x) end)",
    "Enum.product(1..100_000)",
    "Enum.zip(1..1_000_000, 1..1_000_000) |> Enum.zip(1..1_000_000) |> length()",
    "<<1::size(100_000_000)>>",
    "Process.sleep(10_000_000_000)",
    "Enum.to_list(1..1_000_000) -- Enum.to_list(1..1_000_000)",
    "Enum.reduce(1..30, [1], fn _, x -> [x, x, x, x] end)",
    "Enum.reduce(1..30, %{}, fn i, x -> %{i => x, x => i} end)",
    "String.duplicate(\"a\", 30_000_000) |> String.graphemes()",
    "String.duplicate(\"a b \", 5_000_000) |> String.split()",
    "String.duplicate(\"ab\", 10_000_000) |> String.replace(\"a\", String.duplicate(\"x\", 1000))",
    "Enum.map(1..1_000_000, fn x -> {x, x, x} end) |> inspect(limit: :infinity) |> String.length()",
    "for x <- 1..100_000, do: String.duplicate(\"x\", 100_000)",
    "put_in(%{}, Enum.to_list(1..1_000_000), 1)",
    // Deeper with each step, by a function that is no expression.
    "Enum.reduce(List.duplicate([1], 500_000), [1], &Enum.zip/2)",
    "Enum.zip(List.duplicate(1..1_000_000, 30))",
    "List.zip(List.duplicate(1..1_000_000, 30))",
    "Enum.chunk_every(1..900_000, 1000, 1)",
    "Enum.flat_map_reduce(1..1000, 0, fn _, sum -> {1..10_000, sum} end)",
    "Enum.scan(1..100_000, [], fn x, all -> [x | all] end)",
    "Integer.undigits(List.duplicate(9, 100_000))",
    "String.pad_leading(\"a\", 30_000_000, \"e\\u0301\")",
    "String.jaro_distance(String.duplicate(\"a\", 100_000), String.duplicate(\"b\", 100_000))",
    "String.contains?(String.duplicate(\"a\", 30_000_000), List.duplicate(\"b\", 100_000))",
    "Keyword.merge(List.duplicate({:a, 1}, 500_000), List.duplicate({:b, 1}, 500_000)) |> length()",
    "Enum.reduce(1..1_000_000, String.duplicate(\"a\", 30_000_000), fn _, text -> String.trim(text) end)",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sizes_are_bounded() {
    let shell = shell().await;
    let longest = Arc::new(AtomicU64::new(0));
    let gap = longest.clone();
    let ticks = tokio::spawn(async move {
        loop {
            let before = Instant::now();
            tokio::time::sleep(Duration::from_millis(10)).await;
            gap.fetch_max(u64::try_from(before.elapsed().as_millis()).unwrap(), Ordering::Relaxed);
        }
    });
    let before = peak();
    for line in LARGE {
        shell.survives(line).await;
        assert!(peak() < before + 900, "{} MiB after {line}", peak());
    }
    // Without going over them.
    assert_eq!(shell.shown("{5 in 1..10_000_000_000, Enum.count(1..10_000_000_000//3)}").await, "{true, 3333333334}");
    ticks.abort();
    eprintln!("peak {} MiB (before: {before}), longest gap {:?} ms", peak(), longest);
    assert!(longest.load(Ordering::Relaxed) < 5_000, "others waited {longest:?} ms");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_others_do_goes_on_beside_a_shell_that_computes() {
    let node = node().await;
    let (busy, other) = (open(&node), open(&node));
    let computes =
        tokio::spawn(async move { busy.shown("Enum.map(1..200_000, fn x -> x * 2 end) |> Enum.sum()").await });
    assert_eq!(other.shown("1 + 1").await, "2");
    assert_eq!(computes.await.unwrap(), "40000200000");
}

#[tokio::test]
async fn messages_wait_for_flush_and_a_stream_waits_for_room() {
    let shell = shell().await;
    // An inbox is opened with the first line at the latest.
    assert_eq!(shell.shown("flush()").await, ":ok");
    let (node, to) = (shell.node.clone(), shell.pid.clone());
    let count = limits::INBOX_MESSAGES * 2;
    let stream = tokio::spawn(async move {
        let sender = node.spawn(("test", "sender", 0), |_| std::future::pending::<Term>());
        for number in 0..count {
            node.send(&sender, &to, tuple([atom("n"), Term::from(number)])).await.unwrap();
        }
    });
    let mut text = String::new();
    let deadline = Instant::now() + Duration::from_secs(60);
    while text.lines().filter(|line| line.starts_with("{:n, ")).count() < count {
        assert!(Instant::now() < deadline, "{} lines came", text.lines().count());
        assert_eq!(shell.shown("flush()").await, ":ok");
        text.extend(shell.terminal.printed.lock().unwrap().drain(..));
        tokio::task::yield_now().await;
    }
    stream.await.unwrap();
    assert!(!text.contains("dropped"));
}

#[tokio::test]
async fn a_conversation_has_prompts_history_and_ends_with_its_terminal() {
    let node = node().await;
    let terminal = Arc::new(Typed::default());
    *terminal.lines.lock().unwrap() =
        vec!["x = 20", "[x,", "1]", "v() |> Enum.sum()", "v(1)", "v(-2)", "1 +", "#iex:break", "nope", "exit"];
    let (ended, end) = oneshot::channel();
    let (of, screen) = (node.clone(), terminal.clone());
    node.spawn(("test", "shell", 0), |this| async move {
        let inbox = of.open_inbox(&this);
        let result = converse(context(&of, &this), screen, inbox).await;
        ended.send(result).unwrap();
        atom("normal")
    });
    assert_eq!(tokio::time::timeout(Duration::from_secs(10), end).await.unwrap().unwrap(), Ok(()));
    let name = node.name().as_str().to_owned();
    let printed = terminal.printed.lock().unwrap().replace(&name, "n");
    let (_, talk) = printed.split_once('\n').unwrap();
    let wanted = "iex(n)1> 20\niex(n)2> ...(n)2> [20, 1]\niex(n)3> 21\niex(n)4> 20\niex(n)5> 21\niex(n)6> ...(n)6> \
                  ** (TokenMissingError) incomplete expression\niex(n)6> ** (CompileError) undefined variable \"nope\"\niex(n)6> ";
    assert_eq!(talk, wanted);
}

#[tokio::test]
async fn tab_completes_modules_and_functions_with_arities() {
    let node = node().await;
    let found = |line: &str| {
        let completion = complete(&node, line);
        (completion.insert, completion.candidates)
    };
    assert_eq!(found("Tri"), ("al".to_owned(), vec!["Trial".to_owned()]));
    assert_eq!(found("x = Trial.ec"), ("ho".to_owned(), vec!["echo/1".to_owned()]));
    let (insert, candidates) = found("Trial.sleep");
    assert_eq!((insert.as_str(), candidates), ("", vec!["sleep/1".to_owned(), "sleep_with/2".to_owned()]));
    assert_eq!(found("Trial.nothing"), (String::new(), Vec::new()));
    assert_eq!(found("Trial.echo(1)."), (String::new(), Vec::new()));
    assert!(found("").1.contains(&"Trial".to_owned()) && found(":erl").1.contains(&"erlang".to_owned()));
    for line in
        ["", ".", "..", ":", ":.", "\"", "a.b.", "é.", "Trial.echo(Tri", "(", "\\", "::", "%Tri", "#{", "&Trial.ec"]
    {
        complete(&node, line);
    }
}
