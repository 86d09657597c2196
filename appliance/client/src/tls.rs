//! TLS: what connections are made of, from options and the files they name.
//!
//! Never: keeps a certificate or key that its file no longer has.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::{ClientSessionMemoryCache, Resumption};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, Error, SupportedProtocolVersion};
use scrape::http_options::{Text, TlsOptions, TlsVersion};

use crate::secret::{description, read};
use crate::verify::{Trust, Verifier};

/// Servers whose tickets are kept, so that a new connection skips most of the handshake.
const TICKETS_MAX: usize = 4096;
/// Bundles of the system's authorities, the first found counts (Go's list).
const BUNDLES: [&str; 5] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// What TLS connections are made of.
#[derive(Clone, Debug)]
pub struct Tls {
    /// The same for the same options and content of files: connections may be shared.
    pub id: u64,
    /// For HTTP/1.1.
    pub http1: Arc<ClientConfig>,
    /// For HTTP/2, and HTTP/1.1 where the server has no other.
    pub http2: Arc<ClientConfig>,
    /// The name the certificate must be for, where it is not the address's.
    pub server_name: Option<ServerName<'static>>,
}

/// Texts of the files that options name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Material {
    ca: Option<String>,
    identity: Option<(String, String)>,
}

impl Material {
    /// Reads them.
    ///
    /// # Errors
    /// A file cannot be read, in upstream's words.
    pub fn read(options: &TlsOptions) -> Result<Material, String> {
        let ca = options.ca.as_ref().map(read).transpose();
        let ca = ca.map_err(|cause| format!("unable to read CA cert: {cause}"))?;
        let identity = match &options.identity {
            None => None,
            Some((cert, key)) => {
                let cert = read(cert);
                let cert = cert.map_err(|cause| format!("unable to read client cert: {cause}"))?;
                let key = read(key);
                Some((cert, key.map_err(|cause| format!("unable to read client key: {cause}"))?))
            }
        };
        Ok(Material { ca, identity })
    }
}

/// Whether nothing of the options lies in a file.
#[must_use]
pub fn is_immutable(options: &TlsOptions) -> bool {
    let lies = |text: &Text| matches!(text, Text::File(_));
    let identity = options.identity.as_ref();
    !options.ca.as_ref().is_some_and(lies)
        && !identity.is_some_and(|(cert, key)| lies(cert) || lies(key))
}

impl Tls {
    /// What connections by `options` are made of, its files read as `material`.
    ///
    /// # Errors
    /// A certificate or key cannot be used, in upstream's words.
    pub fn new(options: &TlsOptions, material: &Material) -> Result<Tls, String> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let trust = match (&options.ca, &material.ca) {
            _ if options.insecure_skip_verify => Trust::Everybody,
            (Some(ca), Some(pem)) => {
                let trusted = certificates(pem.as_bytes());
                if trusted.is_empty() {
                    return Err(format!("unable to use specified CA cert {}", description(ca)));
                }
                Trust::Authorities(trusted)
            }
            _ => Trust::Authorities(system_authorities()),
        };
        let http1 = config(options, material, trust, &provider)?;
        let mut http2 = http1.clone();
        http2.alpn_protocols.insert(0, b"h2".to_vec());
        let server_name = options.server_name.as_ref().map(|name| server_name(name)).transpose()?;
        let mut hasher = DefaultHasher::new();
        (options, material).hash(&mut hasher);
        Ok(Tls { id: hasher.finish(), http1: Arc::new(http1), http2: Arc::new(http2), server_name })
    }

    /// The name by which `host` is asked for and verified.
    ///
    /// # Errors
    /// It is neither a name nor an address.
    pub fn name_for(&self, host: &str) -> Result<ServerName<'static>, String> {
        self.server_name.clone().map_or_else(|| server_name(host), Ok)
    }
}

fn server_name(name: &str) -> Result<ServerName<'static>, String> {
    let parsed = ServerName::try_from(name.to_owned());
    parsed.map_err(|_| format!("tls: invalid server name {name:?}"))
}

fn config(
    options: &TlsOptions,
    material: &Material,
    trust: Trust,
    provider: &Arc<CryptoProvider>,
) -> Result<ClientConfig, String> {
    let builder = ClientConfig::builder_with_provider(Arc::clone(provider))
        .with_protocol_versions(&versions(options))
        .map_err(|cause| format!("tls: {cause}"))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Verifier::new(trust, Arc::clone(provider))));
    let mut config = match (&options.identity, &material.identity) {
        (Some((cert, key)), Some((cert_pem, key_pem))) => {
            let (cert, key) = (description(cert), description(key));
            let failed = |cause: &str| {
                format!("unable to use specified client cert ({cert}) & key ({key}): tls: {cause}")
            };
            let chain = certificates(cert_pem.as_bytes());
            if chain.is_empty() {
                return Err(failed("failed to find any PEM data in certificate input"));
            }
            let key = PrivateKeyDer::from_pem_slice(key_pem.as_bytes())
                .map_err(|_| failed("failed to find any PEM data in key input"))?;
            builder.with_client_auth_cert(chain, key).map_err(|cause| match cause {
                Error::InconsistentKeys(_) => failed("private key does not match public key"),
                other => failed(&other.to_string()),
            })?
        }
        _ => builder.with_no_client_auth(),
    };
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config.resumption = Resumption::store(Arc::new(ClientSessionMemoryCache::new(TICKETS_MAX)));
    Ok(config)
}

fn versions(options: &TlsOptions) -> Vec<&'static SupportedProtocolVersion> {
    let spoken = [
        (TlsVersion::Tls13, &rustls::version::TLS13),
        (TlsVersion::Tls12, &rustls::version::TLS12),
    ];
    let allowed = |version: TlsVersion| {
        options.min_version.is_none_or(|min| min <= version)
            && options.max_version.is_none_or(|max| version <= max)
    };
    spoken.into_iter().filter(|(version, _)| allowed(*version)).map(|(_, spoken)| spoken).collect()
}

/// The certificates of a PEM text; what is none is left out, as Go does.
fn certificates(pem: &[u8]) -> Vec<CertificateDer<'static>> {
    CertificateDer::pem_slice_iter(pem).filter_map(Result::ok).collect()
}

/// The system's authorities: SSL_CERT_FILE and SSL_CERT_DIR, else where systems keep them.
fn system_authorities() -> Vec<CertificateDer<'static>> {
    let read = |path: &Path| std::fs::read(path).map(|pem| certificates(&pem)).unwrap_or_default();
    let file = std::env::var_os("SSL_CERT_FILE").map(PathBuf::from);
    let directory = std::env::var_os("SSL_CERT_DIR").map(PathBuf::from);
    let mut found = match (&file, &directory) {
        (Some(file), _) => read(file),
        (None, Some(_)) => Vec::new(),
        (None, None) => {
            let bundles = BUNDLES.iter().map(|path| read(Path::new(path)));
            bundles.into_iter().find(|found| !found.is_empty()).unwrap_or_default()
        }
    };
    let entries = directory.and_then(|directory| std::fs::read_dir(directory).ok());
    for entry in entries.into_iter().flatten().flatten() {
        found.extend(read(&entry.path()));
    }
    found
}
