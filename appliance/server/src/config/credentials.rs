//! Credentials: the parts of a job's HTTP settings that become headers, files not yet read.

use std::path::{Path, PathBuf};

use crate::config::fault::Fault;
use crate::config::fields::http::{AUTHORIZATION, BASIC_AUTH, HEADER};
use crate::config::section::{Findings, Section, scalar_text};
use crate::config::tree::Node;

/// Most bytes of a file that holds a secret.
const SECRET_BYTES_MAX: u64 = 64 * 1024;

/// Headers that upstream sets itself and refuses in `http_headers`.
const RESERVED: [&str; 24] = [
    "authorization",
    "host",
    "content-encoding",
    "content-length",
    "content-type",
    "user-agent",
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "www-authenticate",
    "accept-encoding",
    "x-prometheus-remote-write-version",
    "x-prometheus-remote-read-version",
    "x-prometheus-scrape-timeout-seconds",
    "accept",
    "accept-charset",
    "cookie",
    "expect",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "x-amz-date",
];

/// A text that is written in the file or lies in another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Text {
    /// Written.
    Inline(String),
    /// In this file; ends of line at its end do not count.
    File(PathBuf),
}

/// How the Authorization header comes to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Authorization {
    /// User and password.
    Basic {
        /// User.
        username: Text,
        /// Password.
        password: Text,
    },
    /// A word and a secret.
    Scheme {
        /// The word.
        name: String,
        /// The secret.
        credentials: Text,
    },
}

/// Headers of a job.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Credentials {
    /// The Authorization header.
    pub authorization: Option<Authorization>,
    /// Further headers: name, value, whether the value is secret.
    pub headers: Vec<(String, Text, bool)>,
}

/// Headers ready to be sent: public ones, then secret ones.
pub type Headers = (Vec<(String, String)>, Vec<(String, String)>);

impl Credentials {
    /// Reads the HTTP settings of `job`.
    pub fn read(job: &Section<'_>, directory: &Path, findings: &mut Findings) -> Credentials {
        let scheme = read_authorization(job, directory, findings);
        let basic = read_basic(job, directory, findings);
        let bearer = read_bearer(job, directory, findings);
        let given = [basic.is_some(), scheme.is_some(), bearer.is_some()];
        if given.iter().filter(|is_given| **is_given).count() > 1 {
            let names = if bearer.is_some() {
                "basic_auth, oauth2, bearer_token & bearer_token_file"
            } else {
                "basic_auth, oauth2 & authorization"
            };
            let text = format!("at most one of {names} must be configured");
            findings.push(Fault::wrong(job.place, text));
        }
        let headers = read_headers(job, directory, findings);
        Credentials { authorization: basic.or(scheme).or(bearer), headers }
    }

    /// The headers, files read.
    ///
    /// # Errors
    /// A file cannot be read, in words for `lastError`.
    pub fn headers(&self) -> Result<Headers, String> {
        let (mut public, mut secret) = (Vec::new(), Vec::new());
        if let Some(authorization) = &self.authorization {
            secret.push(("Authorization".to_owned(), header_value(authorization)?));
        }
        for (name, text, is_secret) in &self.headers {
            let value = text.read()?;
            check_value(name, &value)?;
            if *is_secret { &mut secret } else { &mut public }.push((name.clone(), value));
        }
        Ok((public, secret))
    }
}

fn header_value(authorization: &Authorization) -> Result<String, String> {
    let value = match authorization {
        Authorization::Basic { username, password } => {
            let pair = format!("{}:{}", username.read()?, password.read()?);
            format!("Basic {}", encode_base64(pair.as_bytes()))
        }
        Authorization::Scheme { name, credentials } => {
            format!("{name} {}", credentials.read()?)
        }
    };
    check_value("Authorization", &value)?;
    Ok(value)
}

/// A line break in a value would smuggle in another header.
fn check_value(name: &str, value: &str) -> Result<(), String> {
    if value.chars().any(|c| c.is_control() && c != '\t') {
        return Err(format!("invalid character in the value of header {name}"));
    }
    Ok(())
}

impl Text {
    fn read(&self) -> Result<String, String> {
        let path = match self {
            Text::Inline(text) => return Ok(text.clone()),
            Text::File(path) => path,
        };
        let place = path.display();
        let metadata =
            std::fs::metadata(path).map_err(|error| format!("unable to read {place}: {error}"))?;
        if SECRET_BYTES_MAX < metadata.len() {
            return Err(format!("unable to read {place}: longer than {SECRET_BYTES_MAX} bytes"));
        }
        let text = std::fs::read_to_string(path)
            .map_err(|error| format!("unable to read {place}: {error}"))?;
        Ok(text.trim_end_matches(['\n', '\r', ' ']).to_owned())
    }
}

