//! Memory: float series of a text with timestamps, as a source of queries.
//!
//! Reads what OpenMetrics exporters of stored series write (`name{labels} value seconds` a line,
//! comments and `# EOF` passed over), and pages of exporters as if they were scraped.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Context, Result, anyhow, bail};
use exposition::entry::Entry;
use exposition::metric_type::MetricType;
use exposition::number;
use exposition::series::parse_series;
use exposition::text::TextParser;
use model::label_set::{Builder, LabelSet};
use model::samples::Samples;
use model::time::TimestampMs;
use query::source::{Column, LabelQuery, Selection, Series, Source, SourceError};

/// Series in memory.
#[derive(Clone, Default)]
pub struct Memory {
    series: BTreeMap<LabelSet, Arc<Stored>>,
}

#[derive(Clone, Default)]
struct Stored(Vec<(TimestampMs, f64)>);

impl Memory {
    /// The series of a text.
    ///
    /// # Errors
    /// A line is no sample with a timestamp, or a series goes back in time.
    pub fn read(text: &str) -> Result<Memory> {
        let mut memory = Memory::default();
        for (at, line) in text.lines().enumerate() {
            if !line.is_empty() && !line.starts_with('#') {
                memory.take_line(line).with_context(|| format!("line {}", at + 1))?;
            }
        }
        Ok(memory)
    }

    /// Adds the samples of a page with `labels` at each of `times`, which are in order.
    ///
    /// # Errors
    /// The page does not read.
    pub fn scrape(&mut self, page: &[u8], labels: &[(&str, &str)], times: &[i64]) -> Result<()> {
        for entry in TextParser::new(page) {
            let Entry::Sample(sample) = entry? else { continue };
            let mut builder = Builder::default();
            parse_series(sample.series, sample.metric_type, &mut builder)?;
            for (name, value) in labels {
                builder.set(name, value);
            }
            let samples = times.iter().map(|time| (TimestampMs(*time), sample.value));
            self.series.insert(builder.build(), Arc::new(Stored(samples.collect())));
        }
        Ok(())
    }

    fn take_line(&mut self, line: &str) -> Result<()> {
        let mut parts = line.rsplitn(3, ' ');
        let (Some(time), Some(value), Some(series)) = (parts.next(), parts.next(), parts.next())
        else {
            bail!("no series, value and timestamp");
        };
        let mut labels = Builder::default();
        parse_series(series.as_bytes(), MetricType::Unknown, &mut labels)?;
        let value = number::parse(value.as_bytes()).map_err(|error| anyhow!("value: {error}"))?;
        let time = TimestampMs(milliseconds(time).context("timestamp is no seconds")?);
        let stored = Arc::make_mut(self.series.entry(labels.build()).or_default());
        if stored.0.last().is_some_and(|(last, _)| time <= *last) {
            bail!("the series goes back in time");
        }
        stored.0.push((time, value));
        Ok(())
    }
}

/// Milliseconds of seconds with at most three digits behind the point.
fn milliseconds(seconds: &str) -> Option<i64> {
    let (whole, part) = seconds.split_once('.').unwrap_or((seconds, ""));
    let digits = part.len() <= 3 && part.bytes().all(|byte| byte.is_ascii_digit());
    let part: i64 = if digits { format!("{part:0<3}").parse().ok()? } else { return None };
    whole.parse::<i64>().ok()?.checked_mul(1000)?.checked_add(part)
}

impl Column for Stored {
    fn decode(
        &self,
        after: TimestampMs,
        until: TimestampMs,
        samples: &mut Samples,
    ) -> Result<(), SourceError> {
        let from = self.0.partition_point(|(time, _)| *time <= after);
        for (time, value) in self.0[from..].iter().take_while(|(time, _)| *time <= until) {
            samples.push(*time, *value);
        }
        Ok(())
    }
}

impl Source for Memory {
    fn select(&self, selection: &Selection) -> Result<Vec<Series>, SourceError> {
        let matching = self.series.iter().filter(|(labels, _)| {
            selection.matchers.iter().all(|matcher| matcher.matches_labels(labels))
        });
        let handles = matching.map(|(labels, stored)| Series {
            labels: labels.clone(),
            column: Arc::clone(stored) as Arc<dyn Column>,
        });
        Ok(handles.collect())
    }

    fn label_values(&self, _: &str, _: &LabelQuery) -> Result<Vec<String>, SourceError> {
        Ok(Vec::new())
    }

    fn label_names(&self, _: &LabelQuery) -> Result<Vec<String>, SourceError> {
        Ok(Vec::new())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        let read = match Memory::read(text) {
            Ok(memory) => {
                let series = memory.series.iter();
                series.map(|(labels, stored)| format!("{labels} {:?};", stored.0)).collect()
            }
            Err(error) => format!("{error:#}"),
        };
        assert_eq!(read, expected);
    }

    #[test]
    fn pages_are_scraped() {
        let mut memory = Memory::default();
        memory.scrape(b"a 1\n", &[("job", "x")], &[15, 30]).expect("a page");
        let (labels, stored) = memory.series.first_key_value().expect("a series");
        assert_eq!(labels.to_string(), r#"{__name__="a", job="x"}"#);
        assert_eq!(stored.0, [(TimestampMs(15), 1.0), (TimestampMs(30), 1.0)]);
    }

    #[test]
    fn lines_are_read() {
        check(
            "# TYPE a counter\na{b=\"c d\"} 1 2.5\na{b=\"c d\"} +Inf 3\n# EOF\n",
            r#"{__name__="a", b="c d"} [(TimestampMs(2500), 1.0), (TimestampMs(3000), inf)];"#,
        );
        check("a 1 1\na 2 1", "line 2: the series goes back in time");
        check("a 1", "line 1: no series, value and timestamp");
        check("a 1 1.0001", "line 1: timestamp is no seconds");
    }
}
