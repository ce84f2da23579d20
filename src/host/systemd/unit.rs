//! Unit files: what a service is asked to be, written so that systemd takes every value as it came.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use super::scope::Scope;
use crate::host::runtime::RuntimeError;
use crate::host::shell::shell_word;
use crate::host::spec::{BuildImage, ContainerSpec, Resources, Restart};
use crate::limits;

/// Where a unit's program lies in its own view of the file system.
const PROGRAM: &str = "/run/otturnaut-app";

/// The program's own name there.
const NAME: &str = "app";

/// What begins the line of a unit file that tells what the agent knows of it.
const ABOUT: &str = "About=";

/// What the agent knows of a unit of its own.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct About {
    pub(super) labels: BTreeMap<String, String>,
    pub(super) image: String,
    pub(super) image_id: String,
    pub(super) port: Option<u16>,
    /// Unix seconds of its making.
    pub(super) created: i64,
    /// Whether it comes back with the machine although somebody stopped it.
    pub(super) always: bool,
}

impl About {
    /// What a unit file says.
    pub(super) fn read(unit: &str) -> Option<Self> {
        let line = unit.lines().find_map(|line| line.strip_prefix(ABOUT))?;
        serde_json::from_slice(&STANDARD.decode(line).ok()?).ok()
    }
}

/// Where the parts of a unit lie.
pub(super) struct Places<'a> {
    /// The manager that it is of.
    pub(super) scope: &'a Scope,
    /// The agent's directory.
    pub(super) data_dir: &'a Path,
    /// The directory of its program.
    pub(super) artifact: &'a Path,
    /// The file of its environment.
    pub(super) environment: &'a Path,
}

impl Places<'_> {
    fn sandbox(&self) -> Result<Vec<String>, RuntimeError> {
        Ok(self.scope.sandbox(&bind(self.data_dir)?))
    }
}

/// The unit file of a service.
pub(super) fn file(spec: &ContainerSpec, about: &About, places: &Places<'_>) -> Result<String, RuntimeError> {
    let mut lines = vec![
        "[Unit]".to_owned(),
        format!("Description=Otturnaut: {}", quoted(&spec.name)),
        "After=network.target".to_owned(),
    ];
    lines.extend(start_limit(spec.restart));
    lines.push("[Service]".to_owned());
    // The start is one when the program runs, and not when there is a process for it.
    lines.push("Type=exec".to_owned());
    lines.push(format!("ExecStart={}", command(spec)));
    lines.push(format!("EnvironmentFile={}", bind(places.environment)?));
    lines.push(format!("BindReadOnlyPaths={}:{PROGRAM}", bind(places.artifact)?));
    lines.push(format!("Environment=PATH={PROGRAM}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"));
    lines.extend(places.sandbox()?);
    lines.push(format!("StateDirectory={}", state_directory(&about.labels, &spec.name)));
    lines.extend(restart(spec.restart).map(str::to_owned));
    lines.extend(bounds(spec));
    lines.extend(volumes(spec)?);
    if spec.restart != Restart::No {
        lines.extend(["[Install]".to_owned(), format!("WantedBy={}", places.scope.target())]);
    }
    let about = STANDARD.encode(serde_json::to_vec(about).unwrap_or_default());
    lines.extend(["[X-Otturnaut]".to_owned(), format!("{ABOUT}{about}"), String::new()]);
    Ok(lines.join("\n"))
}

/// The command, in which `app` is the program; the program alone where there is none. The colon leaves dollars alone, and
/// lets no sign before the first word be an order.
fn command(spec: &ContainerSpec) -> String {
    let program = format!("{PROGRAM}/{NAME}");
    let words = spec.command.iter().enumerate().map(|(at, word)| match (at, word.as_str()) {
        (0, NAME) => program.clone(),
        (_, word) => quoted(word),
    });
    let words: Vec<String> = words.collect();
    format!(":{}", if words.is_empty() { program } else { words.join(" ") })
}

