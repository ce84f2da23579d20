//! Reading Rust values out of terms. An error says where, what came and what is wanted:
//! `deployment.env["PORT"]: wanted a string, got 8080`.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use super::{Inspect, Pid, Term};

/// Most characters of a refused value that an error shows.
const SHOWN_CHARACTERS: usize = 120;

/// A term had another shape than wanted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path}: wanted {wanted}, got {got}")]
pub struct ReadError {
    /// Where, as Elixir would write it: `opts[:timeout]`.
    pub path: String,
    /// What is wanted.
    pub wanted: String,
    /// What came, printed short; `***` where it may be a secret.
    pub got: String,
}

/// A term and where it stands.
#[derive(Debug, Clone)]
pub struct Reader<'a> {
    term: &'a Term,
    path: Cow<'static, str>,
    secret: bool,
}

#[expect(clippy::missing_errors_doc, reason = "each fails where the term is not what its name says")]
impl<'a> Reader<'a> {
    /// The argument `name`.
    pub fn new(name: &'static str, term: &'a Term) -> Self {
        Self { term, path: Cow::Borrowed(name), secret: false }
    }

    /// The same term, not to be shown in errors.
    #[must_use]
    pub fn secret(mut self) -> Self {
        self.secret = true;
        self
    }

    /// The term itself.
    pub fn term(&self) -> &'a Term {
        self.term
    }

    /// Whether it is `nil`.
    pub fn is_nil(&self) -> bool {
        self.term.is_atom("nil")
    }

    /// The error that this term is not what is `wanted`.
    pub fn refuse(&self, wanted: impl Into<String>) -> ReadError {
        let got = if self.secret { "***".to_owned() } else { Inspect::short(self.term, SHOWN_CHARACTERS) };
        ReadError { path: self.path.to_string(), wanted: wanted.into(), got }
    }

    /// A term inside this one.
    fn inner(&self, term: &'a Term, step: &str) -> Self {
        Self { term, path: Cow::Owned(format!("{}{step}", self.path)), secret: self.secret }
    }

    /// A string.
    pub fn text(&self) -> Result<&'a str, ReadError> {
        self.term.as_text().ok_or_else(|| self.refuse("a string"))
    }

    /// A string that is not empty.
    pub fn name(&self) -> Result<&'a str, ReadError> {
        self.text().ok().filter(|text| !text.is_empty()).ok_or_else(|| self.refuse("a non-empty string"))
    }

    /// A path of a file.
    pub fn path(&self) -> Result<PathBuf, ReadError> {
        match self.name() {
            Ok(text) if !text.contains('\0') => Ok(PathBuf::from(text)),
            _ => Err(self.refuse("a path")),
        }
    }

    /// A string, or an atom's text, or a charlist: what Elixir's `to_string/1` takes here.
    pub fn texty(&self) -> Result<Cow<'a, str>, ReadError> {
        let refuse = || self.refuse("a string");
        match self.term {
            Term::Binary(_) => self.text().map(Cow::Borrowed),
            Term::Atom(atom) => Ok(Cow::Borrowed(atom.as_str())),
            Term::Int(value) => Ok(Cow::Owned(value.to_string())),
            Term::List(elements) => {
                let character = |e: &Term| match e {
                    Term::Int(code) => u32::try_from(*code).ok().and_then(char::from_u32),
                    _ => None,
                };
                elements.iter().map(character).collect::<Option<String>>().map(Cow::Owned).ok_or_else(refuse)
            }
            _ => Err(refuse()),
        }
    }

    /// An atom's text.
    pub fn atom(&self) -> Result<&'a str, ReadError> {
        self.term.as_atom().ok_or_else(|| self.refuse("an atom"))
    }

    /// One of some atoms, each with its meaning.
    pub fn choice<T: Clone>(&self, choices: &[(&str, T)]) -> Result<T, ReadError> {
        let found = choices.iter().find(|(name, _)| self.term.is_atom(name)).map(|(_, value)| value.clone());
        found.ok_or_else(|| {
            let names: Vec<_> = choices.iter().map(|(name, _)| Inspect::atom(name)).collect();
            self.refuse(names.join(" or "))
        })
    }

    /// `true` or `false`.
    pub fn boolean(&self) -> Result<bool, ReadError> {
        match self.term.as_atom() {
            Some("true") => Ok(true),
            Some("false") => Ok(false),
            _ => Err(self.refuse("a boolean")),
        }
    }

    /// An integer of a range.
    pub fn integer(&self, range: RangeInclusive<i64>) -> Result<i64, ReadError> {
        match self.term {
            Term::Int(value) if range.contains(value) => Ok(*value),
            _ if *range.end() == i64::MAX => Err(self.refuse(format!("an integer of at least {}", range.start()))),
            _ => Err(self.refuse(format!("an integer from {} to {}", range.start(), range.end()))),
        }
    }

    /// A TCP port.
    pub fn port(&self) -> Result<u16, ReadError> {
        let value = self.integer(1..=i64::from(u16::MAX)).ok().and_then(|value| u16::try_from(value).ok());
        value.ok_or_else(|| self.refuse("a port from 1 to 65535"))
    }

    /// Milliseconds.
    pub fn milliseconds(&self) -> Result<Duration, ReadError> {
        match self.term {
            Term::Int(value) => u64::try_from(*value).ok().map(Duration::from_millis),
            _ => None,
        }
        .ok_or_else(|| self.refuse("a number of milliseconds"))
    }

    /// Milliseconds, or `:infinity`.
    pub fn timeout(&self) -> Result<Option<Duration>, ReadError> {
        if self.term.is_atom("infinity") {
            return Ok(None);
        }
        self.milliseconds().map(Some).map_err(|_| self.refuse("a number of milliseconds or :infinity"))
    }

    /// A process.
    pub fn pid(&self) -> Result<Pid, ReadError> {
        self.term.as_pid().cloned().ok_or_else(|| self.refuse("a pid"))
    }

    /// The elements of a list.
    pub fn list(&self) -> Result<Vec<Reader<'a>>, ReadError> {
        let elements = self.term.as_list().ok_or_else(|| self.refuse("a list"))?;
        Ok(elements.iter().enumerate().map(|(i, e)| self.inner(e, &format!("[{i}]"))).collect())
    }

    /// A list of strings.
    pub fn texts(&self) -> Result<Vec<String>, ReadError> {
        self.list()?.iter().map(|element| element.text().map(str::to_owned)).collect()
    }

    /// The elements of a tuple of `N`.
    pub fn tuple<const N: usize>(&self, wanted: &str) -> Result<[Reader<'a>; N], ReadError> {
        let elements = self.term.as_tuple().ok_or_else(|| self.refuse(wanted))?;
        let readers: Vec<_> = elements.iter().enumerate().map(|(i, e)| self.inner(e, &format!("[{i}]"))).collect();
        readers.try_into().map_err(|_| self.refuse(wanted))
    }

    /// A map with atom keys (a struct among them), or a keyword list.
    pub fn fields(&self) -> Result<Fields<'a>, ReadError> {
        let keyed = |key: &'a Term, value| key.as_atom().map(|key| (key, value));
        let pairs: Option<Vec<_>> = match self.term {
            Term::Map(map) => map.iter().map(|(key, value)| keyed(key, value)).collect(),
            Term::List(elements) => {
                let pair = |element: &'a Term| match element.as_tuple() {
                    Some([key, value]) => keyed(key, value),
                    _ => None,
                };
                elements.iter().map(pair).collect()
            }
            _ => None,
        };
        let pairs = pairs.ok_or_else(|| self.refuse("a keyword list or a map with atom keys"))?;
        Ok(Fields { whole: self.clone(), pairs })
    }

    /// A map of texts to values that may be secrets: `env`, `build_args`.
    pub fn variables(&self) -> Result<BTreeMap<String, String>, ReadError> {
        let refuse = || self.clone().secret().refuse("a map of strings to strings");
        let pairs: Vec<(&Term, &Term)> = match self.term {
            Term::Map(map) => map.iter().map(|(key, value)| (key, value)).collect(),
            Term::List(elements) => {
                let pair = |e: &'a Term| match e.as_tuple() {
                    Some([key, value]) => Some((key, value)),
                    _ => None,
                };
                elements.iter().map(pair).collect::<Option<_>>().ok_or_else(refuse)?
            }
            _ => return Err(refuse()),
        };
        let mut variables = BTreeMap::new();
        for (key, value) in pairs {
            let name = self.inner(key, "").texty().map_err(|_| refuse())?;
            let value = self.inner(value, &format!("[{name:?}]")).secret().texty()?;
            variables.insert(name.into_owned(), value.into_owned());
        }
        Ok(variables)
    }
}

