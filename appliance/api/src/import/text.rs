//! Text: Prometheus's text format and OpenMetrics, line by line, with times of any day.
//!
//! Other than a scrape: a line that cannot be read keeps no other out; what `# HELP`, `# TYPE` and
//! `# UNIT` say is kept as metadata of the family.

use exposition::entry::{Entry, Exemplar, Sample};
use exposition::metric_type::MetricType;
use exposition::openmetrics::parser::OpenMetricsParser;
use exposition::series::{parse_exemplar_labels, parse_series};
use exposition::text::TextParser;
use model::label_set::Builder as Labels;
use remote::builder::Builder;
use storage::metadata::Family;

use crate::import::json::{add_extra, fault_text};

/// Reads lines.
#[derive(Clone, Debug)]
pub struct TextReader {
    is_openmetrics: bool,
    extra: Vec<(String, String)>,
    /// Time of samples without one.
    at_ms: i64,
    metric_type: MetricType,
    family: Family,
    /// Whether what is said of the family is not told yet.
    is_new: bool,
    is_over: bool,
}

impl TextReader {
    /// Reader that adds the labels `extra`; samples without a time are of `at_ms`.
    #[must_use]
    pub fn new(is_openmetrics: bool, extra: Vec<(String, String)>, at_ms: i64) -> TextReader {
        TextReader {
            is_openmetrics,
            extra,
            at_ms,
            metric_type: MetricType::Unknown,
            family: Family::default(),
            is_new: false,
            is_over: false,
        }
    }

    /// Adds what a line has.
    ///
    /// # Errors
    /// It cannot be read; why.
    pub fn take(&mut self, line: &[u8], builder: &mut Builder) -> Result<(), String> {
        if self.is_over {
            return Err("there is more behind # EOF".to_owned());
        }
        let mut whole = Vec::with_capacity(line.len() + 1);
        whole.extend_from_slice(line);
        whole.push(b'\n');
        let entry = if self.is_openmetrics {
            self.is_over = line == b"# EOF";
            OpenMetricsParser::resume(&whole, 0, self.metric_type).next()
        } else {
            TextParser::resume(&whole, 0, self.metric_type).next()
        };
        match entry {
            None => Ok(()),
            Some(Err(error)) => Err(error.to_string()),
            Some(Ok(Entry::Sample(sample))) => self.sample(&sample, builder),
            Some(Ok(entry)) => {
                self.describe(&entry);
                Ok(())
            }
        }
    }

    fn sample(&mut self, sample: &Sample<'_>, builder: &mut Builder) -> Result<(), String> {
        let mut read = Labels::default();
        parse_series(sample.series, sample.metric_type, &mut read)
            .map_err(|error| error.to_string())?;
        let mut labels: Vec<(&str, &str)> = read.iter().collect();
        add_extra(&mut labels, &self.extra);
        let series = builder.series(&mut labels).map_err(|fault| fault_text(&fault))?;
        if std::mem::take(&mut self.is_new) {
            builder.homeless_family(&self.family);
        }
        let at_ms = sample.timestamp.map_or(self.at_ms, |time| time.0);
        builder.float(series, at_ms, sample.value, 0);
        if let Some(Exemplar { labels, value, timestamp, .. }) = &sample.exemplar {
            let mut read = Labels::default();
            parse_exemplar_labels(labels, &mut read).map_err(|error| error.to_string())?;
            let labels: Vec<(&str, &str)> = read.iter().collect();
            builder.exemplar(series, &labels, *value, timestamp.map_or(at_ms, |time| time.0));
        }
        Ok(())
    }

    /// Remembers what is said of a family until its first sample comes.
    fn describe(&mut self, entry: &Entry<'_>) {
        let (Entry::Help { name, .. } | Entry::Type { name, .. } | Entry::Unit { name, .. }) =
            entry
        else {
            return;
        };
        if *self.family.name != **name {
            self.family = Family { name: boxed(name), ..Family::default() };
        }
        match entry {
            Entry::Help { help, .. } => self.family.help = boxed(help),
            Entry::Unit { unit, .. } => self.family.unit = boxed(unit),
            Entry::Type { metric_type, .. } => {
                self.metric_type = *metric_type;
                self.family.metric_type = *metric_type;
            }
            _ => {}
        }
        self.is_new = true;
    }
}

fn boxed(text: &str) -> Box<str> {
    Box::from(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a body has, a line each, or why a line cannot be read.
    fn shown(is_openmetrics: bool, body: &str) -> Vec<String> {
        let mut builder = Builder::new(1, "");
        let mut reader = TextReader::new(is_openmetrics, Vec::new(), 9);
        let lines = body.lines().map(|line| reader.take(line.as_bytes(), &mut builder).err());
        let mut shown: Vec<String> = lines.flatten().collect();
        let (batches, _) = builder.finish();
        for (_, batch) in &batches {
            for float in &batch.floats {
                let labels = batch.labels(float.series);
                shown.push(format!("{labels} {} {}", float.value, float.timestamp_ms));
            }
            for (_, exemplar) in &batch.exemplars {
                shown.push(format!("{} {}", exemplar.labels, exemplar.timestamp.0));
            }
            for (_, family) in &batch.families {
                shown.push(format!("{} {:?}", family.name, family.help));
            }
        }
        shown
    }

    #[test]
    fn one_bad_line_keeps_no_other_out() {
        let body = "# HELP a A.\na{b=\"c\"} 1 1000\na{b=} 2\na 3\n";
        let shown = shown(false, body);
        assert!(shown[0].contains("expected"), "{shown:?}");
        assert_eq!(
            shown[1..],
            ["{__name__=\"a\", b=\"c\"} 1 1000", "{__name__=\"a\"} 3 9", "a \"A.\""]
        );
    }

    #[test]
    fn openmetrics_has_seconds_exemplars_and_an_end() {
        let body = "# TYPE a counter\na_total 1 1.5 # {t=\"x\"} 1 1.25\n# EOF\nb 1\n";
        let shown = shown(true, body);
        let expected = [
            "there is more behind # EOF",
            "{__name__=\"a_total\"} 1 1500",
            "{t=\"x\"} 1250",
            "a \"\"",
        ];
        assert_eq!(shown, expected);
    }
}
