//! Connection: a server of the HTTP API, asked from the command line.
//!
//! Path: subcommands → **connection** → `client` → the server.
//! Source: the client of Prometheus's API (`api/prometheus/v1` of client_golang), whose errors
//! these are.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use client::http::{Ask, HttpClient, Response};
use scrape::http_options::{Authorization, HttpOptions, Text};
use serde_json::Value;

use crate::config::fields::http::HTTP_CLIENT;
use crate::config::section::{Findings, Section};
use crate::config::{http_config, tree};
use crate::tool_arguments::ServerOptions;

/// Most bytes of an answer.
const BODY_BYTES_MAX: u64 = 1 << 30;
/// Most bytes of an error's text that are told.
const DETAIL_BYTES_MAX: usize = 4 << 10;

/// A server.
pub struct Connection {
    client: HttpClient,
    base: String,
    headers: Vec<(String, String)>,
    runtime: tokio::runtime::Runtime,
}

impl Connection {
    /// A connection to the server; nothing is sent yet.
    ///
    /// # Errors
    /// The file of `--http.config.file` is none.
    pub fn new(server: &ServerOptions) -> Result<Connection> {
        let url = if server.url.contains("://") {
            server.url.clone()
        } else {
            format!("http://{}", server.url)
        };
        let mut options = match &server.http_config {
            Some(path) => read_options(path)?,
            None => HttpOptions::default(),
        };
        let (base, user) = without_user(&url);
        if let Some((name, password)) = user {
            if server.http_config.is_some() {
                let what = "Cannot set base auth in the server URL";
                bail!("{what} and use a http.config.file at the same time");
            }
            let (username, password) = (Text::inline(&name), Text::inline(&password));
            options.authorization = Some(Authorization::Basic { username, password });
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        Ok(Connection {
            client: HttpClient::new(Arc::new(options)),
            base: base.trim_end_matches('/').to_owned(),
            headers: server.headers.clone(),
            runtime,
        })
    }

    /// The server's URL, without user and password.
    #[must_use]
    pub fn base(&self) -> &str {
        &self.base
    }

    /// A GET of a path.
    ///
    /// # Errors
    /// There is no response.
    pub fn get(&mut self, path: &str, within: Duration) -> Result<Response> {
        let ask = Ask::get(&format!("{}{path}", self.base), within);
        self.send(ask)
    }

    /// A POST to a path.
    ///
    /// # Errors
    /// There is no response.
    pub fn post(
        &mut self,
        path: &str,
        kind: &str,
        body: Vec<u8>,
        within: Duration,
    ) -> Result<Response> {
        let ask = Ask::post(&format!("{}{path}", self.base), kind, body.into(), within);
        self.send(ask)
    }

    /// Sends a request with a body and headers of its own.
    ///
    /// # Errors
    /// There is no response.
    pub fn send(&mut self, mut ask: Ask) -> Result<Response> {
        for (name, value) in &self.headers {
            ask = ask.with_header(name, value);
        }
        let sent = self.runtime.block_on(self.client.send(&ask, BODY_BYTES_MAX));
        sent.map_err(|error| anyhow!("{error}"))
    }

    /// The answer of an endpoint of the API to a GET.
    ///
    /// # Errors
    /// There is none, or it is an error.
    pub fn get_answer(&mut self, path: &str, within: Duration) -> Result<Value> {
        answer(&self.get(path, within)?)
    }

    /// The whole answer of an endpoint of the API: by POST, or by GET where that is refused.
    ///
    /// # Errors
    /// There is none, or it is an error.
    pub fn ask(&mut self, path: &str, form: &[(&str, &str)], within: Duration) -> Result<Value> {
        let body = encode(form);
        let kind = "application/x-www-form-urlencoded";
        let posted = self.post(path, kind, body.clone().into_bytes(), within)?;
        let response = match posted.status {
            405 | 501 => self.get(&format!("{path}?{body}"), within)?,
            _ => posted,
        };
        answer(&response)
    }
}

/// The answer of the API in a response.
fn answer(response: &Response) -> Result<Value> {
    let status = response.status;
    let is_answer = status / 100 == 2 || status == 422 || status == 400;
    if !is_answer {
        let text = match status / 100 {
            4 => format!("client_error: client error: {status}"),
            5 => format!("server_error: server error: {status}"),
            _ => format!("bad_response: bad response code {status}"),
        };
        let detail = &response.body[..response.body.len().min(DETAIL_BYTES_MAX)];
        let detail = String::from_utf8_lossy(detail);
        return Err(match detail.trim() {
            "" => anyhow!("{text}"),
            detail => anyhow!("{text} (detail: {detail})"),
        });
    }
    let answer: Value =
        serde_json::from_slice(&response.body).map_err(|error| anyhow!("bad_response: {error}"))?;
    if answer["status"] == "success" && status / 100 == 2 {
        return Ok(answer);
    }
    let text = |name: &str| answer[name].as_str().unwrap_or("").to_owned();
    Err(anyhow!("{}: {}", text("errorType"), text("error")))
}

/// The options in a file of `--http.config.file`.
fn read_options(path: &Path) -> Result<HttpOptions> {
    let shown = path.display();
    let text = std::fs::read_to_string(path).with_context(|| format!("read {shown}"))?;
    let mut findings = Findings::default();
    let root = tree::parse(&text).map_err(|fault| anyhow!("{shown}: {}", fault.text))?;
    let section = Section::open(&root, &HTTP_CLIENT, &mut findings);
    let directory = path.parent().unwrap_or(Path::new("."));
    let options = http_config::read(&section, directory, &mut findings);
    match findings.faults.first() {
        Some(fault) => {
            let place = fault.place;
            Err(anyhow!("{shown}:{}:{}: {}", place.line, place.column, fault.text))
        }
        None => Ok(options),
    }
}

/// A URL without user and password, and these.
fn without_user(url: &str) -> (String, Option<(String, String)>) {
    let plain = (url.to_owned(), None);
    let Some((scheme, rest)) = url.split_once("://") else { return plain };
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let Some((user, host)) = authority.rsplit_once('@') else { return plain };
    let (name, password) = user.split_once(':').unwrap_or((user, ""));
    (format!("{scheme}://{host}{path}"), Some((decode(name), decode(password))))
}

fn decode(text: &str) -> String {
    let (bytes, mut decoded, mut at) = (text.as_bytes(), Vec::new(), 0);
    while at < bytes.len() {
        let code = text.get(at + 1..at + 3).and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match code.filter(|_| bytes[at] == b'%') {
            Some(byte) => {
                decoded.push(byte);
                at += 3;
            }
            None => {
                decoded.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

/// A form as a query string.
#[must_use]
pub fn encode(form: &[(&str, &str)]) -> String {
    let mut text = String::new();
    for (name, value) in form {
        if !text.is_empty() {
            text.push('&');
        }
        for (at, part) in [name, value].into_iter().enumerate() {
            text.push_str(if at == 0 { "" } else { "=" });
            for byte in part.bytes() {
                if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
                    text.push(char::from(byte));
                } else {
                    write!(text, "%{byte:02X}").expect("a String takes it");
                }
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_and_users_are_encoded() {
        assert_eq!(encode(&[("match[]", "a b"), ("x", "é")]), "match%5B%5D=a%20b&x=%C3%A9");
        let (url, user) = without_user("https://me:p%40ss@host:1/x");
        assert_eq!(url, "https://host:1/x");
        assert_eq!(user, Some(("me".to_owned(), "p@ss".to_owned())));
        assert_eq!(without_user("http://a/b@c").1, None);
    }

    fn response(status: u16, body: &str) -> Response {
        Response { status, headers: Default::default(), body: body.as_bytes().to_vec() }
    }

    #[test]
    fn errors_are_those_of_upstreams_client() {
        let error = |status, body| answer(&response(status, body)).unwrap_err().to_string();
        let refused = r#"{"status":"error","errorType":"bad_data","error":"no"}"#;
        assert_eq!(error(400, refused), "bad_data: no");
        assert_eq!(
            error(503, "Service Unavailable\n"),
            "server_error: server error: 503 (detail: Service Unavailable)"
        );
        assert!(answer(&response(200, r#"{"status":"success","data":[]}"#)).is_ok());
        assert!(error(200, "x").starts_with("bad_response: "));
    }
}
