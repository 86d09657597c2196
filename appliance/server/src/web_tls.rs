//! Web TLS: how connections to this server are encrypted, and which clients may make them.
//!
//! Path: `web_config` → **web tls** → the handshakes of `web`.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::client::verify_server_name;
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ParsedCertificate, WebPkiClientVerifier};
use rustls::{
    DigitallySignedStruct, DistinguishedName, Error, RootCertStore, ServerConfig, SignatureScheme,
    SupportedProtocolVersion,
};
use serde::Deserialize;

/// `tls_server_config`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TlsFile {
    cert: Option<String>,
    cert_file: Option<String>,
    key: Option<String>,
    key_file: Option<String>,
    client_auth_type: Option<String>,
    client_ca: Option<String>,
    client_ca_file: Option<String>,
    client_allowed_sans: Vec<String>,
    min_version: Option<String>,
    max_version: Option<String>,
    /// The library's own order and choice are taken: all of it is strong.
    #[serde(rename = "cipher_suites")]
    _cipher_suites: Vec<String>,
    #[serde(rename = "prefer_server_cipher_suites")]
    _prefer_server_cipher_suites: Option<bool>,
    #[serde(rename = "curve_preferences")]
    _curve_preferences: Vec<String>,
}

impl TlsFile {
    /// The files that it names.
    pub fn files(&self) -> impl Iterator<Item = &str> {
        let files = [&self.cert_file, &self.key_file, &self.client_ca_file];
        files.into_iter().filter_map(|file| file.as_deref())
    }
}

/// What is asked of clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ClientAuth {
    None,
    /// A certificate of anybody, if there is one.
    Request,
    /// A certificate of anybody.
    RequireAny,
    /// A certificate of ours, if there is one.
    VerifyIfGiven,
    /// A certificate of ours.
    RequireAndVerify,
}

/// What handshakes follow.
///
/// # Errors
/// What does not hold, in upstream's words where it has some.
pub fn config(file: &TlsFile, directory: &Path) -> Result<ServerConfig, String> {
    if file.key.is_none() && file.key_file.is_none() {
        return Err("missing one of key or key_file".to_owned());
    }
    let cert = pem(&file.cert, &file.cert_file, directory)?;
    let cert = cert.ok_or("missing one of cert or cert_file")?;
    let key = pem(&file.key, &file.key_file, directory)?.unwrap_or_default();
    let certificates: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(&cert)
        .collect::<Result<_, _>>()
        .map_err(|error| format!("cert_file: {error}"))?;
    let key = PrivateKeyDer::from_pem_slice(&key).map_err(|error| format!("key_file: {error}"))?;
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&versions(file)?)
        .map_err(|error| error.to_string())?;
    let builder = match verifier(file, directory, &provider)? {
        Some(verifier) => builder.with_client_cert_verifier(verifier),
        None => builder.with_no_client_auth(),
    };
    let config = builder.with_single_cert(certificates, key);
    let mut config = config.map_err(|error| format!("cert_file and key_file: {error}"))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

fn pem(
    inline: &Option<String>,
    file: &Option<String>,
    directory: &Path,
) -> Result<Option<Vec<u8>>, String> {
    match (inline, file) {
        (Some(_), Some(file)) => Err(format!("give {file:?} or its content, not both")),
        (Some(text), None) => Ok(Some(text.clone().into_bytes())),
        (None, Some(file)) => {
            let path = directory.join(file);
            let bytes = std::fs::read(&path);
            bytes.map(Some).map_err(|error| format!("{}: {error}", path.display()))
        }
        (None, None) => Ok(None),
    }
}

fn versions(file: &TlsFile) -> Result<Vec<&'static SupportedProtocolVersion>, String> {
    let number = |name: &Option<String>, default: u8| match name.as_deref() {
        None => Ok(default),
        Some("TLS12") => Ok(12),
        Some("TLS13") => Ok(13),
        Some(old @ ("TLS10" | "TLS11")) => Err(format!("{old} is broken and not spoken")),
        Some(other) => Err(format!("unknown TLS version: {other}")),
    };
    let (min, max) = (number(&file.min_version, 12)?, number(&file.max_version, 13)?);
    let all = [(12, &rustls::version::TLS12), (13, &rustls::version::TLS13)];
    let wanted = all.into_iter().filter(|(number, _)| min <= *number && *number <= max);
    let versions: Vec<_> = wanted.map(|(_, version)| version).collect();
    if versions.is_empty() {
        Err("min_version is above max_version".to_owned())
    } else {
        Ok(versions)
    }
}

