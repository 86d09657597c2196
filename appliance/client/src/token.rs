//! Token: OAuth2 tokens by client credentials (RFC 6749, section 4.4), kept until they expire.
//!
//! Never: asks while a token lasts, keeps one that its secret did not give.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::{Method, Request, StatusCode};
use scrape::http_options::OAuth2;
use tokio::time::{Instant, timeout};

use crate::base64;
use crate::proxy::Proxies;
use crate::secret;
use crate::tls::{Material, Tls};
use crate::transport::{Route, Transport};

/// A token is asked for anew so long before it expires (Go's figure).
const EARLY: Duration = Duration::from_secs(10);
/// Longest that the token server may take.
const ANSWER_MAX: Duration = Duration::from_secs(30);
/// Most bytes of its answer (Go's figure).
const ANSWER_BYTES_MAX: usize = 1 << 20;
/// Most characters of an answer that an error repeats.
const EXCERPT_CHARS: usize = 200;

/// Tokens of one `oauth2`.
#[derive(Debug, Default)]
pub struct Tokens {
    kept: Option<Kept>,
    transport: Option<(Material, Transport)>,
    /// The server wants the credentials in the form instead of the header.
    in_form: bool,
}

#[derive(Debug)]
struct Kept {
    header: String,
    secret: String,
    until: Option<Instant>,
}

impl Tokens {
    /// The value of the Authorization header; asked of the server when the last one has expired or
    /// the secret has changed.
    ///
    /// # Errors
    /// No token was given, in upstream's words.
    pub async fn header(&mut self, options: &OAuth2) -> Result<String, String> {
        let secret = secret::read(&options.client_secret)
            .map_err(|cause| format!("unable to read oauth2 client secret: {cause}"))?;
        if let Some(kept) = &self.kept
            && kept.secret == secret
            && kept.until.is_none_or(|until| Instant::now() + EARLY < until)
        {
            return Ok(kept.header.clone());
        }
        self.kept = None;
        let transport = self.transport(options)?;
        let asked = ask(&transport, options, &secret, &mut self.in_form);
        let (header, seconds) = match timeout(ANSWER_MAX, asked).await {
            Err(_) => return Err("oauth2: cannot fetch token: context deadline exceeded".into()),
            Ok(answer) => answer?,
        };
        let until = seconds.map(|seconds| Instant::now() + Duration::from_secs(seconds));
        self.kept = Some(Kept { header: header.clone(), secret, until });
        Ok(header)
    }

    /// When the kept token is to be replaced; `None` when there is none or it does not expire.
    #[must_use]
    pub fn replace_at(&self) -> Option<Instant> {
        self.kept.as_ref()?.until.and_then(|until| until.checked_sub(EARLY))
    }

    fn transport(&mut self, options: &OAuth2) -> Result<Transport, String> {
        let material = Material::read(&options.tls)?;
        if let Some((known, transport)) = &self.transport
            && *known == material
        {
            return Ok(transport.clone());
        }
        let route = Route {
            tls: Arc::new(Tls::new(&options.tls, &material)?),
            proxies: Arc::new(Proxies::new(&options.proxy, |name| std::env::var(name).ok())?),
            http2: true,
            socket: None,
        };
        let transport = Transport::new(route);
        self.transport = Some((material, transport.clone()));
        Ok(transport)
    }
}

/// Asks for a token, credentials in the header and, when that is refused, in the form, as Go does
/// where it does not know which one the server wants.
async fn ask(
    transport: &Transport,
    options: &OAuth2,
    secret: &str,
    in_form: &mut bool,
) -> Result<(String, Option<u64>), String> {
    let first = ask_once(transport, options, secret, *in_form).await;
    let Err(refusal) = first else { return first };
    let second = ask_once(transport, options, secret, !*in_form).await;
    if second.is_ok() {
        *in_form = !*in_form;
        return second;
    }
    Err(refusal)
}

