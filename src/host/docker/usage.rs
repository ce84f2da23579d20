//! What a container uses.

use std::time::Duration;

use reqwest::Method;
use serde_json::Value;

use super::api::{self, Api, Query};
use crate::host::runtime::{RuntimeError, Usage};
use crate::limits;

/// Asks once. Without `one-shot` Docker would wait for a second look a second later.
pub(super) async fn ask(api: &Api, name: &str) -> Result<Option<Usage>, RuntimeError> {
    let path = format!("containers/{}/stats", api::part(name));
    let query: &Query<'_> = &[("stream", "false".to_owned()), ("one-shot", "true".to_owned())];
    let request = api.request(Method::GET, &path, query).timeout(limits::USAGE_REQUEST);
    Ok(usage(&api.value(request).await?))
}

/// A container that does not run has used no processor.
fn usage(stats: &Value) -> Option<Usage> {
    let cpu = number(stats, "/cpu_stats/cpu_usage/total_usage").filter(|nanoseconds| *nanoseconds > 0)?;
    let memory = number(stats, "/memory_stats/usage").unwrap_or(0);
    // The first is that of cgroups v1, the second that of v2; Podman tells neither.
    let files = ["/memory_stats/stats/total_inactive_file", "/memory_stats/stats/inactive_file"];
    let files = files.iter().find_map(|path| number(stats, path)).unwrap_or(0);
    Some(Usage {
        cpu: Duration::from_nanos(cpu),
        memory: memory.saturating_sub(files),
        memory_limit: number(stats, "/memory_stats/limit").unwrap_or(0),
        received: network(stats, "rx_bytes"),
        sent: network(stats, "tx_bytes"),
        processes: number(stats, "/pids_stats/current").unwrap_or(0),
    })
}

/// Over all of its networks; with the network of the machine it has none.
fn network(stats: &Value, what: &str) -> u64 {
    let networks = stats.get("networks").and_then(Value::as_object).into_iter().flatten();
    networks.filter_map(|(_, network)| network.get(what)?.as_u64()).fold(0, u64::saturating_add)
}

fn number(stats: &Value, pointer: &str) -> Option<u64> {
    stats.pointer(pointer).and_then(Value::as_u64)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn docker_and_podman_tell_the_same_in_their_ways() {
        let docker = json!({
            "cpu_stats": { "cpu_usage": { "total_usage": 29_800_170_u64 } }, "pids_stats": { "current": 2 },
            "memory_stats": {
                "usage": 593_920, "limit": 1_000_000, "stats": { "inactive_file": 4096, "total_inactive_file": 8192 },
            },
            "networks": { "eth0": { "rx_bytes": 376, "tx_bytes": 5 }, "eth1": { "rx_bytes": 1, "tx_bytes": 2 } },
        });
        let expected = Usage {
            cpu: Duration::from_nanos(29_800_170),
            memory: 585_728,
            memory_limit: 1_000_000,
            received: 377,
            sent: 7,
            processes: 2,
        };
        assert_eq!(usage(&docker), Some(expected));
        let podman = json!({
            "cpu_stats": { "cpu_usage": { "total_usage": 36_068_223_u64 } }, "pids_stats": { "current": 2 },
            "memory_stats": { "usage": 667_648, "limit": 1_000_000 },
            "networks": { "network": { "rx_bytes": 472, "tx_bytes": 916 } },
        });
        let seen = usage(&podman).unwrap();
        assert_eq!((seen.memory, seen.received, seen.sent), (667_648, 472, 916));
    }

    #[test]
    fn what_does_not_run_uses_nothing() {
        let stopped = json!({ "read": "0001-01-01T00:00:00Z", "cpu_stats": { "cpu_usage": { "total_usage": 0 } } });
        assert_eq!(usage(&stopped), None);
        assert_eq!(usage(&Value::Null), None);
    }

    proptest! {
        #[test]
        fn whatever_an_engine_answers_is_read_or_left(
            values in proptest::collection::vec(prop_oneof![any::<u64>().prop_map(Value::from), any::<i64>().prop_map(Value::from), Just(Value::Null), Just(json!("x"))], 7),
        ) {
            let stats = json!({
                "cpu_stats": { "cpu_usage": { "total_usage": values[0] } },
                "memory_stats": { "usage": values[1], "limit": values[2], "stats": { "inactive_file": values[3] } },
                "networks": { "a": { "rx_bytes": values[4], "tx_bytes": values[5] }, "b": values[6] },
            });
            usage(&stats);
        }
    }
}
