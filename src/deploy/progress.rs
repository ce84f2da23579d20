//! What a run tells while it runs.

/// A step of a deploy, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DeployStep {
    /// A port of this machine is chosen.
    AllocatePort,
    /// The new container is started.
    StartContainer,
    /// The new container is asked until it answers.
    HealthCheck,
    /// Requests go to the new container. From here on a deploy only goes forward.
    SwitchRoute,
    /// The old container is stopped and removed.
    StopOld,
    /// The old container's port is given back.
    ReleasePort,
}

/// A step of an undeploy, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum UndeployStep {
    /// What is there is looked up, and no new request goes to it any more.
    RetrieveState,
    /// Its containers are stopped.
    StopContainer,
    /// Its containers are removed.
    RemoveContainer,
    /// Its route is gone.
    RemoveRoutes,
    /// Its port is given back.
    ReleasePort,
    /// Its state is forgotten.
    ClearState,
}

/// A step begins, or the step that began last failed and the message tells why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress<S> {
    /// Its number in this run, from 1.
    pub seq: u64,
    /// The application.
    pub app_id: String,
    /// The deployment, where one is known.
    pub deployment_id: Option<String>,
    /// The step.
    pub step: S,
    /// For a person.
    pub message: String,
}
