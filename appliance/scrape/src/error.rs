//! Error: why a scrape failed; the text is the target's `lastError`, in upstream's words.

use std::sync::Arc;

use exposition::error::{BodyError, TextError};
use exposition::native::NativeError;
use model::label_name::quote;
use model::label_set::LabelSet;
use storage::store::{LimitError, RowError};
use thiserror::Error;

use crate::fetch::FetchFault;

/// Characters of a name or value that an error repeats, as upstream's `%.50s`.
const EXCERPT_CHARS: usize = 50;

/// Why a scrape failed. None of its samples is stored, except where a variant says otherwise.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum ScrapeError {
    /// The configuration forbids the scrape, e.g. `target_limit`.
    #[error("{0}")]
    Forced(Arc<str>),
    /// There is no response.
    #[error("{}", fetch_text(.url, .fault))]
    Fetch {
        /// What was asked.
        url: String,
        /// Why nothing came.
        fault: FetchFault,
    },
    /// The response is not 200.
    #[error("server returned HTTP status {code} {reason}")]
    Status {
        /// Status code.
        code: u16,
        /// Its usual phrase.
        reason: &'static str,
    },
    /// No Content-Type.
    #[error(
        "non-compliant scrape target sending blank Content-Type and no fallback_scrape_protocol \
         specified for target"
    )]
    ContentTypeBlank,
    /// A Content-Type that is none.
    #[error(
        "cannot parse Content-Type {} and no fallback_scrape_protocol for target",
        quote(.0)
    )]
    ContentTypeMalformed(String),
    /// A Content-Type that is not read.
    #[error(
        "received unsupported Content-Type {} and no fallback_scrape_protocol specified for target",
        quote(.0)
    )]
    ContentTypeUnsupported(String),
    /// The body is not in the format.
    #[error(transparent)]
    Body(#[from] BodyError),
    /// A series text is none.
    #[error(transparent)]
    Text(#[from] TextError),
    /// A series without name after metric relabelling.
    #[error("missing metric name (__name__ label)")]
    NameMissing,
    /// A name that the scheme forbids.
    #[error("invalid metric name or label names: {0}")]
    Name(LabelSet),
    /// `sample_limit` passed.
    #[error("sample limit exceeded")]
    SampleLimit,
    /// A native histogram is none.
    #[error(transparent)]
    Native(#[from] NativeError),
    /// `native_histogram_bucket_limit` passed.
    #[error("histogram bucket limit exceeded")]
    BucketLimit,
    /// `label_limit` passed.
    #[error(
        "label_limit exceeded (metric: {}, number of labels: {labels}, limit: {limit})",
        excerpt(.metric)
    )]
    LabelLimit {
        /// Metric name.
        metric: String,
        /// Labels it has.
        labels: u64,
        /// Labels it may have.
        limit: u64,
    },
    /// `label_name_length_limit` passed.
    #[error(
        "label_name_length_limit exceeded (metric: {}, label name: {}, length: {}, limit: {limit})",
        excerpt(.metric),
        excerpt(.name),
        .name.len()
    )]
    NameLength {
        /// Metric name.
        metric: String,
        /// The label's name.
        name: String,
        /// Bytes it may have.
        limit: u64,
    },
    /// `label_value_length_limit` passed.
    #[error(
        "label_value_length_limit exceeded (metric: {}, label name: {}, value: {}, length: {}, \
         limit: {limit})",
        excerpt(.metric),
        excerpt(.name),
        quote(excerpt(.value)),
        .value.len()
    )]
    ValueLength {
        /// Metric name.
        metric: String,
        /// The label's name.
        name: String,
        /// The label's value.
        value: String,
        /// Bytes it may have.
        limit: u64,
    },
    /// Too many distinct timestamps in the body for the memory set aside.
    #[error("samples with timestamps of their own need {cells} cells, limit {limit}")]
    TimedCells {
        /// Cells that the rows would have.
        cells: usize,
        /// Cells they may have.
        limit: usize,
    },
    /// Storage takes no more groups or series.
    #[error("storage refused the series: {0}")]
    Series(#[from] LimitError),
    /// Storage refused the row. When it was a row of samples with timestamps of their own, the
    /// others are stored.
    #[error("storage refused the row: {0}")]
    Row(#[from] RowError),
}

impl ScrapeError {
    /// Whether it is what the body held that fails the scrape.
    #[must_use]
    pub fn is_of_body(&self) -> bool {
        match self {
            ScrapeError::Body(_)
            | ScrapeError::Text(_)
            | ScrapeError::NameMissing
            | ScrapeError::Name(_)
            | ScrapeError::SampleLimit
            | ScrapeError::Native(_)
            | ScrapeError::BucketLimit
            | ScrapeError::LabelLimit { .. }
            | ScrapeError::NameLength { .. }
            | ScrapeError::ValueLength { .. } => true,
            ScrapeError::Forced(_)
            | ScrapeError::Fetch { .. }
            | ScrapeError::Status { .. }
            | ScrapeError::ContentTypeBlank
            | ScrapeError::ContentTypeMalformed(_)
            | ScrapeError::ContentTypeUnsupported(_)
            | ScrapeError::TimedCells { .. }
            | ScrapeError::Series(_)
            | ScrapeError::Row(_) => false,
        }
    }
}

fn fetch_text(url: &str, fault: &FetchFault) -> String {
    if fault.is_before_response() {
        format!("Get {}: {fault}", quote(url))
    } else {
        fault.to_string()
    }
}

fn excerpt(text: &str) -> &str {
    text.char_indices().nth(EXCERPT_CHARS).map_or(text, |(end, _)| &text[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_upstreams() {
        let url = "http://a:1/metrics".to_owned();
        let fault = FetchFault::Deadline;
        assert_eq!(
            ScrapeError::Fetch { url, fault }.to_string(),
            "Get \"http://a:1/metrics\": context deadline exceeded"
        );
        let error = ScrapeError::ValueLength {
            metric: "m".repeat(60),
            name: "n".to_owned(),
            value: "v".repeat(51),
            limit: 10,
        };
        let (metric, value) = ("m".repeat(50), "v".repeat(50));
        assert_eq!(
            error.to_string(),
            format!(
                "label_value_length_limit exceeded (metric: {metric}, label name: n, value: \
                 \"{value}\", length: 51, limit: 10)"
            )
        );
    }
}
