//! Names of OpenTelemetry as names of Prometheus.
//!
//! Source: the library github.com/prometheus/otlptranslator, of which each rule here is one.

use crate::otlp::request::{Metric, Points};

/// How names are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Naming {
    /// Characters of no legacy name become underscores.
    pub escapes: bool,
    /// Unit and type become suffixes.
    pub has_suffixes: bool,
    /// A label that begins with one underscore gets `key` before it.
    pub prefixes_underscore: bool,
    /// Several underscores stay several.
    pub keeps_underscores: bool,
}

/// Units of UCUM and what they are called.
const UNITS: [(&str, &str); 25] = [
    ("d", "days"),
    ("h", "hours"),
    ("min", "minutes"),
    ("s", "seconds"),
    ("ms", "milliseconds"),
    ("us", "microseconds"),
    ("ns", "nanoseconds"),
    ("By", "bytes"),
    ("KiBy", "kibibytes"),
    ("MiBy", "mebibytes"),
    ("GiBy", "gibibytes"),
    ("TiBy", "tibibytes"),
    ("KBy", "kilobytes"),
    ("MBy", "megabytes"),
    ("GBy", "gigabytes"),
    ("TBy", "terabytes"),
    ("m", "meters"),
    ("V", "volts"),
    ("A", "amperes"),
    ("J", "joules"),
    ("W", "watts"),
    ("g", "grams"),
    ("Cel", "celsius"),
    ("Hz", "hertz"),
    ("%", "percent"),
];
const PER_UNITS: [(&str, &str); 7] = [
    ("s", "second"),
    ("m", "minute"),
    ("h", "hour"),
    ("d", "day"),
    ("w", "week"),
    ("mo", "month"),
    ("y", "year"),
];

impl Naming {
    /// Name of the series of a metric.
    ///
    /// # Errors
    /// Nothing is left of the name.
    pub fn metric(&self, metric: &Metric) -> Result<String, String> {
        if !self.escapes {
            return Ok(self.unescaped(metric));
        }
        let name = if self.has_suffixes { with_suffixes(metric) } else { plain(&metric.name) };
        checked("metric", &metric.name, name)
    }

    fn unescaped(&self, metric: &Metric) -> String {
        let mut name = metric.name.as_str();
        if !self.has_suffixes {
            return name.to_owned();
        }
        let (unit, per) = unit_suffixes(&metric.unit);
        let mut suffixes = Vec::new();
        if is_ratio(metric) {
            name = without_suffix(name, "ratio");
            suffixes.push("ratio".to_owned());
        }
        if is_counter(metric) {
            name = without_suffix(name, "total");
            suffixes.push("total".to_owned());
        }
        if !per.is_empty() {
            name = without_suffix(name, &per);
            suffixes.push(per);
        }
        let mut built = name.to_owned();
        if !unit.is_empty() && !name.ends_with(&unit) {
            built.push('_');
            built.push_str(&unit);
        }
        for suffix in suffixes.iter().rev() {
            built.push('_');
            built.push_str(suffix);
        }
        built
    }

    /// Name of the label of an attribute.
    ///
    /// # Errors
    /// Nothing is left of the name.
    pub fn label(&self, name: &str) -> Result<String, String> {
        if !self.escapes {
            return checked("label name", name, name.to_owned());
        }
        let mut label = self.label_characters(name);
        if label.starts_with(|c: char| c.is_ascii_digit()) {
            label.insert_str(0, "key_");
        } else if self.prefixes_underscore && label.starts_with('_') && !label.starts_with("__") {
            label.insert_str(0, "key");
        }
        checked("label name", name, label)
    }

    fn label_characters(&self, name: &str) -> String {
        let fits = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let escaped = |text: &str| -> String {
            text.chars().map(|c| if fits(c) { c } else { '_' }).collect()
        };
        if self.keeps_underscores {
            return escaped(name);
        }
        // Names that are set apart by two underscores on both sides keep these.
        let inner = name.strip_prefix("__").and_then(|rest| rest.strip_suffix("__"));
        match inner.filter(|inner| !inner.is_empty()) {
            Some(inner) => format!("__{}__", collapsed(&escaped(inner)).trim_matches('_')),
            None => collapsed(&escaped(name)),
        }
    }

    /// What a unit is called in metadata.
    #[must_use]
    pub fn unit(&self, unit: &str) -> String {
        let (unit, per) = unit_suffixes(unit);
        let (unit, per) = (clean(&unit), clean(&per));
        let joined = match (unit.is_empty(), per.is_empty()) {
            (false, false) => format!("{unit}_{per}"),
            (false, true) => unit,
            _ => per,
        };
        let joined = joined.strip_prefix('_').unwrap_or(&joined);
        joined.strip_suffix('_').unwrap_or(joined).to_owned()
    }
}

fn is_counter(metric: &Metric) -> bool {
    matches!(metric.points, Points::Sum { is_monotonic: true, .. })
}

fn is_ratio(metric: &Metric) -> bool {
    metric.unit == "1" && matches!(metric.points, Points::Gauge(_))
}

fn checked(what: &str, from: &str, name: String) -> Result<String, String> {
    if name.is_empty() {
        return Err(format!("normalization for {what} {from:?} resulted in empty name"));
    }
    if name != from && name.chars().all(|c| c == '_') {
        return Err(format!("normalization for {what} {from:?} resulted in invalid name {name:?}"));
    }
    Ok(name)
}

/// The parts of a name between characters that are none of a name, joined by underscores.
fn plain(name: &str) -> String {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == ':' || c == '_';
    let parts: Vec<&str> = name.split(|c| !fits(c)).filter(|part| !part.is_empty()).collect();
    with_letter_first(parts.join("_"))
}

