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
    /// `gaugehistogram`: `_bucket` (label `le`), `_gsum`, `_gcount`; it may fall.
    GaugeHistogram,
    /// `info`: `_info`, always 1.
    Info,
    /// `stateset`: one series a state, 0 or 1.
    StateSet,
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

    /// The type that `text` names in OpenMetrics; `None` for any other word.
    #[must_use]
    pub fn from_openmetrics(text: &[u8]) -> Option<MetricType> {
        match text {
            b"unknown" => Some(MetricType::Unknown),
            b"gaugehistogram" => Some(MetricType::GaugeHistogram),
            b"info" => Some(MetricType::Info),
            b"stateset" => Some(MetricType::StateSet),
            b"untyped" => None,
            other => MetricType::from_text(other),
        }
    }

    /// The word the text format has for it; the word OpenMetrics has where the text format has
    /// none.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            MetricType::Unknown => "untyped",
            MetricType::Counter => "counter",
            MetricType::Gauge => "gauge",
            MetricType::Histogram => "histogram",
            MetricType::Summary => "summary",
            MetricType::GaugeHistogram => "gaugehistogram",
            MetricType::Info => "info",
            MetricType::StateSet => "stateset",
        }
    }

    /// The word OpenMetrics and the metadata API have for it.
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
            _ => None,
        }
    }

    /// Whether its series count from a moment on, which `_created` tells.
    #[must_use]
    pub fn counts(self) -> bool {
        matches!(self, MetricType::Counter | MetricType::Histogram | MetricType::Summary)
    }

    /// Endings that the series of a family of this type have, in OpenMetrics.
    #[must_use]
    pub fn suffixes(self) -> &'static [&'static str] {
        match self {
            MetricType::Counter => &["_total", "_created"],
            MetricType::Summary => &["", "_count", "_sum", "_created"],
            MetricType::Histogram => &["_count", "_sum", "_bucket", "_created"],
            MetricType::GaugeHistogram => &["_gcount", "_gsum", "_bucket"],
            MetricType::Info => &["_info"],
            MetricType::Unknown | MetricType::Gauge | MetricType::StateSet => &[""],
        }
    }

    /// Whether no series of the family bears its bare name.
    #[must_use]
    pub fn is_suffixed(self) -> bool {
        !self.suffixes().contains(&"")
    }

    /// `name` without the ending that a series of this type has.
    pub(crate) fn stem(self, name: &[u8]) -> &[u8] {
        let endings = self.suffixes().iter().filter(|suffix| !suffix.is_empty());
        endings.filter_map(|suffix| name.strip_suffix(suffix.as_bytes())).next().unwrap_or(name)
    }
}
