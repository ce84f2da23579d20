//! The term codec beside the `eetf` crate: one table, a line for each case.
//!
//! The clock is read here and not by a library: criterion and divan measure one function after the other and print a block
//! for each, while the two codecs are to take turns, so that what disturbs the machine meets both, and to stand in one
//! line.

#![allow(clippy::expect_used, clippy::indexing_slicing, reason = "a benchmark ends there")]
#![allow(clippy::print_stdout, reason = "the table is what it is for")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use bytes::Bytes;
use otturnaut::limits::TERM_MEMORY_BYTES;
use otturnaut::term::codec::{Atoms, Decoder, decode, encode};
use otturnaut::term::{
    Atom, DecodeError, Pid, Reference, Term, atom, binary, budget, elixir, keyword, list, map, tuple,
};

/// A term is put into memory so many times: where a large one lies can be worth a factor.
const PLACES: usize = 5;
/// Each round measures every column once, at every place.
const ROUNDS: usize = 61;
/// A term is coded again and again until this long has passed: the clock is far finer.
const SAMPLE: Duration = Duration::from_millis(1);

const HEAD: &str = "\
Times of one term: medians of rounds in which the codecs take turns; \"x\" is the time of eetf over ours.
encode: into memory that is there. decode: with freeing the term. Ours walks the budget first and knows the atoms that
came lately, as the node does with terms over 64 KiB; \"no walk\" is how the node decodes smaller ones.
A binary from 64 KiB on ours shares with its frame, eetf copies it. A list sent as a string of bytes stays one in eetf.
Before a term is timed, both codecs must give it back.
";

/// An encoding, and what the codecs make of it.
struct Case {
    frame: Bytes,
    ours: Term,
    theirs: Result<eetf::Term, String>,
}

/// Codes a term so many times, and tells how long that took.
type Column<'a> = Box<dyn FnMut(u32) -> Duration + 'a>;

fn main() {
    println!("{HEAD}");
    let [encode, decode] = ["encode, ours", "decode, ours"].map(|ours| format!("{ours:>14} {:>9} {:>6}", "eetf", "x"));
    println!("{:<29} {:>9}{encode}{decode} {:>10}", "", "bytes", "no walk");
    for (name, term) in cases() {
        println!("{}", line(name, &term));
    }
}

fn cases() -> Vec<(&'static str, Term)> {
    let bytes = |length| Term::Binary(vec![b'x'; length].into());
    vec![
        ("rpc arguments", rpc_arguments()),
        ("a line of a command's output", command_output()),
        ("the state of an app", app(1)),
        ("%Otturnaut.Deployment{}", deployment()),
        ("1,000 apps", list((1..=1_000).map(app))),
        ("a binary of 64 KiB", bytes(64 * 1024)),
        ("a binary of 1 MiB", bytes(1024 * 1024)),
        ("10,000 integers, 0 to 255", integers(0..256)),
        ("10,000 integers, 0 to 9,999", integers(0..10_000)),
        ("10,000 integers, -100 to 100", integers(-100..101)),
        ("lists and tuples, 500 deep", nested(500)),
    ]
}

fn node() -> Atom {
    Atom::from_static("mission_control@10.0.0.1")
}

/// What `:rpc.call(node, Otturnaut.AppState, :get, ["app-1"])` spawns `:erpc.execute_call/4` with.
fn rpc_arguments() -> Term {
    let reference =
        Reference::new(node(), 1_760_000_000, &[190_232, 2_417_492_993, 4_031_246_870]).expect("three words");
    list([Term::from(reference), atom("Elixir.Otturnaut.AppState"), atom("get"), list([binary("app-1")])])
}

/// A message of a command that runs.
fn command_output() -> Term {
    let pid = Pid { node: node(), id: 1_234, serial: 0, creation: 1_760_000_000 };
    tuple([atom("command_output"), Term::from(pid), tuple([atom("stdout"), binary("x".repeat(80))])])
}

/// The state of an application, as a deploy writes it.
fn app(n: u16) -> Term {
    map([
        ("deployment_id", binary(format!("d{n}-{}", 10_000_000 + u32::from(n)))),
        ("container_name", binary(format!("otturnaut-app-{n}-d{n}"))),
        ("port", Term::from(10_000 + n)),
        ("domains", list([binary(format!("app-{n}.example.com")), binary(format!("www.app-{n}.example.com"))])),
        ("status", atom("running")),
    ])
}

fn deployment() -> Term {
    let started_at = "2026-01-15T10:20:30.123456Z".parse().expect("a time");
    let fields = [
        ("id", binary("1ViLAJzf")),
        ("app_id", binary("my-app")),
        ("image", binary("my-app:latest")),
        ("container_port", Term::Int(3_000)),
        ("port", Term::Int(13_364)),
        ("container_name", binary("otturnaut-my-app-1ViLAJzf")),
        ("container_id", binary("99b6".repeat(16))),
        ("previous_container_name", Term::NIL),
        ("previous_port", Term::NIL),
        ("error", Term::NIL),
        ("started_at", elixir::date_time(started_at)),
        ("completed_at", Term::NIL),
        (
            "env",
            Term::Map([(binary("PORT"), binary("3000")), (binary("LANG"), binary("C.UTF-8"))].into_iter().collect()),
        ),
        ("domains", list([binary("my-app.localhost"), binary("www.my-app.localhost")])),
        ("runtime", atom("Elixir.Otturnaut.Runtime.Docker")),
        ("runtime_opts", keyword([("socket", binary("/var/run/docker.sock"))])),
        ("status", atom("in_progress")),
    ];
    elixir::structure("Elixir.Otturnaut.Deployment", fields)
}

