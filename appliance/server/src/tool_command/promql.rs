//! `cresset promql`: expressions laid out, and their matchers edited.

use std::io::Write as _;

use anyhow::{Result, anyhow};
use query::ast::{Expr, ExprKind, LabelMatcher, VectorSelector};
use query::parse::options::Options;
use query::parse::parse;
use query::print::pretty::pretty;

use crate::tool_arguments::Rewrite;
use crate::tool_command::ended::Ended;
use crate::tsdb_command::print::output;

/// Bytes of a line before it is broken: upstream's.
const LINE_BYTES_MAX: usize = 100;

/// Rewrites `text` and writes it.
///
/// # Errors
/// It is no expression.
pub fn run(text: &str, rewrite: &Rewrite, options: &Options) -> Result<Ended> {
    let mut out = output();
    writeln!(out, "{}", rewritten(text, rewrite, options)?)?;
    out.flush()?;
    Ok(Ended::Well)
}

fn rewritten(text: &str, rewrite: &Rewrite, options: &Options) -> Result<String> {
    let mut expr = parse(text, options).map_err(|error| anyhow!("{error}"))?;
    match rewrite {
        Rewrite::Format => {}
        Rewrite::Set(name, op, value) => each_selector(&mut expr, &mut |selector| {
            let mut is_there = false;
            for matcher in selector.matchers.iter_mut().filter(|matcher| matcher.name == *name) {
                (matcher.op, matcher.value, is_there) = (*op, value.clone(), true);
            }
            if !is_there {
                let (name, value) = (name.clone(), value.clone());
                selector.matchers.push(LabelMatcher { name, op: *op, value });
            }
        }),
        Rewrite::Delete(name) => each_selector(&mut expr, &mut |selector| {
            selector.matchers.retain(|matcher| matcher.name != *name);
        }),
    }
    Ok(pretty(&expr, LINE_BYTES_MAX))
}

fn each_selector(expr: &mut Expr, edit: &mut impl FnMut(&mut VectorSelector)) {
    match &mut expr.kind {
        ExprKind::Number(_) | ExprKind::String(_) => {}
        ExprKind::Paren(inner) => each_selector(inner, edit),
        ExprKind::Unary(unary) => each_selector(&mut unary.expr, edit),
        ExprKind::Binary(binary) => {
            each_selector(&mut binary.left, edit);
            each_selector(&mut binary.right, edit);
        }
        ExprKind::Aggregate(aggregate) => {
            if let Some(parameter) = &mut aggregate.parameter {
                each_selector(parameter, edit);
            }
            each_selector(&mut aggregate.expr, edit);
        }
        ExprKind::Call(call) => call.args.iter_mut().for_each(|arg| each_selector(arg, edit)),
        ExprKind::Vector(selector) => edit(selector),
        ExprKind::Matrix(matrix) => edit(&mut matrix.selector),
        ExprKind::Subquery(subquery) => each_selector(&mut subquery.expr, edit),
    }
}

#[cfg(test)]
mod tests {
    use model::matcher::MatchOp;

    use super::*;

    #[track_caller]
    fn check(text: &str, rewrite: &Rewrite, expected: &str) {
        let shown = rewritten(text, rewrite, &Options::STABLE);
        assert_eq!(shown.unwrap_or_else(|error| error.to_string()), expected);
    }

    #[test]
    fn matchers_are_set_and_deleted_everywhere() {
        let set = Rewrite::Set("a".to_owned(), MatchOp::Regex, "x|y".to_owned());
        check("up", &set, "up{a=~\"x|y\"}");
        check("rate(b{a=\"1\"}[5m]) / c", &set, "rate(b{a=~\"x|y\"}[5m]) / c{a=~\"x|y\"}");
        let delete = Rewrite::Delete("a".to_owned());
        check("sum(b{a=\"1\",c=\"2\"})", &delete, "sum(b{c=\"2\"})");
        check("sum(b", &Rewrite::Format, "1:6: parse error: unclosed left parenthesis");
    }
}
