//! A scan by any layout gives what the general parser gives, whatever happened to the body.

use exposition::dialect::{Dialect, DialectParser};
use exposition::entry::Entry;
use exposition::layout::{Layout, LayoutTable, learn};
use exposition::metric_type::MetricType;
use exposition::openmetrics::parser::OpenMetricsParser;
use exposition::openmetrics::strict;
use exposition::scan::{Scan, scan};
use exposition::series::{parse_exemplar_labels, parse_series};
use exposition::text::TextParser;
use model::label_set::Builder;
use model::time::TimestampMs;
use proptest::prelude::*;

/// Series text, bits of the value, timestamp: sorted, so that the order does not count.
type Samples = Vec<(Vec<u8>, u64, Option<i64>)>;

fn millis(timestamp: Option<TimestampMs>) -> Option<i64> {
    timestamp.map(|timestamp| timestamp.0)
}

fn by_parser(dialect: Dialect, body: &[u8]) -> Result<Samples, String> {
    let mut samples = Vec::new();
    for entry in DialectParser::new(dialect, body) {
        if let Entry::Sample(sample) = entry.map_err(|error| error.to_string())? {
            let value = sample.value.to_bits();
            samples.push((sample.series.to_vec(), value, millis(sample.timestamp)));
        }
    }
    samples.sort();
    Ok(samples)
}

fn by_scan(
    dialect: Dialect,
    body: &[u8],
    layout: &Layout,
    found: &mut Scan,
) -> Result<Samples, String> {
    scan(dialect, body, layout, found).map_err(|error| error.to_string())?;
    let series = |ordinal| layout.series_text(ordinal).to_vec();
    let mut samples: Samples = found
        .seen
        .iter_ones()
        .map(|ordinal| (series(ordinal), found.values[ordinal].to_bits(), None))
        .collect();
    for stray in &found.strays {
        let series = stray.series_text(body).to_vec();
        assert_eq!(stray.ordinal.map(|at| at as usize), layout.ordinal(&series));
        samples.push((series, stray.value.to_bits(), millis(stray.timestamp)));
    }
    assert_eq!(found.samples, samples.len());
    samples.sort();
    Ok(samples)
}

/// Types of the samples that the layout does not have, by the parser and by the scan.
fn stray_types(
    dialect: Dialect,
    body: &[u8],
    layout: &Layout,
    found: &Scan,
) -> [Vec<MetricType>; 2] {
    let unknown = DialectParser::new(dialect, body).filter_map(|entry| match entry {
        Ok(Entry::Sample(sample)) if layout.ordinal(sample.series).is_none() => {
            Some(sample.metric_type)
        }
        _ => None,
    });
    let strays = found.strays.iter().filter(|stray| stray.ordinal.is_none());
    [unknown.collect(), strays.map(|stray| stray.metric_type).collect()]
}

/// Samples without a timestamp beyond the first of their series.
fn duplicates(samples: &Samples) -> usize {
    let mut series: Vec<&[u8]> =
        samples.iter().filter(|(_, _, at)| at.is_none()).map(|(series, ..)| &series[..]).collect();
    let all = series.len();
    series.dedup();
    all - series.len()
}

fn check_in(dialect: Dialect, body: &[u8], layout: &Layout) {
    let mut found = Scan::default();
    let expected = by_parser(dialect, body);
    assert_eq!(by_scan(dialect, body, layout, &mut found), expected, "{}", body.escape_ascii());
    if let Ok(samples) = expected {
        assert_eq!(found.duplicates, duplicates(&samples), "{}", body.escape_ascii());
        assert_eq!(found.duplicates, found.strays.iter().filter(|stray| stray.duplicate).count());
        let [parser, scan] = stray_types(dialect, body, layout, &found);
        assert_eq!(scan, parser, "{}", body.escape_ascii());
    }
}

fn check(body: &[u8], layout: &Layout) {
    check_in(Dialect::Text, body, layout);
}

fn line() -> impl Strategy<Value = String> {
    let name = prop_oneof!["[ab]", "[ab]_(bucket|sum)", "long_metric_name_of_many_bytes_[ab]"];
    let labels = prop_oneof![
        Just(String::new()),
        Just("{}".to_owned()),
        "\\{[xy]=\"[0-3]\"(,z=\"a(\\\\\\\\|\\\\n|\\\\\"|\n)b\")?,?\\}",
        " \\{ le = \"[0-2]\" \\}",
    ];
    let value =
        prop_oneof!["[0-9]{1,3}", "-?[0-9]{0,18}\\.[0-9]{1,18}", "1e[0-9]", "NaN", "\\+Inf"];
    let end = prop_oneof![6 => "", 1 => " ", 1 => " 1?[0-9]{3}", 1 => "\t"];
    let sample = (name, labels, "[ \t]", value, end)
        .prop_map(|(name, labels, gap, value, end)| format!("{name}{labels}{gap}{value}{end}"));
    let quoted =
        ("[ab]", "[0-9]").prop_map(|(name, value)| format!("{{\"{name}.é\",x=\"1\"}}{value}"));
    let comment = prop_oneof![
        "# HELP [ab] [a-c ]{0,5}",
        "# TYPE [ab] (counter|gauge|histogram|summary|untyped)",
        "#[ a]{0,3}",
        "[ \t]{0,2}",
    ];
    prop_oneof![6 => sample, 1 => quoted, 3 => comment]
}

