//! Where a deployment's image comes from: exactly one of `image`, `source` and `artifact`.

use std::path::PathBuf;

use crate::api::{build, disk, errors};
use crate::build::BuildError;
use crate::deploy::{ObtainError, Origin};
use crate::host::{DownloadError, RegistryAuth};
use crate::node::Raise;
use crate::secret::Secret;
use crate::term::read::{Fields, ReadError, Reader};
use crate::term::{Term, atom, binary, map, tuple};

/// The keys of which one says it.
const KEYS: [&str; 3] = ["image", "source", "artifact"];

const WANTED: &str = "{:registry, reference}, {:registry, reference, auth: %{username: _, password: _}}, {:fetch, url, sha256: _} \
                      or {:load, path}";

/// Whether these fields say where the image comes from in place of its name.
pub(super) fn is_given(fields: &Fields<'_>) -> bool {
    fields.given("source").is_some() || fields.given("artifact").is_some()
}

/// The name of the image, as far as it is known, and where it comes from.
pub(super) fn read(fields: &Fields<'_>) -> Result<(String, Origin), ReadError> {
    let given: Vec<Reader<'_>> = KEYS.iter().filter_map(|key| fields.given(key)).collect();
    match given.as_slice() {
        [] | [_] => {}
        [_, second, ..] => {
            return Err(second.clone().secret().refuse("one of image, source and artifact, not several"));
        }
    }
    if let Some(source) = fields.given("source") {
        return Ok((String::new(), Origin::Source(build::source(&source)?)));
    }
    match fields.given("artifact") {
        Some(artifact) => self::artifact(&artifact),
        None => Ok((fields.required("image")?.name()?.to_owned(), Origin::Image)),
    }
}

fn artifact(artifact: &Reader<'_>) -> Result<(String, Origin), ReadError> {
    // A url and an authorization may be secrets.
    let artifact = artifact.clone().secret();
    let (kind, what, more) = if let Ok([kind, what]) = artifact.tuple::<2>(WANTED) {
        (kind, what, None)
    } else {
        let [kind, what, more] = artifact.tuple::<3>(WANTED)?;
        (kind, what, Some(more))
    };
    match (kind.atom()?, more) {
        ("registry", more) => {
            let auth = more.map(|more| auth(&more)).transpose()?.flatten();
            Ok((what.name()?.to_owned(), Origin::Registry(auth)))
        }
        ("fetch", Some(more)) => {
            let sha256 = match more.text() {
                Ok(sha256) => sha256.to_owned(),
                Err(_) => more.fields()?.required("sha256")?.name()?.to_owned(),
            };
            Ok((String::new(), Origin::Fetch { url: Secret::new(what.name()?.to_owned()), sha256 }))
        }
        ("load", None) => Ok((String::new(), Origin::Load { path: path(&what)? })),
        _ => Err(artifact.refuse(WANTED)),
    }
}

fn path(value: &Reader<'_>) -> Result<PathBuf, ReadError> {
    let path = value.path()?;
    if path.is_absolute() { Ok(path) } else { Err(value.refuse("an absolute path")) }
}

/// `auth: %{username: _, password: _}`, or that map itself, or nothing.
fn auth(more: &Reader<'_>) -> Result<Option<RegistryAuth>, ReadError> {
    if more.is_nil() {
        return Ok(None);
    }
    let outer = more.fields()?;
    let inner = outer.given("auth").map(|auth| auth.fields()).transpose()?;
    let fields = match (inner, outer.given("username")) {
        (Some(inner), _) => inner,
        (None, Some(_)) => outer,
        (None, None) => return Ok(None),
    };
    let text = |key| Ok::<_, ReadError>(fields.required(key)?.text()?.to_owned());
    Ok(Some(RegistryAuth { username: text("username")?, password: Secret::new(text("password")?) }))
}

