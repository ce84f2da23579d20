//! What applications use. A look costs their engine some milliseconds of processor time each: so it is made while somebody
//! asks, or always where metrics are collected, and of few at a time.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use futures::StreamExt;
use tokio::time::{Instant, sleep};

use super::{Figures, Seen};
use crate::apps::AppEntry;
use crate::host::{RuntimeError, RuntimeKind, RuntimeTarget, Usage};
use crate::limits;

/// What an application uses.
#[derive(Debug, Clone, PartialEq)]
pub struct UsageSeen {
    /// The container that was asked about.
    pub container: String,
    /// What its engine said.
    pub usage: Usage,
    /// How busy one processor would be with it, in percent, since the look before.
    pub cpu_percent: Option<f64>,
}

/// A container to ask about.
struct Wanted {
    app_id: String,
    container: String,
    runtime: RuntimeTarget,
}

impl Figures {
    pub(super) async fn watch_usage(&self) {
        loop {
            self.until_wanted().await;
            self.look_at_usage().await;
            sleep(limits::USAGE_LOOK).await;
        }
    }

    /// Waits until somebody asks, if nobody has for a while.
    async fn until_wanted(&self) {
        while !self.0.watched && self.lock().asked.is_none_or(|asked| asked.elapsed() > limits::USAGE_ASKED) {
            self.0.wake.notified().await;
        }
    }

    async fn look_at_usage(&self) {
        let wanted: Vec<Wanted> = self.0.state.list().into_iter().filter_map(|(id, app)| wanted(id, &app)).collect();
        let ids: BTreeSet<&str> = wanted.iter().map(|wanted| wanted.app_id.as_str()).collect();
        self.lock().usage.retain(|app_id, _| ids.contains(app_id.as_str()));
        let mut by_engine: HashMap<RuntimeTarget, Vec<Wanted>> = HashMap::new();
        for wanted in wanted {
            by_engine.entry(wanted.runtime.clone()).or_default().push(wanted);
        }
        for (engine, wanted) in by_engine {
            self.look_at_engine(&engine, wanted).await;
        }
    }

    async fn look_at_engine(&self, engine: &RuntimeTarget, wanted: Vec<Wanted>) {
        let runtime = &self.0.host.runtimes.runtime(engine);
        let looks = futures::stream::iter(wanted).map(|wanted| async move {
            let usage = runtime.usage(&wanted.container).await;
            (wanted, usage, Instant::now())
        });
        let mut looks = looks.buffer_unordered(limits::USAGE_LOOKS);
        while let Some((wanted, usage, at)) = looks.next().await {
            match usage {
                Ok(usage) => self.used(wanted, usage, at),
                // It is not asked for each of its containers.
                Err(RuntimeError::Transport { .. }) => break,
                Err(error) => tracing::debug!(app_id = wanted.app_id, %error, "what it uses is not known"),
            }
        }
    }

    fn used(&self, wanted: Wanted, usage: Option<Usage>, at: Instant) {
        let mut inside = self.lock();
        let before = inside.usage.remove(&wanted.app_id);
        let Some(usage) = usage else { return };
        let before = before.filter(|before| before.value.container == wanted.container);
        let cpu_percent = before.and_then(|before| percent((before.value.usage.cpu, usage.cpu), at - before.at));
        let value = UsageSeen { container: wanted.container, usage, cpu_percent };
        inside.usage.insert(wanted.app_id, Seen { value, at });
    }
}

fn wanted(app_id: String, app: &AppEntry) -> Option<Wanted> {
    let docker = RuntimeTarget { kind: RuntimeKind::Docker, socket: None };
    Some(Wanted { app_id, container: app.container_name.clone()?, runtime: app.runtime.clone().unwrap_or(docker) })
}

/// How busy a processor was between two looks; none if the container was started anew between them, or if they are so far
/// apart that the figure would say nothing of now.
fn percent((before, now): (Duration, Duration), between: Duration) -> Option<f64> {
    let used = now.checked_sub(before)?;
    let tells = !between.is_zero() && between <= limits::USAGE_LOOK * 4;
    tells.then(|| used.as_secs_f64() / between.as_secs_f64() * 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_processor_is_as_busy_as_it_was_between_two_looks() {
        let ms = Duration::from_millis;
        assert_eq!(percent((ms(100), ms(600)), ms(1000)), Some(50.0));
        assert_eq!(percent((ms(600), ms(100)), ms(1000)), None, "started anew");
        assert_eq!(percent((ms(100), ms(600)), ms(0)), None);
        assert_eq!(percent((ms(100), ms(600)), Duration::from_hours(1)), None, "long ago");
    }
}
