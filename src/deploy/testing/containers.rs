//! The machine's container engine.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde_json::json;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::{App, DOCKER, Fault, Inside, Machine, Running};
use crate::host::{
    Batch, BuildImage, Container, ContainerSpec, ContainerStatus, EngineEvents, EngineSpace, ExecEnd, Image, Line,
    LogEntry, LogQuery, LogReader, LogSource, PullImage, Runtime, RuntimeError, RuntimeKind, RuntimeTarget, Runtimes,
    Stream, Transfer, Usage,
};

impl Inside {
    pub(super) fn add(
        &mut self,
        (name, image): (&str, &str),
        labels: BTreeMap<String, String>,
        (port, app): (Option<u16>, App),
    ) -> String {
        self.made += 1;
        let id = format!("id-{}", self.made);
        let image_id = self.images.get(image).cloned().unwrap_or_else(|| format!("sha256:{image}"));
        let container = Container {
            id: id.clone(),
            name: name.to_owned(),
            status: ContainerStatus::Running,
            image: image.to_owned(),
            image_id,
            port,
            labels,
            exit_code: None,
            restart_count: 0,
            created: self.made,
            started_at: None,
            finished_at: None,
            oom_killed: self.says.ended.0,
            error: self.says.ended.1.to_owned(),
            health: self.says.health.clone(),
        };
        self.listeners.extend(port);
        self.running.push(Running { container, started: Instant::now(), app });
        id
    }

    fn at(&mut self, name: &str) -> Option<&mut Running> {
        self.running.iter_mut().find(|r| r.container.id == name || r.container.name == name)
    }

    fn find(&self, name: &str) -> Option<Container> {
        let named = |r: &&Running| r.container.id == name || r.container.name == name;
        self.running.iter().find(named).map(Running::now)
    }

    fn image(&self, name: &str) -> Option<String> {
        let by_id = || name.starts_with("sha256:").then(|| name.to_owned());
        let here = || {
            (!name.starts_with("missing") && !name.starts_with("otturnaut-release:")).then(|| format!("sha256:{name}"))
        };
        self.images.get(name).cloned().or_else(by_id).or_else(here)
    }

    fn start(&mut self, spec: &ContainerSpec) -> Result<String, Fault> {
        if self.find(&spec.name).is_some() {
            return Err(Fault::Refused(409, "Conflict"));
        }
        if self.image(&spec.image).is_none() {
            return Err(Fault::Refused(404, "No such image: missing:latest"));
        }
        let port = spec.publish.map(|publish| publish.port);
        if port.is_some_and(|port| self.listeners.contains(&port)) {
            return Err(Fault::Refused(500, "Bind failed: port is already allocated"));
        }
        let app = match port {
            Some(_) => self.app.unwrap(),
            None => App::Exits(self.task_exits, Duration::from_millis(5)),
        };
        Ok(self.add((&spec.name, &spec.image), spec.labels.clone(), (port, app)))
    }
}

impl Running {
    pub(super) fn now(&self) -> Container {
        let mut now = self.container.clone();
        match self.app {
            App::Exits(code, after) if self.started.elapsed() >= after => {
                now.status = ContainerStatus::Stopped;
                now.exit_code = Some(code);
            }
            App::Restarts(after) if self.started.elapsed() >= after => now.restart_count = 1,
            _ => {}
        }
        now
    }
}

fn engine_error(fault: Fault) -> RuntimeError {
    let engine = RuntimeKind::Docker;
    let transport = |reason: &str| RuntimeError::Transport {
        engine,
        socket: PathBuf::from("/run/docker.sock"),
        reason: reason.to_owned(),
    };
    match fault {
        Fault::Refused(404, "") => RuntimeError::NotFound { name: "it".to_owned() },
        Fault::Refused(status, message) => RuntimeError::Http { engine, status, body: json!({ "message": message }) },
        Fault::Down => transport("enoent"),
        Fault::AnswerLost => transport("closed"),
    }
}

