//! Whether a deployment can be meant, and whether its runtime can do what it asks for: told before anything is touched.

use super::{Deployment, Origin};
use crate::apps::{InvalidName, LABELS, check_app_id, check_deployment_id};
use crate::build::GitError;
use crate::host::{Recipe, RuntimeKind};
use crate::limits;

/// What is wrong with a deployment.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidDeployment {
    /// A name that engines or Caddy would not take.
    #[error(transparent)]
    Name(#[from] InvalidName),
    /// Another attribute that cannot be meant, or not on its runtime.
    #[error("deployment.{attribute}: {got:?} is refused: {why}")]
    Attribute {
        /// Which.
        attribute: &'static str,
        /// What came; empty where it may be a secret.
        got: String,
        /// What is wrong with it, and what is wanted.
        why: String,
    },
}

/// Looks at every attribute.
pub(super) fn check(deployment: &Deployment) -> Result<(), InvalidDeployment> {
    check_app_id(&deployment.app_id)?;
    check_deployment_id(&deployment.id)?;
    origin(deployment)?;
    every("env", deployment.env.keys(), variable)?;
    every("volumes", &deployment.volumes, volume)?;
    every("networks", &deployment.networks, network)?;
    every("labels", deployment.labels.keys(), label)?;
    if deployment.runtime.kind == RuntimeKind::Systemd {
        every("networks", &deployment.networks, |_| Some("systemd has no networks to join"))?;
        every("volumes", &deployment.volumes, |volume| {
            (!volume.starts_with('/')).then_some("under systemd only directories of the machine are mounted")
        })?;
    }
    let memory = deployment.resources.memory;
    if let Some(memory) = memory.filter(|memory| *memory < limits::LEAST_MEMORY) {
        let why = format!("an engine gives no less than {} bytes", limits::LEAST_MEMORY);
        return refuse("resources.memory", &memory.to_string(), why);
    }
    Ok(())
}

/// Whether it can be meant where the image comes from.
fn origin(deployment: &Deployment) -> Result<(), InvalidDeployment> {
    let under_systemd = deployment.runtime.kind == RuntimeKind::Systemd;
    match &deployment.origin {
        Origin::Image => {}
        Origin::Registry(_) if under_systemd => {
            let why = "systemd runs programs: build, load or fetch one";
            return refuse("runtime", "Otturnaut.Runtime.Systemd", why);
        }
        Origin::Source(source) => {
            match (&source.recipe, under_systemd) {
                (Recipe::Dockerfile { path }, true) => {
                    return refuse(
                        "source.dockerfile",
                        path,
                        "systemd runs programs: wanted are build_command and output",
                    );
                }
                (Recipe::Native { output, .. }, false) => {
                    let why =
                        "an engine builds from a Dockerfile; the runtime for a program is Otturnaut.Runtime.Systemd";
                    return refuse("source.output", &output.display().to_string(), why);
                }
                (Recipe::Dockerfile { .. }, false) | (Recipe::Native { .. }, true) => {}
            }
            if let Err(GitError::Refused { what, value, why }) = source.check() {
                let attribute = if what == "url" { "source.repo_url" } else { "source.ref" };
                return refuse(attribute, &value, why);
            }
        }
        Origin::Registry(_) => {
            let odd = |byte: u8| !byte.is_ascii_alphanumeric() && !b"/:@._-".contains(&byte);
            if deployment.image.bytes().any(odd) || deployment.image.starts_with('-') {
                return refuse("artifact", &deployment.image, "wanted is the name of an image at a registry");
            }
        }
        Origin::Fetch { url, sha256 } => {
            if !url.expose().starts_with("https://") && !url.expose().starts_with("http://") {
                return refuse("artifact", "***", "its url is wanted with http or https");
            }
            if sha256.len() != 64 || !sha256.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                return refuse("artifact", "***", "its sha256 is wanted as 64 hexadecimal digits");
            }
        }
        Origin::Load { path } => {
            if !path.is_absolute() {
                return refuse("artifact", &path.display().to_string(), "wanted is an absolute path");
            }
        }
    }
    Ok(())
}

/// `why_not` says what is wrong with one, if anything is.
fn every<'a>(
    attribute: &'static str,
    values: impl IntoIterator<Item = &'a String>,
    why_not: impl Fn(&str) -> Option<&'static str>,
) -> Result<(), InvalidDeployment> {
    match values.into_iter().find_map(|value| Some((value, why_not(value)?))) {
        Some((value, why)) => refuse(attribute, value, why),
        None => Ok(()),
    }
}

