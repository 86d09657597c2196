//! `parse_query` and `format_query`: trees in upstream's shape, by expression.

#[path = "fixed/backend.rs"]
mod fixed;

use fixed::{Fixed, ask, check, check_on, failure, request, runtime, success};
use query::parse::options::Options;
use serde_json::{Value, json};

fn all_on() -> Fixed {
    let mut fixed = Fixed::default();
    fixed.engine.parse = Options::ALL;
    fixed
}

fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02x}")).collect()
}

/// The tree of `query` as `parse_query` answers it.
#[track_caller]
fn tree(query: &str) -> Value {
    let line = format!("GET /api/v1/parse_query?query={}", encoded(query));
    let (head, body) = runtime().block_on(ask(all_on(), request(&line)));
    assert_eq!(head.status().as_u16(), 200, "{query}: {body}");
    let answer: Value = serde_json::from_str(&body).expect("JSON");
    assert_eq!(answer["status"], "success");
    answer["data"].clone()
}

#[track_caller]
fn check_tree(query: &str, expected: &Value) {
    assert_eq!(&tree(query), expected, "{query}");
}

/// The tree of `query` has at least these fields.
#[track_caller]
fn check_fields(query: &str, expected: &Value) {
    let found = tree(query);
    for (key, value) in expected.as_object().expect("fields") {
        assert_eq!(&found[key], value, "{query}: {key}");
    }
}

fn matcher(name: &str, op: &str, value: &str) -> Value {
    json!({"name": name, "type": op, "value": value})
}

fn arithmetic(op: &str, lhs: &Value, rhs: &Value, wrapped: bool) -> Value {
    json!({"type": "durationExpr", "op": op, "lhs": lhs, "rhs": rhs, "wrapped": wrapped})
}

fn number(val: &str, duration: bool) -> Value {
    json!({"type": "numberLiteral", "val": val, "duration": duration})
}

#[test]
fn selectors_tell_everything_of_themselves() {
    check_tree(
        r#"up{job=~"a|b",x!="",y!~"z"} offset 1m @ 1.5"#,
        &json!({
            "type": "vectorSelector",
            "name": "up",
            "offset": 60_000,
            "offsetExpr": null,
            "matchers": [
                matcher("job", "=~", "a|b"),
                matcher("x", "!=", ""),
                matcher("y", "!~", "z"),
                matcher("__name__", "=", "up"),
            ],
            "timestamp": 1500,
            "startOrEnd": null,
            "anchored": false,
            "smoothed": false,
        }),
    );
    check_tree(
        r#"{"a.b"}[5m] smoothed @ end() offset -1s"#,
        &json!({
            "type": "matrixSelector",
            "name": "",
            "range": 300_000,
            "rangeExpr": null,
            "offset": -1000,
            "offsetExpr": null,
            "matchers": [matcher("__name__", "=", "a.b")],
            "timestamp": null,
            "startOrEnd": "end",
            "anchored": false,
            "smoothed": true,
        }),
    );
    check_fields("a anchored", &json!({"anchored": true, "smoothed": false}));
}

#[test]
fn subqueries_and_durations_keep_their_arithmetic() {
    check_tree(
        "vector(1)[5m:1m] @ start()",
        &json!({
            "type": "subquery",
            "expr": tree("vector(1)"),
            "range": 300_000,
            "rangeExpr": null,
            "step": 60_000,
            "stepExpr": null,
            "offset": 0,
            "offsetExpr": null,
            "timestamp": null,
            "startOrEnd": "start",
        }),
    );
    check_fields("foo[5m:]", &json!({"step": 0, "stepExpr": null}));
    let (plus, null) = (number("4", true), Value::Null);
    check_fields(
        "foo[4s+4s:1s*2] offset (5s-8)",
        &json!({
            "range": 0,
            "rangeExpr": arithmetic("+", &plus, &plus, false),
            "step": 0,
            "stepExpr": arithmetic("*", &number("1", true), &number("2", false), false),
            "offset": 0,
            "offsetExpr": arithmetic("-", &number("5", true), &number("8", false), true),
        }),
    );
    let step = arithmetic("step", &null, &null, false);
    let sum = arithmetic("+", &number("300", true), &number("180", true), false);
    let most = arithmetic("max_of", &step, &sum, false);
    let less = arithmetic("-", &number("600", true), &number("120", true), false);
    check_fields(
        "foo[min_of(max_of(step(),5m+3m),10m-2m)]",
        &json!({"range": 0, "rangeExpr": arithmetic("min_of", &most, &less, false)}),
    );
    let range = arithmetic("range", &null, &null, false);
    check_fields("foo[range()]", &json!({"rangeExpr": range}));
    let inner = arithmetic("+", &step, &number("8", true), false);
    let least = arithmetic("min_of", &number("5", true), &inner, false);
    check_fields(
        "foo offset -min_of(5s,step()+8s)",
        &json!({"offset": 0, "offsetExpr": arithmetic("-", &null, &least, false)}),
    );
    let signed = arithmetic("+", &null, &number("300", true), true);
    check_fields("foo[((5m))]", &json!({"range": 0, "rangeExpr": signed}));
    let negative = arithmetic("+", &null, &number("-300", true), true);
    let rest = arithmetic("-", &null, &negative, false);
    check_fields("foo[-(-5m)]", &json!({"rangeExpr": rest}));
}

