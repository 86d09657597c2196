//! Failure: why a request has no data, as Prometheus's error types and statuses.

use std::fmt;

/// Error types of the HTTP API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The request makes no sense: a parameter is missing or wrong.
    BadData,
    /// The query was understood and failed.
    Execution,
    /// The query was cancelled before it was done.
    Canceled,
    /// The query passed its deadline, or waited too long for its turn.
    Timeout,
    /// The server failed.
    Internal,
    /// The part that should answer is off or not ready.
    Unavailable,
    /// There is no such thing.
    NotFound,
}

impl Kind {
    /// Text of `errorType`.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Kind::BadData => "bad_data",
            Kind::Execution => "execution",
            Kind::Canceled => "canceled",
            Kind::Timeout => "timeout",
            Kind::Internal => "internal",
            Kind::Unavailable => "unavailable",
            Kind::NotFound => "not_found",
        }
    }

    /// Status code of the answer. 499 is nginx's "client closed request", which Prometheus uses.
    #[must_use]
    pub fn status(self) -> u16 {
        match self {
            Kind::BadData => 400,
            Kind::Execution => 422,
            Kind::Canceled => 499,
            Kind::Timeout => 503,
            Kind::Internal | Kind::Unavailable => 500,
            Kind::NotFound => 404,
        }
    }
}

/// A failed request: what kind, and the text of `error`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Decides `errorType` and the status.
    pub kind: Kind,
    /// What went wrong, for people.
    pub text: String,
}

impl Failure {
    /// Failure of `kind` with `text`.
    pub fn new(kind: Kind, text: impl Into<String>) -> Failure {
        Failure { kind, text: text.into() }
    }

    /// A request that makes no sense.
    pub fn bad_data(text: impl Into<String>) -> Failure {
        Failure::new(Kind::BadData, text)
    }

    /// A parameter that cannot be read, in Prometheus's words.
    pub fn parameter(name: &str, reason: impl fmt::Display) -> Failure {
        Failure::bad_data(format!("invalid parameter \"{name}\": {reason}"))
    }
}
