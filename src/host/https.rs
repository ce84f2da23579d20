//! HTTP clients that know whom to trust: the authorities of this machine, read when the first server shows a certificate. Engines and
//! Caddy show none, so most agents never hold them, and a machine that has none is as good as any.

use std::sync::{Arc, LazyLock, OnceLock};

use reqwest::{Client, ClientBuilder};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, Error, SignatureScheme};
use rustls_platform_verifier::Verifier;

/// How all clients speak TLS.
static TLS: LazyLock<ClientConfig> = LazyLock::new(|| {
    let authorities = Authorities { provider: Arc::new(ring::default_provider()), known: OnceLock::new() };
    let config = ClientConfig::builder().dangerous().with_custom_certificate_verifier(Arc::new(authorities));
    let mut config = config.with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config
});

/// What a client is made of.
pub(super) fn client() -> ClientBuilder {
    Client::builder().tls_backend_preconfigured(TLS.clone())
}

/// Those of this machine, once a certificate was to be checked.
#[derive(Debug)]
struct Authorities {
    provider: Arc<CryptoProvider>,
    known: OnceLock<Verifier>,
}

impl Authorities {
    /// A machine that has none may have some at the next look.
    fn known(&self) -> Result<&Verifier, Error> {
        if let Some(known) = self.known.get() {
            return Ok(known);
        }
        let read = Verifier::new(self.provider.clone())?;
        Ok(self.known.get_or_init(|| read))
    }
}

impl ServerCertVerifier for Authorities {
    fn verify_server_cert(
        &self,
        server: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.known()?.verify_server_cert(server, between, name, ocsp, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        server: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, server, signed, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        server: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, server, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
