//! `cresset query analyze`: how many buckets of histograms are populated.
//!
//! Source: Prometheus's `cmd/promtool/analyze.go`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io::Write as _;

use anyhow::{Result, anyhow, bail};
use api::timestamp::parse_time;
use model::duration::format_duration_ms;
use serde_json::Value;

use crate::tool_arguments::AnalyzeOptions;
use crate::tool_command::ask::{QUERY_TIMEOUT, seconds};
use crate::tool_command::connection::Connection;
use crate::tool_command::ended::Ended;
use crate::tool_command::value_text::{label_set_text, metric_text, number};
use crate::tsdb_command::print::output;

const HEADER: &str = "Bucket stats for each histogram series over time
------------------------------------------------
First the min, avg, and max number of populated buckets, followed by the total
number of buckets (only if different from the max number of populated buckets
which is typical for classic but not native histograms).";
const FOOTER: &str = "Aggregated bucket stats
-----------------------
Each line shows min/avg/max over the series above.";

/// Populated buckets of one histogram.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Populated {
    min: usize,
    avg: f64,
    max: usize,
    total: usize,
}

impl fmt::Display for Populated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{:.3}/{}", self.min, self.avg, self.max)?;
        if self.max == self.total { Ok(()) } else { write!(f, "/{}", self.total) }
    }
}

/// Populated buckets at each time; `None` for less than two times.
fn populated(counts: &[usize], total: usize) -> Option<Populated> {
    if counts.len() < 2 {
        return None;
    }
    let (min, max) = (*counts.iter().min()?, *counts.iter().max()?);
    Some(Populated { min, avg: float(counts.iter().sum()) / float(counts.len()), max, total })
}

/// Asks for the histograms and writes what is found.
///
/// # Errors
/// The type is another, the server does not answer, or with an error.
pub fn run(options: &AnalyzeOptions) -> Result<Ended> {
    if options.kind != "histogram" {
        bail!("analyze type is {}, must be 'histogram'", options.kind);
    }
    let mut connection = Connection::new(&options.server)?;
    let end = match &options.time {
        None => machine::clock::now().wall,
        Some(text) => {
            parse_time(text).map_err(|error| anyhow!("error parsing time '{text}': {error}"))?
        }
    };
    let mut out = output();
    writeln!(out, "{HEADER}\n")?;
    let (mut native, mut classic) = (Vec::new(), Vec::new());
    for selector in &options.selectors {
        let query = format!("{selector}[{}]", format_duration_ms(options.duration_ms));
        let form = [("query", query.as_str()), ("time", &seconds(end))];
        let answer = connection.ask("/api/v1/query", &form, QUERY_TIMEOUT)?;
        if answer["data"]["resultType"] != "matrix" {
            bail!("query of buckets resulted in non-Matrix");
        }
        let mut groups: BTreeMap<String, Vec<&Value>> = BTreeMap::new();
        for series in answer["data"]["result"].as_array().into_iter().flatten() {
            if series["values"].as_array().is_none_or(Vec::is_empty) {
                if let Some(found) = native_buckets(series) {
                    writeln!(out, "- {} (native): {found}", metric_text(&series["metric"]))?;
                    native.push(found);
                }
            } else if let Some(key) = classic_key(&series["metric"]) {
                groups.entry(key).or_default().push(series);
            }
        }
        for (key, series) in groups {
            if let Some(found) = classic_buckets(series)? {
                writeln!(out, "- {key} (classic): {found}")?;
                classic.push(found);
            }
        }
    }
    writeln!(out, "\n{FOOTER}")?;
    for (name, all) in [("Native", native), ("Classic", classic)] {
        if !all.is_empty() {
            writeln!(out, "\n{name} {}", together(&all))?;
        }
    }
    out.flush()?;
    Ok(Ended::Well)
}

fn native_buckets(series: &Value) -> Option<Populated> {
    let histograms = series["histograms"].as_array()?;
    let (mut counts, mut all) = (Vec::new(), BTreeSet::new());
    for histogram in histograms {
        let buckets = histogram[1]["buckets"].as_array().map_or(&[][..], Vec::as_slice);
        counts.push(buckets.len());
        all.extend(buckets.iter().map(|b| format!("{},{},{}", b[0], b[1], b[2])));
    }
    populated(&counts, all.len())
}

/// What names a classic histogram whose bucket has this metric.
fn classic_key(metric: &Value) -> Option<String> {
    let mut labels = metric.as_object()?.clone();
    labels.remove("le")?;
    let name = labels.remove("__name__")?;
    let name = name.as_str().filter(|name| name.ends_with("_bucket"))?;
    Some(format!("{name}{}", label_set_text(&Value::Object(labels))))
}

fn classic_buckets(mut series: Vec<&Value>) -> Result<Option<Populated>> {
    series.sort_by(|a, b| number(&a["metric"]["le"]).total_cmp(&number(&b["metric"]["le"])));
    let samples = |at: usize| series[at]["values"].as_array().map_or(&[][..], Vec::as_slice);
    let mut counts = Vec::new();
    for time in 0..samples(0).len() {
        let (mut count, mut below) = (0, 0.0);
        for at in 0..series.len() {
            // What a bucket lacks at the end counts as nothing.
            let Some(pair) = samples(at).get(time) else { break };
            if pair[0] != samples(0)[time][0] {
                bail!("matrix result is not time aligned");
            }
            let value = number(&pair[1]);
            count += usize::from(1.0 <= (value - below).abs());
            below = value;
        }
        counts.push(count);
    }
    Ok(populated(&counts, series.len()))
}

fn together(all: &[Populated]) -> String {
    let spread = |numbers: Vec<usize>| {
        let (min, max) = (numbers.iter().min().copied(), numbers.iter().max().copied());
        let avg = float(numbers.iter().sum()) / float(numbers.len());
        format!("{}/{avg:.3}/{}", min.unwrap_or(0), max.unwrap_or(0))
    };
    let of = |part: fn(&Populated) -> usize| spread(all.iter().map(part).collect());
    let (max, total) = (of(|one| one.max), of(|one| one.total));
    let mut text = format!(
        "histogram series ({} in total):\n- min populated: {}\n- avg populated: {}\n- max \
         populated: {max}",
        all.len(),
        of(|one| one.min),
        of(|one| whole(one.avg)),
    );
    if max != total {
        text.push_str(&format!("\n- total: {total}"));
    }
    text
}

#[expect(clippy::cast_precision_loss, reason = "counts of buckets")]
fn float(count: usize) -> f64 {
    count as f64
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a mean of counts; upstream cuts it too"
)]
fn whole(mean: f64) -> usize {
    mean as usize
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn classic_buckets_are_differences() {
        let series = |le: &str, values: [&str; 2]| {
            json!({"metric": {"__name__": "x_bucket", "le": le, "job": "a"},
                "values": [[1, values[0]], [2, values[1]]]})
        };
        let all = [series("+Inf", ["2", "3"]), series("0.1", ["1", "1"]), series("1", ["1", "2"])];
        let found = classic_buckets(all.iter().collect()).expect("aligned").expect("two times");
        assert_eq!(found.to_string(), "2/2.500/3");
        assert_eq!(classic_key(&all[0]["metric"]).as_deref(), Some("x_bucket{job=\"a\"}"));
        assert!(together(&[found]).starts_with("histogram series (1 in total):\n- min"));
    }
}
