//! A host whose process is killed at a call of its own choice: before the call has begun, while it is under way, or when it
//! has its answer.

use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use otturnaut::host::{
    Batch, BuildImage, Connection, Container, ContainerSpec, Document, Download, DownloadError, EngineEvents,
    EngineSpace, ExecEnd, Host, Image, Line, LogQuery, LogReader, Network, Probe, ProbeAnswer, Proxies, Proxy,
    ProxyError, ProxySettings, ProxyWriter, PullImage, Route, Runtime, RuntimeError, RuntimeTarget, Runtimes, Storage,
    Transfer, Usage,
};
use rustix::process::{Signal, getpid, kill_process};
use serde_json::Value;
use tokio::sync::{mpsc, watch};

use crate::deploying::Ground;

/// How long a call is under way when it is torn: long enough for the other side to have begun with it. A call of systemd is
/// several of its manager's.
fn time_under_way() -> Duration {
    Duration::from_millis(if Ground::here().is_systemd() { 50 } else { 5 })
}

/// When the process dies. Moment `3n` is before call `n`, moment `3n + 1` while it is under way, moment `3n + 2` after it.
pub(crate) struct Death {
    moment: Option<usize>,
    next: AtomicUsize,
    /// The file that says what it died at.
    epitaph: PathBuf,
}

impl Death {
    /// None before calls are counted.
    pub(crate) fn new(moment: Option<usize>, epitaph: PathBuf) -> Arc<Self> {
        Arc::new(Self { moment, next: AtomicUsize::new(usize::MAX / 2), epitaph })
    }

    /// Calls are counted from now on.
    pub(crate) fn count(&self) {
        self.next.store(0, Ordering::Relaxed);
    }

    async fn around<T>(&self, call: &str, answer: impl Future<Output = T>) -> T {
        let before = self.next.fetch_add(3, Ordering::Relaxed);
        self.strike(before, ("before", call));
        let mut under_way = UnderWay { death: self, call, during: before + 1, answered: false };
        let mut answer = pin!(answer);
        let answer = if self.moment == Some(before + 1) {
            let early = tokio::time::timeout(time_under_way(), &mut answer).await;
            self.strike(before + 1, ("during", call));
            early.expect("nobody survives")
        } else {
            answer.await
        };
        under_way.answered = true;
        self.strike(before + 2, ("after", call));
        answer
    }

    fn strike(&self, moment: usize, (when, call): (&str, &str)) {
        if self.moment != Some(moment) {
            return;
        }
        std::fs::write(&self.epitaph, format!("{when} {call}")).unwrap();
        kill_process(getpid(), Signal::KILL).unwrap();
        loop {
            std::thread::park();
        }
    }
}

/// A call that has begun. The process may have to die in it or after it, and nobody may wait for its answer.
struct UnderWay<'a> {
    death: &'a Death,
    call: &'a str,
    during: usize,
    answered: bool,
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        if !self.answered {
            self.death.strike(self.during, ("during", self.call));
            self.death.strike(self.during + 1, ("at the break-off of", self.call));
        }
    }
}

/// The host with all that a deploy asks of it counted.
pub(crate) fn host(host: Host, death: &Arc<Death>) -> Host {
    Host {
        runtimes: Arc::new(Deadly::new(host.runtimes, death)),
        proxies: Arc::new(Deadly::new(host.proxies, death)),
        network: Arc::new(Deadly::new(host.network, death)),
        storage: Arc::new(Deadly::new(host.storage, death)),
        ..host
    }
}

struct Deadly<T: ?Sized> {
    real: Arc<T>,
    death: Arc<Death>,
}

impl<T: ?Sized> Deadly<T> {
    fn new(real: Arc<T>, death: &Arc<Death>) -> Self {
        Self { real, death: Arc::clone(death) }
    }
}

macro_rules! deadly {
    ($trait:ident: $($call:ident($($name:ident: $type:ty),*) -> $answer:ty;)*) => {
        #[async_trait]
        impl $trait for Deadly<dyn $trait> {
            $(async fn $call(&self, $($name: $type),*) -> $answer {
                self.death.around(stringify!($call), self.real.$call($($name),*)).await
            })*
        }
    };
}