fn refuse(attribute: &'static str, got: &str, why: impl Into<String>) -> Result<(), InvalidDeployment> {
    let got = got.chars().take(limits::NAME_BYTES).collect();
    Err(InvalidDeployment::Attribute { attribute, got, why: why.into() })
}

fn variable(name: &str) -> Option<&'static str> {
    (name.is_empty() || name.contains(['=', '\0'])).then_some("a variable's name is not empty and holds no `=`")
}

/// `name:/path` or `/host:/path`, with options at its end.
fn volume(volume: &str) -> Option<&'static str> {
    const WANTED: &str = "wanted is name:/path or /host/path:/path, with :ro at its end where it is only read";
    let mut parts = volume.split(':');
    let (source, target, options) = (parts.next()?, parts.next(), parts.next());
    let target = target.unwrap_or_default();
    let leads_up = |path: &str| path.split('/').any(|part| part == "..");
    let named = is_name(source) || source.starts_with('/');
    let optional = options.is_none_or(|options| {
        !options.is_empty() && options.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b',')
    });
    let good = named && target.len() > 1 && target.starts_with('/') && optional && parts.next().is_none();
    (!good || leads_up(source) || leads_up(target) || volume.contains(char::is_control)).then_some(WANTED)
}

fn network(network: &str) -> Option<&'static str> {
    match network {
        "host" | "none" => Some("its port is published on 127.0.0.1 alone, which that network cannot do"),
        _ => (!is_name(network)).then_some("wanted is the name of a network of the engine"),
    }
}

fn label(name: &str) -> Option<&'static str> {
    if name.starts_with(LABELS) {
        return Some("labels that begin so are the agent's own");
    }
    (name.is_empty() || name.contains('=')).then_some("a label's name is not empty and holds no `=`")
}

/// What engines take for the name of a volume or a network.
fn is_name(text: &str) -> bool {
    let first = text.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
    first && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::RuntimeTarget;

    fn deployment() -> Deployment {
        let runtime = RuntimeTarget { kind: RuntimeKind::Docker, socket: None };
        Deployment::pending(("shop".to_owned(), "1".to_owned()), "image".to_owned(), 80, runtime)
    }

    fn refused(change: impl FnOnce(&mut Deployment)) -> String {
        let mut deployment = deployment();
        change(&mut deployment);
        check(&deployment).expect_err("it must be refused").to_string()
    }

    #[test]
    fn what_engines_take_is_taken() {
        let mut deployment = deployment();
        deployment.volumes = ["data:/data", "/srv/x:/x:ro", "my.data_1:/a/b:rw,z"].map(str::to_owned).into();
        deployment.networks = ["shop_net", "a.b-c"].map(str::to_owned).into();
        deployment.labels = [("traefik.enable".to_owned(), "x=y\n".to_owned())].into();
        deployment.resources.memory = Some(limits::LEAST_MEMORY);
        assert_eq!(check(&deployment), Ok(()));
    }

    #[test]
    fn what_is_refused_is_named() {
        for volume in
            ["", "data", "data:", "data:data", "data:/", "/a/../b:/x", "a:/x/..", "a:/x:", "a:/x:ro:b", "-a:/x"]
        {
            let error = refused(|deployment| deployment.volumes = vec![volume.to_owned()]);
            assert!(error.starts_with(&format!("deployment.volumes: {volume:?} is refused")), "{error}");
        }
        for network in ["host", "none", "container:x", "", "a b"] {
            let error = refused(|deployment| deployment.networks = vec![network.to_owned()]);
            assert!(error.starts_with("deployment.networks: "), "{error}");
        }
        for label in ["", "a=b", "otturnaut.app_id"] {
            let error = refused(|deployment| deployment.labels = [(label.to_owned(), String::new())].into());
            assert!(error.starts_with("deployment.labels: "), "{error}");
        }
        let under_systemd = |deployment: &mut Deployment| deployment.runtime.kind = RuntimeKind::Systemd;
        for (attribute, change) in [
            ("networks", (|deployment| deployment.networks = vec!["back".to_owned()]) as fn(&mut Deployment)),
            ("volumes", |deployment| deployment.volumes = vec!["data:/data".to_owned()]),
            ("runtime", |deployment| deployment.origin = Origin::Registry(None)),
        ] {
            let error = refused(|deployment| {
                under_systemd(deployment);
                change(deployment);
            });
            assert!(error.starts_with(&format!("deployment.{attribute}: ")) && error.contains("systemd"), "{error}");
        }
        let error = refused(|deployment| deployment.resources.memory = Some(1000));
        assert!(error.starts_with("deployment.resources.memory: \"1000\" is refused"), "{error}");
    }
}
