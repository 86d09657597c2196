//! Suite `federate`: pages of stored series, byte for byte.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Result;
use api::federate_endpoint::{newest, select, write_page};
use api::json::{Gone, Sink};
use api::parameters::Parameters;
use api::selector::parse_selector;
use model::label_set::LabelSet;
use model::time::TimestampMs;
use remote::federation_page::{Format, Page};
use serde::Deserialize;

use crate::cases;
use crate::promqltest::script::{Command, parse_script};
use crate::promqltest::store::Store;
use crate::report::Report;

/// Where the clock stands, and five minutes before.
const RANGE: (TimestampMs, TimestampMs) = (TimestampMs(96 * 60_000), TimestampMs(101 * 60_000));

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Case {
    name: String,
    setup: String,
    params: String,
    #[serde(default)]
    external_labels: BTreeMap<String, String>,
    code: u16,
    body: String,
}

/// Runs the suite.
///
/// # Errors
/// The cases cannot be read.
pub fn run(directory: &Path) -> Result<Vec<Report>> {
    let cases: Vec<Case> = cases::read(directory, "prometheus/cases/federate.json")?;
    let mut report = Report::new("federate");
    for case in &cases {
        report.count(case.name.clone(), judge(case));
    }
    Ok(vec![report])
}

struct Body(Vec<u8>);

impl Sink for Body {
    fn take(&mut self, chunk: &[u8]) -> Result<(), Gone> {
        self.0.extend_from_slice(chunk);
        Ok(())
    }
}

fn judge(case: &Case) -> Result<(), String> {
    let (code, body) = match page(case) {
        Ok(body) => (200, body),
        Err(Refused::Selector(text)) => (400, format!("{text}\n")),
        Err(Refused::Failed(reason)) => return Err(reason),
    };
    if (code, &body) == (case.code, &case.body) {
        Ok(())
    } else {
        Err(format!("expected {} {:?}, found {code} {body:?}", case.code, case.body))
    }
}

enum Refused {
    Selector(String),
    Failed(String),
}

fn page(case: &Case) -> Result<String, Refused> {
    let mut store = Store::default();
    for command in parse_script(&case.setup) {
        if let Command::Load(load) = command {
            store.load(&load).map_err(Refused::Failed)?;
        }
    }
    let parameters = Parameters::new(&case.params, b"");
    let sets = parameters.all("match[]").map(parse_selector);
    let sets = sets.collect::<Result<Vec<_>, _>>().map_err(Refused::Selector)?;
    let failed = |error: query::source::SourceError| Refused::Failed(error.to_string());
    let series = select(&store, sets, RANGE, 1000).map_err(failed)?;
    let samples = newest(&series, RANGE).map_err(failed)?;
    let pairs = case.external_labels.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let external = LabelSet::new(pairs);
    let mut body = Body(Vec::new());
    let written = write_page(&samples, Page::new(Format::Text, false, &external), &mut body);
    written.map_err(|_| Refused::Failed("the body left".to_owned()))?;
    String::from_utf8(body.0).map_err(|error| Refused::Failed(error.to_string()))
}
