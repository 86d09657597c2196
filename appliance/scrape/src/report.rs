//! Report: the series that tell of each scrape, in the same row as its samples.
//!
//! They are the first columns that a target makes in its group, so that a scrape that failed can
//! always be told of.

use storage::cells::{Cell, Cells};
use storage::row::{ColumnIndex, ColumnKind, GroupId, GroupKey};
use storage::store::{LimitError, Store};

use crate::ingest::Counts;
use crate::metrics::{number, seconds};
use crate::series::report_labels;
use crate::target::TargetSpec;

/// Names of the report series; the last three only with `extra_scrape_metrics`.
const NAMES: [&str; 8] = [
    "up",
    "scrape_duration_seconds",
    "scrape_samples_scraped",
    "scrape_samples_post_metric_relabeling",
    "scrape_series_added",
    "scrape_timeout_seconds",
    "scrape_sample_limit",
    "scrape_body_size_bytes",
];
const PLAIN: usize = 5;

/// What the report series say of one scrape.
#[derive(Clone, Copy, Debug)]
pub struct Report {
    /// Whether it succeeded.
    pub up: bool,
    /// How long it took.
    pub duration_ns: u64,
    /// What its body held.
    pub counts: Counts,
    /// Whether the body was too large.
    pub body_too_large: bool,
}

/// A target's place in storage: its group and the columns of its report series.
#[derive(Clone, Debug)]
pub struct Home {
    /// Group of its rows.
    pub group: GroupId,
    columns: Vec<ColumnIndex>,
}

impl Home {
    /// Finds or makes the group `key` of a target and the columns of its report series.
    ///
    /// # Errors
    /// Storage takes no more groups or series.
    pub fn new(spec: &TargetSpec, key: GroupKey, store: &mut Store) -> Result<Home, LimitError> {
        let group = store.group(key, &spec.labels)?;
        let count = if spec.extra_scrape_metrics { NAMES.len() } else { PLAIN };
        let mut columns = Vec::with_capacity(count);
        for name in &NAMES[..count] {
            columns.push(store.column(group, &report_labels(spec, name), ColumnKind::Float)?);
        }
        Ok(Home { group, columns })
    }

    /// Sets the cells of the report series, where the body had no such series itself.
    pub fn tell(&self, spec: &TargetSpec, report: &Report, cells: &mut Cells) {
        let count = |count: usize| number(count as u64);
        let body = if report.body_too_large { -1.0 } else { count(report.counts.body_bytes) };
        let values = [
            f64::from(u8::from(report.up)),
            seconds(report.duration_ns),
            count(report.counts.scraped),
            count(report.counts.kept),
            count(report.counts.added),
            number(spec.timeout_ms) / 1e3,
            number(spec.limits.samples),
            body,
        ];
        for (column, value) in self.columns.iter().zip(values) {
            let column = column.0 as usize;
            if !cells.present.get(column) {
                cells.set(column, Cell::Present(value));
            }
        }
    }

    /// Makes the cells of the report series staleness markers.
    pub fn end(&self, cells: &mut Cells) {
        for column in &self.columns {
            cells.set(column.0 as usize, Cell::Stale);
        }
    }
}