fn verifier(
    file: &TlsFile,
    directory: &Path,
    provider: &Arc<CryptoProvider>,
) -> Result<Option<Arc<dyn ClientCertVerifier>>, String> {
    let auth = match file.client_auth_type.as_deref().unwrap_or("") {
        "" | "NoClientCert" => ClientAuth::None,
        "RequestClientCert" => ClientAuth::Request,
        "RequireAnyClientCert" | "RequireClientCert" => ClientAuth::RequireAny,
        "VerifyClientCertIfGiven" => ClientAuth::VerifyIfGiven,
        "RequireAndVerifyClientCert" => ClientAuth::RequireAndVerify,
        other => return Err(format!("invalid ClientAuth: {other}")),
    };
    let ca = pem(&file.client_ca, &file.client_ca_file, directory)?;
    let verifies = matches!(auth, ClientAuth::VerifyIfGiven | ClientAuth::RequireAndVerify);
    if ca.is_some() && auth == ClientAuth::None {
        return Err("client CA's have been configured without a Client Auth Policy".to_owned());
    }
    if !file.client_allowed_sans.is_empty() && auth != ClientAuth::RequireAndVerify {
        return Err(
            "client_allowed_sans need client_auth_type RequireAndVerifyClientCert".to_owned()
        );
    }
    let inner = match (auth, ca) {
        (ClientAuth::None, _) => return Ok(None),
        (_, Some(ca)) if verifies => Some(web_pki(&ca, auth, provider)?),
        _ if verifies => {
            return Err("client_auth_type verifies, and client_ca_file is not there".to_owned());
        }
        _ => None,
    };
    let sans = file.client_allowed_sans.iter().map(|name| {
        let name = ServerName::try_from(name.clone());
        name.map_err(|_| "client_allowed_sans: only names and addresses are compared".to_owned())
    });
    Ok(Some(Arc::new(Clients {
        inner,
        required: matches!(auth, ClientAuth::RequireAny | ClientAuth::RequireAndVerify),
        sans: sans.collect::<Result<_, _>>()?,
        provider: Arc::clone(provider),
    })))
}

fn web_pki(
    ca: &[u8],
    auth: ClientAuth,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ClientCertVerifier>, String> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(ca) {
        let certificate = certificate.map_err(|error| format!("client_ca_file: {error}"))?;
        roots.add(certificate).map_err(|error| format!("client_ca_file: {error}"))?;
    }
    let builder =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider));
    let builder =
        if auth == ClientAuth::VerifyIfGiven { builder.allow_unauthenticated() } else { builder };
    builder.build().map_err(|error| format!("client_ca_file: {error}"))
}

/// Which clients may connect.
struct Clients {
    /// Verifies certificates; without it any will do.
    inner: Option<Arc<dyn ClientCertVerifier>>,
    required: bool,
    /// One of these must be in the certificate, if there are any.
    sans: Vec<ServerName<'static>>,
    provider: Arc<CryptoProvider>,
}

impl fmt::Debug for Clients {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Clients").field("sans", &self.sans).finish_non_exhaustive()
    }
}

impl ClientCertVerifier for Clients {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.inner.as_ref().map_or(&[], |inner| inner.root_hint_subjects())
    }

    fn client_auth_mandatory(&self) -> bool {
        self.required
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        if let Some(inner) = &self.inner {
            inner.verify_client_cert(end_entity, intermediates, now)?;
        }
        if !self.sans.is_empty() {
            let certificate = ParsedCertificate::try_from(end_entity)?;
            let fits = |name: &ServerName<'_>| verify_server_name(&certificate, name).is_ok();
            if !self.sans.iter().any(fits) {
                let reason = "could not find allowed SANs in client cert";
                return Err(Error::General(reason.to_owned()));
            }
        }
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