/// The pairs of a keyword list or of a map with atom keys.
#[derive(Debug, Clone)]
pub struct Fields<'a> {
    whole: Reader<'a>,
    pairs: Vec<(&'a str, &'a Term)>,
}

#[expect(clippy::missing_errors_doc, reason = "each fails where the value is not what is asked for")]
impl<'a> Fields<'a> {
    /// The value under `key`, `nil` too; the first one of a keyword list.
    pub fn get(&self, key: &str) -> Option<Reader<'a>> {
        let value = self.pairs.iter().find(|(name, _)| *name == key)?.1;
        let step = if matches!(self.whole.term, Term::Map(_)) { format!(".{key}") } else { format!("[:{key}]") };
        Some(self.whole.inner(value, &step))
    }

    /// The value under `key` unless it is `nil`.
    pub fn given(&self, key: &str) -> Option<Reader<'a>> {
        self.get(key).filter(|value| !value.is_nil())
    }

    /// Reads the value under `key` if there is one that is not `nil`.
    pub fn read<T>(
        &self,
        key: &str,
        read: impl FnOnce(Reader<'a>) -> Result<T, ReadError>,
    ) -> Result<Option<T>, ReadError> {
        self.given(key).map(read).transpose()
    }

    /// The value under `key`, which must be there and not `nil`.
    pub fn required(&self, key: &str) -> Result<Reader<'a>, ReadError> {
        self.given(key).ok_or_else(|| ReadError {
            path: self.whole.path.to_string(),
            wanted: format!("a value under :{key}"),
            got: "none".to_owned(),
        })
    }

    /// The keys in order.
    pub fn keys(&self) -> impl Iterator<Item = &'a str> {
        self.pairs.iter().map(|(key, _)| *key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::term::{atom, binary, keyword, list, map};

    #[test]
    fn an_error_names_the_place_what_came_and_what_is_wanted() {
        let opts = keyword([("timeout", binary("soon"))]);
        let fields = Reader::new("opts", &opts).fields().unwrap();
        let error = fields.read("timeout", |r| r.timeout()).unwrap_err();
        assert_eq!(error.to_string(), "opts[:timeout]: wanted a number of milliseconds or :infinity, got \"soon\"");
        let deployment = map([("domains", list([binary("a"), Term::Int(5)]))]);
        let fields = Reader::new("deployment", &deployment).fields().unwrap();
        let error = fields.required("domains").unwrap().texts().unwrap_err();
        assert_eq!(error.to_string(), "deployment.domains[1]: wanted a string, got 5");
    }

    #[test]
    fn the_value_of_a_variable_is_never_shown() {
        let secret = tuple_of_text("hunter2");
        let env = Term::Map([(binary("TOKEN"), secret)].into_iter().collect());
        let error = Reader::new("env", &env).variables().unwrap_err();
        assert_eq!(error.to_string(), "env[\"TOKEN\"]: wanted a string, got ***");
    }

    fn tuple_of_text(text: &str) -> Term {
        crate::term::tuple([binary(text)])
    }

    #[test]
    fn nil_is_not_given_and_the_first_of_a_keyword_list_counts() {
        let opts = keyword([("a", Term::NIL), ("b", Term::Int(1)), ("b", Term::Int(2))]);
        let fields = Reader::new("opts", &opts).fields().unwrap();
        assert!(fields.get("a").is_some() && fields.given("a").is_none());
        assert_eq!(fields.required("b").unwrap().integer(0..=9), Ok(1));
    }

    #[test]
    fn a_choice_lists_what_it_takes() {
        let error = Reader::new("status", &atom("gone")).choice(&[("running", 1), ("stopped", 2)]).unwrap_err();
        assert_eq!(error.to_string(), "status: wanted :running or :stopped, got :gone");
    }
}