/// One of two fields: the text, or the file it lies in.
fn either(
    section: &Section<'_>,
    inline: &str,
    file: &str,
    directory: &Path,
    findings: &mut Findings,
) -> Option<Text> {
    let written = section.text(inline, findings);
    let path = section.text(file, findings);
    if written.is_some() && path.is_some() {
        let text = format!("at most one of {inline} & {file} must be configured");
        findings.push(Fault::wrong(section.place, text).secret());
    }
    let written = written.map(|text| Text::Inline(text.to_owned()));
    written.or_else(|| path.map(|path| Text::File(directory.join(path))))
}

fn read_basic(
    job: &Section<'_>,
    directory: &Path,
    findings: &mut Findings,
) -> Option<Authorization> {
    let section = Section::open(job.get("basic_auth")?, &BASIC_AUTH, findings);
    let mut read = |inline, file| either(&section, inline, file, directory, findings);
    let empty = || Text::Inline(String::new());
    let username = read("username", "username_file").unwrap_or_else(empty);
    let password = read("password", "password_file").unwrap_or_else(empty);
    Some(Authorization::Basic { username, password })
}

fn read_authorization(
    job: &Section<'_>,
    directory: &Path,
    findings: &mut Findings,
) -> Option<Authorization> {
    let section = Section::open(job.get("authorization")?, &AUTHORIZATION, findings);
    let name = section.text("type", findings).unwrap_or("Bearer").trim().to_owned();
    if name.eq_ignore_ascii_case("basic") {
        let text = "authorization type cannot be set to \"basic\", use \"basic_auth\" instead";
        findings.push(Fault::wrong(section.place_of("type"), text));
    }
    let credentials = either(&section, "credentials", "credentials_file", directory, findings)?;
    Some(Authorization::Scheme { name, credentials })
}

fn read_bearer(
    job: &Section<'_>,
    directory: &Path,
    findings: &mut Findings,
) -> Option<Authorization> {
    let credentials = either(job, "bearer_token", "bearer_token_file", directory, findings)?;
    Some(Authorization::Scheme { name: "Bearer".to_owned(), credentials })
}

fn read_headers(
    job: &Section<'_>,
    directory: &Path,
    findings: &mut Findings,
) -> Vec<(String, Text, bool)> {
    let mut headers = Vec::new();
    for (key, value) in job.map("http_headers", findings) {
        let name = scalar_text(key).unwrap_or("");
        if name.is_empty() || !name.bytes().all(is_token) {
            findings.push(Fault::wrong(key.place, "invalid name of a header"));
            continue;
        }
        if RESERVED.contains(&name.to_ascii_lowercase().as_str()) {
            let text = format!("setting header \"{name}\" is not allowed");
            findings.push(Fault::wrong(key.place, text));
            continue;
        }
        read_header(name, value, directory, findings, &mut headers);
    }
    headers
}

fn read_header(
    name: &str,
    value: &Node,
    directory: &Path,
    findings: &mut Findings,
    headers: &mut Vec<(String, Text, bool)>,
) {
    let section = Section::open(value, &HEADER, findings);
    let mut add = |text: Text, is_secret| headers.push((name.to_owned(), text, is_secret));
    for text in section.texts("values", findings) {
        add(Text::Inline(text), false);
    }
    for text in section.texts("secrets", findings) {
        add(Text::Inline(text), true);
    }
    for path in section.texts("files", findings) {
        add(Text::File(directory.join(path)), true);
    }
}

/// Characters of a header's name (RFC 9110, token).
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// Base64 with padding (RFC 4648).
fn encode_base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let byte = |at: usize| u32::from(chunk.get(at).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for (at, shift) in [18u32, 12, 6, 0].into_iter().enumerate() {
            let digit = usize::try_from((bits >> shift) & 63).expect("six bits fit");
            text.push(if at <= chunk.len() { char::from(DIGITS[digit]) } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn basic_credentials_are_base64() {
        assert_eq!(encode_base64(b"Aladdin:open sesame"), "QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
        assert_eq!(encode_base64(b"abc"), "YWJj");
        assert_eq!(encode_base64(b"ab"), "YWI=");
    }

    #[test]
    fn a_value_with_a_line_break_is_refused() {
        let authorization = Authorization::Scheme {
            name: "Bearer".to_owned(),
            credentials: Text::Inline("a\r\nX: b".to_owned()),
        };
        let credentials = Credentials { authorization: Some(authorization), headers: Vec::new() };
        let error = credentials.headers().unwrap_err();
        assert_eq!(error, "invalid character in the value of header Authorization");
    }
}
