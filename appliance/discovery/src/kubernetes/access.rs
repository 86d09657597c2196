//! Access: where the API server is and how it is reached: written out, by a kubeconfig, or from
//! within a pod.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use scrape::http_options::{Authorization, HttpOptions, Text};
use serde::Deserialize;

use crate::address::join;
use crate::api::Api;

/// Time for the head of an answer, and for a page of a list.
const WITHIN: Duration = Duration::from_secs(60);
/// Where a pod finds who it is.
const ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
/// Bytes of a kubeconfig.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// How the API server is found.
#[derive(Clone, Debug, PartialEq)]
pub enum Server {
    /// `api_server` and the fields of `http_config`.
    Url(String, Arc<HttpOptions>),
    /// `kubeconfig_file`
    Kubeconfig(PathBuf),
    /// This process runs in a pod.
    Pod,
}

/// An API server.
#[derive(Clone, Debug, PartialEq)]
pub struct Access {
    base: String,
    http: Arc<HttpOptions>,
    /// The namespace of the pod that this is.
    pub namespace: Option<String>,
}

impl Access {
    /// Finds the API server.
    ///
    /// # Errors
    /// A file is missing or is not what it should be.
    pub fn find(server: &Server) -> Result<Access, String> {
        match server {
            Server::Url(base, http) => {
                Ok(Access { base: base.clone(), http: Arc::clone(http), namespace: None })
            }
            Server::Kubeconfig(path) => {
                let text = read(path)?;
                let directory = path.parent().unwrap_or(Path::new("."));
                kubeconfig(&text, directory)
                    .map_err(|error| format!("kubeconfig {}: {error}", path.display()))
            }
            Server::Pod => pod(
                std::env::var("KUBERNETES_SERVICE_HOST").ok(),
                std::env::var("KUBERNETES_SERVICE_PORT").ok(),
                Path::new(ACCOUNT),
            ),
        }
    }

    /// The API, with connections of its own.
    #[must_use]
    pub fn api(&self) -> Api {
        Api::new(&self.base, &self.http, WITHIN)
    }
}

fn read(path: &Path) -> Result<String, String> {
    let shown = path.display();
    let meta = std::fs::metadata(path).map_err(|error| format!("{shown}: {error}"))?;
    if !meta.is_file() || FILE_BYTES_MAX < meta.len() {
        return Err(format!("{shown}: no regular file of at most {FILE_BYTES_MAX} bytes"));
    }
    std::fs::read_to_string(path).map_err(|error| format!("{shown}: {error}"))
}

fn pod(host: Option<String>, port: Option<String>, account: &Path) -> Result<Access, String> {
    let (Some(host), Some(port)) = (host, port) else {
        return Err("unable to load in-cluster configuration, KUBERNETES_SERVICE_HOST and \
                    KUBERNETES_SERVICE_PORT must be defined"
            .to_owned());
    };
    let mut http = HttpOptions::default();
    let credentials = Text::File(account.join("token"));
    http.authorization = Some(Authorization::Scheme { name: "Bearer".to_owned(), credentials });
    http.tls.ca = Some(Text::File(account.join("ca.crt")));
    let namespace = read(&account.join("namespace"))?;
    let base = format!("https://{}", join(&host, port));
    Ok(Access { base, http: Arc::new(http), namespace: Some(namespace) })
}