deadly! { Runtime:
    list(labels: &[String]) -> Result<Vec<Container>, RuntimeError>;
    start(spec: &ContainerSpec) -> Result<String, RuntimeError>;
    stop(name: &str, grace: Duration) -> Result<(), RuntimeError>;
    remove(name: &str) -> Result<(), RuntimeError>;
    inspect(name: &str) -> Result<Container, RuntimeError>;
    start_again(name: &str) -> Result<(), RuntimeError>;
    events(labels: &[String]) -> Result<EngineEvents, RuntimeError>;
    wait(name: &str) -> Result<i64, RuntimeError>;
    usage(name: &str) -> Result<Option<Usage>, RuntimeError>;
    tail(name: &str, count: usize) -> Result<Vec<Line>, RuntimeError>;
    logs(name: &str, query: &LogQuery) -> Result<LogReader, RuntimeError>;
    exec(name: &str, command: &[String], limit: Duration) -> Result<ExecEnd, RuntimeError>;
    space() -> Result<EngineSpace, RuntimeError>;
    image(name: &str) -> Result<Image, RuntimeError>;
    tag_image(image: &str, repository: &str, tag: &str) -> Result<(), RuntimeError>;
    remove_image(name: &str) -> Result<(), RuntimeError>;
    load_image(archive: &std::path::Path) -> Result<String, RuntimeError>;
    build_image(build: &BuildImage, lines: Option<mpsc::Sender<Batch>>) -> Result<(), RuntimeError>;
    archive_names(archive: &std::path::Path) -> Result<Vec<String>, RuntimeError>;
    pull_image(image: &PullImage, progress: Option<watch::Sender<Transfer>>) -> Result<(), RuntimeError>;
    version() -> Result<String, RuntimeError>;
}

deadly! { Proxy:
    health() -> Result<(), ProxyError>;
    put_route(route: &Route) -> Result<(), ProxyError>;
    remove_route(id: &str) -> Result<(), ProxyError>;
    list_routes() -> Result<Vec<Route>, ProxyError>;
    get_route(id: &str) -> Result<Route, ProxyError>;
    read(path: &str) -> Result<Value, ProxyError>;
    write(how: ProxyWriter, path: &str, value: Option<&Value>) -> Result<(), ProxyError>;
}

deadly! { Storage:
    open_journal() -> std::io::Result<Vec<u8>>;
    append_journal(bytes: Vec<u8>) -> std::io::Result<()>;
    replace_journal(bytes: Vec<u8>) -> std::io::Result<()>;
    read_events() -> std::io::Result<Vec<u8>>;
    read_newest_events(bytes: u64) -> std::io::Result<Vec<u8>>;
    append_events(bytes: Vec<u8>) -> std::io::Result<()>;
    read_told() -> std::io::Result<Option<u64>>;
    write_told(number: u64) -> std::io::Result<()>;
    put(document: &Document, content: Vec<u8>) -> std::io::Result<()>;
    get(document: &Document) -> std::io::Result<Option<Vec<u8>>>;
    delete(document: &Document) -> std::io::Result<()>;
    documents() -> std::io::Result<Vec<Document>>;
    put_log(document: &Document, content: Vec<u8>) -> std::io::Result<()>;
    get_log(document: &Document) -> std::io::Result<Option<Vec<u8>>>;
    delete_log(document: &Document) -> std::io::Result<()>;
    logs() -> std::io::Result<Vec<Document>>;
}

#[async_trait]
impl Network for Deadly<dyn Network> {
    async fn probe(&self, probe: &Probe) -> ProbeAnswer {
        self.death.around("probe", self.real.probe(probe)).await
    }

    /// Changes nothing, as if it were not there.
    fn port_is_free(&self, port: u16) -> bool {
        self.real.port_is_free(port)
    }

    async fn connections(&self, ports: &[u16]) -> std::io::Result<Vec<Connection>> {
        self.death.around("connections", self.real.connections(ports)).await
    }

    async fn download(&self, download: &Download, progress: watch::Sender<Transfer>) -> Result<(), DownloadError> {
        self.death.around("download", self.real.download(download, progress)).await
    }

    async fn owners(&self, connections: &[Connection]) -> Vec<String> {
        self.death.around("owners", self.real.owners(connections)).await
    }
}

impl Runtimes for Deadly<dyn Runtimes> {
    fn runtime(&self, target: &RuntimeTarget) -> Arc<dyn Runtime> {
        Arc::new(Deadly::new(self.real.runtime(target), &self.death))
    }

    fn present(&self) -> Vec<(RuntimeTarget, Arc<dyn Runtime>)> {
        let present = self.real.present().into_iter();
        present.map(|(target, real)| (target, Arc::new(Deadly::new(real, &self.death)) as Arc<dyn Runtime>)).collect()
    }
}

impl Proxies for Deadly<dyn Proxies> {
    fn defaults(&self) -> ProxySettings {
        self.real.defaults()
    }

    fn proxy(&self, settings: &ProxySettings) -> Arc<dyn Proxy> {
        Arc::new(Deadly::new(self.real.proxy(settings), &self.death))
    }
}