/// A line as OpenMetrics has it.
fn openmetrics_line() -> impl Strategy<Value = String> {
    let name = prop_oneof!["[ab]", "[ab]_(bucket|total)", "long_metric_name_of_many_bytes_[ab]"];
    let labels = prop_oneof![
        Just(String::new()),
        Just("{}".to_owned()),
        "\\{[xy]=\"[0-3]\"(,z=\"a(\\\\\\\\|\\\\n|\\\\\")b\")?,?\\}",
    ];
    let value =
        prop_oneof!["[0-9]{1,3}", "-?[0-9]{0,18}\\.[0-9]{1,18}", "1e[0-9]", "NaN", "\\+Inf"];
    let end = prop_oneof![
        6 => "",
        1 => " 1?[0-9]{3}(\\.[0-9])?",
        2 => " # \\{[xy]=\"[0-3]\"\\} [0-9](\\.5 [0-9]{3})?",
        1 => " [0-9] # \\{\\} 1",
    ];
    let sample = (name, labels, value, end)
        .prop_map(|(name, labels, value, end)| format!("{name}{labels} {value}{end}"));
    let quoted =
        ("[ab]", "[0-9]").prop_map(|(name, value)| format!("{{\"{name}.é\",x=\"1\"}} {value}"));
    let comment = prop_oneof![
        "# HELP [ab] [a-c ]{0,5}",
        "# TYPE [ab] (counter|gauge|histogram|summary|unknown|info|stateset|gaugehistogram)",
        "# UNIT (a_b b|b )",
    ];
    prop_oneof![6 => sample, 1 => quoted, 3 => comment]
}

fn openmetrics_lines() -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec(openmetrics_line(), 0..24)
}

fn lines() -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec(line(), 0..24)
}

/// What may happen to a body from one scrape to the next.
#[derive(Clone, Debug)]
enum Change {
    Insert(prop::sample::Index, String),
    Delete(prop::sample::Index),
    Swap(prop::sample::Index, prop::sample::Index),
    Repeat(prop::sample::Index, prop::sample::Index),
    Value(prop::sample::Index, String),
    Byte(prop::sample::Index, u8),
    Cut(prop::sample::Index),
}

fn change() -> impl Strategy<Value = Change> {
    use any as a;
    let bytes = prop_oneof![any::<u8>(), prop::sample::select(b"\n \"{}#,=\\0\0e.".to_vec())];
    prop_oneof![
        3 => (a::<prop::sample::Index>(), line()).prop_map(|(at, line)| Change::Insert(at, line)),
        3 => a::<prop::sample::Index>().prop_map(Change::Delete),
        3 => a::<[prop::sample::Index; 2]>().prop_map(|[a, b]| Change::Swap(a, b)),
        2 => a::<[prop::sample::Index; 2]>().prop_map(|[a, b]| Change::Repeat(a, b)),
        4 => (a::<prop::sample::Index>(), "[0-9]{1,9}(\\.[0-9]{1,9})?")
            .prop_map(|(at, value)| Change::Value(at, value)),
        1 => (a::<prop::sample::Index>(), bytes).prop_map(|(at, byte)| Change::Byte(at, byte)),
        1 => a::<prop::sample::Index>().prop_map(Change::Cut),
    ]
}

