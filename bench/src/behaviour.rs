//! How a target answers: well, or wrong in one of the ways that scrapers meet.

/// A way of answering, with the words that its `lastError` must have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Behaviour {
    /// The fleet's page with a content length.
    Healthy,
    /// The fleet's page in chunks of 2,048 bytes, as Go's exporters answer.
    Chunked,
    /// Answers after every patience.
    Slow,
    /// Bytes that are no HTTP.
    Garbage,
    /// A page that is no exposition.
    Nonsense,
    /// A body of a gigabyte.
    Gigabyte,
    /// Headers without end.
    EndlessHeaders,
    /// `Content-Encoding: br`.
    WrongEncoding,
    /// `Content-Encoding: gzip` on a body that is not.
    BrokenGzip,
    /// One byte a second.
    Drip,
    /// Status 500.
    Failing,
    /// Closes in the middle of the body.
    Cut,
    /// A chunk size that is no number.
    BadChunk,
    /// Redirects to itself.
    RedirectLoop,
}

/// The ways that must not hurt anybody else. A dead target, that refuses connections, is one more.
pub(crate) const HOSTILE: [Behaviour; 12] = [
    Behaviour::Slow,
    Behaviour::Garbage,
    Behaviour::Nonsense,
    Behaviour::Gigabyte,
    Behaviour::EndlessHeaders,
    Behaviour::WrongEncoding,
    Behaviour::BrokenGzip,
    Behaviour::Drip,
    Behaviour::Failing,
    Behaviour::Cut,
    Behaviour::BadChunk,
    Behaviour::RedirectLoop,
];

impl Behaviour {
    /// First part of the path that asks for this behaviour.
    pub(crate) fn path(self) -> &'static str {
        match self {
            Behaviour::Healthy => "healthy",
            Behaviour::Chunked => "chunked",
            Behaviour::Slow => "slow",
            Behaviour::Garbage => "garbage",
            Behaviour::Nonsense => "nonsense",
            Behaviour::Gigabyte => "gigabyte",
            Behaviour::EndlessHeaders => "endless-headers",
            Behaviour::WrongEncoding => "wrong-encoding",
            Behaviour::BrokenGzip => "broken-gzip",
            Behaviour::Drip => "drip",
            Behaviour::Failing => "failing",
            Behaviour::Cut => "cut",
            Behaviour::BadChunk => "bad-chunk",
            Behaviour::RedirectLoop => "redirect-loop",
        }
    }

    /// The behaviour that `path` asks for.
    pub(crate) fn of_path(path: &str) -> Option<Behaviour> {
        let all = HOSTILE.into_iter().chain([Behaviour::Healthy, Behaviour::Chunked]);
        all.into_iter().find(|behaviour| behaviour.path() == path)
    }

    /// What the operator must be able to read in `lastError`; any one of the words will do.
    pub(crate) fn words(self) -> &'static [&'static str] {
        match self {
            Behaviour::Healthy | Behaviour::Chunked => &[""],
            Behaviour::Slow | Behaviour::Drip => &["deadline"],
            Behaviour::Garbage => &["malformed"],
            Behaviour::Nonsense => &["line 1", "1:", "metric name"],
            Behaviour::Gigabyte => &["body"],
            Behaviour::EndlessHeaders => &["head"],
            Behaviour::WrongEncoding => &["br"],
            Behaviour::BrokenGzip => &["gzip"],
            Behaviour::Failing => &["500"],
            Behaviour::Cut => &["closed", "EOF"],
            Behaviour::BadChunk => &["chunk"],
            Behaviour::RedirectLoop => &["redirect"],
        }
    }
}