/// Why an image was not had, as Mission Control matches on it.
pub(super) fn reason(error: &ObtainError) -> Result<Term, Raise> {
    let failed = |what, reason| tuple([atom("artifact_failed"), tuple([atom(what), reason])]);
    Ok(match error {
        ObtainError::Build(error @ BuildError::AppId(_)) => return Err(Raise::argument(error.to_string())),
        ObtainError::DiskLow(low) | ObtainError::Build(BuildError::DiskLow(low)) => disk::low(low),
        ObtainError::Build(error) => tuple([atom("source_failed"), build::failure(error)?]),
        ObtainError::Pull(error) => failed("pull_failed", errors::runtime(error)),
        ObtainError::Load(error) => failed("load_failed", errors::runtime(error)),
        ObtainError::Timeout(_) => tuple([atom("artifact_failed"), atom("timeout")]),
        ObtainError::Place(error) => failed("fetch_failed", errors::io(error)),
        ObtainError::Fetch(error) => match error {
            DownloadError::Checksum { wanted, got } => {
                let sums = [("wanted", binary(wanted.as_str())), ("got", binary(got.as_str()))];
                failed("checksum_mismatch", map(sums))
            }
            DownloadError::TooLarge { most } => failed("too_large", Term::from(*most)),
            DownloadError::Refused { reason } => {
                failed("fetch_failed", tuple([atom("refused"), binary(reason.as_str())]))
            }
            DownloadError::Status(status) => failed("fetch_failed", tuple([atom("http_status"), Term::from(*status)])),
            DownloadError::Cut { reason, .. } => failed("fetch_failed", tuple([atom("cut"), binary(reason.as_str())])),
            DownloadError::File(error) => failed("fetch_failed", errors::io(error)),
            DownloadError::NoRoom { path, free, needed } => disk::no_room((path, *free), *needed),
            DownloadError::Url => failed("fetch_failed", atom("badarg")),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::term::{keyword, list};

    fn of(pairs: impl IntoIterator<Item = (&'static str, Term)>) -> Result<(String, Origin), String> {
        let term = map(pairs);
        read(&Reader::new("deployment", &term).fields().unwrap()).map_err(|error| error.to_string())
    }

    fn artifact<const N: usize>(parts: [Term; N]) -> Result<(String, Origin), String> {
        of([("artifact", tuple(parts))])
    }

    #[test]
    fn each_form_is_read() {
        let who = || map([("username", binary("me")), ("password", binary("s3cret"))]);
        for more in [keyword([("auth", who())]), who()] {
            let (name, origin) = artifact([atom("registry"), binary("host/shop:1"), more]).unwrap();
            let Origin::Registry(Some(auth)) = origin else { panic!("{origin:?}") };
            assert_eq!((name.as_str(), auth.username.as_str()), ("host/shop:1", "me"));
            assert_eq!(auth.password.expose(), "s3cret");
        }
        let open = artifact([atom("registry"), binary("shop")]).unwrap();
        assert!(matches!(open, (_, Origin::Registry(None))));
        let sum = "ab".repeat(32);
        for more in [binary(sum.as_str()), keyword([("sha256", binary(sum.as_str()))])] {
            let (_, origin) = artifact([atom("fetch"), binary("https://host/a.tar"), more]).unwrap();
            assert!(matches!(&origin, Origin::Fetch { sha256, .. } if *sha256 == sum), "{origin:?}");
        }
        assert!(matches!(artifact([atom("load"), binary("/a.tar")]), Ok((_, Origin::Load { .. }))));
    }

    #[test]
    fn what_is_none_of_them_is_refused_without_its_secrets() {
        let cases = [
            artifact([atom("load"), binary("a.tar")]),
            artifact([atom("fetch"), binary("https://me:s3cret@host/a")]),
            artifact([atom("registry"), binary("a"), map([("username", binary("s3cret"))])]),
            artifact([atom("wget"), binary("s3cret")]),
            of([("artifact", list([binary("s3cret")]))]),
            of([("image", binary("a")), ("artifact", tuple([atom("load"), binary("/s3cret")]))]),
        ];
        for case in cases {
            let error = case.unwrap_err();
            assert!(error.starts_with("deployment.artifact") && !error.contains("s3cret"), "{error}");
        }
        assert_eq!(of([]).unwrap_err(), of([("image", Term::NIL)]).unwrap_err());
    }
}
