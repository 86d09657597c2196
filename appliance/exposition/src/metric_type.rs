//! Type of a metric family, as `# TYPE` declares it.

/// Type of a metric family.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum MetricType {
    /// `untyped`, or no `# TYPE` so far.
    #[default]
    Unknown,
    /// `counter`
    Counter,
    /// `gauge`
    Gauge,
    /// `histogram`: `_bucket` (label `le`), `_sum`, `_count`.
    Histogram,
    /// `summary`: quantiles (label `quantile`), `_sum`, `_count`.
    Summary,
}

impl MetricType {
    /// The type that `text` names in the text format; `None` for any other word.
    #[must_use]
    pub fn from_text(text: &[u8]) -> Option<MetricType> {
        match text {
            b"counter" => Some(MetricType::Counter),
            b"gauge" => Some(MetricType::Gauge),
            b"histogram" => Some(MetricType::Histogram),
            b"summary" => Some(MetricType::Summary),
            b"untyped" => Some(MetricType::Unknown),
            _ => None,
        }
    }

    /// The word the text format has for it.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            MetricType::Unknown => "untyped",
            MetricType::Counter => "counter",
            MetricType::Gauge => "gauge",
            MetricType::Histogram => "histogram",
            MetricType::Summary => "summary",
        }
    }

    /// The word the metadata API has for it.
    #[must_use]
    pub fn api_text(self) -> &'static str {
        if self == MetricType::Unknown { "unknown" } else { self.text() }
    }

    /// The label whose value is a float and is kept in float form, if the type has one.
    #[must_use]
    pub fn float_label(self) -> Option<&'static str> {
        match self {
            MetricType::Histogram => Some("le"),
            MetricType::Summary => Some("quantile"),
            MetricType::Unknown | MetricType::Counter | MetricType::Gauge => None,
        }
    }
}
