//! Keeps this node registered.

use std::io;
use std::net::IpAddr;
use std::time::Duration;

use futures::FutureExt;
use tokio::io::AsyncReadExt;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::client::{RegisterError, Registration, register};
use super::server::Server;
use crate::limits;

/// What is to be registered, and where.
#[derive(Debug, Clone)]
pub(in crate::node) struct Keeper {
    pub(in crate::node) epmd_port: u16,
    /// Where an EPMD of our own listens; everywhere if none.
    pub(in crate::node) bind: Option<IpAddr>,
    /// The name before the `@`.
    pub(in crate::node) alive: String,
    /// The distribution port.
    pub(in crate::node) port: u16,
}

/// Why a node is not registered.
#[derive(Debug, thiserror::Error)]
pub(in crate::node) enum KeeperError {
    #[error("EPMD holds the name for another node")]
    Taken,
    #[error("EPMD neither answers nor can be served: {0}")]
    Io(io::Error),
}

/// Where the node is registered.
enum Place {
    Foreign(Registration),
    /// With the creation that it gave.
    Own(u32),
}

impl Keeper {
    /// Registers, or serves EPMD if none answers; keeps it so until it is stopped. Gives this node's creation.
    pub(in crate::node) async fn start(
        self,
        tasks: &TaskTracker,
        stop: &CancellationToken,
    ) -> Result<u32, KeeperError> {
        let place = self.place(tasks, stop).await?;
        let creation = match &place {
            Place::Foreign(registration) => registration.creation,
            Place::Own(creation) => *creation,
        };
        let (tracker, stop) = (tasks.clone(), stop.clone());
        tasks.spawn(
            async move {
                tokio::select! {
                    () = self.keep(place, &tracker, &stop) => {}
                    () = stop.cancelled() => {}
                }
            }
            .boxed(),
        );
        Ok(creation)
    }

    /// One attempt: at the EPMD that answers, else by one of our own.
    async fn place(&self, tasks: &TaskTracker, stop: &CancellationToken) -> Result<Place, KeeperError> {
        match register(self.epmd_port, &self.alive, self.port).await {
            Ok(registration) => Ok(Place::Foreign(registration)),
            Err(nobody) if nobody.is_nobody() => self.serve(tasks, stop),
            Err(RegisterError::Taken) => Err(KeeperError::Taken),
            Err(RegisterError::Io(e)) => Err(KeeperError::Io(e)),
        }
    }

    fn serve(&self, tasks: &TaskTracker, stop: &CancellationToken) -> Result<Place, KeeperError> {
        let listeners = Server::bind(self.epmd_port, self.bind).map_err(KeeperError::Io)?;
        let server = Server::with(&self.alive, self.port);
        let creation = server.next_creation();
        for listener in listeners {
            let (server, tracker, stop) = (server.clone(), tasks.clone(), stop.clone());
            tasks.spawn(async move { server.serve(listener, &tracker, &stop).await }.boxed());
        }
        tracing::info!(port = self.epmd_port, "no EPMD answered, serving it");
        Ok(Place::Own(creation))
    }

    async fn keep(&self, mut place: Place, tasks: &TaskTracker, stop: &CancellationToken) {
        // EPMD of our own lasts as long as this program.
        while let Place::Foreign(registration) = place {
            wait_for_end(registration).await;
            tracing::warn!(port = self.epmd_port, "EPMD is gone, registering again");
            place = self.again(tasks, stop).await;
        }
    }

    async fn again(&self, tasks: &TaskTracker, stop: &CancellationToken) -> Place {
        let mut pause = limits::EPMD_FIRST_RETRY;
        let mut told = None;
        loop {
            tokio::time::sleep(pause).await;
            let failed = match self.place(tasks, stop).await {
                Ok(place) => {
                    tracing::info!(port = self.epmd_port, "registered at EPMD again");
                    return place;
                }
                Err(e) => e,
            };
            // Once for each kind of failure: it is tried again and again.
            let kind = std::mem::discriminant(&failed);
            if told != Some(kind) {
                tracing::warn!(port = self.epmd_port, name = self.alive, "cannot register, trying on: {failed}");
            }
            told = Some(kind);
            pause = Duration::min(pause * 2, limits::EPMD_LAST_RETRY);
        }
    }
}

async fn wait_for_end(mut registration: Registration) {
    let mut rest = [0; 64];
    while registration.stream.read(&mut rest).await.is_ok_and(|read| read > 0) {}
}
