//! A small HTTP client of the servers under measurement.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context as _, bail};
use serde_json::Value;

/// Nothing here answers more slowly and is still worth measuring.
const PATIENCE: Duration = Duration::from_secs(60);

/// Status and body of an answer.
pub(crate) struct Answer {
    /// HTTP status.
    pub(crate) status: u16,
    /// Body as it came.
    pub(crate) body: String,
}

/// GETs `path` of the server at `address`.
pub(crate) fn get(address: &str, path: &str) -> anyhow::Result<Answer> {
    ask(address, &format!("GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n"), &[])
}

/// POSTs `body` to `path` of the server at `address`; `headers` are lines with their ends.
pub(crate) fn post(
    address: &str,
    path: &str,
    headers: &str,
    body: &[u8],
) -> anyhow::Result<Answer> {
    let length = body.len();
    let head = format!(
        "POST {path} HTTP/1.0\r\nHost: {address}\r\nContent-Length: {length}\r\n{headers}\r\n"
    );
    ask(address, &head, body)
}

fn ask(address: &str, head: &str, body: &[u8]) -> anyhow::Result<Answer> {
    let mut stream = TcpStream::connect(address).context("connect")?;
    stream.set_read_timeout(Some(PATIENCE)).context("set a deadline")?;
    stream.set_write_timeout(Some(PATIENCE)).context("set a deadline")?;
    stream.write_all(head.as_bytes()).context("send the request")?;
    stream.write_all(body).context("send the request")?;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).context("read the answer")?;
    let text = String::from_utf8(bytes).context("the answer is not UTF-8")?;
    let (head, body) = text.split_once("\r\n\r\n").context("the answer has no head")?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    Ok(Answer { status: status.context("the answer has no status")?, body: body.to_owned() })
}

/// `data` of the JSON answer to `path`.
pub(crate) fn api(address: &str, path: &str) -> anyhow::Result<Value> {
    let answer = get(address, path)?;
    let mut json: Value = serde_json::from_str(&answer.body)
        .with_context(|| format!("{path} answered {} {:.200}", answer.status, answer.body))?;
    if json["status"] != "success" {
        bail!("{path} answered {json}");
    }
    Ok(json["data"].take())
}

/// Result array of an instant query at the server's present.
pub(crate) fn query(address: &str, expression: &str) -> anyhow::Result<Vec<Value>> {
    result_of(address, expression, format!("query={}", percent_encode(expression)))
}

/// Result array of an instant query at `at_ms`.
pub(crate) fn query_at(address: &str, expression: &str, at_ms: u64) -> anyhow::Result<Vec<Value>> {
    let seconds = format!("{}.{:03}", at_ms / 1000, at_ms % 1000);
    let parameters = format!("time={seconds}&query={}", percent_encode(expression));
    result_of(address, expression, parameters)
}

fn result_of(address: &str, expression: &str, parameters: String) -> anyhow::Result<Vec<Value>> {
    let mut answer = api(address, &format!("/api/v1/query?{parameters}"))?;
    match answer["result"].take() {
        Value::Array(result) => Ok(result),
        other => bail!("{expression} gave {other}"),
    }
}

/// The value of an instant query that gives one series; `None` when it gives none.
pub(crate) fn query_one(address: &str, expression: &str) -> anyhow::Result<Option<f64>> {
    one_of(&query(address, expression)?)
}

/// The value of the only series of `result`; `None` when there is none.
pub(crate) fn one_of(result: &[Value]) -> anyhow::Result<Option<f64>> {
    let Some(first) = result.first() else { return Ok(None) };
    let value = first["value"][1].as_str().context("a vector element has a value")?;
    Ok(Some(value.parse().context("a value is a number")?))
}

/// Sum of the series of metric `name` on the `/metrics` page; `None` when it is not there.
pub(crate) fn metric(address: &str, name: &str) -> anyhow::Result<Option<f64>> {
    let page = get(address, "/metrics")?.body;
    Ok(metric_of(&page, name))
}

fn metric_of(page: &str, name: &str) -> Option<f64> {
    let values = page.lines().filter_map(|line| {
        let rest = line.strip_prefix(name)?;
        if !rest.starts_with('{') && !rest.starts_with(' ') {
            return None;
        }
        rest.rsplit(' ').next()?.parse::<f64>().ok()
    });
    values.reduce(|sum, value| sum + value)
}

/// As a value of a URL's query.
pub(crate) fn percent_encode(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_of_a_page_are_summed_by_exact_name() {
        let page = "# TYPE a counter\na{x=\"1\"} 2\na{x=\"2\"} 3\nab 5\nc 1e3\n";
        assert_eq!(metric_of(page, "a"), Some(5.0));
        assert_eq!(metric_of(page, "c"), Some(1000.0));
        assert_eq!(metric_of(page, "b"), None);
    }

    #[test]
    fn expressions_are_percent_encoded() {
        assert_eq!(percent_encode("a{b=\"c\"}[5m]"), "a%7Bb%3D%22c%22%7D%5B5m%5D");
    }
}