#[test]
fn operators_tell_how_sides_meet() {
    let plain = json!({
        "card": "one-to-one",
        "labels": [],
        "on": false,
        "include": [],
        "fillValues": {"lhs": null, "rhs": null},
    });
    check_tree(
        "a < bool b",
        &json!({
            "type": "binaryExpr",
            "op": "<",
            "lhs": tree("a"),
            "rhs": tree("b"),
            "matching": plain,
            "bool": true,
        }),
    );
    check_fields("1 + 2", &json!({"op": "+", "matching": null, "bool": false}));
    check_fields("a + 2", &json!({"matching": null}));
    check_fields(
        "a * on(x, y) group_left(z) fill_left(0) fill_right(-1.5) b",
        &json!({"matching": {
            "card": "many-to-one",
            "labels": ["x", "y"],
            "on": true,
            "include": ["z"],
            "fillValues": {"lhs": 0, "rhs": -1.5},
        }}),
    );
    let both = json!({"card": "many-to-many", "labels": ["x"], "on": false, "include": [],
        "fillValues": {"lhs": null, "rhs": null}});
    check_fields("a unless ignoring(x) b", &json!({"op": "unless", "matching": both}));
    for op in ["atan2", "</", ">/", "^", "%", "==", "!="] {
        check_fields(&format!("a {op} b"), &json!({"op": op}));
    }
}

#[test]
fn calls_and_aggregations_have_signature_and_parameter() {
    check_tree(
        "topk without(a) (3, x)",
        &json!({
            "type": "aggregation",
            "op": "topk",
            "expr": tree("x"),
            "param": {"type": "numberLiteral", "val": "3"},
            "grouping": ["a"],
            "without": true,
        }),
    );
    check_fields("sum(x)", &json!({"param": null, "grouping": [], "without": false}));
    check_tree(
        "label_join(x, 'a', ',')",
        &json!({
            "type": "call",
            "func": {
                "name": "label_join",
                "argTypes": ["vector", "string", "string", "string"],
                "variadic": -1,
                "returnType": "vector",
            },
            "args": [
                tree("x"),
                {"type": "stringLiteral", "val": "a"},
                {"type": "stringLiteral", "val": ","},
            ],
        }),
    );
    let time = json!({"name": "time", "argTypes": [], "variadic": 0, "returnType": "scalar"});
    check_tree("time()", &json!({"type": "call", "func": time, "args": []}));
    check_fields("rate(x[5m])", &json!({"args": [tree("x[5m]")]}));
}

#[test]
fn literals_and_signs_are_written_out() {
    let literal = |val: &str| json!({"type": "numberLiteral", "val": val});
    check_tree("1e21", &literal("1000000000000000000000"));
    check_tree("-Inf", &literal("-Inf"));
    check_tree("NaN", &literal("NaN"));
    check_tree("1h30m", &literal("5400"));
    check_tree("0x1F", &literal("31"));
    check_tree(
        "-(x)",
        &json!({"type": "unaryExpr", "op": "-", "expr": {"type": "parenExpr", "expr": tree("x")}}),
    );
    check_tree("'<é>'", &json!({"type": "stringLiteral", "val": "<é>"}));
}

#[test]
fn what_is_no_expression_is_told_with_its_place() {
    let wrong = "invalid parameter \"query\": 1:5: parse error: unclosed left parenthesis";
    check("GET /api/v1/parse_query?query=sum(", &failure(400, "bad_data", wrong));
    let empty = "invalid parameter \"query\": unknown position: parse error: no expression found \
                 in input";
    check("POST /api/v1/parse_query query=", &failure(400, "bad_data", empty));
    let off = "invalid parameter \"query\": 1:1: parse error: anchored modifier is experimental \
               and not enabled";
    check("GET /api/v1/parse_query?query=a%20anchored", &failure(400, "bad_data", off));
    let off = "invalid parameter \"query\": 1:1: parse error: function \"info\" is not enabled";
    check("GET /api/v1/parse_query?query=info(x)", &failure(400, "bad_data", off));
    let line = "GET /api/v1/format_query?query=sum%20by(a)(rate(x[5m%2B1m]))";
    check_on(all_on(), line, &success(r#""sum by (a) (rate(x[5m + 1m]))""#));
}