fn with_suffixes(metric: &Metric) -> String {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == ':';
    let parts = metric.name.split(|c| !fits(c)).filter(|part| !part.is_empty());
    let mut tokens: Vec<String> = parts.map(str::to_owned).collect();
    let (unit, per) = unit_suffixes(&metric.unit);
    let (mut unit, mut per) = (clean(&unit), clean(&per));
    if tokens.contains(&unit) {
        unit.clear();
    }
    if per == "per_" {
        per.clear();
    } else {
        per = per.strip_suffix('_').unwrap_or(&per).to_owned();
        if tokens.contains(&per) {
            per.clear();
        }
    }
    if !per.is_empty() {
        unit = unit.strip_suffix('_').unwrap_or(&unit).to_owned();
    }
    tokens.extend([unit, per].into_iter().filter(|token| !token.is_empty()));
    let last = [(is_counter(metric), "total"), (is_ratio(metric), "ratio")];
    for (_, suffix) in last.into_iter().filter(|(is_so, _)| *is_so) {
        tokens.retain(|token| token != suffix);
        tokens.push(suffix.to_owned());
    }
    with_letter_first(tokens.join("_"))
}

fn with_letter_first(name: String) -> String {
    if name.starts_with(|c: char| c.is_ascii_digit()) { format!("_{name}") } else { name }
}

/// Suffixes of a unit such as `By/s`: the unit's and `per_second`.
fn unit_suffixes(unit: &str) -> (String, String) {
    let (main, per) = unit.split_once('/').unwrap_or((unit, ""));
    let named = |text: &str, names: &[(&str, &str)]| {
        let text = text.trim();
        if text.contains(['{', '}']) {
            return String::new();
        }
        let found = names.iter().find(|(unit, _)| *unit == text);
        found.map_or(text, |(_, name)| name).to_owned()
    };
    let main = if main.trim() == "1" { String::new() } else { named(main, &UNITS) };
    let per = named(per, &PER_UNITS);
    (main, if per.is_empty() { per } else { format!("per_{per}") })
}

fn clean(unit: &str) -> String {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == ':';
    let replaced: String = unit.chars().map(|c| if fits(c) { c } else { '_' }).collect();
    let collapsed = collapsed(&replaced);
    collapsed.strip_prefix('_').unwrap_or(&collapsed).to_owned()
}

/// Runs of underscores become one.
fn collapsed(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c != '_' || !out.ends_with('_') {
            out.push(c);
        }
    }
    out
}

/// A name without a suffix and the character before it.
fn without_suffix<'a>(name: &'a str, suffix: &str) -> &'a str {
    match name.strip_suffix(suffix) {
        Some(rest) if 1 < rest.len() => {
            let last = rest.char_indices().next_back().map_or(0, |(at, _)| at);
            &rest[..last]
        }
        _ => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::otlp::request::Temporality;

    const FULL: Naming = Naming {
        escapes: true,
        has_suffixes: true,
        prefixes_underscore: true,
        keeps_underscores: true,
    };

    fn metric(name: &str, unit: &str, points: Points) -> Metric {
        let description = String::new();
        Metric { name: name.to_owned(), description, unit: unit.to_owned(), points }
    }

    fn counter() -> Points {
        let temporality = Temporality::Cumulative;
        Points::Sum { points: Vec::new(), temporality, is_monotonic: true }
    }

    #[track_caller]
    fn check(naming: Naming, of: &Metric, expected: &str) {
        assert_eq!(naming.metric(of).unwrap_or_else(|error| error), expected);
    }

    #[test]
    fn metrics_are_named_by_strategy() {
        let duration = metric("http.server.duration", "s", Points::None);
        let requests = metric("requests", "1", counter());
        let io = metric("system.io", "By/s", counter());
        let ratio = metric("cpu.ratio", "1", Points::Gauge(Vec::new()));
        check(FULL, &duration, "http_server_duration_seconds");
        check(FULL, &requests, "requests_total");
        check(FULL, &io, "system_io_bytes_per_second_total");
        check(FULL, &ratio, "cpu_ratio");
        check(FULL, &metric("9.a__b", "{x}", Points::None), "_9_a_b");
        check(FULL, &metric("requests.total.count", "", counter()), "requests_count_total");
        check(
            FULL,
            &metric("..", "", Points::None),
            "normalization for metric \"..\" resulted in empty name",
        );
        let without = Naming { has_suffixes: false, ..FULL };
        check(without, &io, "system_io");
        check(without, &metric("a..b__c", "s", counter()), "a_b__c");
        let utf8 = Naming { escapes: false, ..FULL };
        check(utf8, &io, "system.io_bytes_per_second_total");
        check(utf8, &metric("a.seconds", "s", counter()), "a.seconds_total");
        check(Naming { has_suffixes: false, ..utf8 }, &io, "system.io");
        assert_eq!(FULL.unit("By/s"), "bytes_per_second");
        assert_eq!(FULL.unit("1"), "");
    }

    #[test]
    fn labels_are_names_of_prometheus() {
        let label = |naming: Naming, name: &str| naming.label(name).expect("a name");
        assert_eq!(label(FULL, "service.name"), "service_name");
        assert_eq!(label(FULL, "9a"), "key_9a");
        assert_eq!(label(FULL, "_a"), "key_a");
        assert_eq!(label(FULL, "a..b"), "a__b");
        let collapsing = Naming { keeps_underscores: false, ..FULL };
        assert_eq!(label(collapsing, "a..b"), "a_b");
        assert_eq!(label(Naming { prefixes_underscore: false, ..FULL }, "_a"), "_a");
        assert_eq!(label(Naming { escapes: false, ..FULL }, "a.b"), "a.b");
        assert!(FULL.label("").is_err());
    }
}
