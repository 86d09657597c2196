//! Dialects of the text format, and the parser of either.

use crate::entry::Entry;
use crate::error::TextError;
use crate::metric_type::MetricType;
use crate::openmetrics::parser::OpenMetricsParser;
use crate::text::TextParser;

/// A format whose bodies are lines of text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// Prometheus text, 0.0.4 and 1.0.0.
    #[default]
    Text,
    /// OpenMetrics text, 0.0.1 and 1.0.0.
    OpenMetrics,
}

/// Entries of a body in order. After an error it is at its end.
#[derive(Clone, Debug)]
pub enum DialectParser<'a> {
    /// Of Prometheus text.
    Text(TextParser<'a>),
    /// Of OpenMetrics text.
    OpenMetrics(OpenMetricsParser<'a>),
}

impl<'a> DialectParser<'a> {
    /// Entries of `body`.
    #[must_use]
    pub fn new(dialect: Dialect, body: &'a [u8]) -> DialectParser<'a> {
        DialectParser::resume(dialect, body, 0, MetricType::Unknown)
    }

    /// Entries of `body` from byte `at` on, where a line begins below a `# TYPE` of `metric_type`.
    #[must_use]
    pub fn resume(
        dialect: Dialect,
        body: &'a [u8],
        at: usize,
        metric_type: MetricType,
    ) -> DialectParser<'a> {
        match dialect {
            Dialect::Text => DialectParser::Text(TextParser::resume(body, at, metric_type)),
            Dialect::OpenMetrics => {
                DialectParser::OpenMetrics(OpenMetricsParser::resume(body, at, metric_type))
            }
        }
    }

    /// Byte behind the last entry and its line end.
    #[must_use]
    pub fn position(&self) -> usize {
        match self {
            DialectParser::Text(parser) => parser.position(),
            DialectParser::OpenMetrics(parser) => parser.position(),
        }
    }
}

impl<'a> Iterator for DialectParser<'a> {
    type Item = Result<Entry<'a>, TextError>;

    fn next(&mut self) -> Option<Result<Entry<'a>, TextError>> {
        match self {
            DialectParser::Text(parser) => parser.next(),
            DialectParser::OpenMetrics(parser) => parser.next(),
        }
    }
}
