//! Faults and places, by table: what is reported, in which order, and where.

use query::ast::{Expr, ExprKind};
use query::parse::options::Options;
use query::parse::parse;

#[track_caller]
fn check_with(options: Options, text: &str, expected: &[&str]) {
    let found = match parse(text, &options) {
        Ok(expr) => vec![format!("ok {expr}")],
        Err(errors) => (errors.0.iter())
            .map(|error| format!("{}..{} {}", error.start, error.end, error.reason))
            .collect(),
    };
    assert_eq!(found, expected, "{text}");
}

#[track_caller]
fn check(text: &str, expected: &[&str]) {
    check_with(Options::ALL, text, expected);
}

#[test]
fn tokens_out_of_place_are_named() {
    check(
        "sum by foo (x)",
        &["7..10 unexpected identifier \"foo\" in grouping opts, expected \"(\""],
    );
    check(
        "sum by (a b, c) (x)",
        &["10..11 unexpected identifier \"b\" in grouping opts, expected \",\" or \")\""],
    );
    check(
        "sum(a b)",
        &[
            "6..7 unexpected identifier \"b\" in aggregation",
            "0..0 no arguments for aggregate expression provided",
        ],
    );
    check(
        "foo and sum without (a) b",
        &[
            "24..25 unexpected identifier \"b\" in aggregation",
            "8..23 no arguments for aggregate expression provided",
        ],
    );
    check("rate(a b)", &["7..8 unexpected identifier \"b\""]);
    check("a @ b", &["4..5 unexpected identifier \"b\" in @, expected timestamp"]);
    check("a[5m:b]", &["5..7 unexpected character: 'b', expected ':'"]);
    check("a[5m:1m)]", &["8..9 unexpected right parenthesis ')'"]);
    check("a{b=~\"(\"}", &["2..8 error parsing regexp: missing closing ): `(`"]);
    check("a + * b", &["4..5 unexpected <op:*>"]);
    check("a b \"", &["2..3 unexpected identifier \"b\"", "4..5 unterminated quoted string"]);
    check("x \"a longer string\"", &["2..19 unexpected string \"\\\"a longer \"..."]);
}

#[test]
fn types_are_checked() {
    check("1 > 2", &["2..2 comparisons between scalars must use BOOL modifier"]);
    check(
        "sum(1) + \"a\"",
        &[
            "4..5 expected type instant vector in aggregation expression, got scalar",
            "9..12 binary expression must contain only scalar and instant vector types",
        ],
    );
    check("x * on (a) 1", &["0..12 vector matching only allowed between instant vectors"]);
    check("x and fill (1) y", &["0..16 filling in missing series not allowed for set operators"]);
    check(
        "label_replace(x, 1)",
        &[
            "0..19 expected 5 argument(s) in call to \"label_replace\", got 2",
            "17..18 expected type string in call to function \"label_replace\", got scalar",
        ],
    );
    check(
        "(x[5m])[5m:]",
        &["0..12 subquery is only allowed on instant vector, got matrix instead"],
    );
    check(
        "info(x, y{a=\"b\"})",
        &["8..16 expected label selectors only, got vector selector instead"],
    );
    check("info(x, {})", &["ok info(x, {})"]);
    check(
        "label_join(x, \"a\")",
        &["0..18 expected at least 3 argument(s) in call to \"label_join\", got 2"],
    );
}

#[test]
fn what_is_off_is_refused() {
    let off = Options::default();
    check_with(off, "a[5m + 1m]", &["2..4 experimental duration expression is not enabled"]);
    check_with(off, "a[(1m)]", &["3..5 experimental duration expression is not enabled"]);
    check_with(off, "a[5m] anchored", &["0..5 anchored modifier is experimental and not enabled"]);
    check_with(
        off,
        "a + fill (1) b",
        &["0..14 binop fill modifiers are experimental and not enabled"],
    );
    check_with(off, "info(a)", &["0..4 function \"info\" is not enabled"]);
    check_with(
        off,
        "limitk(1, a)",
        &["0..12 limitk() is experimental and must be enabled with \
         --enable-feature=promql-experimental-functions"],
    );
    check_with(Options::STABLE, "a[5m + 1m]", &["ok a[5m + 1m]"]);
}

#[test]
fn places_have_line_and_column() {
    let shown = |text: &str| parse(text, &Options::ALL).unwrap_err().to_string();
    assert_eq!(shown("a +\n  b)"), "2:5: parse error: unexpected right parenthesis ')'");
    assert_eq!(shown("\n\né{"), "3:1: parse error: unexpected character: 'é'");
    assert_eq!(shown(""), "unknown position: parse error: no expression found in input");
}

/// Texts of the nodes from the root along the first child.
fn places<'a>(text: &'a str, expr: &Expr, found: &mut Vec<&'a str>) {
    found.push(&text[expr.span.start as usize..expr.span.end as usize]);
    match &expr.kind {
        ExprKind::Paren(inner) => places(text, inner, found),
        ExprKind::Unary(unary) => places(text, &unary.expr, found),
        ExprKind::Binary(binary) => places(text, &binary.left, found),
        ExprKind::Aggregate(aggregate) => places(text, &aggregate.expr, found),
        ExprKind::Call(call) => call.args.iter().take(1).for_each(|arg| places(text, arg, found)),
        ExprKind::Subquery(subquery) => places(text, &subquery.expr, found),
        ExprKind::Number(_) | ExprKind::String(_) | ExprKind::Vector(_) | ExprKind::Matrix(_) => {}
    }
}

#[test]
fn nodes_know_their_places() {
    let check = |text: &str, expected: &[&str]| {
        let mut found = Vec::new();
        places(text, &parse(text, &Options::ALL).unwrap(), &mut found);
        assert_eq!(found, expected);
    };
    check("1 + 2 * 3", &["1 + 2 * 3", "1"]);
    check("( sum (x) ) / 2", &["( sum (x) ) / 2", "( sum (x) )", "sum (x)", "x"]);
    check("sum(x)  by (a)[1h:5m] @ 3", &["sum(x)  by (a)[1h:5m] @ 3", "sum(x)  by (a)", "x"]);
    check(
        "rate( x{a=\"b\"}[5m] offset 1m )",
        &["rate( x{a=\"b\"}[5m] offset 1m )", "x{a=\"b\"}[5m] offset 1m"],
    );
    check("- - 5m * -x", &["- - 5m * -x", "- - 5m"]);
}
