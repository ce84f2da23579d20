//! Figures of the machine, the proxy and the applications, looked at in the background, so that whoever asks has them at
//! once, each with its age.
//!
//! ```text
//! machine, proxy       every few seconds --> seen here --> api, metrics
//! usage of each app    while somebody asks ---^
//! events --> tally     what became of runs, how long their steps took ---^
//! ```

mod apps;
mod disks;
mod tally;
mod usage;

pub use apps::{AppDoes, AppNow};
pub use tally::{CLASSES, Counts, Histogram, Tally};
pub use usage::UsageSeen;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use self::disks::LowDisks;
use crate::apps::AppState;
use crate::host::{Host, MachineLook};
use crate::limits;
use crate::watch::events::{About, Events, What};
use crate::watch::live::{EngineSeen, Live};
use crate::watch::monitor::Monitor;

/// Something that was seen, and when.
#[derive(Debug, Clone, PartialEq)]
pub struct Seen<T> {
    /// What.
    pub value: T,
    /// When.
    pub at: Instant,
}

impl<T> Seen<T> {
    fn now(value: T) -> Self {
        Self { value, at: Instant::now() }
    }

    /// How long ago that was.
    pub fn age(&self) -> Duration {
        self.at.elapsed()
    }
}

/// The machine as it was seen last.
#[derive(Debug, Clone, PartialEq)]
pub struct MachineSeen {
    /// The look.
    pub look: MachineLook,
    /// How busy its processors were since the look before, in percent of all of them.
    pub cpu_percent: Option<f64>,
}

/// What is looked at in the background. Clones share it; every question is answered at once.
#[derive(Clone)]
pub struct Figures(Arc<Shared>);

struct Shared {
    host: Host,
    state: AppState,
    live: Live,
    monitor: Monitor,
    events: Events,
    /// Somebody asks always, so that the applications' usage is looked at all the time.
    watched: bool,
    inside: Mutex<Inside>,
    wake: Notify,
}

#[derive(Default)]
struct Inside {
    machine: Option<Seen<MachineSeen>>,
    proxy: Option<Seen<Result<(), String>>>,
    /// By application.
    usage: BTreeMap<String, Seen<UsageSeen>>,
    asked: Option<Instant>,
    low: LowDisks,
}

impl Figures {
    /// Figures of which nothing was seen yet. If they are `watched`, the applications' usage is looked at all the time;
    /// otherwise while somebody asks.
    pub fn new(host: Host, state: AppState, (live, monitor, events): (Live, Monitor, Events), watched: bool) -> Self {
        let (inside, wake) = (Mutex::default(), Notify::new());
        Self(Arc::new(Shared { host, state, live, monitor, events, watched, inside, wake }))
    }

    /// The machine.
    pub fn machine(&self) -> Option<Seen<MachineSeen>> {
        self.lock().machine.clone()
    }

    /// The container engines of the machine, as they were seen last.
    pub fn engines(&self) -> Vec<EngineSeen> {
        self.0.live.engines()
    }

    /// Whether the proxy's admin API answers, and if not, why.
    pub fn proxy(&self) -> Option<Seen<Result<(), String>>> {
        self.lock().proxy.clone()
    }

    /// Looks at everything until the end.
    pub async fn run(&self, stop: CancellationToken) {
        let all = async { tokio::join!(self.watch_machine(), self.watch_proxy(), self.watch_usage()) };
        stop.run_until_cancelled(all).await;
    }

    async fn watch_machine(&self) {
        loop {
            match self.0.host.machine.look().await {
                Ok(look) => {
                    let mut inside = self.lock();
                    let before = inside.machine.take();
                    let cpu_percent = before.and_then(|before| look.cpu.percent_since(before.value.look.cpu));
                    for (path, room) in inside.low.looked(&look.disks) {
                        tracing::warn!(path, free = room.free, total = room.total, "little space is left");
                        let what = What::DiskLow { path, free: room.free, total: room.total };
                        self.0.events.publish(About::outpost(), what);
                    }
                    inside.machine = Some(Seen::now(MachineSeen { look, cpu_percent }));
                }
                Err(error) => tracing::debug!(%error, "the machine's figures cannot be read"),
            }
            sleep(limits::MACHINE_LOOK).await;
        }
    }

    async fn watch_proxy(&self) {
        let proxies = &self.0.host.proxies;
        loop {
            let health = proxies.proxy(&proxies.defaults()).health().await;
            self.lock().proxy = Some(Seen::now(health.map_err(|error| error.to_string())));
            sleep(limits::PROXY_LOOK).await;
        }
    }

    /// Somebody wants to know what applications use: it is looked at for the next minutes.
    fn ask(&self) {
        self.lock().asked = Some(Instant::now());
        self.0.wake.notify_one();
    }

    /// Nothing panics under the lock: what a poisoned one holds is whole.
    fn lock(&self) -> MutexGuard<'_, Inside> {
        self.0.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
