//! Suite `downsample`: Thanos's own cases of the five aggregates of a window.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Result;
use model::staleness::stale_nan;
use serde::Deserialize;
use storage::compact::downsample::{AggregateChunk, again, raw};

use crate::cases::read;
use crate::report::Report;

const FILE: &str = "thanos/cases/downsample.json";
/// Names of the aggregates, by their places in a chunk.
const NAMES: [&str; 5] = ["AggrCount", "AggrSum", "AggrMin", "AggrMax", "AggrCounter"];

/// One list of samples an aggregate.
type Lists = BTreeMap<String, Vec<CaseSample>>;

#[derive(Deserialize)]
struct Case {
    id: usize,
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    resolution_ms: Option<i64>,
    raw_chunks: Option<Vec<Vec<CaseSample>>>,
    aggregate_chunks: Option<Vec<Lists>>,
    expected: Option<Vec<Lists>>,
    must_fail: bool,
}

#[derive(Deserialize)]
struct CaseSample {
    t: i64,
    v: CaseValue,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum CaseValue {
    Number(f64),
    Special(String),
}

impl CaseSample {
    fn pair(&self) -> Result<(i64, f64), String> {
        match &self.v {
            CaseValue::Number(value) => Ok((self.t, *value)),
            CaseValue::Special(name) if name == "StaleNaN" => Ok((self.t, stale_nan())),
            CaseValue::Special(text) => {
                let value = text.parse().map_err(|_| format!("{text} is no value"))?;
                Ok((self.t, value))
            }
        }
    }
}

/// Runs the suite.
///
/// # Errors
/// The cases are not there.
pub fn run(directory: &Path) -> Result<Vec<Report>> {
    let mut report = Report::new("downsample");
    for case in read::<Case>(directory, FILE)? {
        let name = case.name.as_deref().unwrap_or("nothing");
        report.count(format!("{} {name}", case.id), judge(&case));
    }
    Ok(vec![report])
}

fn judge(case: &Case) -> Result<(), String> {
    let expected = chunks_of(case.expected.as_deref().unwrap_or_default())?;
    let made = match make(case) {
        Ok(_) if case.must_fail => return Err("it was not refused".to_owned()),
        Err(_) if case.must_fail => return Ok(()),
        made => made?,
    };
    if made == expected { Ok(()) } else { Err(format!("made {made:?}, not {expected:?}")) }
}

fn make(case: &Case) -> Result<Vec<AggregateChunk>, String> {
    let Some(resolution_ms) = case.resolution_ms else { return Ok(Vec::new()) };
    if let Some(chunks) = &case.aggregate_chunks {
        let chunks = chunks_of(chunks)?;
        return Ok(again(&chunks, distance_ms(&chunks), resolution_ms));
    }
    let samples = case.raw_chunks.iter().flatten().flatten().map(CaseSample::pair);
    let samples: Vec<(i64, f64)> = samples.collect::<Result<_, String>>()?;
    raw(&samples, resolution_ms).map_err(|error| error.to_string())
}

/// The cases do not name the resolution of what they are made of, which only says how many chunks
/// are made: the largest distance between windows.
fn distance_ms(chunks: &[AggregateChunk]) -> i64 {
    let pairs = chunks.iter().flat_map(|chunk| chunk.aggregates[0].windows(2));
    pairs.map(|pair| pair[1].0 - pair[0].0).filter(|ms| 0 < *ms).max().unwrap_or(1)
}

fn chunks_of(lists: &[Lists]) -> Result<Vec<AggregateChunk>, String> {
    let chunk = |lists: &Lists| {
        let mut chunk = AggregateChunk::default();
        for (name, samples) in lists {
            let at = NAMES.iter().position(|known| known == name);
            let at = at.ok_or_else(|| format!("aggregate {name} is not known"))?;
            let pairs = samples.iter().map(CaseSample::pair);
            chunk.aggregates[at] = pairs.collect::<Result<_, String>>()?;
        }
        Ok(chunk)
    };
    lists.iter().map(chunk).collect()
}
