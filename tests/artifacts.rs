//! Where images come from: a real registry, archives from a server that cuts and lies, archives of this machine, repositories;
//! deployed with the real Docker and Caddy.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::disallowed_methods, reason = "a test ends there")]

#[path = "support/deploying.rs"]
mod deploying;
#[path = "support/registry.rs"]
mod registry;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use deploying::{Machine, docker, run, undeploy_of, wait_for};
use otturnaut::build::BuildSource;
use otturnaut::deploy::{Content, DeployError, Deployment, ObtainError, Origin};
use otturnaut::host::{Download, DownloadError, Host, Recipe, RegistryAuth, RuntimeError, Transfer};
use otturnaut::secret::Secret;
use registry::{PASSWORD, Registry};
use sha2::{Digest, Sha256};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

fn is_here(image: &str) -> bool {
    Command::new("docker").args(["image", "inspect", image]).output().unwrap().status.success()
}

fn of(deployment: Deployment, origin: Origin) -> Deployment {
    Deployment { image: String::new(), origin, ..deployment }
}

fn pulled(deployment: Deployment, image: &str, auth: Option<RegistryAuth>) -> Deployment {
    Deployment { image: image.to_owned(), origin: Origin::Registry(auth), ..deployment }
}

fn me(password: &str) -> Option<RegistryAuth> {
    Some(RegistryAuth { username: "me".to_owned(), password: Secret::new(password.to_owned()) })
}