/// The engine says that there is none.
const GONE: Fault = Fault::Refused(404, "");

#[async_trait]
impl Runtime for Machine {
    async fn list(&self, labels: &[String]) -> Result<Vec<Container>, RuntimeError> {
        let has = |container: &Container, label: &String| match label.split_once('=') {
            Some((name, value)) => container.labels.get(name).is_some_and(|v| v == value),
            None => container.labels.contains_key(label),
        };
        let listed = self.act(("list", ""), |inside| {
            // As engines have it: what does not run has no port now.
            let port = |c: &Container| c.port.filter(|_| c.status == ContainerStatus::Running);
            let all = inside.running.iter().map(Running::now).map(|c| Container { port: port(&c), ..c });
            Ok(all.filter(|container| labels.iter().all(|label| has(container, label))).collect())
        });
        listed.await.map_err(engine_error)
    }

    async fn start(&self, spec: &ContainerSpec) -> Result<String, RuntimeError> {
        self.act(("start", &spec.name), |inside| inside.start(spec)).await.map_err(engine_error)
    }

    async fn stop(&self, name: &str, _grace: Duration) -> Result<(), RuntimeError> {
        let known = self.inside().find(name).ok_or_else(|| engine_error(GONE))?.name;
        let stopped = self.act(("stop", &known), |inside| {
            inside.at(name).ok_or(GONE)?.app = App::Exits(0, Duration::ZERO);
            Ok(())
        });
        stopped.await.map_err(engine_error)
    }

    async fn remove(&self, name: &str) -> Result<(), RuntimeError> {
        let known = self.inside().find(name).ok_or_else(|| engine_error(GONE))?.name;
        let removed = self.act(("remove", &known), |inside| {
            let at = inside.running.iter().position(|r| r.container.name == known).ok_or(GONE)?;
            let port = inside.running.remove(at).container.port;
            inside.listeners.retain(|listener| Some(*listener) != port);
            Ok(())
        });
        removed.await.map_err(engine_error)
    }

    async fn inspect(&self, name: &str) -> Result<Container, RuntimeError> {
        self.act(("inspect", name), |inside| inside.find(name).ok_or(GONE)).await.map_err(engine_error)
    }

    async fn usage(&self, _: &str) -> Result<Option<Usage>, RuntimeError> {
        unreachable!("no deploy asks for it")
    }

    async fn start_again(&self, name: &str) -> Result<(), RuntimeError> {
        let started = self.act(("start_again", name), |inside| {
            let app = inside.app.unwrap();
            let running = inside.at(name).ok_or(GONE)?;
            if running.now().status != ContainerStatus::Running {
                (running.app, running.started) = (app, Instant::now());
            }
            Ok(())
        });
        started.await.map_err(engine_error)
    }

    async fn events(&self, _labels: &[String]) -> Result<EngineEvents, RuntimeError> {
        Ok(Box::pin(futures::stream::pending()))
    }

    async fn wait(&self, name: &str) -> Result<i64, RuntimeError> {
        let mut pause = Duration::from_millis(1);
        loop {
            let container = self.inside().find(name).ok_or_else(|| engine_error(GONE))?;
            let restarted = (container.restart_count > 0).then_some(1);
            if let Some(code) = container.exit_code.or(restarted) {
                return self.act(("wait", name), |_| Ok(code)).await.map_err(engine_error);
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_secs(1));
        }
    }

    async fn tail(&self, _name: &str, count: usize) -> Result<Vec<Line>, RuntimeError> {
        let output = self.inside().says.output;
        let line = |text: &&'static str| Line { stream: Stream::Stdout, text: text.as_bytes().into() };
        Ok(output.iter().skip(output.len().saturating_sub(count)).map(line).collect())
    }

