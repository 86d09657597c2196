//! Web config: who may connect and ask, as `--web.config.file` says.
//!
//! Path: the file → **web config** → `gate`, `web_tls`.
//! Never: shows a hash or key; takes a file that it does not understand.
//! Source: the web configuration of Prometheus's exporter-toolkit.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hasher as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use hyper::header::{HeaderName, HeaderValue};
use rustls::ServerConfig;
use serde::Deserialize;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::web_tls::{self, TlsFile};

/// Most bytes of the file.
const FILE_BYTES_MAX: usize = 1 << 20;
/// Most users.
const USERS_MAX: usize = 10_000;
/// How often the files are looked at, at most.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Headers that may be set.
const HEADERS: [&str; 5] = [
    "Content-Security-Policy",
    "X-Frame-Options",
    "X-Content-Type-Options",
    "X-XSS-Protection",
    "Strict-Transport-Security",
];

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct File {
    tls_server_config: Option<TlsFile>,
    http_server_config: HttpFile,
    basic_auth_users: BTreeMap<String, String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct HttpFile {
    /// Accepted; HTTP/1.1 is spoken whatever it says.
    #[serde(rename = "http2")]
    _http2: Option<bool>,
    headers: BTreeMap<String, String>,
}

/// Who may connect and ask.
#[derive(Clone, Debug, Default)]
pub struct Access {
    /// How connections are encrypted; `None` for not.
    pub tls: Option<Arc<ServerConfig>>,
    /// Headers of every answer.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// Hashes of passwords by user; everybody may ask when there are none.
    pub users: BTreeMap<String, String>,
}

/// Reads and checks the file.
///
/// # Errors
/// What is wrong, and where.
pub fn load(path: &Path) -> Result<Access, String> {
    let shown = path.display();
    let text = std::fs::read_to_string(path).map_err(|error| format!("{shown}: {error}"))?;
    if FILE_BYTES_MAX < text.len() {
        return Err(format!("{shown}: more than {FILE_BYTES_MAX} bytes"));
    }
    let directory = path.parent().unwrap_or(Path::new("."));
    read(&text, directory).map_err(|reason| format!("{shown}: {reason}"))
}

/// Reads and checks the text of the file; names of files in it are relative to `directory`.
///
/// # Errors
/// What is wrong.
pub fn read(text: &str, directory: &Path) -> Result<Access, String> {
    let file: File = if text.trim().is_empty() {
        File::default()
    } else {
        serde_saphyr::from_str(text).map_err(|error| error.to_string())?
    };
    let tls = file.tls_server_config.as_ref().map(|tls| web_tls::config(tls, directory));
    let mut headers = Vec::new();
    for (name, value) in &file.http_server_config.headers {
        if !HEADERS.iter().any(|known| known.eq_ignore_ascii_case(name)) {
            return Err(format!("HTTP header {name:?} can not be configured"));
        }
        let wrong = format!("HTTP header {name:?} has a value that is none");
        headers.push((
            HeaderName::from_bytes(name.as_bytes()).map_err(|_| wrong.clone())?,
            HeaderValue::from_str(value).map_err(|_| wrong)?,
        ));
    }
    if USERS_MAX < file.basic_auth_users.len() {
        return Err(format!("more than {USERS_MAX} basic_auth_users"));
    }
    for (user, hash) in &file.basic_auth_users {
        if hash.parse::<bcrypt::HashParts>().is_err() {
            return Err(format!("basic_auth_users: the password of {user:?} is no bcrypt hash"));
        }
    }
    Ok(Access { tls: tls.transpose()?.map(Arc::new), headers, users: file.basic_auth_users })
}

/// Changes when the file or one that it names does.
fn fingerprint(path: &Path) -> u64 {
    let mut hasher = DefaultHasher::new();
    let mut add = |path: &Path| -> Vec<u8> {
        let bytes = std::fs::read(path).unwrap_or_else(|error| error.to_string().into_bytes());
        hasher.write_usize(bytes.len());
        hasher.write(&bytes);
        bytes
    };
    let text = add(path);
    let directory = path.parent().unwrap_or(Path::new("."));
    let file = std::str::from_utf8(&text).ok().and_then(|text| serde_saphyr::from_str(text).ok());
    let tls = file.and_then(|file: File| file.tls_server_config);
    for file in tls.iter().flat_map(TlsFile::files) {
        add(&directory.join(file));
    }
    hasher.finish()
}

/// The access in force, read anew when its files change.
#[derive(Clone, Debug)]
pub struct Watched {
    path: Option<PathBuf>,
    state: watch::Sender<Seen>,
}

#[derive(Clone, Debug)]
struct Seen {
    access: Arc<Access>,
    fingerprint: u64,
    looked: Option<Instant>,
}

impl Watched {
    /// Access as the file says; for everybody without one.
    ///
    /// # Errors
    /// The file does not hold.
    pub fn new(path: Option<PathBuf>) -> Result<Watched, String> {
        let fingerprint = path.as_deref().map_or(0, fingerprint);
        let access = path.as_deref().map(load).transpose()?.unwrap_or_default();
        let seen = Seen { access: Arc::new(access), fingerprint, looked: None };
        Ok(Watched { path, state: watch::Sender::new(seen) })
    }

    /// The access in force at `now`. A file that does not hold changes nothing, and is told.
    pub fn at(&self, now: Instant) -> Arc<Access> {
        let seen = self.state.borrow().clone();
        let Some(path) = &self.path else { return seen.access };
        if seen.looked.is_some_and(|looked| now.duration_since(looked) < LOOK_EVERY) {
            return seen.access;
        }
        let fingerprint = fingerprint(path);
        if fingerprint == seen.fingerprint {
            self.state.send_modify(|seen| seen.looked = Some(now));
            return seen.access;
        }
        let access = match load(path) {
            Ok(access) => {
                tracing::info!("web configuration reloaded");
                Arc::new(access)
            }
            Err(reason) => {
                tracing::warn!(reason, "web configuration refused: the old one stays");
                seen.access
            }
        };
        self.state.send_replace(Seen {
            access: Arc::clone(&access),
            fingerprint,
            looked: Some(now),
        });
        access
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_refused(text: &str, part: &str) {
        let error = read(text, Path::new("/nowhere")).expect_err("refused");
        assert!(error.contains(part), "{error}");
    }

    #[test]
    fn files_are_understood_whole_or_refused() {
        assert!(read("", Path::new(".")).expect("nothing").users.is_empty());
        let hash = bcrypt::hash("x", 4).expect("a hash");
        let text = format!(
            "http_server_config: {{http2: false, headers: {{X-Frame-Options: deny}}}}
\
             basic_auth_users: {{a: {hash}}}"
        );
        let access = read(&text, Path::new(".")).expect("a file");
        assert_eq!((access.headers.len(), access.users.len()), (1, 1));
        check_refused("basic_auth: {}", "basic_auth");
        check_refused("basic_auth_users: {a: plain}", "\"a\" is no bcrypt hash");
        check_refused("http_server_config: {headers: {Server: x}}", "can not be configured");
        check_refused("tls_server_config: {cert_file: a}", "missing one of key or key_file");
        check_refused("tls_server_config: {cert_file: a, key_file: b}", "/nowhere/a");
    }

    #[test]
    fn a_changed_file_is_read_anew_and_a_broken_one_changes_nothing() {
        let directory = tempfile::tempdir().expect("directory");
        let path = directory.path().join("web.yml");
        let write = |frame: &str| {
            let text = format!("http_server_config: {{headers: {{X-Frame-Options: {frame}}}}}");
            std::fs::write(&path, text).expect("write");
        };
        write("deny");
        let watched = Watched::new(Some(path.clone())).expect("a file");
        let now = Instant::now();
        let value = |seconds| {
            let access = watched.at(now + Duration::from_secs(seconds));
            access.headers[0].1.to_str().expect("text").to_owned()
        };
        assert_eq!(value(0), "deny");
        write("sameorigin");
        assert_eq!(value(0), "deny");
        assert_eq!(value(2), "sameorigin");
        std::fs::write(&path, "nonsense: 1").expect("write");
        assert_eq!(value(4), "sameorigin");
        write("deny");
        assert_eq!(value(6), "deny");
    }
}
