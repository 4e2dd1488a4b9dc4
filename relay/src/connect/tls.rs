//! TLS with one provider (ring) and libpq's meanings: `prefer` and `require` encrypt, `verify-ca` asks who signed,
//! `verify-full` also asks whose name it is.

use std::path::Path;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};

use crate::config::Tls;

/// Makes ring the process's provider, once; with two compiled in by whoever embeds us, rustls would not choose.
pub fn install_provider() {
    // A provider that somebody installed before is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// The client's side of TLS for a mode.
pub(super) fn client(tls: Tls, root: Option<&Path>) -> Result<ClientConfig, String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    if matches!(tls, Tls::Disable | Tls::Prefer | Tls::Require) {
        let unverified = Arc::new(Lenient {
            provider,
            authority: None,
        });
        return Ok(builder
            .dangerous()
            .with_custom_certificate_verifier(unverified)
            .with_no_client_auth());
    }
    let roots = Arc::new(roots(root)?);
    if tls == Tls::VerifyFull {
        return Ok(builder.with_root_certificates(roots).with_no_client_auth());
    }
    let verifier = WebPkiServerVerifier::builder_with_provider(roots, provider.clone());
    let authority = Some(verifier.build().map_err(|error| error.to_string())?);
    let any_name = Arc::new(Lenient { provider, authority });
    Ok(builder
        .dangerous()
        .with_custom_certificate_verifier(any_name)
        .with_no_client_auth())
}

/// The client's side of TLS that asks who signed and whose name it is; `root` in place of the usual authorities.
pub(crate) fn trusting(root: Option<&Path>) -> Result<ClientConfig, String> {
    client(Tls::VerifyFull, root)
}

fn roots(file: Option<&Path>) -> Result<RootCertStore, String> {
    let mut store = RootCertStore::empty();
    let Some(path) = file else {
        store.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        return Ok(store);
    };
    let unreadable = |what: String| format!("root certificate {}: {what}", path.display());
    for certificate in CertificateDer::pem_file_iter(path).map_err(|error| unreadable(error.to_string()))? {
        let certificate = certificate.map_err(|error| unreadable(error.to_string()))?;
        store
            .add(certificate)
            .map_err(|error| unreadable(error.to_string()))?;
    }
    match store.is_empty() {
        true => Err(unreadable("holds no certificate in PEM form".to_owned())),
        false => Ok(store),
    }
}

/// Checks less than a browser would: any name when there is an authority, any certificate when there is none. The
/// handshake's signatures are checked always.
#[derive(Debug)]
struct Lenient {
    provider: Arc<CryptoProvider>,
    authority: Option<Arc<WebPkiServerVerifier>>,
}

impl ServerCertVerifier for Lenient {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Some(authority) = &self.authority else {
            return Ok(ServerCertVerified::assertion());
        };
        match authority.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now) {
            Err(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            other => other,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(
            message,
            cert,
            dss,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(
            message,
            cert,
            dss,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}
