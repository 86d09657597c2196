//! Query text to syntax tree, with Prometheus's errors and their places.
//!
//! Path: text → `lexer` → `cursor` → `expression` → `check` → tree.
//! Never: allocates without bound, recurses without bound; reports more than it must to be
//! understood (100 faults).

pub mod error;
pub mod options;

mod go_text;
mod number;
mod token;
mod unquote;

mod lexer;

pub mod cursor;

mod check;
mod duration;
mod grouping;

mod selector;

mod modifier;

mod expression;

mod scanner;

mod histogram_sum;
mod histogram_text;

pub mod series;

use crate::ast::{Expr, ExprKind, LabelMatcher};
use cursor::{Cursor, Parsed, Stop, TEXT_BYTES_MAX};
use error::{ParseError, ParseErrors};
use options::Options;
use token::TokenKind;

/// The tree of expression `text`, types checked.
///
/// # Errors
/// Every fault found, at least one.
pub fn parse(text: &str, options: &Options) -> Result<Expr, ParseErrors> {
    parse_bytes(text.as_bytes(), options)
}

/// As [`parse`]; a text that is no UTF-8 is an error where it matters, with its place.
///
/// # Errors
/// Every fault found, at least one.
pub fn parse_bytes(text: &[u8], options: &Options) -> Result<Expr, ParseErrors> {
    refuse_long(text)?;
    let mut cursor = Cursor::new(text, *options);
    let parsed = if cursor.peek() == TokenKind::Eof {
        cursor.fault(crate::ast::Span::default(), "no expression found in input");
        return Err(cursor.into_errors());
    } else {
        cursor.expression(0)
    };
    let parsed = finish(&mut cursor, parsed);
    match parsed {
        Some(mut expr) if cursor.is_sound() => {
            cursor.check(&mut expr);
            if cursor.is_sound() { Ok(expr) } else { Err(cursor.into_errors()) }
        }
        _ => Err(cursor.into_errors()),
    }
}

/// The matchers of selector `text`, such as `match[]` takes: no modifiers, no check that it selects
/// anything.
///
/// # Errors
/// Every fault found, at least one.
pub fn parse_selector(text: &str) -> Result<Vec<LabelMatcher>, ParseErrors> {
    refuse_long(text.as_bytes())?;
    let mut cursor = Cursor::new(text.as_bytes(), Options::ALL);
    let parsed = match cursor.peek() {
        TokenKind::LeftBrace => cursor.selector(None),
        kind if kind.is_metric_name() => {
            let name = cursor.take();
            cursor.selector(Some(name))
        }
        _ => Err(Stop::Unwind),
    };
    match finish(&mut cursor, parsed) {
        Some(Expr { kind: ExprKind::Vector(selector), .. }) if cursor.is_sound() => {
            Ok(selector.matchers)
        }
        _ => Err(cursor.into_errors()),
    }
}

fn refuse_long(text: &[u8]) -> Result<(), ParseErrors> {
    if text.len() <= TEXT_BYTES_MAX {
        return Ok(());
    }
    let reason = format!("expression is longer than {TEXT_BYTES_MAX} bytes");
    Err(ParseErrors(vec![ParseError::new(text, 0..0, reason)]))
}

/// Nothing may follow; what does is reported. A fault that no construct took on is reported here.
fn finish(cursor: &mut Cursor<'_>, parsed: Parsed<Expr>) -> Option<Expr> {
    let mut parsed = parsed;
    if parsed.is_ok() {
        while !matches!(cursor.peek(), TokenKind::Eof | TokenKind::Nothing | TokenKind::Fault) {
            if let Err(stop) = cursor.refuse() {
                parsed = Err(stop);
                break;
            }
        }
    }
    match parsed {
        Ok(expr) => Some(expr),
        Err(Stop::Abort) => None,
        Err(Stop::Unwind) => {
            cursor.unexpected("", "");
            cursor.drain();
            None
        }
    }
}
