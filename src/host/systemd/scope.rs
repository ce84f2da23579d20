//! Which manager it is: the system's, or that of the agent's own user.

use std::path::{Path, PathBuf};

use crate::host::command::Command;

/// Where the manager of a user is found, for an agent that does not run as root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserManager {
    /// The user's directory for sockets (`XDG_RUNTIME_DIR`).
    pub runtime_dir: PathBuf,
    /// The user's directory for settings (`XDG_CONFIG_HOME`).
    pub config_dir: PathBuf,
}

/// A manager: how it is reached, and where its units lie.
#[derive(Debug, Clone)]
pub(super) struct Scope {
    /// Where its bus listens.
    pub(super) bus: PathBuf,
    /// Where units lie that come back with it.
    pub(super) units: PathBuf,
    /// Of a user.
    user: Option<UserManager>,
}

impl Scope {
    /// The user's, or the system's where none is given.
    pub(super) fn of(user: Option<UserManager>) -> Self {
        match user {
            Some(user) => Self {
                bus: user.runtime_dir.join("bus"),
                units: user.config_dir.join("systemd/user"),
                user: Some(user),
            },
            None => Self { bus: "/run/dbus/system_bus_socket".into(), units: "/etc/systemd/system".into(), user: None },
        }
    }

    /// Whether this machine was started by systemd, and the manager's bus is there.
    pub(super) fn is_here(&self) -> bool {
        Path::new("/run/systemd/system").is_dir() && self.bus.exists()
    }

    pub(super) fn is_of_user(&self) -> bool {
        self.user.is_some()
    }

    /// A program of systemd's that asks this manager.
    pub(super) fn command(&self, program: &str, args: impl IntoIterator<Item = impl Into<String>>) -> Command {
        let args = args.into_iter().map(Into::into);
        match &self.user {
            Some(user) => Command::new(program, ["--user".to_owned()].into_iter().chain(args))
                .env("XDG_RUNTIME_DIR", user.runtime_dir.as_os_str()),
            None => Command::new(program, args),
        }
    }

    /// The field by which the journal knows what a unit of this manager said.
    pub(super) fn journal_field(&self) -> &'static str {
        if self.is_of_user() { "_SYSTEMD_USER_UNIT" } else { "_SYSTEMD_UNIT" }
    }

    /// What is reached when this manager has started all that it starts by itself.
    pub(super) fn target(&self) -> &'static str {
        if self.is_of_user() { "default.target" } else { "multi-user.target" }
    }

    /// What keeps a unit to itself: nothing of the machine but what a program needs to run. No compiler of programs at run
    /// time is kept from its work (`MemoryDenyWriteExecute` would).
    pub(super) fn sandbox(&self, data_dir: &str) -> Vec<String> {
        let own = if self.is_of_user() {
            // A user has no other user to give: what is the agent's is hidden, and the places for sockets are its own.
            let hidden = format!("TemporaryFileSystem=/run {data_dir}:ro");
            vec!["PrivateUsers=yes".to_owned(), hidden, "BindReadOnlyPaths=-/run/systemd/resolve".to_owned()]
        } else {
            let own = ["DynamicUser=yes", "ProtectHome=yes", "PrivateDevices=yes", "CapabilityBoundingSet="];
            own.map(str::to_owned).into()
        };
        own.into_iter().chain(SANDBOX.map(str::to_owned)).collect()
    }
}

const SANDBOX: [&str; 10] = [
    "NoNewPrivileges=yes",
    "ProtectSystem=strict",
    "PrivateTmp=yes",
    "ProtectKernelTunables=yes",
    "ProtectKernelModules=yes",
    "ProtectControlGroups=yes",
    "RestrictSUIDSGID=yes",
    "RestrictNamespaces=yes",
    "LockPersonality=yes",
    "KillMode=mixed",
];
