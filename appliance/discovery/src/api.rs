//! API: a service that answers JSON over HTTP, asked as an `http_config` says.
//!
//! Never: takes an answer for good that is not status 200; keeps more of one than its bound.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use client::http::{Answer, Ask, HttpClient, Response};
use scrape::http_options::HttpOptions;
use serde::de::DeserializeOwned;

/// Bytes of one answer.
pub const BODY_BYTES_MAX: u64 = 64 << 20;
/// Bytes of an answer's text that an error repeats.
const SHOWN_BYTES_MAX: usize = 200;

/// A service.
#[derive(Debug)]
pub struct Api {
    client: HttpClient,
    base: String,
    headers: Vec<(String, String)>,
    within: Duration,
}

impl Api {
    /// The service at `base`, a URL that paths are put behind; answers come within `within`.
    #[must_use]
    pub fn new(base: &str, http: &Arc<HttpOptions>, within: Duration) -> Api {
        let client = HttpClient::new(Arc::clone(http));
        let base = base.trim_end_matches('/').to_owned();
        Api { client, base, headers: Vec::new(), within }
    }

    /// The service that listens at a socket of this machine.
    #[must_use]
    pub fn at_socket(path: &Path, within: Duration) -> Api {
        let client = HttpClient::new(Arc::default()).at_socket(path.to_owned());
        Api { client, base: "http://localhost".to_owned(), headers: Vec::new(), within }
    }

    /// The same with a header in every request.
    #[must_use]
    pub fn with_header(mut self, name: &str, value: &str) -> Api {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Asks for a path and query.
    ///
    /// # Errors
    /// There is no answer, or its status is not 200.
    pub async fn get(&mut self, path: &str) -> Result<Response, String> {
        let ask = self.ask(path);
        self.send(ask).await
    }

    /// Sends `body`, which is JSON.
    ///
    /// # Errors
    /// There is no answer, or its status is not 200.
    pub async fn post(&mut self, path: &str, body: Bytes) -> Result<Response, String> {
        let url = format!("{}{path}", self.base);
        let mut ask = Ask::post(&url, "application/json", body, self.within);
        ask.headers.extend(self.headers.iter().cloned());
        self.send(ask).await
    }

    /// Asks for a path and query that answer JSON.
    ///
    /// # Errors
    /// There is no answer, its status is not 200, or it is not what was expected.
    pub async fn json<T: DeserializeOwned>(&mut self, path: &str) -> Result<T, String> {
        let response = self.get(path).await?;
        read(&response.body).map_err(|error| format!("{}{path}: {error}", self.base))
    }

    /// Asks for an answer that has no end.
    ///
    /// # Errors
    /// There is no answer, or its status is not 200; the status stands before the reason.
    pub async fn watch(&mut self, path: &str) -> Result<Answer, (u16, String)> {
        let ask = self.ask(path);
        let opened = self.client.open(&ask).await.map_err(|error| (0, error.to_string()))?;
        match opened.status {
            200 => Ok(opened),
            status => Err((status, status_text(status, b""))),
        }
    }

    fn ask(&self, path: &str) -> Ask {
        let mut ask = Ask::get(&format!("{}{path}", self.base), self.within);
        ask.headers.push(("Accept".to_owned(), "application/json".to_owned()));
        ask.headers.extend(self.headers.iter().cloned());
        ask
    }

    async fn send(&mut self, ask: Ask) -> Result<Response, String> {
        let response =
            self.client.send(&ask, BODY_BYTES_MAX).await.map_err(|error| error.to_string())?;
        match response.status {
            200 => Ok(response),
            status => Err(status_text(status, &response.body)),
        }
    }
}

/// Reads JSON.
///
/// # Errors
/// It is not what was expected.
pub fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, String> {
    serde_json::from_slice(body).map_err(|error| error.to_string())
}

/// The value of a header of `response`, "" when absent.
#[must_use]
pub fn header<'a>(response: &'a Response, name: &str) -> &'a str {
    response.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or("")
}

/// Refuses what does not say that it is JSON.
///
/// # Errors
/// The Content-Type is another one, or another character set.
pub fn check_json(response: &Response) -> Result<(), String> {
    let shown = header(response, "Content-Type");
    let written = shown.trim().to_ascii_lowercase();
    let rest = written.strip_prefix("application/json");
    let rest = rest.map(|rest| rest.strip_prefix(';').map_or(rest, str::trim_start));
    match rest {
        Some("" | "charset=utf-8" | "charset=\"utf-8\"") => Ok(()),
        _ => Err(format!("unsupported content type {}", model::label_name::quote(shown))),
    }
}

fn status_text(status: u16, body: &[u8]) -> String {
    let reason = match status {
        400 => " Bad Request",
        401 => " Unauthorized",
        403 => " Forbidden",
        404 => " Not Found",
        410 => " Gone",
        429 => " Too Many Requests",
        500 => " Internal Server Error",
        502 => " Bad Gateway",
        503 => " Service Unavailable",
        504 => " Gateway Timeout",
        _ => "",
    };
    let text = String::from_utf8_lossy(&body[..body.len().min(SHOWN_BYTES_MAX)]);
    let text = text.lines().next().unwrap_or("").trim();
    let colon = if text.is_empty() { "" } else { ": " };
    format!("server returned HTTP status {status}{reason}{colon}{text}")
}
