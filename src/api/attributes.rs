//! What deployments and `start/1` of a runtime have in common of a container's attributes.

use std::collections::BTreeMap;

use super::health_check;
use crate::host::{Resources, Restart};
use crate::limits;
use crate::secret::Secret;
use crate::term::read::{Fields, ReadError, Reader};
use crate::term::{Float, Term, atom};

/// The attributes, where they are not given as the engine has them.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Attributes {
    pub(super) command: Vec<String>,
    pub(super) volumes: Vec<String>,
    pub(super) networks: Vec<String>,
    pub(super) labels: BTreeMap<String, String>,
    pub(super) restart: Restart,
    pub(super) resources: Resources,
}

const RESTARTS: [(&str, Restart); 4] = [
    ("unless_stopped", Restart::UnlessStopped),
    ("always", Restart::Always),
    ("on_failure", Restart::OnFailure),
    ("no", Restart::No),
];

/// Bytes in what the letters stand for.
const UNITS: [(&str, u64); 4] = [("b", 1), ("k", 1 << 10), ("m", 1 << 20), ("g", 1 << 30)];

/// Most processors and most processes that can be meant.
const MOST_CPUS: f64 = 1024.0;
const MOST_PIDS: i64 = 1 << 22;

pub(super) fn read(fields: &Fields<'_>) -> Result<Attributes, ReadError> {
    Ok(Attributes {
        command: fields.read("command", |command| health_check::command(&command))?.unwrap_or_default(),
        volumes: fields.read("volumes", |volumes| volumes.texts())?.unwrap_or_default(),
        networks: fields.read("networks", |networks| networks.texts())?.unwrap_or_default(),
        labels: fields.read("labels", |labels| labels.variables())?.unwrap_or_default(),
        restart: fields.read("restart", |restart| restart.choice(&RESTARTS))?.unwrap_or_default(),
        resources: fields.read("resources", |resources| self::resources(&resources))?.unwrap_or_default(),
    })
}

/// `%{memory: bytes | "256m", cpus: 0.5, pids: 100}`.
pub(super) fn resources(value: &Reader<'_>) -> Result<Resources, ReadError> {
    let fields = value.fields()?;
    let pids = fields.read("pids", |pids| pids.integer(1..=MOST_PIDS))?;
    Ok(Resources {
        memory: fields.read("memory", |memory| self::memory(&memory))?,
        cpu_millis: fields.read("cpus", |cpus| self::cpus(&cpus))?,
        pids: pids.and_then(|pids| u64::try_from(pids).ok()),
    })
}

/// Build secrets by their ids: what engines take for an id.
pub(super) fn build_secrets(value: &Reader<'_>) -> Result<BTreeMap<String, Secret<String>>, ReadError> {
    let secrets = value.variables()?;
    let plain =
        |id: &String| !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte));
    if secrets.len() > limits::BUILD_SECRETS || !secrets.keys().all(plain) {
        let wanted = format!("at most {} secrets, with ids of letters, digits, _, - and .", limits::BUILD_SECRETS);
        return Err(value.clone().secret().refuse(wanted));
    }
    Ok(secrets.into_iter().map(|(id, secret)| (id, Secret::new(secret))).collect())
}

/// The atom that is read as this restart.
pub(super) fn restart_term(restart: Restart) -> Term {
    atom(RESTARTS.iter().find(|(_, known)| *known == restart).map_or("unless_stopped", |(name, _)| name))
}

/// The map that is read as these bounds.
pub(super) fn resources_term(resources: Resources) -> Term {
    let Resources { memory, cpu_millis, pids } = resources;
    #[expect(clippy::cast_precision_loss, reason = "thousandths of some processors")]
    let cpus = cpu_millis.and_then(|millis| Float::new(millis as f64 / 1000.0).ok());
    let bounds = [("memory", memory.map(Term::from)), ("cpus", cpus.map(Term::Float)), ("pids", pids.map(Term::from))];
    Term::Map(bounds.into_iter().filter_map(|(key, bound)| Some((atom(key), bound?))).collect())
}

fn memory(value: &Reader<'_>) -> Result<u64, ReadError> {
    let bytes = match value.term() {
        Term::Int(bytes) => u64::try_from(*bytes).ok(),
        _ => value.text().ok().and_then(bytes),
    };
    let most = |bytes: &u64| (1..=i64::MAX.unsigned_abs()).contains(bytes);
    bytes.filter(most).ok_or_else(|| value.refuse("bytes, or a string such as \"256m\" or \"1g\""))
}

