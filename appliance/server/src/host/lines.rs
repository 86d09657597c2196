//! Lines: small files of `/proc` as text and numbers.

use std::path::Path;

/// Lines of one file that are looked at: bounds what a strange kernel can make of us.
pub const LINES_MAX: usize = 8_192;

/// The text of a file, if it can be read.
#[must_use]
pub fn read(root: &Path, name: &str) -> Option<String> {
    std::fs::read_to_string(root.join(name)).ok()
}

/// The number at the front of `text`, if it is one.
#[must_use]
pub fn number(text: Option<&str>) -> Option<f64> {
    text?.parse().ok()
}

/// A count as a metric's value.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "metrics are floats; 2^53 is far off")]
pub fn float(count: u64) -> f64 {
    count as f64
}

/// A signed count as a metric's value.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "metrics are floats; 2^53 is far off")]
pub fn float_signed(count: i64) -> f64 {
    count as f64
}
