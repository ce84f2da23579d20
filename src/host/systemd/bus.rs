//! systemd's manager over D-Bus.

use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::path::Path;
use std::time::Duration;

use futures::StreamExt;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::timeout;
use zbus::zvariant::Type;
use zbus::{Connection, MatchRule, Message, MessageStream, OwnedObjectPath, OwnedVariant, message};

use crate::limits;

const SYSTEMD: &str = "org.freedesktop.systemd1";
const MANAGER_PATH: &str = "/org/freedesktop/systemd1";
const MANAGER: &str = "org.freedesktop.systemd1.Manager";
const PROPERTIES: &str = "org.freedesktop.DBus.Properties";
const UNIT: &str = "org.freedesktop.systemd1.Unit";
const SERVICE: &str = "org.freedesktop.systemd1.Service";

/// Why the manager did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub(super) enum BusError {
    /// It cannot be reached, or it said something else than D-Bus.
    #[error(transparent)]
    Bus(#[from] zbus::Error),
    /// It did not answer in time.
    #[error("no answer within {} s", .0.as_secs())]
    Silent(Duration),
    /// A job took longer than it may.
    #[error("it took longer than {} ms", .0.as_millis())]
    Timeout(Duration),
    /// A job ended otherwise than well.
    #[error("{0}")]
    Job(String),
}

/// A connection to the manager.
pub(super) struct Bus {
    connection: Connection,
}

/// What is known of a unit.
#[derive(Debug, Clone, Default)]
pub(super) struct Properties(HashMap<String, OwnedVariant>);

impl Properties {
    pub(super) fn text(&self, name: &str) -> String {
        self.0.get(name).and_then(|value| <&str>::try_from(value).ok()).unwrap_or_default().to_owned()
    }

    /// A number that is there and is not "as much as there is".
    pub(super) fn number(&self, name: &str) -> Option<u64> {
        let value = self.0.get(name)?;
        let number = u64::try_from(value).or_else(|_| u32::try_from(value).map(u64::from));
        number.ok().filter(|number| *number != u64::MAX)
    }

    pub(super) fn signed(&self, name: &str) -> Option<i64> {
        i32::try_from(self.0.get(name)?).ok().map(i64::from)
    }
}

impl Bus {
    /// Connects to the bus at a socket.
    pub(super) async fn open(socket: &Path) -> Result<Self, BusError> {
        let address = format!("unix:path={}", socket.display());
        let opening = zbus::connection::Builder::address(address.as_str()).build();
        let connection = within(limits::ENGINE_REQUEST, opening).await?;
        let bus = Self { connection };
        // Without this the manager tells nothing of its own accord.
        bus.call::<_, ()>("Subscribe", &()).await?;
        Ok(bus)
    }

    /// Asks the manager.
    pub(super) async fn call<B, R>(&self, method: &str, body: &B) -> Result<R, BusError>
    where
        B: Serialize + Type + Sync,
        R: DeserializeOwned + Type,
    {
        self.ask((MANAGER_PATH, MANAGER), method, body).await
    }

    async fn ask<B, R>(&self, (path, interface): (&str, &str), method: &str, body: &B) -> Result<R, BusError>
    where
        B: Serialize + Type + Sync,
        R: DeserializeOwned + Type,
    {
        let asking = async {
            let answer = self.connection.call_method(Some(SYSTEMD), path, Some(interface), method, body).await?;
            answer.body().deserialize::<R>()
        };
        within(limits::ENGINE_REQUEST, asking).await
    }

    /// Starts or stops a unit and waits for the end of the job.
    pub(super) async fn job(&self, method: &str, unit: &str, limit: Duration) -> Result<(), BusError> {
        let rule = MatchRule::builder().msg_type(message::Type::Signal).sender(SYSTEMD).path(MANAGER_PATH);
        let mut removed = self.signals(rule.interface(MANAGER).member("JobRemoved").build()?).await?;
        let job: OwnedObjectPath = self.call(method, &(unit, "replace")).await?;
        let ended = async {
            while let Some(Ok(signal)) = removed.next().await {
                let body = signal.body();
                let Ok((_, path, _, result)) = body.deserialize::<(u32, OwnedObjectPath, String, String)>() else {
                    continue;
                };
                if path == job {
                    return result;
                }
            }
            "the connection ended".to_owned()
        };
        match timeout(limit, ended).await {
            Ok(result) if result == "done" => Ok(()),
            Ok(result) => Err(BusError::Job(result)),
            Err(_) => Err(BusError::Timeout(limit)),
        }
    }

    /// All that is known of a service.
    pub(super) async fn properties(&self, unit: &str) -> Result<Properties, BusError> {
        let path: OwnedObjectPath = self.call("LoadUnit", &unit).await?;
        let place = (path.as_str(), PROPERTIES);
        let mut all: HashMap<String, OwnedVariant> = self.ask(place, "GetAll", &UNIT).await?;
        all.extend(self.ask::<_, HashMap<String, OwnedVariant>>(place, "GetAll", &SERVICE).await?);
        Ok(Properties(all))
    }

    /// A property of the manager.
    pub(super) async fn manager(&self, property: &str) -> Result<OwnedVariant, BusError> {
        self.ask((MANAGER_PATH, PROPERTIES), "Get", &(MANAGER, property)).await
    }

    /// Changes of units, as they come.
    pub(super) async fn changes(&self) -> Result<MessageStream, BusError> {
        let rule = MatchRule::builder()
            .msg_type(message::Type::Signal)
            .sender(SYSTEMD)
            .interface(PROPERTIES)
            .member("PropertiesChanged")
            .path_namespace("/org/freedesktop/systemd1/unit")
            .build()?;
        self.signals(rule).await
    }

    async fn signals(&self, rule: MatchRule<'_>) -> Result<MessageStream, BusError> {
        Ok(MessageStream::for_match_rule(rule, &self.connection, NonZeroUsize::new(limits::ENGINE_EVENTS)).await?)
    }
}

/// Whether a change is one of the agent's units, by its path, in which a dash is written `_2d`.
pub(super) fn is_ours(change: &Message) -> bool {
    change.header().path().is_some_and(|path| path.as_str().contains("/unit/otturnaut_2d"))
}

async fn within<T>(limit: Duration, work: impl Future<Output = zbus::Result<T>>) -> Result<T, BusError> {
    timeout(limit, work).await.map_err(|_| BusError::Silent(limit))?.map_err(BusError::Bus)
}