async fn ask_once(
    transport: &Transport,
    options: &OAuth2,
    secret: &str,
    in_form: bool,
) -> Result<(String, Option<u64>), String> {
    let mut form = vec![("grant_type", "client_credentials".to_owned())];
    if !options.scopes.is_empty() {
        form.push(("scope", options.scopes.join(" ")));
    }
    let params = options.endpoint_params.iter();
    form.extend(params.map(|(name, value)| (name.as_str(), value.0.clone())));
    let mut request = Request::builder()
        .method(Method::POST)
        .uri(&options.token_url)
        .header("Content-Type", "application/x-www-form-urlencoded");
    if in_form {
        form.push(("client_id", options.client_id.clone()));
        form.push(("client_secret", secret.to_owned()));
    } else {
        let pair = format!("{}:{}", encode(&options.client_id), encode(secret));
        let value = format!("Basic {}", base64::encode(pair.as_bytes()));
        request = request.header("Authorization", value);
    }
    let pairs = form.iter().map(|(name, value)| format!("{}={}", encode(name), encode(value)));
    let body = pairs.collect::<Vec<_>>().join("&");
    let request = request
        .body(Full::new(Bytes::from(body)))
        .map_err(|cause| format!("oauth2: invalid token_url: {cause}"))?;
    let failed = |cause: String| {
        format!("oauth2: cannot fetch token: Post \"{}\": {cause}", options.token_url)
    };
    let response = transport.send(request).await.map_err(|fault| failed(fault.to_string()))?;
    let status = response.status();
    let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await;
    let body = body.map_err(|cause| failed(cause.to_string()))?.to_bytes();
    read_answer(status, &body)
}

/// The header and how many seconds it lasts.
fn read_answer(status: StatusCode, body: &[u8]) -> Result<(String, Option<u64>), String> {
    let answer: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
    let text = |name: &str| answer.get(name).and_then(|value| value.as_str());
    if let Some(code) = text("error") {
        let description = text("error_description").map(|text| format!(" {text:?}"));
        return Err(format!("oauth2: {code:?}{}", description.unwrap_or_default()));
    }
    if !status.is_success() {
        let excerpt: String = String::from_utf8_lossy(body).chars().take(EXCERPT_CHARS).collect();
        return Err(format!("oauth2: cannot fetch token: {status}\nResponse: {excerpt}"));
    }
    let token = text("access_token").filter(|token| !token.is_empty());
    let token = token.ok_or("oauth2: server response missing access_token")?;
    if token.chars().any(char::is_control) {
        return Err("oauth2: the token has characters that no header may have".to_owned());
    }
    let kind = match text("token_type").unwrap_or_default() {
        kind if kind.is_empty() || kind.eq_ignore_ascii_case("bearer") => "Bearer",
        kind if kind.chars().all(|c| c.is_ascii_graphic()) => kind,
        _ => return Err("oauth2: invalid token_type".to_owned()),
    };
    let seconds = answer.get("expires_in").and_then(|value| match value {
        serde_json::Value::String(text) => text.parse().ok(),
        other => other.as_u64(),
    });
    Ok((format!("{kind} {token}"), seconds.filter(|seconds| *seconds != 0)))
}

/// `text` as forms write it (Go's `url.QueryEscape`).
fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b' ' => encoded.push('+'),
            byte if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) => {
                encoded.push(char::from(byte));
            }
            byte => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(status: u16, body: &str, expected: &str) {
        let status = StatusCode::from_u16(status).unwrap();
        let shown = match read_answer(status, body.as_bytes()) {
            Ok((header, seconds)) => format!("{header} {seconds:?}"),
            Err(error) => error,
        };
        assert_eq!(shown, expected);
    }

    #[test]
    fn answers_are_read_as_go_reads_them() {
        check(
            200,
            r#"{"access_token":"t","token_type":"bearer","expires_in":60}"#,
            "Bearer t Some(60)",
        );
        check(
            200,
            r#"{"access_token":"t","token_type":"MAC","expires_in":"60"}"#,
            "MAC t Some(60)",
        );
        check(200, r#"{"access_token":"t"}"#, "Bearer t None");
        check(200, "{}", "oauth2: server response missing access_token");
        check(
            400,
            r#"{"error":"invalid_client","error_description":"who"}"#,
            "oauth2: \"invalid_client\" \"who\"",
        );
        check(502, "oops", "oauth2: cannot fetch token: 502 Bad Gateway\nResponse: oops");
        check(
            200,
            "{\"access_token\":\"a\\r\\nX: y\"}",
            "oauth2: the token has characters that no header may have",
        );
    }

    #[test]
    fn forms_are_encoded() {
        assert_eq!(encode("a b&c=é~"), "a+b%26c%3D%C3%A9~");
    }
}
