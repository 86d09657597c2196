//! Endpoints about targets: `targets`, `targets/relabel_steps`, `scrape_pools`,
//! `scrape_pools/config`.

use std::collections::BTreeMap;

use model::duration::format_duration_ms;
use model::label_name::quote;
use model::label_set::{Builder, LabelSet};
use model::time::TimestampMs;
use serde::Serialize;

use crate::answer::Answer;
use crate::backend::{ActiveTarget, DroppedTarget};
use crate::call::{Call, Context};
use crate::failure::{Failure, Kind};
use crate::timestamp::format_rfc3339;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TargetsJson<'a> {
    active_targets: Vec<ActiveJson<'a>>,
    dropped_targets: Vec<DroppedJson<'a>>,
    dropped_target_counts: BTreeMap<&'a str, u64>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ActiveJson<'a> {
    discovered_labels: BTreeMap<&'a str, &'a str>,
    labels: BTreeMap<&'a str, &'a str>,
    scrape_pool: &'a str,
    scrape_url: &'a str,
    global_url: &'a str,
    last_error: &'a str,
    last_scrape: String,
    last_scrape_duration: f64,
    health: &'static str,
    scrape_interval: String,
    scrape_timeout: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct DroppedJson<'a> {
    discovered_labels: BTreeMap<&'a str, &'a str>,
    scrape_pool: &'a str,
}

#[derive(Serialize)]
struct StepJson<'a> {
    rule: &'a serde_json::Value,
    output: BTreeMap<&'a str, &'a str>,
    keep: bool,
}

/// `/api/v1/targets`
pub fn targets(context: &Context, call: &Call) -> Result<Answer, Failure> {
    let state = call.parameters.first("state").to_lowercase();
    let pool = call.parameters.first("scrapePool");
    let shown = |state_wanted: &str| state.is_empty() || state == "any" || state == state_wanted;
    let in_pool = |name: &str| pool.is_empty() || name == pool;
    let known = context.backend.targets().map_err(unavailable)?;
    let active = known.active.iter().filter(|t| shown("active") && in_pool(&t.scrape_pool));
    let dropped = known.dropped.iter().filter(|t| shown("dropped") && in_pool(&t.scrape_pool));
    let counts = known.dropped_counts.iter().filter(|(name, _)| shown("dropped") && in_pool(name));
    Answer::json(&TargetsJson {
        active_targets: active.map(active_json).collect(),
        dropped_targets: dropped.map(dropped_json).collect(),
        dropped_target_counts: counts.map(|(name, count)| (name.as_str(), *count)).collect(),
    })
}

/// `/api/v1/scrape_pools`
pub fn scrape_pools(context: &Context, _call: &Call) -> Result<Answer, Failure> {
    let mut names = context.backend.scrape_pools();
    names.sort_unstable();
    Answer::json(&BTreeMap::from([("scrapePools", names)]))
}

/// `/api/v1/scrape_pools/config`
pub fn scrape_pool_config(context: &Context, call: &Call) -> Result<Answer, Failure> {
    let pool = required(call, "scrapePool")?;
    let yaml = context.backend.scrape_pool_yaml(pool).ok_or_else(|| unknown_pool(pool))?;
    Answer::json(&BTreeMap::from([("yaml", yaml)]))
}

/// `/api/v1/targets/relabel_steps`
pub fn relabel_steps(context: &Context, call: &Call) -> Result<Answer, Failure> {
    let pool = required(call, "scrapePool")?;
    let written: BTreeMap<String, String> = serde_json::from_str(required(call, "labels")?)
        .map_err(|error| Failure::new(Kind::BadData, format!("error parsing labels: {error}")))?;
    let mut labels = Builder::default();
    for (name, value) in &written {
        labels.set(name, value);
    }
    let steps = context.backend.relabel_steps(pool, &labels.build());
    let steps = steps.ok_or_else(|| unknown_pool(pool))?;
    let steps = steps.iter().map(|step| StepJson {
        rule: &step.rule,
        output: map(&step.output),
        keep: step.keep,
    });
    Answer::json(&BTreeMap::from([("steps", steps.collect::<Vec<_>>())]))
}

fn required<'a>(call: &'a Call, name: &str) -> Result<&'a str, Failure> {
    match call.parameters.first(name) {
        "" => Err(Failure::new(Kind::BadData, format!("no {name} parameter provided"))),
        text => Ok(text),
    }
}

fn unknown_pool(pool: &str) -> Failure {
    let text = format!("error retrieving scrape config: scrape pool {} not found", quote(pool));
    Failure::new(Kind::BadData, text)
}

fn unavailable(reason: String) -> Failure {
    Failure::new(Kind::Unavailable, reason)
}

fn active_json(target: &ActiveTarget) -> ActiveJson<'_> {
    ActiveJson {
        discovered_labels: map(&target.discovered_labels),
        labels: map(&target.labels),
        scrape_pool: &target.scrape_pool,
        scrape_url: &target.scrape_url,
        global_url: &target.global_url,
        last_error: &target.last_error,
        last_scrape: format_rfc3339(target.last_scrape.unwrap_or(TimestampMs::MIN)),
        last_scrape_duration: target.last_scrape_seconds,
        health: target.health,
        scrape_interval: format_duration_ms(i64::try_from(target.interval_ms).unwrap_or(i64::MAX)),
        scrape_timeout: format_duration_ms(i64::try_from(target.timeout_ms).unwrap_or(i64::MAX)),
    }
}

fn dropped_json(target: &DroppedTarget) -> DroppedJson<'_> {
    DroppedJson {
        discovered_labels: map(&target.discovered_labels),
        scrape_pool: &target.scrape_pool,
    }
}

fn map(labels: &LabelSet) -> BTreeMap<&str, &str> {
    labels.iter().collect()
}