/// Why the image was not had; and then nothing is left.
fn not_obtained(machine: &Machine, error: DeployError) -> ObtainError {
    let DeployError::Obtain { source, .. } = error else { panic!("{error:?}") };
    assert_eq!(machine.containers(), Vec::<String>::new());
    let sources = machine.place.data_dir.join("sources");
    wait_for("the work to be cleared away", || std::fs::read_dir(&sources).map_or(0, Iterator::count) == 0);
    *source
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_of_a_registry_is_pulled_pinned_and_goes_with_its_application() {
    let (machine, registry) = (Machine::start(), Registry::open());
    let (engine, ..) = machine.engine();
    let name = registry.push(&machine.place.image(), "shop:1");
    let deployed = run(&engine, pulled(machine.deployment("shop"), &name, None)).await.unwrap();
    assert_eq!(machine.get("shop"), Ok(200));
    let Some(Content::Digest(digest)) = deployed.deployment.content else { panic!("{:?}", deployed.deployment) };
    assert!(digest.starts_with("sha256:"), "{digest}");
    // By its digest it is the same, whatever becomes of its tag.
    let pinned = format!("{}@{digest}", registry.name("shop"));
    let again = run(&engine, pulled(machine.deployment("shop"), &pinned, None)).await.unwrap();
    assert_eq!(again.deployment.content, Some(Content::Digest(digest)));
    assert!(is_here(&name));
    engine.undeploy(undeploy_of(machine.app("shop")), None).await.unwrap();
    assert!(!is_here(&name), "it is here for the application alone");
    assert_eq!(machine.kept_images(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_gives_to_who_has_the_password_and_says_why_to_others() {
    let (machine, open) = (Machine::start(), Registry::open());
    open.push(&machine.place.image(), "shop:1");
    let registry = open.locked();
    let (engine, ..) = machine.engine();
    let name = registry.name("shop:1");
    for auth in [None, me("wrong")] {
        let failed = run(&engine, pulled(machine.deployment("shop"), &name, auth)).await.unwrap_err();
        assert!(!format!("{failed:?}").contains("wrong\""), "{failed:?}");
        let ObtainError::Pull(RuntimeError::Http { body, .. }) = not_obtained(&machine, failed) else {
            panic!("a pull")
        };
        let said = body.to_string();
        assert!(said.contains("no basic auth credentials") || said.contains("unauthorized"), "{said}");
    }
    run(&engine, pulled(machine.deployment("shop"), &name, me(PASSWORD))).await.unwrap();
    assert_eq!(machine.get("shop"), Ok(200));
    let missing = pulled(machine.deployment("other"), &registry.name("shop:none"), me(PASSWORD));
    let DeployError::Obtain { source, .. } = run(&engine, missing).await.unwrap_err() else { panic!("no such tag") };
    assert!(format!("{source:?}").contains("manifest"), "{source:?}");
    engine.undeploy(undeploy_of(machine.app("shop")), None).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pull_that_hangs_is_cancelled_and_leaves_nothing() {
    let machine = Machine::start();
    let (engine, ..) = machine.engine();
    // It takes the connection and never says anything.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let name = format!("{}/shop:1", silent.local_addr().unwrap());
    let deployment = pulled(machine.deployment("shop"), &name, None);
    let id = deployment.id.clone();
    let deploy = tokio::spawn({
        let engine = engine.clone();
        async move { run(&engine, deployment).await.map(drop) }
    });
    wait_for("the pull", || engine.list().iter().any(|run| run.step == Some("obtain_image")));
    engine.cancel(&id).await.unwrap();
    let failed = deploy.await.unwrap().unwrap_err();
    assert!(matches!(failed, DeployError::Cancelled), "{failed:?}");
    assert!(machine.containers().is_empty() && !is_here(&name));
}

/// Saves an image under a name of its own, and leaves none here under that name.
fn archive(machine: &Machine, name: &str) -> PathBuf {
    let path = machine.data.path().join("image.tar");
    docker(&["tag", &machine.place.image(), name]);
    docker(&["save", "--output", path.to_str().unwrap(), name]);
    docker(&["rmi", name]);
    path
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archive_of_this_machine_is_loaded_and_goes_with_its_application() {
    let machine = Machine::start();
    let (engine, ..) = machine.engine();
    let name = format!("loaded-{}:1", machine.place.mark);
    let path = archive(&machine, &name);
    let origin = Origin::Load { path: path.clone() };
    let deployed = run(&engine, of(machine.deployment("shop"), origin.clone())).await.unwrap();
    assert_eq!((deployed.deployment.image.as_str(), machine.get("shop")), (name.as_str(), Ok(200)));
    // What a failure brings goes at once; what the release needs stays.
    let mut failing = of(machine.deployment("shop"), origin);
    failing.env.insert("FAIL".to_owned(), Secret::new("3".to_owned()));
    run(&engine, failing).await.unwrap_err();
    assert!(is_here(&name));
    assert_eq!(machine.get("shop"), Ok(200));
    engine.undeploy(undeploy_of(machine.app("shop")), None).await.unwrap();
    assert!(!is_here(&name) && path.exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_failed_version_brought_goes_with_it() {
    let machine = Machine::start();
    let (engine, ..) = machine.engine();
    let name = format!("loaded-{}:1", machine.place.mark);
    let origin = Origin::Load { path: archive(&machine, &name) };
    let mut failing = of(machine.deployment("shop"), origin);
    failing.env.insert("FAIL".to_owned(), Secret::new("3".to_owned()));
    let failed = run(&engine, failing).await.unwrap_err();
    assert!(matches!(failed, DeployError::HealthCheckFailed(_)), "{failed:?}");
    assert!(!is_here(&name) && machine.containers().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_archive_is_refused_before_the_engine_is_asked() {
    let machine = Machine::start();
    let (engine, ..) = machine.engine();
    let name = format!("loaded-{}:1", machine.place.mark);
    let path = archive(&machine, &name);
    let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
    file.set_len(file.metadata().unwrap().len() / 2).unwrap();
    let origin = Origin::Load { path: path.clone() };
    let cut = run(&engine, of(machine.deployment("shop"), origin.clone())).await.unwrap_err();
    assert!(matches!(not_obtained(&machine, cut), ObtainError::Load(_)));
    std::fs::write(&path, "no archive at all, but some text that is long enough for a block").unwrap();
    let junk = run(&engine, of(machine.deployment("shop"), origin.clone())).await.unwrap_err();
    let junk = not_obtained(&machine, junk);
    assert!(matches!(&junk, ObtainError::Load(RuntimeError::Archive { .. })), "{junk:?}");
    std::fs::remove_file(&path).unwrap();
    let gone = not_obtained(&machine, run(&engine, of(machine.deployment("shop"), origin)).await.unwrap_err());
    assert!(matches!(&gone, ObtainError::Load(RuntimeError::File { reason, .. }) if reason == "enoent"), "{gone:?}");
    assert!(!is_here(&name));
}

/// How a server answers.
#[derive(Clone, Copy)]
enum Manner {
    Whole,
    /// It cuts each answer after so many bytes, and gives parts.
    Cuts(usize),
    /// The same, and it begins anew each time; the third answer is whole.
    CutsTwice(usize),
    Fails(u16),
}

/// A server of one file.
struct Server {
    port: u16,
    requests: Arc<AtomicUsize>,
}

impl Server {
    async fn start(content: Vec<u8>, manner: Manner) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (port, requests) = (listener.local_addr().unwrap().port(), Arc::new(AtomicUsize::new(0)));
        let counted = Arc::clone(&requests);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let number = counted.fetch_add(1, Ordering::Relaxed);
                serve(stream, &content, (manner, number)).await;
            }
        });
        Self { port, requests }
    }

    fn url(&self) -> Secret<String> {
        Secret::new(format!("http://me:s3cret@127.0.0.1:{}/image.tar", self.port))
    }
}

async fn serve(mut stream: TcpStream, content: &[u8], (manner, number): (Manner, usize)) -> Option<()> {
    let mut request = vec![0; 4096];
    let read = stream.read(&mut request).await.ok()?;
    let request = String::from_utf8_lossy(request.get(..read)?).to_lowercase();
    let asked = request.split("range: bytes=").nth(1).and_then(|range| range.split('-').next()?.parse::<usize>().ok());
    let (from, most) = match manner {
        Manner::Whole => (0, usize::MAX),
        Manner::Cuts(most) => (asked.unwrap_or(0), most),
        Manner::CutsTwice(most) => (0, if number < 2 { most } else { usize::MAX }),
        Manner::Fails(status) => {
            let answer = format!("HTTP/1.1 {status} No\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
            return stream.write_all(answer.as_bytes()).await.ok();
        }
    };
    let rest = content.get(from..)?;
    let head = if from > 0 {
        format!("206 Part\r\ncontent-range: bytes {from}-{}/{}", content.len() - 1, content.len())
    } else {
        "200 OK".to_owned()
    };
    let head = format!("HTTP/1.1 {head}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", rest.len());
    stream.write_all(head.as_bytes()).await.ok()?;
    stream.write_all(rest.get(..most).unwrap_or(rest)).await.ok()
}

fn sum(content: &[u8]) -> String {
    Sha256::digest(content).iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

async fn fetch(
    host: &Host,
    url: Secret<String>,
    (sha256, to, most): (String, &Path, u64),
) -> Result<(), DownloadError> {
    let (progress, _) = watch::channel(Transfer::default());
    host.network.download(&Download { url, sha256, to: to.to_owned(), most, room: None }, progress).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_download_is_taken_up_where_it_was_cut_and_from_the_beginning_where_no_parts_are_given() {
    let machine = Machine::start();
    let (host, to) = (machine.host(), machine.data.path().join("file"));
    let content: Vec<u8> = (0..300_000_u32).map(|n| (n % 251) as u8).collect();
    for (manner, requests) in [(Manner::Whole, 1), (Manner::Cuts(100_000), 3), (Manner::CutsTwice(1_000), 3)] {
        let server = Server::start(content.clone(), manner).await;
        fetch(&host, server.url(), (sum(&content), &to, 1 << 20)).await.unwrap();
        assert!(std::fs::read(&to).unwrap() == content);
        assert_eq!(server.requests.load(Ordering::Relaxed), requests);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_download_that_is_not_what_was_wanted_is_told_without_credentials() {
    let machine = Machine::start();
    let (host, to) = (machine.host(), machine.data.path().join("file"));
    let content = vec![7; 50_000];
    let whole = Server::start(content.clone(), Manner::Whole).await;
    let wrong = fetch(&host, whole.url(), ("0".repeat(64), &to, 1 << 20)).await.unwrap_err();
    assert!(matches!(&wrong, DownloadError::Checksum { got, .. } if *got == sum(&content)), "{wrong:?}");
    let large = fetch(&host, whole.url(), (sum(&content), &to, 49_999)).await.unwrap_err();
    assert!(matches!(large, DownloadError::TooLarge { most: 49_999 }), "{large:?}");
    let missing = Server::start(content.clone(), Manner::Fails(404)).await;
    let missing = fetch(&host, missing.url(), (sum(&content), &to, 1 << 20)).await.unwrap_err();
    assert!(matches!(missing, DownloadError::Status(404)), "{missing:?}");
    let nowhere = Secret::new("http://me:s3cret@127.0.0.1:1/x".to_owned());
    let nobody = fetch(&host, nowhere, (sum(&content), &to, 1 << 20)).await.unwrap_err();
    assert!(matches!(nobody, DownloadError::Cut { after: 0, .. }), "{nobody:?}");
    for error in [wrong, large, missing, nobody] {
        assert!(!format!("{error:?} {error}").contains("s3cret"), "{error:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fetched_archive_is_verified_loaded_and_cleared_away() {
    let machine = Machine::start();
    let (engine, ..) = machine.engine();
    let name = format!("fetched-{}:1", machine.place.mark);
    let content = std::fs::read(archive(&machine, &name)).unwrap();
    let server = Server::start(content.clone(), Manner::Cuts(content.len() / 2 + 1)).await;
    let wrong = Origin::Fetch { url: server.url(), sha256: "0".repeat(64) };
    let failed = run(&engine, of(machine.deployment("shop"), wrong)).await.unwrap_err();
    let failed = not_obtained(&machine, failed);
    assert!(matches!(&failed, ObtainError::Fetch(DownloadError::Checksum { .. })), "{failed:?}");
    assert!(!is_here(&name));
    let right = Origin::Fetch { url: server.url(), sha256: sum(&content).to_uppercase() };
    let deployed = run(&engine, of(machine.deployment("shop"), right)).await.unwrap();
    assert_eq!(machine.get("shop"), Ok(200));
    assert_eq!(deployed.deployment.content, Some(Content::Sha256(sum(&content))));
    let journal = std::fs::read_to_string(machine.place.data_dir.join("journal")).unwrap();
    assert!(!journal.contains("s3cret"));
    let sources = machine.place.data_dir.join("sources");
    wait_for("the archive to be cleared away", || std::fs::read_dir(&sources).unwrap().count() == 0);
    engine.undeploy(undeploy_of(machine.app("shop")), None).await.unwrap();
    assert!(!is_here(&name));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_is_full_ends_a_download_and_leaves_nothing() {
    let machine = Machine::start();
    std::fs::create_dir_all(&machine.place.data_dir).unwrap();
    let small = SmallDisk::at(machine.place.data_dir.join("sources"));
    let (engine, ..) = machine.engine();
    let content = vec![7; 4 << 20];
    let server = Server::start(content.clone(), Manner::Whole).await;
    let origin = Origin::Fetch { url: server.url(), sha256: sum(&content) };
    let failed = run(&engine, of(machine.deployment("shop"), origin)).await.unwrap_err();
    let failed = not_obtained(&machine, failed);
    assert!(matches!(&failed, ObtainError::Fetch(DownloadError::File(_))), "{failed:?}");
    drop(small);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_fit_is_refused_with_figures_before_it_comes() {
    let machine = Machine::start();
    let small = SmallDisk::at(machine.place.data_dir.clone());
    let (engine, ..) = machine.engine();
    let content = vec![7; 4 << 20];
    let server = Server::start(content.clone(), Manner::Whole).await;
    let origin = Origin::Fetch { url: server.url(), sha256: sum(&content) };
    let failed = run(&engine, of(machine.deployment("shop"), origin)).await.unwrap_err();
    let failed = not_obtained(&machine, failed);
    let ObtainError::Fetch(DownloadError::NoRoom { free, needed, .. }) = failed else { panic!("{failed:?}") };
    assert!(free < 1 << 20 && needed == 4 << 20, "{free} {needed}");
    // Nothing is left of it: not even what may be kept in reserve.
    std::fs::write(machine.place.data_dir.join("filler"), vec![0; 970 << 10]).unwrap();
    let origin = Origin::Fetch { url: server.url(), sha256: sum(&content) };
    let failed = run(&engine, of(machine.deployment("shop"), origin)).await.unwrap_err();
    let failed = not_obtained(&machine, failed);
    assert!(matches!(&failed, ObtainError::DiskLow(low) if low.path == machine.place.data_dir), "{failed:?}");
    drop(small);
}

/// A disk of one MiB.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn at(path: PathBuf) -> Self {
        std::fs::create_dir_all(&path).unwrap();
        let mount = Command::new("mount").args(["-t", "tmpfs", "-o", "size=1m,mode=700", "tmpfs"]).arg(&path).output();
        assert!(mount.unwrap().status.success(), "root may mount");
        Self(path)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        Command::new("umount").arg("--lazy").arg(&self.0).output().ok();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_is_built_from_its_repository_and_deployed() {
    let machine = Machine::start();
    let (engine, ..) = machine.engine();
    let repository = machine.data.path().join("shop");
    std::fs::create_dir(&repository).unwrap();
    let dockerfile = format!("FROM {}\nLABEL page=1\n", machine.place.image());
    std::fs::write(repository.join("Dockerfile"), dockerfile).unwrap();
    let script = "git init -q -b main && git add . && git -c user.name=a -c user.email=a@b commit -q -m page";
    let made = Command::new("sh").args(["-c", script]).current_dir(&repository).output().unwrap();
    assert!(made.status.success(), "{made:?}");
    let source = |git_ref: &str| {
        Origin::Source(BuildSource {
            repo_url: Secret::new(repository.display().to_string()),
            git_ref: git_ref.to_owned(),
            recipe: Recipe::Dockerfile { path: "Dockerfile".to_owned() },
            build_args: [].into(),
            build_secrets: [].into(),
            ssh_key: None,
            submodules: false,
            resources: otturnaut::host::Resources::default(),
        })
    };
    let failed = run(&engine, of(machine.deployment("shop"), source("nope"))).await.unwrap_err();
    assert!(matches!(not_obtained(&machine, failed), ObtainError::Build(_)));
    let deployed = run(&engine, of(machine.deployment("shop"), source("main"))).await.unwrap();
    assert_eq!(machine.get("shop"), Ok(200));
    let Some(Content::Commit(commit)) = deployed.deployment.content else { panic!("{:?}", deployed.deployment) };
    let image = format!("otturnaut-{}:{commit}", machine.app("shop"));
    assert_eq!(deployed.deployment.image, image);
    let back = engine.rollback(&machine.app("shop"), None, None).await;
    assert!(back.is_err(), "there is none before");
    engine.undeploy(undeploy_of(machine.app("shop")), None).await.unwrap();
    wait_for("the image to go", || !is_here(&image));
}
