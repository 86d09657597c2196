//! What follows an expression: `[range]`, `[range:step]`, `offset`, `@`, `anchored`, `smoothed`.

use crate::ast::{
    At, Duration, DurationExpr, Expr, ExprKind, MatrixSelector, Modifiers, Span, SubqueryExpr,
    VectorSelector,
};
use crate::parse::cursor::{Cursor, Parsed, Stop};
use crate::parse::duration::settle;
use crate::parse::token::{Sign, TokenKind};

/// What an expression is to a modifier.
enum Target<'a> {
    /// A selector or subquery: its modifiers.
    Modifiers(&'a mut Modifiers),
    /// A range after something that is no selector; that is reported already.
    BadRange,
    Other,
}

/// Name of the selector in a range after something that is no selector: no query can write it.
const BAD_RANGE_NAME: &str = "";

impl Cursor<'_> {
    /// Takes every modifier that follows `expr`.
    pub(crate) fn modifiers(&mut self, expr: Expr) -> Parsed<Expr> {
        let mut expr = expr;
        loop {
            expr = match self.peek() {
                TokenKind::LeftBracket => self.bracket(expr)?,
                TokenKind::Offset => self.offset(expr)?,
                TokenKind::At => self.at(expr)?,
                TokenKind::Anchored => self.extended(expr, "anchored"),
                TokenKind::Smoothed => self.extended(expr, "smoothed"),
                _ => return Ok(expr),
            };
        }
    }

    fn bracket(&mut self, expr: Expr) -> Parsed<Expr> {
        let open = Cursor::span_of(self.take());
        let height = self.height();
        let (context, expected) =
            ("subquery or range selector", "number, duration, step(), or range()");
        let parsed = self.positive_duration();
        let Some(range) = self.or_unexpected(parsed, context, expected)? else { return Ok(expr) };
        self.set_height(height.max(self.height()) + 1)?;
        loop {
            match self.peek() {
                TokenKind::RightBracket => {
                    let close = Cursor::span_of(self.take());
                    return Ok(self.matrix(expr, range, open, close));
                }
                TokenKind::Colon => {
                    self.take();
                    return self.subquery(expr, range);
                }
                _ => {
                    let refused = self.refuse();
                    let expected = "\":\" or \"]\"";
                    let dropped = self.or_unexpected(refused, "subquery or range", expected)?;
                    if dropped.is_none() {
                        return Ok(expr);
                    }
                }
            }
        }
    }

    /// Reports a fault that unwinds to here; `None` then.
    fn or_unexpected<T>(
        &mut self,
        parsed: Parsed<T>,
        context: &str,
        expected: &str,
    ) -> Parsed<Option<T>> {
        match parsed {
            Ok(value) => Ok(Some(value)),
            Err(Stop::Unwind) => {
                self.unexpected(context, expected);
                Ok(None)
            }
            Err(Stop::Abort) => Err(Stop::Abort),
        }
    }

    fn matrix(&mut self, expr: Expr, range: DurationExpr, open: Span, close: Span) -> Expr {
        let selector_span = expr.span;
        let bad_range = || VectorSelector {
            name: Some(BAD_RANGE_NAME.to_owned()),
            ..VectorSelector::default()
        };
        let (selector, fault) = match expr.kind {
            ExprKind::Vector(selector) if selector.modifiers.offset.is_some() => {
                (selector, Some("no offset modifiers allowed before range"))
            }
            ExprKind::Vector(selector) if selector.modifiers.at.is_some() => {
                (selector, Some("no @ modifiers allowed before range"))
            }
            ExprKind::Vector(selector) => (selector, None),
            _ => (bad_range(), Some("ranges only allowed for vector selectors")),
        };
        if let Some(fault) = fault {
            self.fault(Span { start: open.start, end: close.end }, fault);
        }
        let matrix = MatrixSelector { selector, selector_span, range: settle(range) };
        let span = Span { start: selector_span.start, end: self.last_closing() };
        Expr { span, kind: ExprKind::Matrix(matrix) }
    }

    /// What follows `expr[range:`.
    fn subquery(&mut self, expr: Expr, range: DurationExpr) -> Parsed<Expr> {
        const CONTEXT: &str = "subquery selector";
        let mut step = None;
        let height = self.height();
        if self.peek() != TokenKind::RightBracket {
            let parsed = self.positive_duration();
            let expected = "number, duration, step(), range(), or \"]\"";
            match self.or_unexpected(parsed, CONTEXT, expected)? {
                Some(parsed) => step = Some(settle(parsed)),
                None => return Ok(expr),
            }
        }
        while self.peek() != TokenKind::RightBracket {
            let refused = self.refuse();
            if self.or_unexpected(refused, CONTEXT, "\"]\"")?.is_none() {
                return Ok(expr);
            }
        }
        let close = Cursor::span_of(self.take());
        self.set_height(height.max(self.height()))?;
        let span = Span { start: expr.span.start, end: close.end };
        let range = settle(range);
        let modifiers = Modifiers::default();
        let subquery = SubqueryExpr { expr, range, step, modifiers };
        Ok(Expr { span, kind: ExprKind::Subquery(Box::new(subquery)) })
    }

    fn offset(&mut self, expr: Expr) -> Parsed<Expr> {
        self.take();
        let height = self.height();
        let parsed = self.offset_duration();
        let expected = "number, duration, step(), or range()";
        let Some(parsed) = self.or_unexpected(parsed, "offset", expected)? else {
            return Ok(expr);
        };
        self.set_height(height.max(self.height()))?;
        let offset = match settle(parsed) {
            Duration::Ms(0) => None,
            offset => Some(offset),
        };
        let mut expr = expr;
        match target(&mut expr.kind) {
            Target::Modifiers(modifiers) if modifiers.offset.is_some() => {
                self.fault(expr.span, "offset may not be set multiple times");
            }
            Target::Modifiers(modifiers) => modifiers.offset = offset,
            Target::BadRange => {
                self.fault(expr.span, "ranges only allowed for vector selectors");
                return Ok(expr);
            }
            Target::Other => {
                self.fault(expr.span, needs_selector("offset modifier"));
                return Ok(expr);
            }
        }
        expr.span.end = self.last_closing();
        Ok(expr)
    }

    fn at(&mut self, expr: Expr) -> Parsed<Expr> {
        self.take();
        let parsed = self.at_time(expr.span);
        let Some(at) = self.or_unexpected(parsed, "@", "timestamp")? else { return Ok(expr) };
        let mut expr = expr;
        match target(&mut expr.kind) {
            Target::Modifiers(modifiers) if modifiers.at.is_some() => {
                self.fault(expr.span, "@ <timestamp> may not be set multiple times");
            }
            Target::Modifiers(modifiers) => {
                modifiers.at = Some(at);
                expr.span.end = self.last_closing();
            }
            Target::BadRange => {
                self.fault(expr.span, "ranges only allowed for vector selectors");
            }
            Target::Other => self.fault(expr.span, needs_selector("@ modifier")),
        }
        Ok(expr)
    }

    /// What follows `@`; `expr` is the place of what stands before it.
    fn at_time(&mut self, expr: Span) -> Parsed<At> {
        let mut sign = None;
        let number = loop {
            let kind = self.peek();
            match kind {
                TokenKind::Number | TokenKind::Duration => break self.take(),
                TokenKind::Start | TokenKind::End if sign.is_none() => {
                    self.take();
                    self.expect(TokenKind::LeftParen)?;
                    self.expect(TokenKind::RightParen)?;
                    return Ok(if kind == TokenKind::Start { At::Start } else { At::End });
                }
                kind if kind.sign().is_some() && sign.is_none() => {
                    sign = kind.sign();
                    self.take();
                }
                _ => self.refuse()?,
            }
        };
        let value = self.number(number).value;
        let seconds = if sign == Some(Sign::Minus) { -value } else { value };
        // 2^63, the first float that 64 bits do not hold.
        const BOUND: f64 = 9_223_372_036_854_775_808.0;
        if !(-BOUND < seconds && seconds < BOUND) {
            let shown = fixed_point(seconds);
            self.fault(expr, format!("timestamp out of bounds for @ modifier: {shown}"));
        }
        #[expect(clippy::cast_possible_truncation, reason = "the cast saturates, as is meant")]
        Ok(At::Time((seconds * 1000.0).round() as i64))
    }

    fn extended(&mut self, expr: Expr, modifier: &str) -> Expr {
        self.take();
        if !self.options.extended_range_selectors {
            self.fault(expr.span, format!("{modifier} modifier is experimental and not enabled"));
            return expr;
        }
        let mut expr = expr;
        let fault = match &mut expr.kind {
            ExprKind::Subquery(_) => format!("{modifier} modifier is not supported for subqueries"),
            kind => match target(kind) {
                Target::Modifiers(modifiers) => {
                    match modifier {
                        "anchored" => modifiers.anchored = true,
                        _ => modifiers.smoothed = true,
                    }
                    if !(modifiers.anchored && modifiers.smoothed) {
                        return expr;
                    }
                    "anchored and smoothed modifiers cannot be used together".to_owned()
                }
                Target::BadRange => return expr,
                Target::Other => format!("{modifier} modifier not implemented"),
            },
        };
        self.fault(expr.span, fault);
        expr
    }
}

fn needs_selector(modifier: &str) -> String {
    format!(
        "{modifier} must be preceded by an instant vector selector or range vector selector or a \
         subquery"
    )
}

fn target(kind: &mut ExprKind) -> Target<'_> {
    match kind {
        ExprKind::Matrix(matrix) if matrix.selector.name.as_deref() == Some(BAD_RANGE_NAME) => {
            Target::BadRange
        }
        ExprKind::Matrix(matrix) => Target::Modifiers(&mut matrix.selector.modifiers),
        ExprKind::Vector(selector) => Target::Modifiers(&mut selector.modifiers),
        ExprKind::Subquery(subquery) => Target::Modifiers(&mut subquery.modifiers),
        _ => Target::Other,
    }
}

/// `%f` of Go.
fn fixed_point(value: f64) -> String {
    if value.is_nan() {
        "NaN".to_owned()
    } else if value.is_infinite() {
        if value < 0.0 { "-Inf".to_owned() } else { "+Inf".to_owned() }
    } else {
        format!("{value:.6}")
    }
}
