//! The machine's Caddy, network and disk.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::{App, Fault, Inside, Machine};
use crate::host::{
    Batch, Command, CommandEnd, CommandResult, Connection, Document, Download, DownloadError, Files, HttpAnswer,
    MachineLook, Network, Probe, ProbeAnswer, Processes, Proxies, Proxy, ProxyError, ProxySettings, ProxyWriter, Route,
    Storage, Transfer,
};

fn proxy_error(fault: Fault) -> ProxyError {
    let url = "http://127.0.0.1:2019".to_owned();
    match fault {
        Fault::Refused(status, message) => ProxyError::UnexpectedStatus { status, body: json!({ "error": message }) },
        Fault::Down => ProxyError::Unavailable { url },
        Fault::AnswerLost => ProxyError::Timeout { url },
    }
}

#[async_trait]
impl Proxy for Machine {
    async fn health(&self) -> Result<(), ProxyError> {
        Ok(())
    }

    async fn put_route(&self, route: &Route) -> Result<(), ProxyError> {
        let what = format!("{} {}", route.id, route.upstream_port);
        let put = self.act(("put_route", &what), |inside| {
            inside.routes.insert(route.id.clone(), route.clone());
            Ok(())
        });
        put.await.map_err(proxy_error)
    }

    async fn remove_route(&self, id: &str) -> Result<(), ProxyError> {
        let unknown = Fault::Refused(404, "unknown object ID");
        let removed = |inside: &mut Inside| inside.routes.remove(id).map(drop).ok_or(unknown);
        self.act(("remove_route", id), removed).await.map_err(proxy_error)
    }

    async fn give_up_route(&self, id: &str) -> Result<(), ProxyError> {
        self.act(("give_up_route", id), |_| Ok(())).await.map_err(proxy_error)
    }

    async fn list_routes(&self) -> Result<Vec<Route>, ProxyError> {
        let listed = |inside: &mut Inside| Ok(inside.routes.values().cloned().collect());
        self.act(("list_routes", ""), listed).await.map_err(proxy_error)
    }

    async fn get_route(&self, id: &str) -> Result<Route, ProxyError> {
        let found = self.act(("get_route", id), |inside| Ok(inside.routes.get(id).cloned())).await;
        found.map_err(proxy_error)?.ok_or_else(|| ProxyError::NotFound { id: id.to_owned() })
    }

    async fn read(&self, _path: &str) -> Result<Value, ProxyError> {
        unreachable!("no deploy reads Caddy's configuration")
    }

    async fn write(&self, _: ProxyWriter, _: &str, _: Option<&Value>) -> Result<(), ProxyError> {
        unreachable!("no deploy writes Caddy's configuration")
    }
}

impl Proxies for Machine {
    fn defaults(&self) -> ProxySettings {
        let base_url = "http://127.0.0.1:2019".to_owned();
        ProxySettings { base_url, http_port: 80, https_port: 443, disable_auto_https: true }
    }

    fn proxy(&self, _settings: &ProxySettings) -> Arc<dyn Proxy> {
        Arc::new(self.clone())
    }
}

#[async_trait]
impl Network for Machine {
    async fn probe(&self, probe: &Probe) -> ProbeAnswer {
        let (Probe::Http { url, .. }, inside) = (probe, self.inside()) else { return ProbeAnswer::Connected };
        let port: u16 = url.split(':').nth(2).unwrap().split('/').next().unwrap().parse().unwrap();
        match inside.running.iter().find(|r| r.container.port == Some(port)).map(|r| (r.app, r.started.elapsed())) {
            Some((App::Answers(status, after), up)) if up >= after => {
                ProbeAnswer::Http(HttpAnswer { status, location: None, head: String::new() })
            }
            _ => ProbeAnswer::Failed("connection refused".to_owned()),
        }
    }

    fn port_is_free(&self, port: u16) -> bool {
        !self.inside().listeners.contains(&port)
    }

    async fn connections(&self, ports: &[u16]) -> io::Result<Vec<Connection>> {
        let inside = self.inside();
        let open = |port: &&u16| inside.connected.get(port).is_some_and(|until| Instant::now() < *until);
        let connection = |port: &u16| Connection { from: ([127, 0, 0, 1], 50_000).into(), port: *port, inode: 1 };
        Ok(ports.iter().filter(open).map(connection).collect())
    }

    async fn download(&self, download: &Download, _: watch::Sender<Transfer>) -> Result<(), DownloadError> {
        unreachable!("no deploy fetches {}", download.to.display())
    }

    async fn owners(&self, _connections: &[Connection]) -> Vec<String> {
        vec!["caddy (7)".to_owned()]
    }
}

