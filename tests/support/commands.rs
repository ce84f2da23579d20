//! Running the commands: an agent of a test, a terminal, snapshots.

#![allow(unreachable_pub, dead_code, missing_docs, reason = "each test file uses its part")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test ends there"
)]

use std::cell::RefCell;
use std::fs::File;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::caddy::Caddy;
use super::ports::free_port;

const BINARY: &str = env!("CARGO_BIN_EXE_otturnaut");
const PATIENCE: Duration = Duration::from_secs(30);

/// What came of a command.
#[derive(Debug)]
pub struct Ran {
    pub code: i32,
    pub output: String,
    pub error: String,
}

/// A command with nothing in its environment but these, and its input.
pub fn run(args: &[&str], variables: &[(&str, &str)], input: &str) -> Ran {
    let mut command = Command::new(BINARY);
    command.args(args).env_clear().env("PATH", std::env::var_os("PATH").unwrap()).envs(variables.iter().copied());
    finish(command, input)
}

/// Another program.
pub fn program(name: &str, args: &[&str], input: &str) -> Ran {
    let mut command = Command::new(name);
    command.args(args);
    finish(command, input)
}

fn finish(mut command: Command, input: &str) -> Ran {
    let mut process =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it can be run");
    // One that does not read its input has ended.
    process.stdin.take().unwrap().write_all(input.as_bytes()).unwrap_or_default();
    let output = process.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ran { code: output.status.code().unwrap_or(-1), output: text(output.stdout), error: text(output.stderr) }
}

/// A running agent, and what its commands are given.
pub struct Outpost {
    process: Child,
    data: TempDir,
    variables: Vec<(String, String)>,
    /// Of deployments, as they were seen.
    ids: RefCell<Vec<String>>,
}

impl Outpost {
    /// An agent beside Docker and a Caddy, or beside neither.
    pub fn start(caddy: Option<&Caddy>) -> Self {
        let data = TempDir::new().unwrap();
        let port = free_port();
        let mut variables = vec![
            ("RELEASE_NODE", format!("cli{port}@127.0.0.1")),
            ("RELEASE_COOKIE", "a-cookie-of-a-test".to_owned()),
            ("ERL_EPMD_PORT", port.to_string()),
            ("OTTURNAUT_DIST_BIND", "127.0.0.1".to_owned()),
            ("OTTURNAUT_DATA_DIR", data.path().display().to_string()),
            ("OTTURNAUT_AUTO_HTTPS", "false".to_owned()),
        ];
        match caddy {
            Some(caddy) => variables.extend([
                ("CADDY_ADMIN_URL", caddy.settings.base_url.clone()),
                ("OTTURNAUT_HTTP_PORT", caddy.settings.http_port.to_string()),
                ("OTTURNAUT_HTTPS_PORT", caddy.settings.https_port.to_string()),
            ]),
            None => variables.extend([
                ("CONTAINER_SOCKET", "/nowhere/engine.sock".to_owned()),
                ("CADDY_ADMIN_URL", "http://127.0.0.1:1".to_owned()),
                ("OTTURNAUT_HTTP_PORT", free_port().to_string()),
                ("OTTURNAUT_HTTPS_PORT", free_port().to_string()),
            ]),
        }
        let variables: Vec<_> = variables.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        let log = File::create(data.path().join("log")).unwrap();
        let process = Command::new(BINARY)
            .arg("start")
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .envs(variables.iter().map(|(name, value)| (name.as_str(), value.as_str())))
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .expect("the agent is built");
        let outpost = Self { process, data, variables, ids: RefCell::default() };
        wait_for("the agent to answer", || outpost.run(&["ping"]).code == 0);
        outpost
    }

    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    pub fn data(&self) -> &Path {
        self.data.path()
    }

    /// Its exit code, once it has ended.
    pub fn exit_code(&mut self) -> Option<i32> {
        wait_for("the agent's end", || self.process.try_wait().unwrap().is_some());
        self.process.try_wait().unwrap().and_then(|status| status.code())
    }

    pub fn run(&self, args: &[&str]) -> Ran {
        self.run_in(args, &[])
    }

    pub fn run_in(&self, args: &[&str], more: &[(&str, &str)]) -> Ran {
        run(args, &self.environment(more), "")
    }

    pub fn run_with(&self, args: &[&str], input: &str) -> Ran {
        run(args, &self.environment(&[]), input)
    }

    pub fn environment<'a>(&'a self, more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
        self.variables.iter().map(|(name, value)| (name.as_str(), value.as_str())).chain(more.iter().copied()).collect()
    }
}

impl Drop for Outpost {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
        let mine = format!("label=otturnaut.outpost={}", self.variables[0].1);
        let found = program("docker", &["ps", "-aq", "--filter", &mine], "");
        for container in found.output.split_whitespace() {
            program("docker", &["rm", "-f", container], "");
        }
    }
}

/// A command on a terminal of its own.
pub struct Terminal {
    process: Child,
    came: Receiver<Vec<u8>>,
    text: String,
    /// What was waited for already.
    read: usize,
}

pub fn on_terminal(outpost: &Outpost, command: &str) -> Terminal {
    on_terminal_with(outpost, command, &[])
}

pub fn on_terminal_with(outpost: &Outpost, command: &str, more: &[(&str, &str)]) -> Terminal {
    let line = format!("stty columns 120 rows 40; exec {BINARY} {command}");
    let mut process = Command::new("script")
        .args(["-qfec", &line, "/dev/null"])
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap())
        .env("TERM", "xterm")
        .envs(outpost.environment(more))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("script is installed");
    let (told, came) = channel();
    let mut output = process.stdout.take().unwrap();
    thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(count @ 1..) = output.read(&mut buffer) {
            if told.send(buffer[..count].to_vec()).is_err() {
                break;
            }
        }
    });
    Terminal { process, came, text: String::new(), read: 0 }
}

