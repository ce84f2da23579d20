//! HTTP clients that read the machine's certificate authorities when they are first needed.

use std::sync::OnceLock;

use reqwest::{Client, ClientBuilder};

/// Clients that are alike but for whom they trust. The authorities are hundreds of files, and the agent mostly speaks plain
/// HTTP to its own machine.
#[derive(Debug)]
pub(super) struct Clients {
    builder: fn() -> ClientBuilder,
    plain: Client,
    trusting: OnceLock<Client>,
}

impl Clients {
    /// Clients as the builder makes them.
    ///
    /// # Errors
    /// One cannot be made.
    pub(super) fn new(builder: fn() -> ClientBuilder) -> Result<Self, reqwest::Error> {
        Ok(Self { builder, plain: without_authorities(builder()).build()?, trusting: OnceLock::new() })
    }

    /// The client for an address.
    pub(super) fn of(&self, url: &str) -> &Client {
        let scheme = url.split(':').next().unwrap_or_default();
        if scheme.eq_ignore_ascii_case("http") { &self.plain } else { self.trusting() }
    }

    /// The client that trusts the machine's authorities; on a machine that has none, nobody.
    pub(super) fn trusting(&self) -> &Client {
        self.trusting.get_or_init(|| {
            (self.builder)().build().unwrap_or_else(|error| {
                tracing::warn!(%error, "the machine's certificate authorities cannot be used: install ca-certificates");
                self.plain.clone()
            })
        })
    }
}

/// A builder of what never speaks TLS: no authority is read for it.
pub(super) fn without_authorities(builder: ClientBuilder) -> ClientBuilder {
    builder.tls_certs_only([])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_authorities_are_read_for_an_address_of_tls_alone() {
        crate::host::install_crypto();
        let clients = Clients::new(Client::builder).unwrap();
        for url in ["http://127.0.0.1:2019", "HTTP://a.example/"] {
            clients.of(url);
            assert!(clients.trusting.get().is_none(), "{url}");
        }
        clients.of("HTTPS://a.example/");
        assert!(clients.trusting.get().is_some());
    }
}
