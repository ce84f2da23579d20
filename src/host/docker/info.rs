//! What an engine can bound: asked before it is relied on, since engines leave out what they cannot do, with a warning at best.

use serde_json::Value;

use super::api::Api;
use crate::host::runtime::RuntimeError;
use crate::host::spec::Resources;

/// What an engine says of itself.
pub(super) struct Info(Value);

impl Info {
    pub(super) async fn ask(api: &Api) -> Result<Self, RuntimeError> {
        Ok(Self(api.get("info", &[]).await?))
    }

    /// Whether it runs without root on the first version of control groups, where it has none to give.
    pub(super) fn is_without_groups(&self) -> bool {
        let options = self.0.get("SecurityOptions").and_then(Value::as_array).into_iter().flatten();
        // Docker says it so, Podman by a word of its own.
        let rootless =
            options.filter_map(Value::as_str).any(|option| option == "name=rootless") || self.has("Rootless");
        rootless && self.0.get("CgroupVersion").and_then(Value::as_str) == Some("1")
    }

    /// Which of these bounds it would leave out.
    pub(super) fn unbounded(&self, resources: Resources) -> Option<&'static str> {
        let wanted = [
            ("memory", "MemoryLimit", resources.memory.is_some()),
            ("cpus", "CpuCfsQuota", resources.cpu_millis.is_some()),
            ("pids", "PidsLimit", resources.pids.is_some()),
        ];
        let left_out = |key: &str| self.is_without_groups() || self.0.get(key) == Some(&Value::Bool(false));
        wanted.into_iter().find(|(_, key, asked)| *asked && left_out(key)).map(|(name, ..)| name)
    }

    fn has(&self, key: &str) -> bool {
        self.0.get(key).and_then(Value::as_bool).unwrap_or(false)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const MEMORY: Resources = Resources { memory: Some(1 << 30), cpu_millis: None, pids: None };

    #[test]
    fn what_an_engine_would_leave_out_is_known() {
        let docker = Info(json!({ "SecurityOptions": ["name=rootless"], "CgroupVersion": "1" }));
        let podman =
            Info(json!({ "SecurityOptions": [], "Rootless": true, "CgroupVersion": "1", "MemoryLimit": true }));
        assert_eq!([docker.unbounded(MEMORY), podman.unbounded(MEMORY)], [Some("memory"); 2]);
        assert_eq!(podman.unbounded(Resources::default()), None);
        let delegated = Info(json!({ "Rootless": true, "CgroupVersion": "2", "MemoryLimit": true }));
        assert_eq!(delegated.unbounded(MEMORY), None);
        let kernel = Info(json!({ "CgroupVersion": "1", "MemoryLimit": false, "PidsLimit": true }));
        assert_eq!(kernel.unbounded(MEMORY), Some("memory"));
        assert_eq!(kernel.unbounded(Resources { pids: Some(1), ..Resources::default() }), None);
    }
}