fn integers(of: std::ops::Range<i64>) -> Term {
    list(of.cycle().take(10_000).map(Term::Int))
}

fn nested(levels: usize) -> Term {
    (0..levels).fold(Term::OK, |inner, level| match level % 2 {
        0 => list([inner]),
        _ => tuple([atom("level"), inner]),
    })
}

impl Case {
    /// Ours must give the term back: nothing is measured that does not work.
    fn new(term: &Term) -> Self {
        let mut frame = Vec::new();
        encode(term, &mut frame).expect("ours encodes it");
        let frame = Bytes::from(frame);
        let ours = checked(&frame, &mut Atoms::default()).expect("ours decodes its own encoding");
        assert_eq!(ours, *term, "ours gives another term back");
        let theirs = theirs(&frame, term);
        Self { frame, ours, theirs }
    }

    /// Ours and theirs, encoding and then decoding, and ours without the walk.
    fn columns(&self) -> [Option<Column<'_>>; 5] {
        let theirs = self.theirs.as_ref().ok();
        let (mut out, mut their_out) = (Vec::new(), Vec::new());
        let (mut atoms, mut unchecked_atoms) = (Atoms::default(), Atoms::default());
        [
            Some(column(move || {
                out.clear();
                encode(black_box(&self.ours), &mut out)
            })),
            theirs.map(|term| {
                column(move || {
                    their_out.clear();
                    black_box(term).encode(&mut their_out)
                })
            }),
            Some(column(move || checked(black_box(&self.frame), &mut atoms))),
            theirs.map(|_| column(|| eetf::Term::decode(black_box(&self.frame[..])))),
            Some(column(move || unchecked(black_box(&self.frame), &mut unchecked_atoms))),
        ]
    }

    /// Measures in turns; adds the seconds of a term to those of each column.
    fn measure(&self, seconds: &mut [Vec<f64>; 5]) {
        let mut columns = self.columns().map(|column| column.map(|mut column| (often_enough(&mut column), column)));
        for _ in 0..ROUNDS {
            for (column, seconds) in columns.iter_mut().zip(&mut *seconds) {
                if let Some((times, column)) = column {
                    seconds.push(column(*times).as_secs_f64() / f64::from(*times));
                }
            }
        }
    }
}

fn line(name: &str, term: &Term) -> String {
    let cases: [Case; PLACES] = std::array::from_fn(|_| Case::new(term));
    let mut seconds: [Vec<f64>; 5] = Default::default();
    for case in &cases {
        case.measure(&mut seconds);
    }
    let [encode, their_encode, decode, their_decode, unchecked] = seconds;
    let [encode, decode] = [pair(encode, their_encode), pair(decode, their_decode)];
    let [bytes, unchecked] = [cases[0].frame.len().to_string(), shown(median(unchecked))];
    let why = cases[0].theirs.as_ref().err().map_or(String::new(), |why| format!("  eetf {why}"));
    format!("{name:<29} {bytes:>9}{encode}{decode} {unchecked:>10}{why}")
}

fn pair(ours: Vec<f64>, theirs: Vec<f64>) -> String {
    // The ratio of one round compares what ran side by side.
    let ratios = theirs.iter().zip(&ours).map(|(theirs, ours)| theirs / ours).collect();
    let ratio = median(ratios).map_or("-".to_owned(), three_digits);
    format!("{:>14} {:>9} {ratio:>6}", shown(median(ours)), shown(median(theirs)))
}

/// What `eetf` decodes, if it gives the same term back: to itself by its own `==`, and to ours.
fn theirs(frame: &Bytes, term: &Term) -> Result<eetf::Term, String> {
    let theirs = eetf::Term::decode(&frame[..]).map_err(|e| format!("does not decode it: {e}"))?;
    let mut out = Vec::new();
    theirs.encode(&mut out).map_err(|e| format!("does not encode it: {e}"))?;
    let again = eetf::Term::decode(&out[..]).map_err(|e| format!("does not decode its own encoding: {e}"))?;
    let same = again == theirs && decode(&Bytes::from(out)).as_ref() == Ok(term);
    if same { Ok(theirs) } else { Err("gives another term back".to_owned()) }
}

/// As a peer's bytes are decoded: what they would cost first.
fn checked(frame: &Bytes, atoms: &mut Atoms) -> Result<Term, DecodeError> {
    budget::check(frame, TERM_MEMORY_BYTES)?;
    unchecked(frame, atoms)
}

fn unchecked(frame: &Bytes, atoms: &mut Atoms) -> Result<Term, DecodeError> {
    let mut decoder = Decoder::new(frame, Some(atoms));
    decoder.version()?;
    let term = decoder.term()?;
    decoder.end()?;
    Ok(term)
}

fn column<'a, T>(mut code: impl FnMut() -> T + 'a) -> Column<'a> {
    Box::new(move |times| {
        let start = Instant::now();
        for _ in 0..times {
            black_box(code());
        }
        start.elapsed()
    })
}

/// How often a column codes its term in the time of a sample; warms it up.
fn often_enough(column: &mut Column<'_>) -> u32 {
    let mut times = 1;
    while column(times) < SAMPLE {
        times *= 2;
    }
    times
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

fn shown(seconds: Option<f64>) -> String {
    let Some(seconds) = seconds else { return "-".to_owned() };
    let (value, unit) = match seconds {
        ..1e-6 => (seconds * 1e9, "ns"),
        ..1e-3 => (seconds * 1e6, "us"),
        _ => (seconds * 1e3, "ms"),
    };
    format!("{} {unit}", three_digits(value))
}

fn three_digits(value: f64) -> String {
    let digits = match value {
        ..10.0 => 2,
        ..100.0 => 1,
        _ => 0,
    };
    format!("{value:.digits$}")
}