/// What `systemd-run` is told to run a command beside a unit, with its program and its environment.
pub(super) fn beside(name: &str, places: &Places<'_>, command: &[String]) -> Result<Vec<String>, RuntimeError> {
    let own = [
        format!("--unit={name}"),
        format!("--property=EnvironmentFile={}", bind(places.environment)?),
        format!("--property=BindReadOnlyPaths={}:{PROGRAM}", bind(places.artifact)?),
    ];
    let ways = ["--quiet", "--wait", "--pipe", "--collect"].map(str::to_owned);
    let sandbox = places.sandbox()?.into_iter().map(|setting| format!("--property={setting}"));
    let words = command.iter().enumerate().map(|(at, word)| match (at, word.as_str()) {
        (0, NAME) => format!("{PROGRAM}/{NAME}"),
        (_, word) => word.to_owned(),
    });
    let words: Vec<String> = words.collect();
    let words = if words.iter().all(|word| is_plain(word)) { words } else { by_shell(&words) };
    Ok(ways.into_iter().chain(own).chain(sandbox).chain(["--".to_owned()]).chain(words).collect())
}

/// A build in a transient unit.
pub(super) struct Building<'a> {
    pub(super) name: &'a str,
    pub(super) build: &'a BuildImage,
    pub(super) command: &'a [String],
    pub(super) places: &'a Places<'a>,
    /// The directory of its secrets.
    pub(super) secrets: &'a Path,
}

/// Where the source tree lies in a build's own view of the file system.
const TREE: &str = "/run/otturnaut-build";

/// Where a build finds its secrets, as builds of images do.
const SECRETS: &str = "/run/secrets";

/// What `systemd-run` is told to build: a source tree, what is installed here, and the network.
pub(super) fn building(building: &Building<'_>) -> Result<Vec<String>, RuntimeError> {
    let Building { name, build, command, places, secrets } = building;
    let tree = bind(&build.context)?;
    let mut properties = vec![
        format!("EnvironmentFile={}", bind(places.environment)?),
        format!("BindPaths={tree}:{TREE}"),
        format!("WorkingDirectory={TREE}"),
        format!("CPUWeight={}", limits::BUILD_CPU_WEIGHT),
        format!("IOWeight={}", limits::BUILD_CPU_WEIGHT),
        format!("RuntimeMaxSec={}", limits::LONGEST_BUILD.as_secs()),
        // Tools keep things at home; a private directory that goes with the unit is one. The tree is another user's for git.
        "Environment=HOME=/tmp GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0=safe.directory GIT_CONFIG_VALUE_0=*".to_owned(),
    ];
    if !build.secrets.is_empty() {
        properties.push(format!("BindReadOnlyPaths={}:{SECRETS}", bind(secrets)?));
    }
    properties.extend(bounded(build.resources));
    properties.extend(places.sandbox()?);
    let properties = properties.into_iter().map(|property| format!("--property={property}"));
    let ways = ["--quiet", "--wait", "--pipe", "--collect"].map(str::to_owned);
    let unit = [format!("--unit={name}"), format!("--description=Otturnaut builds {}", build.tag)];
    Ok(ways.into_iter().chain(unit).chain(properties).chain(["--".to_owned()]).chain(by_shell(command)).collect())
}

/// A command by way of a shell, which finds what is named by a path in its directory, and gives both outputs in the order in
/// which they were written. Nothing is left in it that systemd would have to escape: where units are reloaded between a
/// transient unit's making and its start, 252 reads its own escapes (of dollars, quotes, semicolons) otherwise than it wrote them.
fn by_shell(command: &[String]) -> Vec<String> {
    let words: Vec<_> = command.iter().map(|word| shell_word(word).to_string_lossy().into_owned()).collect();
    let script = format!("exec {} </dev/null 2>&1", words.join(" "));
    let script = format!("echo {} | base64 -d | exec /bin/sh -s", STANDARD.encode(script));
    ["/bin/sh".to_owned(), "-c".to_owned(), script].into()
}

/// Whether systemd has nothing to escape in a word.
fn is_plain(word: &str) -> bool {
    !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/._-=:,@+".contains(&byte))
}

