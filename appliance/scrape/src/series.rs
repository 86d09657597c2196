//! Series: what a series text of a target's exposition becomes: labels, or nothing.
//!
//! Path: `ingest` → **series** → `storage`.
//! Never: keeps anything; the memory of what was resolved is `memory`.

use exposition::metric_type::MetricType;
use exposition::series::parse_series;
use model::label_set::{Builder, LabelSet, METRIC_NAME};

use crate::error::ScrapeError;
use crate::relabel::apply;
use crate::target::TargetSpec;

const EXPORTED_PREFIX: &str = "exported_";

/// Labels of the series `text` of a target: its own with the target's, metric relabelling applied;
/// `None` when that drops it.
///
/// # Errors
/// The text is no series, the result has no name or one that the scheme forbids, or a limit on
/// labels is passed: the whole scrape fails.
pub fn resolve(
    spec: &TargetSpec,
    text: &[u8],
    metric_type: MetricType,
) -> Result<Option<LabelSet>, ScrapeError> {
    let mut labels = Builder::default();
    parse_series(text, metric_type, &mut labels)?;
    if spec.honor_labels {
        add_target_labels(spec, text, &mut labels);
    } else {
        force_target_labels(spec, &mut labels);
    }
    if !apply(&spec.metric_relabel, &mut labels) {
        return Ok(None);
    }
    let labels = labels.build();
    if labels.is_empty() {
        return Ok(None);
    }
    check_names(spec, &labels)?;
    check_limits(spec, &labels)?;
    Ok(Some(labels))
}

/// Labels of the report series `name` of a target.
#[must_use]
pub fn report_labels(spec: &TargetSpec, name: &str) -> LabelSet {
    let mut labels = Builder::from(&spec.labels);
    labels.set(METRIC_NAME, name);
    labels.build()
}

/// Labels of the exposition win; one that it has with an empty value stays away.
fn add_target_labels(spec: &TargetSpec, text: &[u8], labels: &mut Builder) {
    for (name, value) in &spec.labels {
        if labels.value(name).is_empty() && !has_empty_label(text, name) {
            labels.set(name, value);
        }
    }
}

/// Whether the series text has `name=""`. Within a quoted value these bytes cannot stand, for there
/// a quote is escaped; and a value that ends in `name=` is followed by one quote.
fn has_empty_label(text: &[u8], name: &str) -> bool {
    let wanted = format!("{name}=\"\"");
    let begins = |at: usize| at != 0 && matches!(text[at - 1], b'{' | b',' | b' ' | b'\t');
    let mut windows = text.windows(wanted.len()).enumerate();
    windows.any(|(at, window)| window == wanted.as_bytes() && begins(at))
}

/// The target's labels win; those of the exposition move to `exported_<name>`.
fn force_target_labels(spec: &TargetSpec, labels: &mut Builder) {
    let mut conflicts: Vec<(String, String)> = Vec::new();
    for (name, value) in &spec.labels {
        let exposed = labels.value(name);
        if !exposed.is_empty() {
            conflicts.push((name.to_owned(), exposed.to_owned()));
        }
        labels.set(name, value);
    }
    conflicts.sort_by_key(|(name, _)| name.len());
    for (name, value) in conflicts {
        let mut free = format!("{EXPORTED_PREFIX}{name}");
        while !labels.value(&free).is_empty() {
            free.insert_str(0, EXPORTED_PREFIX);
        }
        labels.set(&free, &value);
    }
}

fn check_names(spec: &TargetSpec, labels: &LabelSet) -> Result<(), ScrapeError> {
    let Some(metric) = labels.get(METRIC_NAME) else { return Err(ScrapeError::NameMissing) };
    let scheme = spec.name_scheme;
    let legal =
        scheme.is_metric_name(metric) && labels.iter().all(|(name, _)| scheme.is_label_name(name));
    if legal { Ok(()) } else { Err(ScrapeError::Name(labels.clone())) }
}

fn check_limits(spec: &TargetSpec, labels: &LabelSet) -> Result<(), ScrapeError> {
    let limits = &spec.limits;
    let metric = || labels.metric_name().to_owned();
    let count = labels.len() as u64;
    if passes(count, limits.labels) {
        let (labels, limit) = (count, limits.labels);
        return Err(ScrapeError::LabelLimit { metric: metric(), labels, limit });
    }
    for (name, value) in labels {
        if passes(name.len() as u64, limits.name_bytes) {
            let (name, limit) = (name.to_owned(), limits.name_bytes);
            return Err(ScrapeError::NameLength { metric: metric(), name, limit });
        }
        if passes(value.len() as u64, limits.value_bytes) {
            let (name, value, limit) = (name.to_owned(), value.to_owned(), limits.value_bytes);
            return Err(ScrapeError::ValueLength { metric: metric(), name, value, limit });
        }
    }
    Ok(())
}

/// Whether `count` is over `limit`; 0 is no limit.
#[must_use]
pub fn passes(count: u64, limit: u64) -> bool {
    limit != 0 && limit < count
}
