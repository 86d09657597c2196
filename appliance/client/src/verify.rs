//! Verify: whether a server is who it should be, with Go's rules and words.
//!
//! Besides what `webpki` does: a certificate that is itself among the trusted ones is trusted, also
//! when it calls itself an authority, as certificates that people sign themselves do.

use std::fmt;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{
    CertificateError, DigitallySignedStruct, Error, OtherError, RootCertStore, SignatureScheme,
};

use crate::certificate::{Facts, date_text, is_host_name};

/// Whom to trust.
#[derive(Debug)]
pub enum Trust {
    /// Everybody.
    Everybody,
    /// Those signed by one of these, and these.
    Authorities(Vec<CertificateDer<'static>>),
}

/// Verifies the certificates of servers.
#[derive(Debug)]
pub struct Verifier {
    trust: Trust,
    chains: Option<Arc<WebPkiServerVerifier>>,
    provider: Arc<CryptoProvider>,
}

impl Verifier {
    /// A verifier that trusts `trust`.
    #[must_use]
    pub fn new(trust: Trust, provider: Arc<CryptoProvider>) -> Verifier {
        let chains = match &trust {
            Trust::Everybody => None,
            Trust::Authorities(trusted) => {
                let mut roots = RootCertStore::empty();
                roots.add_parsable_certificates(trusted.iter().cloned());
                let builder = WebPkiServerVerifier::builder_with_provider(
                    Arc::new(roots),
                    Arc::clone(&provider),
                );
                // It only fails without roots: then no chain has an end.
                builder.build().ok()
            }
        };
        Verifier { trust, chains, provider }
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Trust::Authorities(trusted) = &self.trust else {
            return Ok(ServerCertVerified::assertion());
        };
        let facts = Facts::read(end_entity);
        let seconds = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
        let verified = if trusted.iter().any(|own| own.as_ref() == end_entity.as_ref()) {
            verify_trusted(end_entity, facts.as_ref(), server_name, seconds)
        } else {
            match &self.chains {
                Some(chains) => chains
                    .verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
                    .map(|_| ()),
                None => Err(CertificateError::UnknownIssuer.into()),
            }
        };
        match verified {
            Ok(()) => Ok(ServerCertVerified::assertion()),
            Err(Error::InvalidCertificate(cause)) => {
                let text = words(&cause, facts.as_ref(), server_name, seconds);
                Err(Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(
                    Reason(text),
                )))))
            }
            Err(other) => Err(other),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, cert, dss, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, cert, dss, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// A reason in Go's words, carried by rustls's error.
#[derive(Debug)]
struct Reason(String);

impl std::error::Error for Reason {}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A certificate that is trusted as it stands has still to be for the name and the time.
fn verify_trusted(
    end_entity: &CertificateDer<'_>,
    facts: Option<&Facts>,
    server_name: &ServerName<'_>,
    seconds: i64,
) -> Result<(), Error> {
    let facts = facts.ok_or(CertificateError::BadEncoding)?;
    if seconds < facts.not_before {
        return Err(CertificateError::NotValidYet.into());
    }
    if facts.not_after < seconds {
        return Err(CertificateError::Expired.into());
    }
    verify_server_name(&ParsedCertificate::try_from(end_entity)?, server_name)
}

fn words(
    cause: &CertificateError,
    facts: Option<&Facts>,
    server_name: &ServerName<'_>,
    seconds: i64,
) -> String {
    let dates = |side: &str, limit: Option<i64>| {
        let limit = limit.map(date_text).unwrap_or_default();
        let now = date_text(seconds);
        format!("certificate has expired or is not yet valid: current time {now} is {side} {limit}")
    };
    let text = match cause {
        // An authority of the same name with another key is as unknown as one of another name.
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            "certificate signed by unknown authority".to_owned()
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            dates("after", facts.map(|facts| facts.not_after))
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            dates("before", facts.map(|facts| facts.not_before))
        }
        CertificateError::NotValidForNameContext { presented, .. } => {
            names(presented, facts, server_name)
        }
        CertificateError::NotValidForName => names(&[], facts, server_name),
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            "certificate specifies an incompatible key usage".to_owned()
        }
        CertificateError::BadEncoding => "malformed certificate".to_owned(),
        CertificateError::UnhandledCriticalExtension => "unhandled critical extension".to_owned(),
        // `webpki` has no word of rustls for an authority that serves itself and is not trusted.
        other if format!("{other:?}").contains("CaUsedAsEndEntity") => {
            "certificate signed by unknown authority".to_owned()
        }
        other => other.to_string(),
    };
    format!("x509: {text}")
}

/// What the certificate is for instead. `presented` are the names as `webpki` shows them:
/// `DnsName("a")`, `IpAddress(10.0.0.1)`.
fn names(presented: &[String], facts: Option<&Facts>, server_name: &ServerName<'_>) -> String {
    let of_kind = |kind: &str| -> Vec<&str> {
        let inner = |name: &'_ String| {
            let start = kind.len() + 1;
            let is_kind = name.starts_with(kind) && name.ends_with(')') && start < name.len();
            is_kind.then_some(start)
        };
        presented
            .iter()
            .filter_map(|name| {
                inner(name).map(|start| name[start..name.len() - 1].trim_matches('"'))
            })
            .collect()
    };
    let wanted = server_name.to_str();
    let (kind, is_address) = match server_name {
        ServerName::IpAddress(_) => ("IpAddress", true),
        _ => ("DnsName", false),
    };
    let found = of_kind(kind);
    let common_name = facts.map_or("", |facts| facts.common_name.as_str());
    match (is_address, found.as_slice()) {
        (_, found @ [_, ..]) => {
            format!("certificate is valid for {}, not {wanted}", found.join(", "))
        }
        (true, []) => format!(
            "cannot validate certificate for {wanted} because it doesn't contain any IP SANs"
        ),
        (false, []) if presented.is_empty() && is_host_name(common_name) => {
            "certificate relies on legacy Common Name field, use SANs instead".to_owned()
        }
        (false, []) => {
            format!("certificate is not valid for any names, but wanted to match {wanted}")
        }
    }
}
