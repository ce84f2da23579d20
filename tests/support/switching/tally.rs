//! What a kind of client saw.

use std::fmt::Write;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::clients::Outcome;

/// Failures whose words are kept.
const REASONS: usize = 5;

/// The requests of one kind of client, and those that failed.
pub struct Tally {
    pub kind: &'static str,
    requests: AtomicUsize,
    failures: AtomicUsize,
    slowest: Mutex<Duration>,
    reasons: Mutex<Vec<String>>,
}

impl Tally {
    pub fn new(kind: &'static str) -> Self {
        Self {
            kind,
            requests: AtomicUsize::default(),
            failures: AtomicUsize::default(),
            slowest: Mutex::default(),
            reasons: Mutex::default(),
        }
    }

    pub async fn count(&self, request: impl Future<Output = Outcome>) {
        let start = Instant::now();
        let outcome = request.await;
        let took = start.elapsed();
        self.requests.fetch_add(1, Ordering::Relaxed);
        let mut slowest = self.slowest.lock().unwrap();
        *slowest = took.max(*slowest);
        drop(slowest);
        if let Err(reason) = outcome {
            self.failures.fetch_add(1, Ordering::Relaxed);
            let mut reasons = self.reasons.lock().unwrap();
            if reasons.len() < REASONS {
                reasons.push(reason);
            }
        }
    }

    pub fn requests(&self) -> usize {
        self.requests.load(Ordering::Relaxed)
    }

    pub fn failures(&self) -> usize {
        self.failures.load(Ordering::Relaxed)
    }

    /// A line of the table, and the first failures below it.
    pub fn line(&self) -> String {
        let slowest = self.slowest.lock().unwrap().as_secs_f64() * 1000.0;
        let mut line = format!("{:<34} {:>9} {:>7} {slowest:>9.0} ms", self.kind, self.requests(), self.failures());
        for reason in self.reasons.lock().unwrap().iter() {
            write!(line, "\n    {reason}").unwrap();
        }
        line
    }
}
