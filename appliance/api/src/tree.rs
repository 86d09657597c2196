//! Tree: the syntax tree of a query as JSON, for the tree view of user interfaces.
//!
//! Source: `web/api/v1/translate_ast.go` of Prometheus 3.14, whose keys and values these are.

use query::ast::{
    At, BinaryExpr, Call, Duration, DurationExpr, DurationExprKind, Expr, ExprKind, LabelMatcher,
    Modifiers, NumberLiteral, SubqueryExpr, VectorMatching, VectorSelector,
};
use query::value_type::ValueType;
use serde_json::{Map, Value, json};

/// The tree of `expr`.
#[must_use]
pub fn tree(expr: &Expr) -> Value {
    match &expr.kind {
        ExprKind::Number(number) => {
            json!({"type": "numberLiteral", "val": number_text(number.value)})
        }
        ExprKind::String(text) => json!({"type": "stringLiteral", "val": text}),
        ExprKind::Paren(inner) => json!({"type": "parenExpr", "expr": tree(inner)}),
        ExprKind::Unary(unary) => {
            let op = if unary.negative { "-" } else { "+" };
            json!({"type": "unaryExpr", "op": op, "expr": tree(&unary.expr)})
        }
        ExprKind::Binary(binary) => binary_tree(binary),
        ExprKind::Aggregate(aggregate) => json!({
            "type": "aggregation",
            "op": aggregate.op.text(),
            "expr": tree(&aggregate.expr),
            "param": aggregate.parameter.as_ref().map(tree),
            "grouping": aggregate.grouping,
            "without": aggregate.without,
        }),
        ExprKind::Call(call) => call_tree(call),
        ExprKind::Vector(selector) => Value::Object(selector_tree("vectorSelector", selector)),
        ExprKind::Matrix(matrix) => {
            let mut map = selector_tree("matrixSelector", &matrix.selector);
            put_duration(&mut map, ("range", "rangeExpr"), Some(&matrix.range));
            Value::Object(map)
        }
        ExprKind::Subquery(subquery) => Value::Object(subquery_tree(subquery)),
    }
}

fn binary_tree(binary: &BinaryExpr) -> Value {
    json!({
        "type": "binaryExpr",
        "op": binary.op.text(),
        "lhs": tree(&binary.left),
        "rhs": tree(&binary.right),
        "matching": binary.matching.as_ref().map(matching_tree),
        "bool": binary.return_bool,
    })
}

fn matching_tree(matching: &VectorMatching) -> Value {
    json!({
        "card": matching.cardinality.text(),
        "labels": matching.labels,
        "on": matching.on,
        "include": matching.include,
        "fillValues": {
            "lhs": matching.fill_left.map(plain_number),
            "rhs": matching.fill_right.map(plain_number),
        },
    })
}

fn call_tree(call: &Call) -> Value {
    let function = call.function;
    let arg_types: Vec<&str> = function.arg_types.iter().copied().map(type_text).collect();
    json!({
        "type": "call",
        "func": {
            "name": function.name,
            "argTypes": arg_types,
            "variadic": function.variadic,
            "returnType": type_text(function.return_type),
        },
        "args": call.args.iter().map(tree).collect::<Vec<_>>(),
    })
}

fn selector_tree(kind: &str, selector: &VectorSelector) -> Map<String, Value> {
    let mut map = Map::new();
    map.insert("type".to_owned(), kind.into());
    map.insert("name".to_owned(), selector.name.as_deref().unwrap_or("").into());
    map.insert("matchers".to_owned(), selector.matchers.iter().map(matcher_tree).collect());
    map.insert("anchored".to_owned(), selector.modifiers.anchored.into());
    map.insert("smoothed".to_owned(), selector.modifiers.smoothed.into());
    put_modifiers(&mut map, &selector.modifiers);
    map
}

