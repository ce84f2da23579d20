//! What applications run on in a test: `OTTURNAUT_TEST_RUNTIME` says `docker` (which it is without), `podman`, `rootless`,
//! `systemd` or `systemd-user`. Looked at from outside, past the code under test.

#![allow(unreachable_pub, dead_code, missing_docs, reason = "each test file uses its part")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::disallowed_methods, reason = "a test ends there")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use otturnaut::host::{Host, RuntimeKind, RuntimeTarget, UserManager};

/// Where `start_rootless_podman` serves.
const ROOTLESS: &str = "/run/otturnaut-rootless/podman.sock";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ground {
    Docker,
    Podman,
    /// Podman without root.
    Rootless,
    Systemd,
    /// The manager of a user, whom the test runs as.
    SystemdUser,
}

/// A container or a unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    pub name: String,
    pub state: String,
    /// The port of this machine that leads to it.
    pub port: Option<u16>,
}

impl Ground {
    pub fn here() -> Self {
        match std::env::var("OTTURNAUT_TEST_RUNTIME").as_deref() {
            Err(_) | Ok("docker") => Self::Docker,
            Ok("podman") => Self::Podman,
            Ok("rootless") => Self::Rootless,
            Ok("systemd") => Self::Systemd,
            Ok("systemd-user") => Self::SystemdUser,
            Ok(other) => panic!("OTTURNAUT_TEST_RUNTIME is {other:?}"),
        }
    }

    pub fn target(self) -> RuntimeTarget {
        let kind = match self {
            Self::Docker => RuntimeKind::Docker,
            Self::Podman | Self::Rootless => RuntimeKind::Podman,
            Self::Systemd | Self::SystemdUser => RuntimeKind::Systemd,
        };
        RuntimeTarget { kind, socket: None }
    }

    /// The socket that the agent is configured with.
    pub fn socket(self) -> PathBuf {
        let path = match self {
            Self::Docker => "/var/run/docker.sock",
            Self::Podman => "/run/podman/podman.sock",
            Self::Rootless => ROOTLESS,
            Self::Systemd | Self::SystemdUser => "/nowhere",
        };
        path.into()
    }

    /// Whether it runs programs and no containers.
    pub fn is_systemd(self) -> bool {
        matches!(self, Self::Systemd | Self::SystemdUser)
    }

    /// Whether it cannot bound what applications use: without root the first version of control groups has none to give.
    pub fn is_unbounded(self) -> bool {
        matches!(self, Self::Rootless | Self::SystemdUser)
    }

    /// The manager of the user whom the test runs as.
    pub fn user_manager(self) -> Option<UserManager> {
        let of = |name| PathBuf::from(std::env::var_os(name).unwrap_or_else(|| panic!("{name} is set")));
        (self == Self::SystemdUser)
            .then(|| UserManager { runtime_dir: of("XDG_RUNTIME_DIR"), config_dir: of("HOME").join(".config") })
    }

    /// Where its units lie.
    fn units(self) -> PathBuf {
        self.user_manager().map_or("/etc/systemd/system".into(), |user| user.config_dir.join("systemd/user"))
    }

    /// A directory for a machine: units do not see the machine's `/tmp`.
    pub fn dir(self) -> tempfile::TempDir {
        if self.is_systemd() { tempfile::tempdir_in("/var/tmp").unwrap() } else { tempfile::tempdir().unwrap() }
    }

