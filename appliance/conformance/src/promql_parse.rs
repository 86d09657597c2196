//! Suite `promql_parse`: texts that parse to a given kind of node, or fail with given errors.

use std::path::Path;

use anyhow::Result;
use query::ast::{Expr, ExprKind};
use query::parse::options::Options;
use serde::Deserialize;

use crate::cases::{self, CaseText};
use crate::report::Report;

#[derive(Deserialize)]
struct Case {
    id: u32,
    input: CaseText,
    fail: bool,
    root: Option<String>,
    #[serde(default)]
    errors: Vec<Fault>,
}

#[derive(Deserialize, PartialEq)]
struct Fault {
    start: Option<u32>,
    end: Option<u32>,
    err: String,
}

/// Runs the suite.
///
/// # Errors
/// The cases cannot be read.
pub fn run(directory: &Path) -> Result<Vec<Report>> {
    let cases: Vec<Case> = cases::read(directory, "prometheus/cases/promql_parse.json")?;
    let mut report = Report::new("promql_parse");
    for case in &cases {
        let text = case.input.bytes();
        let name = format!("{} {:?}", case.id, String::from_utf8_lossy(&text));
        report.count(name, judge(case, &text));
    }
    Ok(vec![report])
}

fn judge(case: &Case, text: &[u8]) -> Result<(), String> {
    match (query::parse::parse_bytes(text, &Options::ALL), case.fail) {
        (Ok(expr), false) => match &case.root {
            Some(root) if root != node_name(&expr) => {
                Err(format!("is a {}, not a {root}", node_name(&expr)))
            }
            _ => Ok(()),
        },
        (Ok(expr), true) => Err(format!("parsed as {}", node_name(&expr))),
        (Err(errors), false) => Err(format!("refused: {errors}")),
        (Err(errors), true) => {
            let place = |at: Option<u32>| at.unwrap_or(0);
            let expected: Vec<String> = (case.errors.iter())
                .map(|fault| format!("{}..{} {}", place(fault.start), place(fault.end), fault.err))
                .collect();
            let found: Vec<String> = (errors.0.iter())
                .map(|error| format!("{}..{} {}", error.start, error.end, error.reason))
                .collect();
            if expected == found {
                Ok(())
            } else {
                Err(format!("expected {expected:?}, found {found:?}"))
            }
        }
    }
}

/// Prometheus's name of the node type.
fn node_name(expr: &Expr) -> &'static str {
    match expr.kind {
        ExprKind::Number(_) => "NumberLiteral",
        ExprKind::String(_) => "StringLiteral",
        ExprKind::Paren(_) => "ParenExpr",
        ExprKind::Unary(_) => "UnaryExpr",
        ExprKind::Binary(_) => "BinaryExpr",
        ExprKind::Aggregate(_) => "AggregateExpr",
        ExprKind::Call(_) => "Call",
        ExprKind::Vector(_) => "VectorSelector",
        ExprKind::Matrix(_) => "MatrixSelector",
        ExprKind::Subquery(_) => "SubqueryExpr",
    }
}