fn subquery_tree(subquery: &SubqueryExpr) -> Map<String, Value> {
    let mut map = Map::new();
    map.insert("type".to_owned(), "subquery".into());
    map.insert("expr".to_owned(), tree(&subquery.expr));
    put_duration(&mut map, ("range", "rangeExpr"), Some(&subquery.range));
    put_duration(&mut map, ("step", "stepExpr"), subquery.step.as_ref());
    put_modifiers(&mut map, &subquery.modifiers);
    map
}

fn put_modifiers(map: &mut Map<String, Value>, modifiers: &Modifiers) {
    put_duration(map, ("offset", "offsetExpr"), modifiers.offset.as_ref());
    let (timestamp, start_or_end) = match modifiers.at {
        None => (Value::Null, Value::Null),
        Some(At::Time(ms)) => (ms.into(), Value::Null),
        Some(At::Start) => (Value::Null, "start".into()),
        Some(At::End) => (Value::Null, "end".into()),
    };
    map.insert("timestamp".to_owned(), timestamp);
    map.insert("startOrEnd".to_owned(), start_or_end);
}

/// Milliseconds under one key, arithmetic under the other; the one that is not meant is 0 or null.
fn put_duration(
    map: &mut Map<String, Value>,
    (plain, arithmetic): (&str, &str),
    duration: Option<&Duration>,
) {
    let (ms, expr) = match duration {
        None => (0, Value::Null),
        Some(Duration::Ms(ms)) => (*ms, Value::Null),
        Some(Duration::Expr(expr)) => (0, duration_tree(expr, false)),
    };
    map.insert(plain.to_owned(), ms.into());
    map.insert(arithmetic.to_owned(), expr);
}

fn duration_tree(expr: &DurationExpr, wrapped: bool) -> Value {
    let node = |op: &str, left: Option<&DurationExpr>, right: Option<&DurationExpr>| {
        json!({
            "type": "durationExpr",
            "op": op,
            "lhs": left.map(|left| duration_tree(left, false)),
            "rhs": right.map(|right| duration_tree(right, false)),
            "wrapped": wrapped,
        })
    };
    match &expr.kind {
        DurationExprKind::Number(number) => duration_number(*number),
        // Parentheses about a number are a sign that does nothing, about arithmetic a mark.
        DurationExprKind::Paren(inner) => match inner.kind {
            DurationExprKind::Number(_) => json!({
                "type": "durationExpr",
                "op": "+",
                "lhs": null,
                "rhs": duration_tree(inner, false),
                "wrapped": true,
            }),
            _ => duration_tree(inner, true),
        },
        DurationExprKind::Unary { negative, expr } => {
            node(if *negative { "-" } else { "+" }, None, Some(expr))
        }
        DurationExprKind::Binary { op, left, right } => node(op.text(), Some(left), Some(right)),
        DurationExprKind::Step => node("step", None, None),
        DurationExprKind::Range => node("range", None, None),
        DurationExprKind::Min(left, right) => node("min_of", Some(left), Some(right)),
        DurationExprKind::Max(left, right) => node("max_of", Some(left), Some(right)),
    }
}

fn duration_number(number: NumberLiteral) -> Value {
    json!({
        "type": "numberLiteral",
        "val": number_text(number.value),
        "duration": number.is_duration,
    })
}

fn matcher_tree(matcher: &LabelMatcher) -> Value {
    json!({"name": matcher.name, "value": matcher.value, "type": matcher.op.text()})
}

fn type_text(value_type: ValueType) -> &'static str {
    match value_type {
        ValueType::Matrix => "matrix",
        ValueType::Scalar => "scalar",
        ValueType::String => "string",
        ValueType::Vector => "vector",
    }
}

/// All digits and no exponent.
fn number_text(value: f64) -> String {
    if value.is_infinite() {
        return if value < 0.0 { "-Inf" } else { "+Inf" }.to_owned();
    }
    value.to_string()
}

/// A JSON number, without `.0` where it is whole; null where JSON has none.
fn plain_number(value: f64) -> Value {
    serde_json::from_str(&number_text(value)).unwrap_or(Value::Null)
}
