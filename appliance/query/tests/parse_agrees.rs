//! Second opinion: what `promql-parser` accepts we accept, and read alike.
//!
//! It knows Prometheus 3.8 and less of 3.14's syntax, so only its yes counts. Both trees are
//! compared by the text that ours prints for the text that each prints.

use proptest::prelude::*;
use query::parse::options::Options;
use query::parse::parse;

/// Texts that both must read alike.
const AGREED: &[&str] = &[
    "1 + 2 * 3 ^ -2 ^ 2 % 4 - 5 / 6",
    "-1 ^ 2 * -x ^ 3",
    "0x1f + 0755 + .5e-3 + 5. + Inf - NaN",
    "a and b or c unless d",
    "a == bool on (x) group_left (y) b > ignoring (z) group_right (w) c",
    "a atan2 b % c",
    "foo{a=\"b\",c!='d',e=~`f.*`,g!~\"h|i\"} offset -5m @ end()",
    "{\"foo.bar\",\"l.m\"=\"x\"}[5m:30s] @ 3.5 offset 1h",
    "rate(http_requests_total{job=\"x\"}[1h30m] offset 1d)",
    "sum without (a,) (rate(x[5m])) / count(y) by (b, \"c.d\")",
    "topk by (a) (5, count_values(\"v\", quantile(0.9, x)))",
    "histogram_quantile(0.9, sum(rate(b_bucket[5m])) by (le))",
    "label_replace(up, \"a\", \"$1\", \"b\", \"(.*)\") # comment",
    "max_over_time((sum(x) / 2)[1h:])",
    "sum(sum) by (by, on, start, bool)",
    "start + end{offset=\"1\"} and min",
    "absent(x{a=\"\"} offset 1w)",
    "x + fill (1) y - fill_left (2) fill_right (3) z",
    "((((1))))",
    "\"a\\n\\\"b\\x41\\u00e9\"",
    "time() - vector(scalar(x)) + hour()",
];

/// Texts that it accepts and we do not, or that it reads otherwise, with what it does wrong.
const DIFFERENCES: &[(&str, &str)] = &[
    ("+x", "drops a plus before an expression"),
    ("1h30m", "forgets that a number was written as a duration"),
    ("a * ignoring () group_left b", "loses an empty ignoring () before group_left"),
    ("9223372036854775807000 + 1e400", "accepts a number out of range"),
    ("x @ NaN", "accepts an @ time out of range"),
    ("info(a, b)", "accepts a metric name in the second argument of info()"),
];

/// What both make of a text; `None` where it refuses.
fn both(text: &str) -> Option<(String, String)> {
    let theirs = promql_parser::parser::parse(text).ok()?.to_string();
    let printed = |text: &str| match parse(text, &Options::ALL) {
        Ok(expr) => expr.to_string(),
        Err(errors) => format!("{text:?} refused: {errors}"),
    };
    Some((printed(text), printed(&theirs)))
}

#[test]
fn listed_texts_are_read_alike() {
    for text in AGREED {
        let (ours, theirs) = both(text).unwrap_or_else(|| panic!("it refuses {text:?}"));
        assert_eq!(ours, theirs, "{text}");
        assert!(!ours.contains("refused"), "{ours}");
    }
}

#[test]
fn listed_differences_are_there() {
    for (text, wrong) in DIFFERENCES {
        let agreed =
            both(text).is_some_and(|(ours, theirs)| ours == theirs && !ours.contains("refused"));
        assert!(!agreed, "they agree on {text:?}, listed because it {wrong}");
    }
}

/// Expressions of the syntax that both know, listed differences left out.
fn expression() -> impl Strategy<Value = String> {
    let leaf = prop::sample::select(
        &[
            "1",
            "0x1f",
            "NaN",
            "2.5e-3",
            "foo",
            "a:b",
            "sum",
            "by",
            "x{a=\"b\"}",
            "{c=~\"d.+\"}",
            "x offset 5m",
            "x @ 1.5 offset -1d",
            "x @ start()",
            "time()",
            "{'e.f'}",
            "'text'",
            "x[5m]",
            "min_over_time(y[1h])",
            "-x",
            "-3",
        ][..],
    );
    leaf.prop_map(str::to_owned).prop_recursive(6, 32, 2, |inner| {
        let wraps = &[
            "(#)",
            "-#",
            "sum(#)",
            "avg by (a, on) (#)",
            "max(#) without ()",
            "topk(3, #)",
            "count_values('l', #)",
            "abs(#)",
            "round(#, 5)",
            "vector(scalar(#))",
            "(#)[1h:5m]",
            "rate((#)[10m:] offset 1m)",
            "label_join(#, 'a', ',', 'b')",
            "histogram_fraction(0, 1, #)",
        ][..];
        let joins = &[
            "+",
            "-",
            "*",
            "/",
            "%",
            "^",
            "atan2",
            "== bool",
            "!=",
            "< bool",
            ">=",
            "and",
            "or",
            "unless on (a)",
            "* on (a, b) group_left (c)",
            "/ ignoring (d) group_right",
            "> on (a)",
        ][..];
        let wrapped = (prop::sample::select(wraps), inner.clone())
            .prop_map(|(wrap, expr)| wrap.replace('#', &expr));
        let joined = (inner.clone(), prop::sample::select(joins), inner)
            .prop_map(|(left, join, right)| format!("{left} {join} {right}"));
        prop_oneof![wrapped, joined]
    })
}

fn config() -> ProptestConfig {
    ProptestConfig { cases: 500, failure_persistence: None, ..Default::default() }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn random_expressions_are_read_alike(text in expression()) {
        if let Some((ours, theirs)) = both(&text) {
            prop_assert_eq!(ours, theirs, "{}", text);
        } else {
            let refused = parse(&text, &Options::ALL).is_err();
            prop_assert!(refused, "only it refuses {}", text);
        }
    }
}