/// A text in quotes for systemd: escapes as in C, `%` doubled.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '%' => quoted.push_str("%%"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            c if c.is_ascii_control() => quoted.extend([format!("\\x{:02x}", u32::from(c))]),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// The environment of a service.
pub(super) fn environment(spec: &ContainerSpec) -> Result<Vec<u8>, RuntimeError> {
    let port = spec.publish.map(|publish| publish.port.to_string());
    let mut given: BTreeMap<_, _> =
        spec.env.iter().map(|(name, value)| (name.as_str(), value.expose().as_str())).collect();
    if let Some(port) = &port {
        // In place of one that was given: only at this port it is found.
        given.insert("PORT", port);
    }
    let refused = |error: io::Error| RuntimeError::Unit { name: spec.name.clone(), reason: error.to_string() };
    variables(given.into_iter()).map_err(refused)
}

/// Variables as `EnvironmentFile` reads them: in double quotes everything but `"`, `\`, `$` and a backtick stands for itself,
/// lines too.
pub(super) fn variables<'a>(given: impl Iterator<Item = (&'a str, &'a str)>) -> io::Result<Vec<u8>> {
    let mut file = Vec::new();
    for (name, value) in given {
        if !is_variable(name) || value.contains('\0') {
            return Err(io::Error::other(format!("systemd takes no variable {name:?} with that value")));
        }
        file.extend(name.bytes().chain(*b"=\""));
        for byte in value.bytes() {
            if b"\"\\$`".contains(&byte) {
                file.push(b'\\');
            }
            file.push(byte);
        }
        file.extend(b"\"\n");
    }
    Ok(file)
}

fn is_variable(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    name.bytes().all(plain) && name.bytes().next().is_some_and(|byte| !byte.is_ascii_digit())
}

fn start_limit(restart: Restart) -> Vec<String> {
    match restart {
        // One start and so many restarts, however long they take.
        Restart::OnFailure => {
            vec!["StartLimitIntervalSec=infinity".to_owned(), format!("StartLimitBurst={}", limits::RESTARTS + 1)]
        }
        Restart::UnlessStopped | Restart::Always | Restart::No => vec!["StartLimitIntervalSec=0".to_owned()],
    }
}

fn restart(restart: Restart) -> [&'static str; 2] {
    match restart {
        Restart::UnlessStopped | Restart::Always => ["Restart=always", "RestartSec=1"],
        Restart::OnFailure => ["Restart=on-failure", "RestartSec=1"],
        Restart::No => ["Restart=no", "RestartSec=0"],
    }
}

fn bounds(spec: &ContainerSpec) -> Vec<String> {
    let stop = spec.stop_timeout.map(|time| format!("TimeoutStopSec={}ms", time.as_millis().max(1)));
    let accounts = ["CPUAccounting=yes", "MemoryAccounting=yes", "TasksAccounting=yes"].map(str::to_owned);
    accounts.into_iter().chain(stop).chain(bounded(spec.resources)).collect()
}

fn bounded(resources: Resources) -> impl Iterator<Item = String> {
    let memory = resources.memory.map(|bytes| format!("MemoryMax={bytes}"));
    let swap = resources.memory.map(|_| "MemorySwapMax=0".to_owned());
    // A quota of less than a hundredth systemd does not know.
    let cpus = resources.cpu_millis.map(|millis| format!("CPUQuota={}%", millis.div_ceil(10)));
    let tasks = resources.pids.map(|pids| format!("TasksMax={pids}"));
    [memory, swap, cpus, tasks].into_iter().flatten()
}

/// Directories of the machine; volumes of an engine there are not.
fn volumes(spec: &ContainerSpec) -> Result<Vec<String>, RuntimeError> {
    let refused = |reason: String| Err(RuntimeError::Unit { name: spec.name.clone(), reason });
    if !spec.networks.is_empty() {
        return refused("systemd has no networks of its own to join".to_owned());
    }
    let mut lines = Vec::new();
    for volume in &spec.volumes {
        let mut parts = volume.split(':');
        let (Some(source), Some(target)) = (parts.next(), parts.next()) else {
            return refused(format!("the volume {volume:?} is none"));
        };
        if !source.starts_with('/') {
            return refused(format!("the volume {volume:?} is a named one: under systemd only directories are there"));
        }
        let kind = if parts.next().is_some_and(|options| options.split(',').any(|option| option == "ro")) {
            "BindReadOnlyPaths"
        } else {
            "BindPaths"
        };
        lines.push(format!("{kind}={}:{}", bind(Path::new(source))?, bind(Path::new(target))?));
    }
    Ok(lines)
}

