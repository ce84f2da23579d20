//! Distribution over TLS: this node and its peers show certificates of one authority, as BEAM nodes do that were started with
//! `-proto_dist inet_tls`.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, Connection, RootCertStore, ServerConfig};
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, TlsConnector, TlsStream};

use super::transport::Transport;

/// This node's certificate and the authority of its peers', for both sides of a connection.
#[derive(Clone)]
pub struct Tls {
    acceptor: TlsAcceptor,
    connector: TlsConnector,
}

/// Keys are not shown.
impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tls")
    }
}

/// The files of [`Tls::load`], all in PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// This node's certificate, and those between it and the authority.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
    /// The certificates of the authority that peers' are checked by.
    pub authority: PathBuf,
}

/// Why the files are of no use.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The certificate's file.
    #[error("{}: {why}", path.display())]
    Certificate {
        /// Its path.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// The key's file.
    #[error("{}: {why}", path.display())]
    Key {
        /// Its path.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// The authority's file.
    #[error("{}: {why}", path.display())]
    Authority {
        /// Its path.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
}

impl Tls {
    /// Reads the files.
    ///
    /// # Errors
    /// A file cannot be read, is not PEM, or holds what does not fit the others.
    pub fn load(files: &TlsFiles) -> Result<Self, TlsError> {
        let certificate = |why: String| TlsError::Certificate { path: files.certificate.clone(), why };
        let key = |why: String| TlsError::Key { path: files.key.clone(), why };
        let authority = |why: String| TlsError::Authority { path: files.authority.clone(), why };
        let chain = certificates(&files.certificate).map_err(certificate)?;
        let private = PrivateKeyDer::from_pem_file(&files.key).map_err(|e| key(pem_problem(&e, "a private key")))?;
        let mut roots = RootCertStore::empty();
        for root in certificates(&files.authority).map_err(authority)? {
            roots.add(root).map_err(|e| authority(format!("a certificate of it cannot be used: {e}")))?;
        }
        let (roots, provider) = (Arc::new(roots), Arc::new(rustls::crypto::ring::default_provider()));
        let peers = WebPkiClientVerifier::builder_with_provider(roots.clone(), provider.clone()).build();
        let peers = peers.map_err(|e| authority(e.to_string()))?;
        let server = ServerConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions();
        let client = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let fits = |e: rustls::Error| key(format!("it does not fit {}: {e}", files.certificate.display()));
        let server = server.map_err(fits)?.with_client_cert_verifier(peers);
        let mut server = server.with_single_cert(chain.clone(), private.clone_key()).map_err(fits)?;
        // Links last; nobody resumes a session.
        server.send_tls13_tickets = 0;
        let client = client.map_err(fits)?.with_root_certificates(roots);
        let client = client.with_client_auth_cert(chain, private).map_err(fits)?;
        Ok(Self { acceptor: Arc::new(server).into(), connector: Arc::new(client).into() })
    }

    /// The side that was dialled: the peer must show a certificate of the authority.
    pub(super) async fn accept(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        Ok(self.acceptor.accept(stream).await?.into())
    }

    /// The side that dials: the peer's certificate must be of the authority, and for `host`.
    pub(super) async fn connect(&self, stream: TcpStream, host: &str) -> io::Result<TlsStream<TcpStream>> {
        let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
        Ok(self.connector.connect(name, stream).await?.into())
    }
}

/// The transport of a stream over TLS whose handshakes are done.
pub(super) fn transport(stream: TlsStream<TcpStream>) -> Transport {
    match stream {
        TlsStream::Client(stream) => {
            let (stream, connection) = stream.into_inner();
            Transport::tls(stream, Connection::Client(connection))
        }
        TlsStream::Server(stream) => {
            let (stream, connection) = stream.into_inner();
            Transport::tls(stream, Connection::Server(connection))
        }
    }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let found = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    match found {
        Ok(found) if found.is_empty() => Err("it holds no certificate in PEM".to_owned()),
        Ok(found) => Ok(found),
        Err(e) => Err(pem_problem(&e, "a certificate")),
    }
}

fn pem_problem(error: &rustls::pki_types::pem::Error, wanted: &str) -> String {
    match error {
        rustls::pki_types::pem::Error::Io(e) => format!("it cannot be read: {e}"),
        other => format!("it does not hold {wanted} in PEM: {other}"),
    }
}