impl Terminal {
    pub fn types(&mut self, text: &str) {
        self.process.stdin.as_mut().unwrap().write_all(text.as_bytes()).unwrap();
    }

    /// Waits until it shows something, behind what was waited for before.
    pub fn waits_for(&mut self, what: &str) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(at) = self.text[self.read..].find(what) {
                self.read += at + what.len();
                return;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            match self.came.recv_timeout(left) {
                Ok(bytes) => self.text.push_str(&String::from_utf8_lossy(&bytes)),
                Err(e) => panic!("waited in vain for {what:?} in {:?}: {e}", self.text),
            }
        }
    }

    /// Waits for its end; gives the exit code.
    pub fn ends(&mut self) -> i32 {
        wait_for("the command's end", || self.process.try_wait().unwrap().is_some());
        while let Ok(bytes) = self.came.recv_timeout(Duration::from_secs(5)) {
            self.text.push_str(&String::from_utf8_lossy(&bytes));
        }
        self.process.wait().unwrap().code().unwrap_or(-1)
    }

    pub fn text(&self) -> &str {
        &self.text
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

/// An image that serves what its environment says, and says so.
pub fn image() -> String {
    let image = "otturnaut-it/cli:2".to_owned();
    if program("docker", &["image", "inspect", &image], "").code == 0 {
        return image;
    }
    let root = TempDir::new().unwrap();
    for dir in ["bin", "www", "etc"] {
        std::fs::create_dir(root.path().join(dir)).unwrap();
    }
    std::fs::copy("/bin/busybox", root.path().join("bin/busybox")).expect("busybox is installed");
    let script = "echo \"serving $PAGE\"; printf '%s|%s|%s\\n' \"$PAGE\" \"$SECRET\" \"$TOKEN\" > /www/index.html; \
                  trap 'exit 0' TERM; /bin/busybox httpd -f -p 8080 -h /www & wait";
    let command = serde_json::json!(["/bin/busybox", "sh", "-c", script]);
    let archive = root.path().join("image.tar");
    let packed = program(
        "tar",
        &["-C", root.path().to_str().unwrap(), "-cf", archive.to_str().unwrap(), "bin", "www", "etc"],
        "",
    );
    assert_eq!(packed.code, 0, "{packed:?}");
    let change = format!("CMD {command}");
    let imported = program("docker", &["import", "--change", &change, archive.to_str().unwrap(), &image], "");
    assert_eq!(imported.code, 0, "{imported:?}");
    image
}

/// The answer to a request on a connection of its own.
pub fn http(port: u16, host: &str) -> String {
    let mut answer = String::new();
    let asked = TcpStream::connect(("127.0.0.1", port)).and_then(|mut stream| {
        stream.set_read_timeout(Some(PATIENCE))?;
        write!(stream, "GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")?;
        stream.read_to_string(&mut answer)
    });
    asked.map_or_else(|e| e.to_string(), |_| answer)
}

pub fn wait_for(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        thread::sleep(Duration::from_millis(20));
    }
}

/// An output without what differs from run to run.
pub fn masked(text: &str, outpost: &Outpost) -> String {
    let mut text = text.to_owned();
    let own = |name: &str| name.starts_with("RELEASE") || name.ends_with("PORT") || name.ends_with("DIR");
    for (name, value) in outpost.variables.iter().filter(|(name, _)| own(name)) {
        text = text.replace(value.as_str(), &format!("<{name}>"));
    }
    let mut ids = outpost.ids.borrow_mut();
    ids.extend(ids_in(&text));
    for id in ids.iter() {
        text = text.replace(id.as_str(), "<ID>");
    }
    text.lines().map(|line| line.split(' ').map(masked_word).collect::<Vec<_>>().join(" ") + "\n").collect()
}

/// The ids of deployments, by what stands before them.
fn ids_in(text: &str) -> Vec<String> {
    let behind = |(at, before): (usize, &str)| text.get(at + before.len()..at + before.len() + 8).map(str::to_owned);
    let of = |before| text.match_indices(before).filter_map(behind).collect::<Vec<_>>();
    ["otturnaut-clishop-", "is deployed (", "clishop runs "].into_iter().flat_map(of).collect()
}

/// Times, sizes and ports.
fn masked_word(word: &str) -> String {
    let bare = word.trim_matches(|c: char| !c.is_alphanumeric());
    if bare.len() > 19 && bare.contains('T') && bare.ends_with('Z') {
        return word.replace(bare, "<TIME>");
    }
    let digits = !bare.is_empty() && bare.chars().all(|c| c.is_ascii_digit() || c == '.');
    let masked = digits && (bare.matches('.').count() == 1 || (!bare.contains('.') && bare.len() == 5));
    if masked && !matches!(bare, "10000" | "20000") { word.replace(bare, "<N>") } else { word.to_owned() }
}

/// Compares a text with what is kept of it; `SNAPSHOTS=write` keeps it.
pub fn snapshot(name: &str, text: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("tests/snapshots/{name}.txt"));
    if std::env::var("SNAPSHOTS").is_ok_and(|value| value == "write") {
        std::fs::write(&path, text).unwrap();
        return;
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    assert_eq!(text, kept, "{name} is not what tests/snapshots/{name}.txt keeps of it");
}