    /// What the engine's command line, or `systemctl`, prints.
    pub fn ask(self, args: &[&str]) -> String {
        let output = self.command().args(args).output().expect("it is installed");
        assert!(output.status.success(), "{self:?} {args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// The names of all images. Podman's list fails when an image goes while it is made, as one of a test beside this.
    fn images(self) -> String {
        let args = ["images", "--format", "{{.Repository}}:{{.Tag}}"];
        let gone_meanwhile = |output: &Output| String::from_utf8_lossy(&output.stderr).contains("image not known");
        let listed = (0..10).map(|_| self.command().args(args).output().expect("it is installed"));
        match listed.into_iter().find(|output| !gone_meanwhile(output)) {
            Some(output) if output.status.success() => String::from_utf8(output.stdout).unwrap(),
            _ => self.ask(&args),
        }
    }

    fn command(self) -> Command {
        match self {
            Self::Docker => Command::new("docker"),
            Self::Podman => Command::new("podman"),
            Self::Rootless => {
                let mut podman = Command::new("podman");
                podman.args(["--remote", "--url", &format!("unix://{ROOTLESS}")]);
                podman
            }
            Self::Systemd => Command::new("systemctl"),
            Self::SystemdUser => {
                let mut systemctl = Command::new("systemctl");
                systemctl.arg("--user");
                systemctl
            }
        }
    }

    /// What has the mark in its name, of an agent with that data directory.
    pub fn containers(self, mark: &str, data_dir: &Path) -> Vec<Seen> {
        if self.is_systemd() {
            return self.units_of(mark).into_iter().map(|name| self.unit(name, data_dir)).collect();
        }
        let filter = format!("name={mark}");
        if self != Self::Docker {
            let listed = self.ask(&["ps", "--all", "--filter", &filter, "--format", "json"]);
            let listed: Vec<serde_json::Value> = serde_json::from_str(&listed).unwrap();
            return listed.iter().map(of_podman).collect();
        }
        let listed = self.ask(&["ps", "--all", "--filter", &filter, "--format", "{{.Names}} {{.State}} {{.Ports}}"]);
        let seen = |line: &str| {
            let mut words = line.split(' ');
            let (name, state) = (words.next()?.to_owned(), words.next()?.to_owned());
            // `127.0.0.1:20001->8080/tcp`
            let port = words.next().and_then(|ports| ports.split("->").next()?.rsplit(':').next()?.parse().ok());
            Some(Seen { name, state, port })
        };
        listed.lines().filter_map(seen).collect()
    }

    fn units_of(self, mark: &str) -> Vec<String> {
        let mut names = names_in(&self.units());
        names.retain(|name| name.starts_with("otturnaut-") && name.contains(mark));
        names.into_iter().filter_map(|name| name.strip_suffix(".service").map(str::to_owned)).collect()
    }

    fn unit(self, name: String, data_dir: &Path) -> Seen {
        let active = self.command().args(["is-active", &name]).output().unwrap();
        let active = String::from_utf8_lossy(&active.stdout).trim().to_owned();
        let state = if active == "active" { "running".to_owned() } else { active };
        let environment = std::fs::read_to_string(data_dir.join(format!("units/{name}.env"))).unwrap_or_default();
        let port = environment.lines().find_map(|line| line.strip_prefix("PORT=\"")?.strip_suffix('"')?.parse().ok());
        let port = port.filter(|_| state == "running");
        Seen { name, state, port }
    }

    pub fn remove(self, name: &str) {
        if self.is_systemd() {
            self.command().args(["disable", "--now", name]).output().unwrap();
            std::fs::remove_file(self.units().join(format!("{name}.service"))).ok();
        } else {
            self.ask(&["rm", "--force", name]);
        }
    }

    /// When it was started last, in whatever words.
    pub fn started(self, name: &str) -> String {
        match self {
            Self::Systemd | Self::SystemdUser => {
                self.ask(&["show", "--property=ExecMainStartTimestampMonotonic", name])
            }
            Self::Docker | Self::Podman | Self::Rootless => {
                self.ask(&["inspect", "--format", "{{.State.StartedAt}}", name])
            }
        }
    }

    /// The names that keep images of releases with the mark.
    pub fn kept_images(self, mark: &str, data_dir: &Path) -> Vec<String> {
        let listed = match self {
            Self::Systemd | Self::SystemdUser => {
                names_in(&data_dir.join("artifacts/names")).iter().map(|name| name.replace("%3a", ":")).collect()
            }
            Self::Docker | Self::Podman | Self::Rootless => {
                let listed = self.images();
                // By Docker's API Podman takes a name for one of Docker's registry.
                listed.lines().map(|line| line.trim_start_matches("docker.io/library/").to_owned()).collect()
            }
        };
        let mut names: Vec<String> = listed;
        names.retain(|name| name.starts_with("otturnaut-release:") && name.contains(mark));
        names.sort();
        names
    }

    pub fn remove_image(self, name: &str) {
        if !self.is_systemd() {
            self.ask(&["rmi", name]);
        }
    }

    /// Makes an image, or a program, that answers with `VERSION` on its port, of busybox alone since no registry can be
    /// reached, and that ends at once when it is told to. `DELAY` is what it waits before it listens, `FAIL` what it ends
    /// with after a moment instead, `LINGER` how long it goes on when it is told to end.
    pub fn make_image(self, (repository, tag): (&str, &str), host: &Host) {
        let root = tempfile::tempdir().unwrap();
        if self.is_systemd() {
            let program = root.path().join("program");
            let script = script("busybox", "/tmp/www", "127.0.0.1:$PORT");
            std::fs::write(&program, format!("#!/bin/sh\nmkdir -p /tmp/www\n{script}\n")).unwrap();
            let runtime = host.runtimes.runtime(&self.target());
            let take = async {
                let name = runtime.load_image(&program).await.unwrap();
                runtime.tag_image(&name, repository, tag).await.unwrap();
            };
            tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(take));
            return;
        }
        for dir in ["bin", "www"] {
            std::fs::create_dir(root.path().join(dir)).unwrap();
        }
        // One of the same content would be the same image, which another test may remove.
        std::fs::write(root.path().join("www/mark"), tag).unwrap();
        std::fs::copy("/usr/bin/busybox", root.path().join("bin/busybox")).expect("busybox is installed");
        std::os::unix::fs::symlink("busybox", root.path().join("bin/sh")).unwrap();
        let archive = root.path().join("image.tar");
        let tar =
            Command::new("tar").arg("-C").arg(root.path()).args(["-c", "bin", "www", "-f"]).arg(&archive).status();
        assert!(tar.unwrap().success());
        let words = ["/bin/sh", "-c", &script("/bin/busybox", "/www", "8080")].map(str::to_owned);
        let command = format!("CMD {}", serde_json::to_string(&words).unwrap());
        let archive = archive.display().to_string();
        self.ask(&["import", "--change", &command, &archive, &format!("{repository}:{tag}")]);
    }
}

fn of_podman(listed: &serde_json::Value) -> Seen {
    let text = |at: &str| listed.pointer(at).and_then(serde_json::Value::as_str).unwrap_or_default().to_owned();
    let state = text("/State");
    let port = listed.pointer("/Ports/0/host_port").and_then(serde_json::Value::as_u64);
    let port = port.and_then(|port| u16::try_from(port).ok()).filter(|_| state == "running");
    Seen { name: text("/Names/0"), state, port }
}

fn script(busybox: &str, www: &str, address: &str) -> String {
    format!(
        "trap '{busybox} sleep ${{LINGER:-0}}; exit 0' TERM; echo $VERSION > {www}/index.html; \
         if [ -n \"$FAIL\" ]; then {busybox} sleep 0.3; exit $FAIL; fi; \
         {busybox} sleep ${{DELAY:-0}} & wait $!; {busybox} httpd -f -p {address} -h {www} & wait"
    )
}

fn names_in(dir: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().into_string().ok()).collect()
}
