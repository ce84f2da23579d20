//! The messages of a log.

use crate::host::Stream;
use crate::node::Burst;
use crate::term::codec::Template;
use crate::term::elixir::date_time;
use crate::term::{Pid, Term, atom, binary, map, tuple};
use crate::watch::{Life, LogItem, LogLine};

/// What of a line is told beside its text.
#[derive(Debug, Clone, Copy)]
pub(super) struct Form {
    pub(super) timestamps: bool,
    pub(super) cursors: bool,
}

impl Form {
    /// `{:stdout | :stderr, line}`, `{source, at, line}` or `{source, at, line, cursor}`.
    pub(super) fn line(self, line: &LogLine) -> Term {
        let (source, text) = (source(line.stream), Term::Binary(line.text.clone()));
        match (self.timestamps, self.cursors) {
            (_, true) => tuple([source, date_time(line.at), text, binary(line.cursor())]),
            (true, false) => tuple([source, date_time(line.at), text]),
            (false, false) => tuple([source, text]),
        }
    }
}

/// What a stream sends to its subscriber.
pub(super) struct Messages {
    this: Pid,
    subscriber: Pid,
    form: Form,
    /// Of plain lines of stdout and stderr.
    plain: [Option<Template>; 2],
}

impl Messages {
    pub(super) fn new(this: Pid, subscriber: Pid, form: Form) -> Self {
        // Atoms of this program and a pid can always be sent.
        let template = |stream| Template::new(|text| output(&this, tuple([source(stream), text]))).ok();
        let plain = [Stream::Stdout, Stream::Stderr].map(template);
        Self { this, subscriber, form, plain }
    }

    /// All of it as one burst.
    pub(super) fn burst(&self, items: &[LogItem]) -> Burst {
        let mut burst = Burst::new(&self.this, &self.subscriber);
        for item in items {
            // Texts of some KiB, times and names can be sent.
            match item {
                LogItem::Line(line) => self.line(line, &mut burst),
                LogItem::Dropped => {
                    burst.push(&self.marker(tuple([atom("dropped"), atom("unknown")]))).unwrap_or_default();
                }
                LogItem::Container(life) => {
                    burst.push(&self.marker(tuple([atom("container"), container(life)]))).unwrap_or_default();
                }
            }
        }
        burst
    }

    fn line(&self, line: &LogLine, burst: &mut Burst) {
        let [stdout, stderr] = &self.plain;
        let plain = if line.stream == Stream::Stdout { stdout } else { stderr };
        let pushed = match plain {
            Some(plain) if !self.form.timestamps && !self.form.cursors => burst.push_text(plain, &line.text),
            _ => burst.push(&output(&self.this, self.form.line(line))),
        };
        pushed.unwrap_or_default();
        if line.continues {
            burst.push(&self.marker(tuple([atom("continues"), source(line.stream)]))).unwrap_or_default();
        }
    }

    fn marker(&self, what: Term) -> Term {
        tuple([atom("log_marker"), Term::from(self.this.clone()), what])
    }

    /// The last one.
    pub(super) fn done(&self, end: Term) -> Term {
        tuple([atom("log_done"), Term::from(self.this.clone()), end])
    }
}

fn output(this: &Pid, line: Term) -> Term {
    tuple([atom("log_output"), Term::from(this.clone()), line])
}

fn source(stream: Stream) -> Term {
    atom(match stream {
        Stream::Stdout => "stdout",
        Stream::Stderr => "stderr",
    })
}

fn container(life: &Life) -> Term {
    map([
        ("deployment_id", binary(life.deployment_id.as_str())),
        ("container_id", binary(life.container_id.as_str())),
        ("container_name", binary(life.container_name.as_str())),
        ("runtime", atom(crate::api::runtime::module_name(life.runtime.kind))),
    ])
}