/// A number with or without a unit, as `docker run --memory` takes it.
fn bytes(text: &str) -> Option<u64> {
    let text = text.to_ascii_lowercase();
    let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let unit = text.get(digits.len()..)?;
    let unit =
        unit.strip_suffix("ib").or_else(|| unit.strip_suffix('b').filter(|left| !left.is_empty())).unwrap_or(unit);
    let factor = if unit.is_empty() { 1 } else { UNITS.iter().find(|(name, _)| *name == unit)?.1 };
    digits.parse::<u64>().ok()?.checked_mul(factor)
}

fn cpus(value: &Reader<'_>) -> Result<u64, ReadError> {
    let cpus = match value.term() {
        Term::Int(whole) => i32::try_from(*whole).ok().map(f64::from),
        Term::Float(cpus) => Some(cpus.get()),
        _ => None,
    };
    let in_range = |cpus: &f64| (0.001..=MOST_CPUS).contains(cpus);
    let cpus = cpus.filter(in_range).ok_or_else(|| value.refuse("a number of processors such as 0.5 or 2"))?;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is between 1 and a million")]
    Ok((cpus * 1000.0).round() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::term::{binary, list, map};

    fn of(key: &'static str, value: Term) -> Result<Attributes, String> {
        let term = map([(key, value)]);
        let reader = Reader::new("deployment", &term);
        read(&reader.fields().unwrap()).map_err(|error| error.to_string())
    }

    #[test]
    fn what_is_not_given_is_as_the_engine_has_it() {
        assert_eq!(of("volumes", Term::NIL), Ok(Attributes::default()));
    }

    #[test]
    fn memory_is_bytes_or_a_number_with_a_unit() {
        for (given, wanted) in [
            (Term::Int(6_000_000), 6_000_000),
            (binary("256m"), 256 << 20),
            (binary("1g"), 1 << 30),
            (binary("2GiB"), 2 << 30),
            (binary("512kb"), 512 << 10),
            (binary("100b"), 100),
            (binary("7"), 7),
        ] {
            let read = of("resources", map([("memory", given.clone())])).unwrap();
            assert_eq!(read.resources.memory, Some(wanted), "{given:?}");
        }
        for wrong in [Term::Int(0), Term::Int(-1), binary("much"), binary("1x"), binary(""), binary("99999999999g")] {
            let error = of("resources", map([("memory", wrong)])).unwrap_err();
            assert!(error.starts_with("deployment.resources.memory: wanted bytes"), "{error}");
        }
    }

    #[test]
    fn processors_are_a_number() {
        for (given, wanted) in [(Term::Int(2), 2000), (Term::Float(Float::new(0.25).unwrap()), 250)] {
            let read = of("resources", map([("cpus", given)])).unwrap();
            assert_eq!(read.resources.cpu_millis, Some(wanted));
        }
        for wrong in [Term::Int(0), Term::Int(-1), binary("2"), Term::Float(Float::new(1e9).unwrap())] {
            assert!(of("resources", map([("cpus", wrong)])).is_err());
        }
    }

    #[test]
    fn the_restart_is_one_of_four() {
        assert_eq!(of("restart", atom("on_failure")).unwrap().restart, Restart::OnFailure);
        let error = of("restart", atom("sometimes")).unwrap_err();
        assert!(error.contains(":unless_stopped or :always or :on_failure or :no, got :sometimes"), "{error}");
    }

    #[test]
    fn a_build_secret_has_an_id_that_no_engine_takes_for_more_and_is_not_shown() {
        let secrets = |id: &'static str| {
            let term = map([(id, binary("s3cret"))]);
            build_secrets(&Reader::new("config.build_secrets", &term)).map_err(|error| error.to_string())
        };
        assert_eq!(secrets("npm_token-1.x").unwrap()["npm_token-1.x"].expose(), "s3cret");
        for odd in ["", "a,src=/etc/shadow", "a b", "../a"] {
            let error = secrets(odd).unwrap_err();
            assert!(error.starts_with("config.build_secrets: ") && !error.contains("s3cret"), "{error}");
        }
    }

    #[test]
    fn a_command_is_a_list_or_a_line_for_the_shell() {
        let read = of("command", list(["serve", "--port=80"].map(binary))).unwrap();
        assert_eq!(read.command, ["serve", "--port=80"]);
        assert_eq!(of("command", binary("serve | tee x")).unwrap().command, ["/bin/sh", "-c", "serve | tee x"]);
    }
}
