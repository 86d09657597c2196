//! Protocol: the formats that a job asks for, and how a request names them.
//!
//! Path: configuration → `job` → **protocol** → the Accept header; `response` → the format.

use exposition::body::Format;
use exposition::dialect::Dialect;

/// A format that a target may be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// `PrometheusProto`
    Protobuf,
    /// `OpenMetricsText1.0.0`
    OpenMetrics1,
    /// `OpenMetricsText0.0.1`
    OpenMetrics0,
    /// `PrometheusText1.0.0`
    Text1,
    /// `PrometheusText0.0.4`
    Text0,
}

/// What targets are asked for unless the job says otherwise, most wanted first.
pub const DEFAULT: [Protocol; 4] =
    [Protocol::OpenMetrics1, Protocol::OpenMetrics0, Protocol::Text1, Protocol::Text0];

/// What targets are asked for where native histograms are scraped.
pub const NATIVE: [Protocol; 5] = [
    Protocol::Protobuf,
    Protocol::OpenMetrics1,
    Protocol::OpenMetrics0,
    Protocol::Text1,
    Protocol::Text0,
];

impl Protocol {
    /// All, by name.
    pub const ALL: [Protocol; 5] = [
        Protocol::OpenMetrics0,
        Protocol::OpenMetrics1,
        Protocol::Protobuf,
        Protocol::Text0,
        Protocol::Text1,
    ];

    /// Its name in the configuration.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Protocol::Protobuf => "PrometheusProto",
            Protocol::OpenMetrics1 => "OpenMetricsText1.0.0",
            Protocol::OpenMetrics0 => "OpenMetricsText0.0.1",
            Protocol::Text1 => "PrometheusText1.0.0",
            Protocol::Text0 => "PrometheusText0.0.4",
        }
    }

    /// The protocol of this name.
    #[must_use]
    pub fn find(name: &str) -> Option<Protocol> {
        Protocol::ALL.into_iter().find(|protocol| protocol.name() == name)
    }

    /// How a body of it is read.
    #[must_use]
    pub fn format(self) -> Format {
        match self {
            Protocol::Protobuf => Format::Protobuf,
            Protocol::OpenMetrics1 | Protocol::OpenMetrics0 => Format::Text(Dialect::OpenMetrics),
            Protocol::Text1 | Protocol::Text0 => Format::Text(Dialect::Text),
        }
    }

    fn media_type(self) -> &'static str {
        match self {
            Protocol::Protobuf => concat!(
                "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;",
                "encoding=delimited"
            ),
            Protocol::OpenMetrics1 => "application/openmetrics-text;version=1.0.0",
            Protocol::OpenMetrics0 => "application/openmetrics-text;version=0.0.1",
            Protocol::Text1 => "text/plain;version=1.0.0",
            Protocol::Text0 => "text/plain;version=0.0.4",
        }
    }
}

/// What a target is to do with names that are not of the classic alphabet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Escaping {
    /// Send them as they are.
    #[default]
    AllowUtf8,
    /// Write `_` for what is not classic.
    Underscores,
    /// As `Underscores`, but `.` becomes `_dot_` and `_` two of them.
    Dots,
    /// Write each character by its number, `U__` before the name.
    Values,
}

impl Escaping {
    /// All, in the order of upstream's errors.
    pub const ALL: [Escaping; 4] =
        [Escaping::AllowUtf8, Escaping::Underscores, Escaping::Dots, Escaping::Values];

    /// Its name in the configuration and in headers.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Escaping::AllowUtf8 => "allow-utf-8",
            Escaping::Underscores => "underscores",
            Escaping::Dots => "dots",
            Escaping::Values => "values",
        }
    }

    /// The scheme of this name.
    #[must_use]
    pub fn find(name: &str) -> Option<Escaping> {
        Escaping::ALL.into_iter().find(|escaping| escaping.name() == name)
    }
}

/// Value of the Accept header: the protocols with falling weights, then anything at all.
#[must_use]
pub fn accept(protocols: &[Protocol], escaping: Escaping) -> String {
    let mut header = String::new();
    let mut weight = Protocol::ALL.len() + 1;
    for protocol in protocols {
        header.push_str(protocol.media_type());
        if matches!(protocol, Protocol::Text1 | Protocol::OpenMetrics1) {
            header.push_str(";escaping=");
            header.push_str(escaping.name());
        }
        header.push_str(&format!(";q=0.{weight},"));
        weight = weight.saturating_sub(1);
    }
    header + &format!("*/*;q=0.{weight}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accept_has_upstreams_words_and_weights() {
        assert_eq!(
            accept(&NATIVE, Escaping::Underscores),
            "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;\
             encoding=delimited;q=0.6,\
             application/openmetrics-text;version=1.0.0;escaping=underscores;q=0.5,\
             application/openmetrics-text;version=0.0.1;q=0.4,\
             text/plain;version=1.0.0;escaping=underscores;q=0.3,\
             text/plain;version=0.0.4;q=0.2,*/*;q=0.1"
        );
        assert_eq!(
            accept(&[Protocol::Text0], Escaping::AllowUtf8),
            "text/plain;version=0.0.4;q=0.6,*/*;q=0.5"
        );
    }

    #[test]
    fn names_find_what_they_name() {
        assert!(Protocol::ALL.into_iter().all(|p| Protocol::find(p.name()) == Some(p)));
        assert!(Escaping::ALL.into_iter().all(|e| Escaping::find(e.name()) == Some(e)));
        assert_eq!((Protocol::find("text"), Escaping::find("")), (None, None));
    }
}