/// A path in a list of them.
fn bind(path: &Path) -> Result<String, RuntimeError> {
    let text = path.display().to_string();
    let odd = |c: char| c.is_control() || c.is_whitespace() || ":\"'\\".contains(c);
    if text.contains(odd) {
        let reason = format!("systemd does not mount the path {text:?}");
        return Err(RuntimeError::Unit { name: text, reason });
    }
    Ok(text.replace('%', "%%"))
}

/// One for an application, whichever version runs.
fn state_directory(labels: &BTreeMap<String, String>, name: &str) -> String {
    let app = labels.get("otturnaut.app_id").map_or(name, String::as_str);
    format!("otturnaut-{app}")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::host::spec::{Publish, Resources};
    use crate::secret::Secret;

    fn spec() -> ContainerSpec {
        ContainerSpec {
            name: "otturnaut-shop-1".to_owned(),
            publish: Some(Publish { container_port: 80, port: 12_345 }),
            env: [("TOKEN".to_owned(), Secret::new("a\"b\\c$d\ne".to_owned()))].into(),
            command: ["app", "serve", "--name=%n $HOME \"x\""].map(str::to_owned).into(),
            ..ContainerSpec::default()
        }
    }

    fn written(spec: &ContainerSpec) -> String {
        let about = About { image: "shop".to_owned(), port: Some(12_345), ..About::default() };
        let scope = Scope::of(None);
        let places = Places {
            scope: &scope,
            data_dir: Path::new("/data"),
            artifact: Path::new("/data/artifacts/ab"),
            environment: Path::new("/data/units/shop.env"),
        };
        file(spec, &about, &places).unwrap()
    }

    #[test]
    fn a_unit_holds_no_value_of_its_environment_and_its_words_as_they_came() {
        let unit = written(&spec());
        assert!(!unit.contains("TOKEN") && unit.contains("DynamicUser=yes"), "{unit}");
        let wanted = r#"ExecStart=:/run/otturnaut-app/app "serve" "--name=%%n $HOME \"x\"""#;
        assert!(unit.lines().any(|line| line == wanted), "{unit}");
        assert_eq!(environment(&spec()).unwrap(), b"PORT=\"12345\"\nTOKEN=\"a\\\"b\\\\c\\$d\ne\"\n");
        assert_eq!(About::read(&unit).unwrap().port, Some(12_345));
    }

    #[test]
    fn the_port_is_the_one_that_the_route_leads_to() {
        let env = [("PORT".to_owned(), Secret::new("4000".to_owned()))].into();
        assert_eq!(environment(&ContainerSpec { env, ..spec() }).unwrap(), b"PORT=\"12345\"\n");
    }

    #[test]
    fn bounds_and_restarts_are_systemds_own() {
        let resources = Resources { memory: Some(1 << 20), cpu_millis: Some(500), pids: Some(7) };
        let stop_timeout = Some(Duration::from_millis(1500));
        let unit = written(&ContainerSpec { resources, stop_timeout, restart: Restart::OnFailure, ..spec() });
        for line in [
            "MemoryMax=1048576",
            "CPUQuota=50%",
            "TasksMax=7",
            "TimeoutStopSec=1500ms",
            "Restart=on-failure",
            "StartLimitBurst=11",
            "WantedBy=multi-user.target",
        ] {
            assert!(unit.lines().any(|found| found == line), "{line}: {unit}");
        }
        assert!(!written(&ContainerSpec { restart: Restart::No, ..spec() }).contains("WantedBy"));
    }

    #[test]
    fn what_systemd_cannot_do_is_refused() {
        let scope = Scope::of(None);
        let places = Places {
            scope: &scope,
            data_dir: Path::new("/data"),
            artifact: Path::new("/a"),
            environment: Path::new("/b"),
        };
        let refused = |spec: ContainerSpec| file(&spec, &About::default(), &places).unwrap_err().to_string();
        assert!(refused(ContainerSpec { networks: vec!["a".to_owned()], ..spec() }).contains("no networks"));
        assert!(refused(ContainerSpec { volumes: vec!["data:/x".to_owned()], ..spec() }).contains("a named one"));
        let env = [("A-B".to_owned(), Secret::new(String::new()))].into();
        assert!(environment(&ContainerSpec { env, ..spec() }).is_err());
    }
}