/// A list of named things.
#[derive(Debug, Deserialize)]
struct Named<T> {
    name: String,
    #[serde(alias = "cluster", alias = "context", alias = "user")]
    value: T,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Kubeconfig {
    current_context: String,
    clusters: Vec<Named<Cluster>>,
    contexts: Vec<Named<Bond>>,
    #[serde(default)]
    users: Vec<Named<User>>,
}

#[derive(Debug, Deserialize)]
struct Bond {
    cluster: String,
    #[serde(default)]
    user: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Cluster {
    server: String,
    certificate_authority: Option<PathBuf>,
    certificate_authority_data: Option<String>,
    #[serde(default)]
    insecure_skip_tls_verify: bool,
    tls_server_name: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
struct User {
    token: Option<String>,
    #[serde(rename = "tokenFile")]
    token_file: Option<PathBuf>,
    client_certificate: Option<PathBuf>,
    client_certificate_data: Option<String>,
    client_key: Option<PathBuf>,
    client_key_data: Option<String>,
    username: Option<String>,
    password: Option<String>,
    exec: Option<serde_json::Value>,
    auth_provider: Option<serde_json::Value>,
}

fn kubeconfig(text: &str, directory: &Path) -> Result<Access, String> {
    let parsed = serde_saphyr::from_str::<Kubeconfig>(text);
    // The reader's text quotes the file, which holds secrets.
    let config = parsed.map_err(|_| "it is not what a kubeconfig should be".to_owned())?;
    let find = |name: &str| format!("{name:?} is not there");
    let name = &config.current_context;
    let bond = &config.contexts.iter().find(|context| context.name == *name);
    let bond = &bond.ok_or_else(|| find(name))?.value;
    let cluster = config.clusters.iter().find(|cluster| cluster.name == bond.cluster);
    let cluster = &cluster.ok_or_else(|| find(&bond.cluster))?.value;
    let nobody = User::default();
    let user = config.users.iter().find(|user| user.name == bond.user);
    let user = user.map_or(&nobody, |user| &user.value);
    if user.exec.is_some() || user.auth_provider.is_some() {
        return Err("unsupported exec or auth-provider; use a token or a certificate".to_owned());
    }
    let either = |data: &Option<String>, file: &Option<PathBuf>| match (data, file) {
        (Some(data), _) => decode(data).map(|text| Some(Text::inline(&text))),
        (None, Some(file)) => Ok(Some(Text::File(directory.join(file)))),
        (None, None) => Ok(None),
    };
    let mut http = HttpOptions::default();
    http.tls.ca = either(&cluster.certificate_authority_data, &cluster.certificate_authority)?;
    http.tls.insecure_skip_verify = cluster.insecure_skip_tls_verify;
    http.tls.server_name = cluster.tls_server_name.clone();
    let certificate = either(&user.client_certificate_data, &user.client_certificate)?;
    http.tls.identity = certificate.zip(either(&user.client_key_data, &user.client_key)?);
    let token = match (&user.token, &user.token_file) {
        (Some(token), _) => Some(Text::inline(token)),
        (None, Some(file)) => Some(Text::File(directory.join(file))),
        (None, None) => None,
    };
    http.authorization = match (token, &user.username) {
        (Some(credentials), _) => {
            Some(Authorization::Scheme { name: "Bearer".to_owned(), credentials })
        }
        (None, Some(username)) => Some(Authorization::Basic {
            username: Text::inline(username),
            password: Text::inline(user.password.as_deref().unwrap_or("")),
        }),
        (None, None) => None,
    };
    Ok(Access { base: cluster.server.clone(), http: Arc::new(http), namespace: None })
}

/// The text that Base64 (RFC 4648) stands for.
fn decode(text: &str) -> Result<String, String> {
    let fault = || "data that are no Base64".to_owned();
    let (mut bytes, mut bits, mut count) = (Vec::new(), 0u32, 0u32);
    for digit in text.bytes().filter(|byte| !byte.is_ascii_whitespace() && *byte != b'=') {
        let value = match digit {
            b'A'..=b'Z' => digit - b'A',
            b'a'..=b'z' => digit - b'a' + 26,
            b'0'..=b'9' => digit - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return Err(fault()),
        };
        bits = bits << 6 | u32::from(value);
        count += 6;
        if 8 <= count {
            count -= 8;
            let [.., byte] = (bits >> count).to_be_bytes();
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).map_err(|_| fault())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kubeconfig_says_where_and_who() {
        let text = "apiVersion: v1
kind: Config
current-context: c
clusters:
- name: k
  cluster: {server: 'https://192.0.2.1:6443', certificate-authority-data: Y2VydA==}
contexts:
- name: c
  context: {cluster: k, user: u, namespace: x}
users:
- name: u
  user: {client-certificate: me.crt, client-key-data: a2V5, token: secret}
";
        let access = kubeconfig(text, Path::new("/etc")).unwrap();
        assert_eq!(access.base, "https://192.0.2.1:6443");
        let tls = &access.http.tls;
        assert_eq!(tls.ca, Some(Text::inline("cert")));
        let identity = (Text::File(PathBuf::from("/etc/me.crt")), Text::inline("key"));
        assert_eq!(tls.identity, Some(identity));
        let credentials = Text::inline("secret");
        let bearer = Authorization::Scheme { name: "Bearer".to_owned(), credentials };
        assert_eq!(access.http.authorization, Some(bearer));
        let exec = text.replace("token: secret", "exec: {command: x}");
        assert!(kubeconfig(&exec, Path::new("/")).unwrap_err().contains("unsupported exec"));
        let other = text.replace("current-context: c", "current-context: d");
        assert_eq!(kubeconfig(&other, Path::new("/")), Err("\"d\" is not there".to_owned()));
        let broken = kubeconfig("token: secret: x", Path::new("/")).unwrap_err();
        assert!(!broken.contains("secret"), "{broken}");
    }

    #[test]
    fn a_pod_finds_its_account() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("namespace"), "mine").unwrap();
        let found = pod(Some("::1".to_owned()), Some("443".to_owned()), directory.path()).unwrap();
        assert_eq!(
            (found.base.as_str(), found.namespace.as_deref()),
            ("https://[::1]:443", Some("mine"))
        );
        assert!(pod(None, None, directory.path()).is_err());
    }

    #[test]
    fn base64_is_read() {
        assert_eq!(decode("QWxhZGRpbjpvcGVuIHNlc2FtZQ==\n").unwrap(), "Aladdin:open sesame");
        assert!(decode("a*").is_err());
    }
}
