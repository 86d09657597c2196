//! Gate: asks for user and password before a request goes on.
//!
//! Path: `web` → **gate** → `api`'s router.
//! Owns: the verified pairs that are remembered, and how many are verified at once.
//! Never: says whether it was the user or the password that is wrong, by text or by time.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::body::Body;
use axum::response::Response;
use client::base64::decode;
use hyper::StatusCode;
use hyper::header::{self, HeaderMap, HeaderValue};
use tokio::sync::{Semaphore, watch};

use crate::web_config::Access;

/// Pairs that are remembered (upstream's bound).
const PAIRS_MAX: usize = 100;
/// Passwords hashed at once: each takes a processor for a tenth of a second.
const HASHING_MAX: usize = 2;
/// Bytes of user and password together.
const PAIR_BYTES_MAX: usize = 1024;
/// The hash that an unknown user's password is compared with, so that it takes as long.
const NOBODY: &str = "$2b$10$QOauhQNbBCuQDKes6eFzPeMqBSjb7Mr5DUmpZ/VcEd00UAV/LDeSi";

/// A user, a password and the hash that it was verified by.
type Pair = (String, String, String);

/// The gate before all requests.
#[derive(Clone, Debug)]
pub struct Gate {
    verified: watch::Sender<VecDeque<Pair>>,
    hashing: Arc<Semaphore>,
    refused: Arc<AtomicU64>,
}

impl Gate {
    /// A gate that counts in `refused` who may not go on.
    #[must_use]
    pub fn new(refused: Arc<AtomicU64>) -> Gate {
        Gate {
            verified: watch::Sender::new(VecDeque::new()),
            hashing: Arc::new(Semaphore::new(HASHING_MAX)),
            refused,
        }
    }

    /// Whether a request with these headers may go on; else its answer.
    ///
    /// # Errors
    /// The answer to one that may not.
    pub async fn admit(&self, access: &Access, headers: &HeaderMap) -> Result<(), Box<Response>> {
        if access.users.is_empty() {
            return Ok(());
        }
        if let Some((user, password)) = pair(headers)
            && self.is_right(access, user, password).await
        {
            return Ok(());
        }
        self.refused.fetch_add(1, Ordering::Relaxed);
        Err(Box::new(unauthorized()))
    }

    async fn is_right(&self, access: &Access, user: String, password: String) -> bool {
        let known = access.users.get(&user);
        let hash = known.map_or(NOBODY, String::as_str).to_owned();
        let pair = (user, password, hash);
        if known.is_some() && self.verified.borrow().contains(&pair) {
            return true;
        }
        let Ok(_turn) = self.hashing.acquire().await else { return false };
        let (_, password, hash) = pair.clone();
        let verify = move || bcrypt::verify(password, &hash).unwrap_or(false);
        let is_right = tokio::task::spawn_blocking(verify).await.unwrap_or(false);
        if is_right && known.is_some() {
            self.verified.send_modify(|verified| {
                if verified.len() == PAIRS_MAX {
                    verified.pop_front();
                }
                verified.push_back(pair);
            });
            return true;
        }
        false
    }
}

/// User and password of the `Authorization` header.
fn pair(headers: &HeaderMap) -> Option<(String, String)> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, encoded) = value.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") || 2 * PAIR_BYTES_MAX < encoded.len() {
        return None;
    }
    let text = String::from_utf8(decode(encoded.trim())?).ok()?;
    let (user, password) = text.split_once(':')?;
    Some((user.to_owned(), password.to_owned()))
}

fn unauthorized() -> Response {
    let mut response = Response::new(Body::from("Unauthorized\n"));
    *response.status_mut() = StatusCode::UNAUTHORIZED;
    response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Basic"));
    response
}