fn changed(lines: &[String], changes: &[Change]) -> Vec<u8> {
    let mut lines = lines.to_vec();
    let mut bytes = Vec::new();
    for change in changes.iter().filter(|_| !lines.is_empty()).cloned().collect::<Vec<_>>() {
        let count = lines.len().max(1);
        match change {
            Change::Insert(at, line) => lines.insert(at.index(count), line),
            Change::Delete(at) if 1 < lines.len() => drop(lines.remove(at.index(count))),
            Change::Swap(a, b) => lines.swap(a.index(count), b.index(count)),
            Change::Repeat(a, b) => lines.insert(b.index(count), lines[a.index(count)].clone()),
            Change::Value(at, value) => {
                let line = &mut lines[at.index(count)];
                let kept = line.rfind(' ').map_or(line.len(), |space| space + 1);
                line.replace_range(kept.., &value);
            }
            Change::Delete(_) => {}
            other => bytes.push(other),
        }
    }
    let mut body = (lines.join("\n") + "\n").into_bytes();
    for change in bytes {
        match change {
            Change::Byte(at, byte) => {
                let at = at.index(body.len().max(1));
                body.splice(at..(at + 1).min(body.len()), [byte]);
            }
            Change::Cut(at) => body.truncate(at.index(body.len() + 1)),
            _ => unreachable!("changes of lines are done"),
        }
    }
    body
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn c1_a_scan_gives_what_the_parser_gives(
        before in lines(),
        changes in prop::collection::vec(change(), 0..6),
    ) {
        let body = (before.join("\n") + "\n").into_bytes();
        check(&body, &Layout::default());
        let after = changed(&before, &changes);
        if let Ok(layout) = learn(Dialect::Text, &body) {
            check(&body, &layout);
            check(&after, &layout);
        }
        if let Ok(layout) = learn(Dialect::Text, &after) {
            check(&after, &layout);
            check(&body, &layout);
        }
    }

    #[test]
    fn c1_a_scan_of_openmetrics_gives_what_the_parser_gives(
        before in openmetrics_lines(),
        changes in prop::collection::vec(change(), 0..6),
    ) {
        let in_openmetrics = |body: &[u8], layout: &Layout| {
            check_in(Dialect::OpenMetrics, body, layout);
        };
        let whole = |lines: &[String]| (lines.join("\n") + "\n# EOF\n").into_bytes();
        let body = whole(&before);
        in_openmetrics(&body, &Layout::default());
        let mut lines = before.clone();
        lines.push("# EOF".to_owned());
        let after = changed(&lines, &changes);
        // Of a layout in the other dialect, what is found stays right.
        for layout in [learn(Dialect::OpenMetrics, &body), learn(Dialect::Text, &body)] {
            let Ok(layout) = layout else { continue };
            in_openmetrics(&body, &layout);
            in_openmetrics(&after, &layout);
        }
        if let Ok(layout) = learn(Dialect::OpenMetrics, &after) {
            in_openmetrics(&after, &layout);
            in_openmetrics(&body, &layout);
            check(&body, &layout);
        }
    }

    #[test]
    fn a_body_cut_anywhere_is_refused_or_shorter(
        lines in openmetrics_lines(),
        cut: prop::sample::Index,
    ) {
        let body = (lines.join("\n") + "\n# EOF\n").into_bytes();
        let Ok(layout) = learn(Dialect::OpenMetrics, &body) else { return Ok(()) };
        let cut = &body[..cut.index(body.len() + 1)];
        check_in(Dialect::OpenMetrics, cut, &layout);
        let read = by_parser(Dialect::OpenMetrics, cut);
        // Without its last line end, the last word is still whole.
        prop_assert_eq!(read.is_ok(), body.len() <= cut.len() + 1);
        let _ = strict::check(cut);
    }

    #[test]
    fn any_bytes_are_read_or_refused(body: Vec<u8>, other: Vec<u8>) {
        check(&body, &Layout::default());
        if let Ok(layout) = learn(Dialect::Text, &body) {
            check(&body, &layout);
            check(&other, &layout);
        }
        check_in(Dialect::OpenMetrics, &body, &Layout::default());
        let _ = strict::check(&body);
        let _ = OpenMetricsParser::with_start_timestamps(&body).count();
        let _ = parse_exemplar_labels(&body, &mut Builder::default());
        let _ = parse_series(&body, MetricType::Histogram, &mut Builder::default());
    }

    #[test]
    fn y1_series_texts_are_found_by_their_text(before in lines()) {
        let body = before.join("\n").into_bytes();
        let Ok(layout) = learn(Dialect::Text, &body) else { return Ok(()) };
        for ordinal in 0..layout.samples() {
            let series = layout.series_text(ordinal);
            prop_assert_eq!(layout.ordinal(series), Some(ordinal));
            let first = TextParser::new(&body).find_map(|entry| match entry {
                Ok(Entry::Sample(sample))
                    if sample.series == series && sample.timestamp.is_none() =>
                {
                    Some(sample.metric_type)
                }
                _ => None,
            });
            prop_assert_eq!(Some(layout.metric_type(ordinal)), first);
        }
    }

    #[test]
    fn equal_bodies_share_a_layout(before in lines(), values in lines()) {
        let body = before.join("\n").into_bytes();
        let learned = || learn(Dialect::Text, &body);
        let (Ok(first), Ok(second)) = (learned(), learned()) else { return Ok(()) };
        let mut table = LayoutTable::new(2);
        let first = table.intern(first);
        prop_assert!(std::sync::Arc::ptr_eq(&first, &table.intern(second)));
        if let Ok(other) = learn(Dialect::Text, values.join("\n").as_bytes()) {
            table.intern(other);
        }
        drop(first);
        table.sweep();
        prop_assert_eq!(table.len(), 0);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn c1_in_any_order_of_many_samples(
        order in prop::collection::vec(0_usize..300, 0..40),
        run in 1_usize..120,
    ) {
        let line = |at: usize| format!("series_{at}{{a=\"{}\"}} {at}\n", at % 7);
        let body: String = (0..300).map(line).collect();
        let layout = learn(Dialect::Text, body.as_bytes()).expect("the body is valid");
        let runs = order.iter().flat_map(|from| *from..(from + run).min(310));
        let shuffled: String = runs.map(line).collect();
        check(shuffled.as_bytes(), &layout);
    }
}
