//! Suite `remotewrite_receiver`: requests of remote write 2.0, taken or refused by a whole server.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Result;
use serde::Deserialize;

use crate::cases;
use crate::process::Process;
use crate::pushed::{self, HEADERS, Labels, Series};
use crate::report::Report;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[derive(Default)]
struct Case {
    suite: String,
    name: String,
    labels: BTreeMap<String, String>,
    exemplar_labels: BTreeMap<String, String>,
    value: f64,
    success: Option<bool>,
    expect_success: Option<bool>,
    expected_params: Expected,
    include_positive: bool,
    include_negative: bool,
    include_zero: bool,
    use_custom_buckets: bool,
    bad_count: bool,
    metric_type: String,
    help: String,
    unit: String,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Expected {
    samples: u64,
    exemplars: u64,
    success: Option<bool>,
}

impl Case {
    fn is_right(&self) -> bool {
        let said = self.success.or(self.expect_success).or(self.expected_params.success);
        said.unwrap_or(true)
    }

    fn labels(&self) -> Labels {
        self.labels.iter().map(|(name, value)| (name.clone(), value.clone())).collect()
    }
}

/// Runs the suite.
///
/// # Errors
/// The cases cannot be read, or the server does not start.
pub fn run(directory: &Path) -> Result<Vec<Report>> {
    let file = "prometheus-compliance/cases/remotewrite_receiver.json";
    let cases: Vec<Case> = cases::read(directory, file)?;
    let process = Process::start(
        |_| "cresset: {kernel_collectors: []}\n".to_owned(),
        &["--web.enable-remote-write-receiver"],
    )?;
    let mut report = Report::new("remotewrite_receiver");
    for (at, case) in (0i64..).zip(&cases) {
        report.count(format!("{}/{}", case.suite, case.name), judge(&process, case, at));
    }
    Ok(vec![report])
}

fn judge(process: &Process, case: &Case, at: i64) -> Result<(), String> {
    // Each case has a time of its own: cases share series.
    let now_ms = machine::clock::now().wall.0 + at;
    let series = series(case, now_ms);
    let body = pushed::request(&series);
    let answer = process.ask("POST", "/api/v1/write", HEADERS, &body);
    let answer = answer.map_err(|error| format!("{error:#}"))?;
    let found = format!("{} {}", answer.status, answer.body.trim());
    if !case.is_right() {
        let is_refused = (400..500).contains(&answer.status);
        return if is_refused { Ok(()) } else { Err(format!("expected 4xx, found {found}")) };
    }
    if answer.status != 204 {
        return Err(format!("expected 204, found {found}"));
    }
    let sum = |count: fn(&Series) -> usize| series.iter().map(count).sum::<usize>();
    for (what, expected) in [
        ("samples", sum(|one| one.samples.len())),
        ("histograms", sum(|one| one.histograms.len())),
        ("exemplars", sum(|one| one.exemplars.len())),
    ] {
        let line = format!("x-prometheus-remote-write-{what}-written: {expected}");
        if !answer.head.lines().any(|found| found == line) {
            return Err(format!("expected {line:?} in {:?}", answer.head));
        }
    }
    Ok(())
}

/// The series that a case is about; what its words leave open is as the original has it.
fn series(case: &Case, now_ms: i64) -> Vec<Series> {
    let labels = case.labels();
    let one = match case.suite.as_str() {
        "TestEdgeCaseCombinations" => return combined(case, now_ms),
        "TestExemplars" | "TestExemplarValidation" => {
            let exemplar = case.exemplar_labels.iter();
            let exemplar = exemplar.map(|(name, value)| (name.clone(), value.clone())).collect();
            Series {
                labels,
                samples: vec![(case.value, now_ms)],
                exemplars: vec![(exemplar, case.value, now_ms)],
                ..Series::default()
            }
        }
        "TestHistograms" => {
            Series { labels, histograms: vec![histogram(case, now_ms)], ..Series::default() }
        }
        _ => Series {
            labels,
            samples: vec![(1.0, now_ms)],
            metadata: Some((number(&case.metric_type), case.help.clone(), case.unit.clone())),
            ..Series::default()
        },
    };
    vec![one]
}

fn combined(case: &Case, now_ms: i64) -> Vec<Series> {
    let named = |name: &str| pushed::labels(&[("__name__", name)]);
    if case.expected_params.samples == 0 {
        let metadata = Some((1, "Only metadata.".to_owned(), String::new()));
        return vec![Series { labels: named("test_metadata_only"), metadata, ..Series::default() }];
    }
    let samples = (0i64..).take(usize::try_from(case.expected_params.samples).unwrap_or(0));
    let exemplars = (0i64..).take(usize::try_from(case.expected_params.exemplars).unwrap_or(0));
    let exemplar = |at: i64| (pushed::labels(&[("trace_id", "t")]), 1.0, now_ms - 3000 + at * 1000);
    vec![Series {
        labels: named("test_mixed_times"),
        samples: samples.map(|at| (1.0, now_ms - 4000 + at * 1000)).collect(),
        exemplars: exemplars.map(exemplar).collect(),
        ..Series::default()
    }]
}

fn histogram(case: &Case, now_ms: i64) -> remote::protobuf_write::Writer {
    let counts: &[i64] = &[5, 10, 15];
    let side = |is_there: bool| if is_there { counts } else { &[] };
    let sides = u64::from(case.include_positive) + u64::from(case.include_negative);
    let zero = if case.include_zero { 5 } else { 0 };
    let count = 30 * sides + zero + if case.bad_count { 1000 } else { 0 };
    if case.use_custom_buckets {
        return pushed::custom_histogram(count, counts, &[1.0, 5.0, 10.0], now_ms);
    }
    let (positive, negative) = (side(case.include_positive), side(case.include_negative));
    pushed::histogram(count, zero, positive, negative, now_ms)
}

/// Number of a type in the protocol.
fn number(name: &str) -> u64 {
    let names = [
        "UNSPECIFIED",
        "COUNTER",
        "GAUGE",
        "HISTOGRAM",
        "GAUGEHISTOGRAM",
        "SUMMARY",
        "INFO",
        "STATESET",
    ];
    let wanted = name.rsplit('_').next().unwrap_or("");
    let at = names.iter().position(|known| *known == wanted).unwrap_or(0);
    u64::try_from(at).unwrap_or(0)
}
