//! The real Docker and the real Podman, and images made of busybox alone.

#![allow(unreachable_pub, dead_code, missing_docs, reason = "each test file uses its part")]

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

use otturnaut::host::docker::Engines;
use otturnaut::host::{
    BuildImage, ContainerSpec, Publish, Recipe, Restart, Runtime, RuntimeError, RuntimeKind, RuntimeTarget, Runtimes,
    install_crypto,
};

pub const KINDS: [RuntimeKind; 2] = [RuntimeKind::Docker, RuntimeKind::Podman];

pub fn engine(kind: RuntimeKind) -> Arc<dyn Runtime> {
    at(kind, None)
}

pub fn at(kind: RuntimeKind, socket: Option<PathBuf>) -> Arc<dyn Runtime> {
    install_crypto();
    Engines::new("/var/run/docker.sock".into()).runtime(&RuntimeTarget { kind, socket })
}

pub fn unique(stem: &str) -> String {
    format!("otturnaut-it-{stem}-{:08x}", rand::random::<u32>())
}

/// A build context: busybox and a Dockerfile.
pub fn context(dockerfile: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    std::fs::copy("/bin/busybox", dir.path().join("busybox")).expect("busybox is installed");
    std::fs::write(dir.path().join("Dockerfile"), dockerfile).unwrap();
    dir
}

pub async fn build(engine: &dyn Runtime, tag: &str, dockerfile: &str) -> Result<(), RuntimeError> {
    let dir = context(dockerfile);
    let build = BuildImage {
        context: dir.path().to_owned(),
        recipe: Recipe::Dockerfile { path: "Dockerfile".to_owned() },
        tag: tag.to_owned(),
        build_args: BTreeMap::from([("WORD".to_owned(), "given".to_owned())]),
        secrets: [].into(),
        resources: otturnaut::host::Resources::default(),
    };
    engine.build_image(&build, None).await
}

pub fn spec(name: &str, image: &str, port: u16) -> ContainerSpec {
    ContainerSpec {
        name: name.to_owned(),
        image: image.to_owned(),
        publish: Some(Publish { container_port: 8080, port }),
        labels: BTreeMap::from([("otturnaut.test".to_owned(), name.to_owned())]),
        ..ContainerSpec::default()
    }
}

/// A container that runs a line of the shell, once and without a port.
pub fn task(name: &str, image: &str, script: &str) -> ContainerSpec {
    ContainerSpec {
        publish: None,
        command: ["/bin/sh", "-c", script].map(str::to_owned).into(),
        restart: Restart::No,
        ..spec(name, image, 0)
    }
}

/// Asks the engine's API, past the code under test.
pub async fn ask(kind: RuntimeKind, (method, path): (&str, &str), body: &serde_json::Value) -> u16 {
    install_crypto();
    let socket = if kind == RuntimeKind::Docker { "/var/run/docker.sock" } else { "/run/podman/podman.sock" };
    let client = reqwest::Client::builder().unix_socket(socket).no_proxy().build().unwrap();
    let request = client.request(method.parse().unwrap(), format!("http://engine{path}"));
    let request = request.header("content-type", "application/json").body(body.to_string());
    request.send().await.expect("the engine answers").status().as_u16()
}

/// Creates a container as the engine's API has it, past the code under test, and starts it.
pub async fn run(kind: RuntimeKind, name: &str, config: &serde_json::Value) {
    assert_eq!(ask(kind, ("POST", &format!("/containers/create?name={name}")), config).await, 201, "{kind}");
    assert_eq!(
        ask(kind, ("POST", &format!("/containers/{name}/start")), &serde_json::Value::Null).await,
        204,
        "{kind}"
    );
}

/// Removes an image, past the code under test.
pub fn remove_image(kind: RuntimeKind, tag: &str) {
    let program = if kind == RuntimeKind::Docker { "docker" } else { "podman" };
    Command::new(program).args(["rmi", "--force", tag]).output().unwrap();
}

/// An image of busybox as the shell, which stays for the next run. Imported, not built: engines take no harm from that
/// while others build.
pub fn shell(kind: RuntimeKind, changes: &[&str]) -> String {
    let image = format!("otturnaut-it/shell:{}", changes.len());
    let program = if kind == RuntimeKind::Docker { "docker" } else { "podman" };
    if Command::new(program).args(["image", "inspect", &image]).output().unwrap().status.success() {
        return image;
    }
    let root = tempfile::tempdir().unwrap();
    for dir in ["bin", "www"] {
        std::fs::create_dir(root.path().join(dir)).unwrap();
    }
    std::fs::copy("/bin/busybox", root.path().join("bin/busybox")).expect("busybox is installed");
    for name in ["sh", "sleep", "test"] {
        std::os::unix::fs::symlink("busybox", root.path().join("bin").join(name)).unwrap();
    }
    let archive = root.path().join("image.tar");
    let tar = Command::new("tar").args(["-C"]).arg(root.path()).args(["-c", "bin", "www", "-f"]).arg(&archive).output();
    assert!(tar.unwrap().status.success());
    let imported = Command::new(program).arg("import").args(changes).arg(&archive).arg(&image).output().unwrap();
    assert!(imported.status.success(), "{}", String::from_utf8_lossy(&imported.stderr));
    image
}
