//! `Otturnaut.Deployment.undeploy`: takes an application away.

use std::sync::Arc;

use super::{Asked, execute, exit, progress};
use crate::api::Api;
use crate::deploy::{UndeployError, UndeployRequest};
use crate::node::{CallResult, Context, Raise};
use crate::term::read::{Fields, ReadError, Reader};
use crate::term::{Term, atom};

pub(super) async fn run(api: Arc<Api>, context: Context, (came, opts): Asked<'_>) -> CallResult {
    let request = read(&came, &opts.fields()?)?;
    let result = progress::told(&context, &opts, |progress| api.engine.undeploy(request, progress)).await?;
    match result {
        Ok(()) => Ok(Term::OK),
        Err(UndeployError::Invalid(invalid)) => Err(Raise::argument(invalid.to_string())),
        Err(UndeployError::Cancelled) => Err(exit(atom("cancelled"))),
        Err(UndeployError::QueueFull { .. }) => Err(exit(atom("queue_full"))),
        Err(UndeployError::ShuttingDown) => Err(exit(atom("shutting_down"))),
        Err(UndeployError::Crashed) => Err(exit(atom("crashed"))),
    }
}

fn read(came: &Reader<'_>, opts: &Fields<'_>) -> Result<UndeployRequest, ReadError> {
    let fields = came.fields().map_err(|_| came.refuse("a %Otturnaut.Deployment{}"))?;
    Ok(UndeployRequest {
        app_id: fields.required("app_id")?.name()?.to_owned(),
        runtime: execute::target(&fields)?,
        deployment_id: fields.read("id", |id| Ok(id.text()?.to_owned()))?,
        cancel: opts.read("cancel", |flag| flag.boolean())?.unwrap_or(false),
    })
}
