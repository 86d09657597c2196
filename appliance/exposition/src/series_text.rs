//! Series text: writes what `series` reads, for formats that have no text of their own.
//!
//! Path: `protobuf`, `nhcb` → **series_text** → entries, layouts.

use model::label_name::{is_legacy_label_name, is_legacy_metric_name};
use model::label_set::{LabelSet, METRIC_NAME};

use crate::entry::Entry;

/// Writes `name{labels}`; `labels` are pairs as [`write_label`] writes them, each with a comma
/// behind it.
pub(crate) fn write_series(name: &str, suffix: &str, labels: &[u8], into: &mut Vec<u8>) {
    if is_legacy_metric_name(name) {
        into.extend_from_slice(name.as_bytes());
        into.extend_from_slice(suffix.as_bytes());
        if labels.is_empty() {
            return;
        }
        into.push(b'{');
    } else {
        into.extend_from_slice(b"{\"");
        escape(name, into);
        escape(suffix, into);
        into.extend_from_slice(b"\",");
    }
    into.extend_from_slice(labels);
    into.pop();
    into.push(b'}');
}

/// Writes `name="value",`.
pub(crate) fn write_label(name: &str, value: &str, into: &mut Vec<u8>) {
    if is_legacy_label_name(name) {
        into.extend_from_slice(name.as_bytes());
    } else {
        into.push(b'"');
        escape(name, into);
        into.push(b'"');
    }
    into.extend_from_slice(b"=\"");
    escape(value, into);
    into.extend_from_slice(b"\",");
}

/// Writes a whole label set as a series.
pub(crate) fn write_label_set(labels: &LabelSet, into: &mut Vec<u8>) {
    let mut pairs = Vec::new();
    for (name, value) in labels.iter().filter(|(name, _)| *name != METRIC_NAME) {
        write_label(name, value, &mut pairs);
    }
    write_series(labels.metric_name(), "", &pairs, into);
}

/// Writes metadata as a line of OpenMetrics; of other entries nothing.
pub(crate) fn write_metadata(entry: &Entry<'_>, into: &mut Vec<u8>) {
    let (word, name, text) = match entry {
        Entry::Help { name, help } => ("HELP", name, help.as_ref()),
        Entry::Type { name, metric_type } => ("TYPE", name, metric_type.api_text()),
        Entry::Unit { name, unit } => ("UNIT", name, unit.as_ref()),
        Entry::Comment { .. } | Entry::Sample(_) | Entry::Histogram(_) => return,
    };
    into.extend_from_slice(b"# ");
    into.extend_from_slice(word.as_bytes());
    into.push(b' ');
    if is_legacy_metric_name(name) {
        into.extend_from_slice(name.as_bytes());
    } else {
        into.push(b'"');
        escape(name, into);
        into.push(b'"');
    }
    into.push(b' ');
    escape(text, into);
    into.push(b'\n');
}

fn escape(text: &str, into: &mut Vec<u8>) {
    for byte in text.bytes() {
        match byte {
            b'\\' => into.extend_from_slice(b"\\\\"),
            b'"' => into.extend_from_slice(b"\\\""),
            b'\n' => into.extend_from_slice(b"\\n"),
            other => into.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use model::label_set::Builder;
    use proptest::prelude::*;

    use super::*;
    use crate::metric_type::MetricType;
    use crate::openmetrics::parser::OpenMetricsParser;
    use crate::series::parse_series;

    proptest! {
        #[test]
        fn what_is_written_reads_back(
            name in "[a-z.é\"\\\\]{1,5}",
            labels in prop::collection::btree_map("[a-c.é\"]{1,3}", "[a\"\\\\\n{},=é]{0,5}", 0..4),
            help in "[a\"\\\\\n ]{0,9}",
        ) {
            let pairs = labels.iter().map(|(name, value)| (name.as_str(), value.as_str()));
            let set = LabelSet::new(pairs.chain([(METRIC_NAME, name.as_str())]));
            let mut text = Vec::new();
            write_label_set(&set, &mut text);
            let mut read = Builder::default();
            parse_series(&text, MetricType::Unknown, &mut read).expect("a series");
            prop_assert_eq!(read.build(), set);
            let entry = Entry::Help { name: name.into(), help: help.into() };
            let mut line = Vec::new();
            write_metadata(&entry, &mut line);
            prop_assert_eq!(OpenMetricsParser::new(&line).next(), Some(Ok(entry)));
        }
    }
}