    async fn logs(&self, name: &str, _query: &LogQuery) -> Result<LogReader, RuntimeError> {
        let known = self.inside().find(name).ok_or_else(|| engine_error(GONE))?.name;
        let said = self.act(("logs", &known), |inside| Ok(inside.says.output));
        Ok(Box::new(Said(said.await.map_err(engine_error)?.to_vec())))
    }

    async fn exec(&self, _: &str, _: &[String], _: Duration) -> Result<ExecEnd, RuntimeError> {
        let (code, output) = self.inside().says.command;
        Ok(ExecEnd { exit_code: Some(code), output: output.to_owned() })
    }

    async fn space(&self) -> Result<EngineSpace, RuntimeError> {
        unreachable!("no deploy asks for it")
    }

    async fn image(&self, name: &str) -> Result<Image, RuntimeError> {
        let image = |id| Image { id, tags: vec![name.to_owned()], digests: Vec::new() };
        self.act(("image", name), |inside| inside.image(name).map(image).ok_or(GONE)).await.map_err(engine_error)
    }

    async fn tag_image(&self, image: &str, repository: &str, tag: &str) -> Result<(), RuntimeError> {
        let name = format!("{repository}:{tag}");
        let tagged = self.act(("tag_image", &name), |inside| {
            let id = inside.image(image).ok_or(GONE)?;
            inside.images.insert(name.clone(), id);
            Ok(())
        });
        tagged.await.map_err(engine_error)
    }

    async fn remove_image(&self, name: &str) -> Result<(), RuntimeError> {
        let removed = |inside: &mut Inside| inside.images.remove(name).map(drop).ok_or(GONE);
        self.act(("remove_image", name), removed).await.map_err(engine_error)
    }

    async fn load_image(&self, archive: &Path) -> Result<String, RuntimeError> {
        let name = in_archive(archive);
        self.bring("load", &name).await?;
        Ok(name)
    }

    async fn build_image(&self, _build: &BuildImage, _: Option<mpsc::Sender<Batch>>) -> Result<(), RuntimeError> {
        unreachable!("no deploy builds an image")
    }

    async fn archive_names(&self, archive: &Path) -> Result<Vec<String>, RuntimeError> {
        Ok(vec![in_archive(archive)])
    }

    async fn pull_image(&self, image: &PullImage, _: Option<watch::Sender<Transfer>>) -> Result<(), RuntimeError> {
        self.bring("pull", &image.reference).await
    }

    async fn version(&self) -> Result<String, RuntimeError> {
        Ok("20.10".to_owned())
    }
}

impl Machine {
    async fn bring(&self, how: &'static str, name: &str) -> Result<(), RuntimeError> {
        let brought = self.act((how, name), |inside| {
            inside.images.insert(name.to_owned(), format!("sha256:{name}"));
            Ok(())
        });
        brought.await.map_err(engine_error)
    }
}

/// The image of an archive: none that is here.
fn in_archive(archive: &Path) -> String {
    format!("missing-{}:1", archive.file_stem().unwrap_or_default().to_string_lossy())
}

/// The log of a container.
struct Said(Vec<&'static str>);

#[async_trait]
impl LogSource for Said {
    async fn next(&mut self) -> Result<Option<Vec<LogEntry>>, RuntimeError> {
        let entry = |text: &'static str| LogEntry {
            stream: Stream::Stdout,
            at: jiff::Timestamp::UNIX_EPOCH,
            text: text.as_bytes().into(),
            ends: true,
            whole: true,
        };
        let said: Vec<_> = std::mem::take(&mut self.0).into_iter().map(entry).collect();
        Ok((!said.is_empty()).then_some(said))
    }
}

impl Runtimes for Machine {
    fn runtime(&self, _target: &RuntimeTarget) -> Arc<dyn Runtime> {
        Arc::new(self.clone())
    }

    fn present(&self) -> Vec<(RuntimeTarget, Arc<dyn Runtime>)> {
        let absent = self.inside().faults.contains_key("present");
        if absent { Vec::new() } else { vec![(DOCKER, Arc::new(self.clone()))] }
    }
}
