//! Whatever the bytes, parsing ends with a tree or an error; a tree's text parses to that tree.

use proptest::prelude::*;
use query::ast::{Expr, ExprKind};
use query::parse::options::Options;
use query::parse::series::{parse_series_description, parse_start_timestamps};
use query::parse::{parse, parse_bytes, parse_selector};

/// Pieces of which random texts are made; most of them mean something somewhere.
const PIECES: &str = r#"
foo sum by without ( ) ( ) { } [ ] , : a:b 1 0x1f 1_0 5m 1h30m 1.5 NaN inf "s" 't' `u` "é\n" \
+ - * / % ^ == != < <= > >= </ >/ = =~ !~ and or unless atan2 bool on ignoring group_left
group_right fill fill_left fill_right offset @ start end step range min_of max_of anchored smoothed
rate vector info label_join topk count_values quantile {} x{a="b"} x[5m] sum(x) # é {{ }} _ x stale
schema:1 buckets:[1 1+2x3 @st
"#;

/// Operands, one a line.
const LEAVES: &str = r#"1
-2
0x1f
1h30m
NaN
-Inf
1e-7
foo
a:b
sum
by
start
offset
{"a.b"}
{__name__=~"x.*"}
{'a\'b',c!="d"}
x{__name__!="y"}
x{"l.m"="\u00e9\xff",n!~`a|b`}
x offset 5m
x offset -1d
x @ 1.5
x @ end() offset 2s
x @ -3 smoothed
time()
x offset step()
x offset -(1m+step())
x offset (1m) * 2
'text'"#;

/// What may stand around `#`.
const WRAPS: &str = r#"(#)
-#
+#
sum(#)
sum by (a,"b.c") (#)
avg(#) without ()
topk(3, #)
count_values("l", #)
quantile by (on) (0.9, #)
rate(x[5m])
abs(#)
round(#, 5)
vector(scalar(#))
(#)[1h:5m]
(#)[1h:] @ 5 offset 1m
max_over_time((#)[10m:range()/2])
x[-(1m - 2m) * 2 ^ 2]
x[min_of(5m, step())]
x[5m] anchored
label_join(#, "a", ",", "b")
info(#, {a="b"})"#;

/// What may stand between two expressions.
const JOINS: &str = "+
-
*
/
%
^
atan2
== bool
!=
< bool
>=
</
>/
and
or
unless on (a)
* on (a, b) group_left (c)
/ ignoring () group_right
+ fill (1)
- on () fill_left (-2) fill_right (3)
> on (a)";

fn lines(text: &'static str) -> impl Strategy<Value = &'static str> {
    prop::sample::select(text.lines().collect::<Vec<_>>())
}

fn soup() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(PIECES.split_whitespace().collect::<Vec<_>>());
    let gap = prop::sample::select(&["", " ", " ", "\n"][..]);
    prop::collection::vec((piece, gap), 0..24)
        .prop_map(|pieces| pieces.into_iter().flat_map(|(piece, gap)| [piece, gap]).collect())
}

/// Expressions that mostly parse: operands, wrapped and joined again and again.
fn expression() -> impl Strategy<Value = String> {
    lines(LEAVES).prop_map(str::to_owned).prop_recursive(6, 48, 3, |inner| {
        let wrapped =
            (lines(WRAPS), inner.clone()).prop_map(|(wrap, expr)| wrap.replace('#', &expr));
        let joined = (inner.clone(), lines(JOINS), inner)
            .prop_map(|(left, join, right)| format!("{left} {join} {right}"));
        prop_oneof![wrapped, joined]
    })
}

/// The tree without places, matchers in order of text: what printing keeps.
fn shape(expr: &Expr) -> String {
    let mut expr = expr.clone();
    sort_matchers(&mut expr);
    let text = format!("{expr:?}");
    let mut shape = String::new();
    let mut rest = text.as_str();
    while let Some(at) = rest.find("Span {") {
        shape.push_str(&rest[..at]);
        rest = rest[at..].split_once('}').map_or("", |(_, rest)| rest);
    }
    shape + rest
}

fn sort_matchers(expr: &mut Expr) {
    match &mut expr.kind {
        ExprKind::Number(_) | ExprKind::String(_) => {}
        ExprKind::Paren(inner) => sort_matchers(inner),
        ExprKind::Unary(unary) => sort_matchers(&mut unary.expr),
        ExprKind::Binary(binary) => {
            sort_matchers(&mut binary.left);
            sort_matchers(&mut binary.right);
        }
        ExprKind::Aggregate(aggregate) => {
            sort_matchers(&mut aggregate.expr);
            aggregate.parameter.iter_mut().for_each(sort_matchers);
        }
        ExprKind::Call(call) => call.args.iter_mut().for_each(sort_matchers),
        ExprKind::Vector(selector) => selector.matchers.sort_by_key(ToString::to_string),
        ExprKind::Matrix(matrix) => matrix.selector.matchers.sort_by_key(ToString::to_string),
        ExprKind::Subquery(subquery) => sort_matchers(&mut subquery.expr),
    }
}

/// Checks what holds of every text; gives whether it parsed.
fn check(text: &str) -> Result<bool, TestCaseError> {
    for options in [Options::STABLE, Options::default()] {
        if let Err(errors) = parse(text, &options) {
            prop_assert!(!errors.0.is_empty());
        }
    }
    let expr = match parse(text, &Options::ALL) {
        Ok(expr) => expr,
        Err(errors) => {
            prop_assert!(!errors.0.is_empty());
            let inside = |at: u32| at as usize <= text.len();
            prop_assert!(errors.0.iter().all(|error| inside(error.start) && inside(error.end)));
            return Ok(false);
        }
    };
    let printed = expr.to_string();
    if printed.contains("+Inf ^") {
        // Prometheus prints the infinity with a sign, which then stands before the whole power.
        return Ok(true);
    }
    let again = parse(&printed, &Options::ALL);
    let again = again.map_err(|errors| TestCaseError::fail(format!("{printed}: {errors}")))?;
    prop_assert_eq!(shape(&again), shape(&expr), "{} -> {}", text, printed);
    prop_assert_eq!(again.to_string(), printed);
    let laid_out = query::print::pretty::pretty(&expr, 20);
    let again = parse(&laid_out, &Options::ALL);
    let again = again.map_err(|errors| TestCaseError::fail(format!("{laid_out}: {errors}")))?;
    prop_assert_eq!(again.to_string(), expr.to_string());
    Ok(true)
}

fn config() -> ProptestConfig {
    ProptestConfig { cases: 2_000, failure_persistence: None, ..Default::default() }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        let _ = parse_bytes(&bytes, &Options::ALL);
        let text = String::from_utf8_lossy(&bytes);
        let _ = parse_series_description(&text);
        let _ = parse_start_timestamps(&text);
        let _ = parse_selector(&text);
    }

    #[test]
    fn pieces_never_panic(text in soup()) {
        check(&text)?;
        // Bounded here: what may be unfolded to millions of values is not.
        if !text.contains("x1") && !text.contains("x0") {
            let _ = parse_series_description(&text);
            let _ = parse_start_timestamps(&text);
        }
        let _ = parse_selector(&text);
    }

    #[test]
    fn printed_expressions_parse_to_the_same_tree(text in expression()) {
        check(&text)?;
    }
}

#[test]
fn odd_texts_survive_printing() {
    for text in [
        r#"x{a="\xff\u0000"}"#,
        "foo offset (5s) - 8",
        "foo[(5s)]",
        "foo[((5s)+1)]",
        "foo offset -(5)",
        "foo offset --5s",
        "-1 ^ -2 ^ 3",
        "- - x",
        "fill + fill",
        "sum(sum) by (sum)",
        "on{on=\"x\"} or x",
        "{__name__=\"\",a=\"b\"}",
        "x @ 9223372036854775.807",
    ] {
        let parses = check(text).expect("the property holds");
        assert_eq!(parses, !text.starts_with("on{"), "{text}");
    }
}
