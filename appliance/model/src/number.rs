//! Float numbers as text, laid out as Go's strconv lays them out.

/// `value` as the HTTP API prints sample values: shortest digits that read back, without exponent
/// unless |x| < 1e-6 or 1e21 <= |x|; `NaN`, `+Inf`, `-Inf`.
#[must_use]
pub fn format_sample_value(value: f64) -> String {
    let mut text = String::new();
    write_sample_value(&mut text, value);
    text
}

/// Appends what [`format_sample_value`] gives.
pub fn write_sample_value(text: &mut String, value: f64) {
    if value.is_nan() {
        text.push_str("NaN");
    } else if value.is_infinite() {
        text.push_str(if value < 0.0 { "-Inf" } else { "+Inf" });
    } else {
        text.push_str(&format!("{value}"));
    }
}
