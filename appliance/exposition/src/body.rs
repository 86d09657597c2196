//! Bodies: every format that a target may answer in, read entry by entry.
//!
//! Path: body, its format → **body** → entries.

use crate::dialect::{Dialect, DialectParser};
use crate::entry::Entry;
use crate::error::{BodyError, TextError};
use crate::nhcb::Collector;
use crate::openmetrics::parser::OpenMetricsParser;
use crate::protobuf::family::{self, HistogramOptions};

/// Format of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// Lines of text.
    Text(Dialect),
    /// Delimited `io.prometheus.client.MetricFamily`.
    Protobuf,
}

/// What is made of a body besides its samples.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReadOptions {
    /// What is made of histograms.
    pub histograms: HistogramOptions,
    /// Start timestamps come with the samples that they belong to, instead of as samples.
    pub start_timestamps: bool,
}

impl ReadOptions {
    /// The dialect in which a scan may follow a layout, byte by byte; `None` where entries must be
    /// made of the body.
    #[must_use]
    pub fn followed(self, format: Format) -> Option<Dialect> {
        match format {
            Format::Protobuf => None,
            Format::Text(_) if self.histograms.convert => None,
            Format::Text(Dialect::OpenMetrics) if self.start_timestamps => None,
            Format::Text(dialect) => Some(dialect),
        }
    }
}

/// Shows `visit` every entry of `body`.
///
/// # Errors
/// Where and why the body is not in its format; what came before was shown.
pub fn read(
    format: Format,
    options: ReadOptions,
    body: &[u8],
    visit: &mut dyn FnMut(&Entry<'_>),
) -> Result<(), BodyError> {
    match format {
        Format::Protobuf => Ok(family::read(body, options.histograms, visit)?),
        Format::Text(Dialect::OpenMetrics) if options.start_timestamps => {
            Ok(read_text(OpenMetricsParser::with_start_timestamps(body), options, visit)?)
        }
        Format::Text(dialect) => Ok(read_text(DialectParser::new(dialect, body), options, visit)?),
    }
}

fn read_text<'a>(
    entries: impl Iterator<Item = Result<Entry<'a>, TextError>>,
    options: ReadOptions,
    visit: &mut dyn FnMut(&Entry<'_>),
) -> Result<(), TextError> {
    let mut collector =
        options.histograms.convert.then(|| Collector::new(options.histograms.classic));
    for entry in entries {
        match &mut collector {
            Some(collector) => collector.take(&entry?, visit),
            None => visit(&entry?),
        }
    }
    if let Some(collector) = &mut collector {
        collector.end(visit);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Samples and histograms of `body`, a line each.
    #[track_caller]
    fn check(format: Format, classic: bool, body: &str, expected: &[&str]) {
        let histograms = HistogramOptions { native: true, classic, convert: true };
        let options = ReadOptions { histograms, start_timestamps: false };
        let mut lines = Vec::new();
        read(format, options, body.as_bytes(), &mut |entry| match entry {
            Entry::Sample(sample) => {
                lines.push(format!("{} {}", sample.series.escape_ascii(), sample.value));
            }
            Entry::Histogram(sample) => {
                let (series, of) = (sample.series.escape_ascii(), &sample.histogram);
                let buckets = &of.positive_buckets;
                lines.push(format!(
                    "{series} {}/{} {:?} {buckets:?} {}",
                    of.count,
                    of.sum,
                    of.custom_values,
                    sample.exemplars.len()
                ));
            }
            _ => {}
        })
        .expect("the body is valid");
        assert_eq!(lines, expected);
    }

    const BODY: &str = concat!(
        "# TYPE h histogram\n",
        "h_bucket{le=\"1\",a=\"x\"} 1\nh_bucket{le=\"2\",a=\"x\"} 3\n",
        "h_bucket{le=\"+Inf\",a=\"x\"} 3\nh_sum{a=\"x\"} 4.5\nh_count{a=\"x\"} 3\n",
        "h_bucket{le=\"1\",a=\"y\"} 2\nh_bucket{le=\"+Inf\",a=\"y\"} 1\n",
        "# TYPE g gauge\ng_count 7\n",
    );

    #[test]
    fn classic_histograms_become_custom_buckets() {
        let native = r#"h{a=\"x\"} 3/4.5 [1.0, 2.0] [1.0, 2.0] 0"#;
        // The second has buckets that fall: it is left out, as upstream does.
        check(Format::Text(Dialect::Text), false, BODY, &[native, "g_count 7"]);
        let classic = [
            r#"h_bucket{le=\"1\",a=\"x\"} 1"#,
            r#"h_bucket{le=\"2\",a=\"x\"} 3"#,
            r#"h_bucket{le=\"+Inf\",a=\"x\"} 3"#,
            r#"h_sum{a=\"x\"} 4.5"#,
            r#"h_count{a=\"x\"} 3"#,
            native,
            r#"h_bucket{le=\"1\",a=\"y\"} 2"#,
            r#"h_bucket{le=\"+Inf\",a=\"y\"} 1"#,
            "g_count 7",
        ];
        check(Format::Text(Dialect::Text), true, BODY, &classic);
    }

    #[test]
    fn exemplars_with_times_go_with_the_histogram() {
        let body = concat!(
            "# TYPE h histogram\nh_bucket{le=\"1\"} 1 # {a=\"b\"} 0.5 2\n",
            "h_bucket{le=\"+Inf\"} 2 # {a=\"c\"} 3 1\nh_count 2\nh_sum 1 # {} 1\n# EOF\n",
        );
        check(Format::Text(Dialect::OpenMetrics), false, body, &["h 2/1 [1.0] [1.0, 1.0] 2"]);
    }
}