#[async_trait]
impl Storage for Machine {
    async fn open_journal(&self) -> io::Result<Vec<u8>> {
        let opened = self.act(("open_journal", ""), |inside| Ok(inside.journal.clone()));
        opened.await.map_err(|_| io::ErrorKind::PermissionDenied.into())
    }

    async fn append_journal(&self, bytes: Vec<u8>) -> io::Result<()> {
        let appended = self.act(("append_journal", ""), |inside| {
            inside.last_write = inside.journal.len();
            inside.journal.extend_from_slice(&bytes);
            Ok(())
        });
        appended.await.map_err(|_| io::ErrorKind::StorageFull.into())
    }

    async fn replace_journal(&self, bytes: Vec<u8>) -> io::Result<()> {
        let replaced = self.act(("replace_journal", ""), |inside| {
            inside.journal = bytes;
            Ok(())
        });
        replaced.await.map_err(|_| io::ErrorKind::StorageFull.into())
    }

    async fn read_events(&self) -> io::Result<Vec<u8>> {
        Ok(self.inside().events.clone())
    }

    async fn read_newest_events(&self, _bytes: u64) -> io::Result<Vec<u8>> {
        self.read_events().await
    }

    async fn append_events(&self, bytes: Vec<u8>) -> io::Result<()> {
        self.inside().events.extend_from_slice(&bytes);
        Ok(())
    }

    async fn read_told(&self) -> io::Result<Option<u64>> {
        Ok(None)
    }

    async fn write_told(&self, _number: u64) -> io::Result<()> {
        Ok(())
    }

    async fn put(&self, document: &Document, content: Vec<u8>) -> io::Result<()> {
        let put = self.act(("put", &document.name), |inside| {
            inside.documents.insert(document.clone(), content);
            Ok(())
        });
        put.await.map_err(|_| io::ErrorKind::StorageFull.into())
    }

    async fn get(&self, document: &Document) -> io::Result<Option<Vec<u8>>> {
        Ok(self.inside().documents.get(document).cloned())
    }

    async fn delete(&self, document: &Document) -> io::Result<()> {
        let deleted = self.act(("delete", &document.name), |inside| {
            inside.documents.remove(document);
            Ok(())
        });
        deleted.await.map_err(|_| io::ErrorKind::ReadOnlyFilesystem.into())
    }

    async fn documents(&self) -> io::Result<Vec<Document>> {
        Ok(self.inside().documents.keys().cloned().collect())
    }

    async fn put_log(&self, document: &Document, content: Vec<u8>) -> io::Result<()> {
        let put = self.act(("put_log", &document.name), |inside| {
            inside.logs.insert(document.clone(), content);
            Ok(())
        });
        put.await.map_err(|_| io::ErrorKind::StorageFull.into())
    }

    async fn get_log(&self, document: &Document) -> io::Result<Option<Vec<u8>>> {
        Ok(self.inside().logs.get(document).cloned())
    }

    async fn delete_log(&self, document: &Document) -> io::Result<()> {
        self.inside().logs.remove(document);
        Ok(())
    }

    async fn logs(&self) -> io::Result<Vec<Document>> {
        Ok(self.inside().logs.keys().cloned().collect())
    }
}

#[async_trait]
impl Processes for Machine {
    async fn run(&self, _command: Command, _lines: Option<mpsc::Sender<Batch>>) -> CommandResult {
        CommandResult { end: CommandEnd::NotFound, output: bytes::Bytes::new(), duration: Duration::ZERO }
    }
}

#[async_trait]
impl Files for Machine {
    async fn make_source_dir(&self) -> io::Result<PathBuf> {
        unreachable!("no deploy needs a directory")
    }

    async fn keep_source_dir(&self, _path: &Path) -> io::Result<PathBuf> {
        unreachable!("no deploy keeps a directory")
    }

    async fn sweep_source_dirs(&self) -> io::Result<()> {
        unreachable!("no deploy has directories")
    }

    async fn size(&self, _directory: &Path) -> io::Result<u64> {
        unreachable!("no deploy has directories")
    }

    async fn own_sizes(&self) -> io::Result<Vec<(String, u64)>> {
        unreachable!("nobody asks")
    }

    fn is_local_source(&self, _path: &Path) -> bool {
        false
    }

    async fn remove_source_dir(&self, _path: &Path) -> io::Result<()> {
        unreachable!("no deploy removes a directory")
    }
}

#[async_trait]
impl crate::host::Machine for Machine {
    async fn look(&self) -> io::Result<MachineLook> {
        unreachable!("no deploy asks for it")
    }
}
