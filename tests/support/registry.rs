//! A real registry on loopback.

#![allow(unreachable_pub, dead_code, missing_docs, reason = "each test file uses its part")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::disallowed_methods, reason = "a test ends there")]

use std::fmt::Write as _;
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tempfile::TempDir;

pub const PASSWORD: &str = "opensesame";
/// `me` and the password, as the registry keeps them.
const HTPASSWD: &str = "me:$2y$05$abcdefghijklmnopqrstuuQbLfdQZSxZ9gjhA5V9o8Tyc6aQRO0Qi\n";

/// A registry on loopback, without TLS.
pub struct Registry {
    pub port: u16,
    process: Child,
    dir: Arc<TempDir>,
}

impl Registry {
    pub fn open() -> Self {
        Self::over(Arc::new(tempfile::tempdir().unwrap()), false)
    }

    /// The same images behind a password.
    pub fn locked(&self) -> Self {
        Self::over(Arc::clone(&self.dir), true)
    }

    fn over(dir: Arc<TempDir>, locked: bool) -> Self {
        let port = registry_port();
        let place = dir.path().join(port.to_string());
        let mut config = format!(
            "version: 0.1\nstorage:\n  filesystem:\n    rootdirectory: {}\nhttp:\n  addr: 127.0.0.1:{port}\n",
            dir.path().join("images").display()
        );
        if locked {
            let passwords = dir.path().join("passwords");
            std::fs::write(&passwords, HTPASSWD).unwrap();
            writeln!(config, "auth:\n  htpasswd:\n    realm: test\n    path: {}", passwords.display()).unwrap();
        }
        std::fs::write(&place, config).unwrap();
        let mut registry = Command::new("docker-registry");
        registry.arg("serve").arg(&place).stdout(Stdio::null()).stderr(Stdio::null());
        let process = registry.spawn().expect("docker-registry is installed");
        let deadline = Instant::now() + Duration::from_secs(20);
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(Instant::now() < deadline, "the registry did not come");
            std::thread::sleep(Duration::from_millis(10));
        }
        Self { port, process, dir }
    }

    pub fn name(&self, image: &str) -> String {
        format!("127.0.0.1:{}/{image}", self.port)
    }

    /// Puts an image there, and leaves none here under its name.
    pub fn push(&self, image: &str, name: &str) -> String {
        let name = self.name(name);
        for args in [["tag", image, &name].as_slice(), &["push", "--quiet", &name], &["rmi", &name]] {
            let done = Command::new("docker").args(args).output().unwrap();
            assert!(done.status.success(), "{args:?}: {}", String::from_utf8_lossy(&done.stderr));
        }
        name
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

/// One that Podman takes without TLS too: `start_podman` lists them.
pub fn registry_port() -> u16 {
    let free = |port: &u16| TcpListener::bind(("127.0.0.1", *port)).is_ok();
    std::iter::repeat_with(|| rand::random_range(9_900..9_920)).find(free).expect("a port is free")
}
