//! Request id: names one request, in the log and in the answer's head.
//!
//! Path: `web` → **request id** → the log and `X-Request-Id`.
//! Never: takes from a client what would break a line of the log.

use std::sync::atomic::{AtomicU64, Ordering};

use hyper::header::{HeaderMap, HeaderName, HeaderValue};

/// Name of the header.
pub const HEADER: HeaderName = HeaderName::from_static("x-request-id");
/// Most characters of an id that a client gives.
const CHARACTERS_MAX: usize = 64;

/// Gives ids.
#[derive(Debug, Default)]
pub struct RequestIds {
    /// Sets the ids of this process apart from those of the one before.
    began: u64,
    next: AtomicU64,
}

impl RequestIds {
    /// Ids of a process that began at `began`.
    #[must_use]
    pub fn new(began: u64) -> RequestIds {
        RequestIds { began, next: AtomicU64::new(1) }
    }

    /// The id of a request: the client's own, so that its log and ours can be joined, else a new
    /// one.
    pub fn of(&self, headers: &HeaderMap) -> HeaderValue {
        let given = headers.get(HEADER).filter(|value| is_harmless(value.as_bytes()));
        given.cloned().unwrap_or_else(|| {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            let text = format!("{:x}-{number:x}", self.began);
            HeaderValue::from_str(&text).expect("digits and a dash are no control characters")
        })
    }
}

fn is_harmless(id: &[u8]) -> bool {
    let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.:/=+".contains(byte);
    !id.is_empty() && id.len() <= CHARACTERS_MAX && id.iter().all(is_part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_harmless_id_is_kept_and_another_made_anew() {
        let ids = RequestIds::new(0xabc);
        let of = |given: &str| {
            let mut headers = HeaderMap::new();
            if !given.is_empty() {
                headers.insert(HEADER, HeaderValue::from_str(given).expect("a value"));
            }
            ids.of(&headers).to_str().expect("text").to_owned()
        };
        assert_eq!(of("0af7651916cd-43"), "0af7651916cd-43");
        assert_eq!(of(""), "abc-1");
        assert_eq!(of("a b\"c"), "abc-2");
        assert_eq!(of(&"x".repeat(65)), "abc-3");
    }
}
