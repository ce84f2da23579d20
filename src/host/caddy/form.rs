//! How a route of Caddy's configuration says where its requests go.
//!
//! A change of the configuration makes Caddy load all of it anew, which resets connections and closes websockets. So it says
//! where the address lies instead of the address, and Caddy reads it for each request: a switch is a file that is put in place.

use serde_json::{Map, Value, json};

use super::ledger::{ADDRESS, UPSTREAM};
use crate::host::proxy::Route;

/// The ways, from the worst to the best.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Form {
    /// The address itself: each switch changes the configuration.
    Plain,
    /// The address is the name of a file, the newest of its directory: any Caddy 2 that sees the directory.
    Name,
    /// The address is the content of a file: from Caddy 2.8 on.
    Content,
}

impl Form {
    /// The route in this form, its files at `place`, as Caddy sees them. Where there are certificates it is one for HTTPS alone:
    /// Caddy's own redirects, which come behind all routes, answer the rest.
    pub(super) fn config(self, route: &Route, (place, https): (&str, bool)) -> Value {
        let mut requests = Map::from_iter([("host".to_owned(), json!(route.domains))]);
        if https {
            requests.insert("protocol".to_owned(), "https".into());
        }
        if self == Self::Name {
            requests.insert("file".to_owned(), newest(place));
        }
        let dial = match self {
            Self::Plain => format!("127.0.0.1:{}", route.upstream_port),
            Self::Name => format!("tcp{NEWEST}"),
            Self::Content => content(place),
        };
        let mut proxy = Map::from_iter([
            ("handler".to_owned(), "reverse_proxy".into()),
            ("upstreams".to_owned(), json!([{ "dial": dial }])),
            ("transport".to_owned(), transport()),
        ]);
        if self == Self::Content {
            // Not known before 2.7: those close all websockets at each change of the configuration.
            proxy.insert("stream_close_delay".to_owned(), STREAMS.into());
        }
        json!({ "@id": route.id, "match": [requests], "handle": [proxy] })
    }

    /// The form that a route of Caddy's configuration has, and its id and domains; the port is of the plain form.
    pub(super) fn read(config: &Value, place: &str) -> Option<(Self, Route)> {
        if let Ok(route) = Route::from_config(config) {
            return Some((Self::Plain, route));
        }
        let dial = config.pointer("/handle/0/upstreams/0/dial")?.as_str()?;
        let root = config.pointer("/match/0/file/root").and_then(Value::as_str);
        let form = if dial == content(place) {
            Self::Content
        } else if dial == format!("tcp{NEWEST}") && root == newest(place).get("root").and_then(Value::as_str) {
            Self::Name
        } else {
            return None;
        };
        let mut plain = config.clone();
        *plain.pointer_mut("/handle/0/upstreams/0/dial")? = "127.0.0.1:0".into();
        Some((form, Route::from_config(&plain).ok()?))
    }
}

/// The answer to requests that say a secret: what Caddy reads in each of the forms.
pub(super) fn probe(id: &str, (place, secret): (&str, &str)) -> Value {
    let answer = |body: String| json!([{ "handler": "static_response", "body": body }]);
    let content = content(place);
    // Without the directory there is no newest name, and the second answers.
    let routes = json!([
        { "match": [{ "file": newest(place) }], "handle": answer(format!("{PROBED} {content} {NEWEST}")) },
        { "handle": answer(format!("{PROBED} {content}")) },
    ]);
    json!({
        "@id": id,
        "match": [{ "header": { PROBE_HEADER: [secret] } }],
        "handle": [{ "handler": "subroute", "routes": routes }],
        "terminal": true,
    })
}

/// The best form for a Caddy that answered the probe like this, where that address is in the probe's files; nothing if it is not
/// the probe's answer.
pub(super) fn judge(answer: &str, address: &str) -> Option<Form> {
    let read = answer.strip_prefix(PROBED)?;
    let mut read = read.split(' ').skip(1);
    let (content, name) = (read.next(), read.next());
    Some(match name {
        _ if content == Some(address) => Form::Content,
        Some(name) if name.strip_prefix('/') == Some(address) => Form::Name,
        _ => Form::Plain,
    })
}

/// The header of the probe, which says the secret.
pub(super) const PROBE_HEADER: &str = "Otturnaut-Probe";

/// What the probe's answer begins with.
const PROBED: &str = "otturnaut";

/// The name that the matcher of files found, with a slash before it: `tcp/127.0.0.1:10000` is an address of Caddy's.
const NEWEST: &str = "{http.matchers.file.relative}";

/// How long websockets go on after the configuration was changed, at most: their application ends them.
const STREAMS: &str = "24h";

/// The content of the address file.
fn content(place: &str) -> String {
    format!("{{file.{place}/{ADDRESS}}}")
}

/// Matches if there is a file that is named for an address; the newest counts. One that replaced another by a rename would be
/// missed by whoever looks at that moment, so for a while there are both.
fn newest(place: &str) -> Value {
    json!({
        "root": format!("{place}/{UPSTREAM}"),
        "try_files": ["/127.0.0.1:*"],
        "try_policy": "most_recently_modified",
    })
}

/// As Caddy has it by itself, but for the idle time of its connections to applications, two minutes there: those that are open
/// a moment after a switch are the ones in use, and none outlives the patience of an application.
fn transport() -> Value {
    json!({
        "protocol": "http",
        "keep_alive": { "idle_timeout": "500ms", "max_idle_conns_per_host": 32, "probe_interval": "30s" },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route() -> Route {
        Route { id: "a".to_owned(), domains: vec!["a.b".to_owned()], upstream_port: 10_000 }
    }

    #[test]
    fn each_form_is_read_back() {
        for form in [Form::Plain, Form::Name, Form::Content] {
            let config = form.config(&route(), ("/routes/a", true));
            let port = if form == Form::Plain { 10_000 } else { 0 };
            let read = Form::read(&config, "/routes/a");
            assert_eq!(read, Some((form, Route { upstream_port: port, ..route() })));
        }
    }

    #[test]
    fn files_of_another_place_are_not_the_routes() {
        for form in [Form::Name, Form::Content] {
            assert_eq!(Form::read(&form.config(&route(), ("/routes/a", true)), "/other/a"), None);
        }
        assert_eq!(Form::read(&json!({ "@id": "a", "handle": [] }), "/routes/a"), None);
    }

    #[test]
    fn the_probe_tells_what_caddy_reads() {
        let judged = |answer| judge(answer, "127.0.0.1:7");
        assert_eq!(judged("otturnaut 127.0.0.1:7 /127.0.0.1:7"), Some(Form::Content));
        // Not known, and so left as it is, or nothing.
        assert_eq!(judged("otturnaut {file./routes/a} /127.0.0.1:7"), Some(Form::Name));
        assert_eq!(judged("otturnaut  /127.0.0.1:7"), Some(Form::Name));
        assert_eq!(judged("otturnaut 127.0.0.1:6 /127.0.0.1:6"), Some(Form::Plain));
        assert_eq!(judged("otturnaut {file./routes/a}"), Some(Form::Plain));
        assert_eq!(judged("hello"), None);
    }
}
