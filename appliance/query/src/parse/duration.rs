//! Durations in brackets and after `offset`: numbers, units, arithmetic.

use crate::ast::{BinaryOp, Duration, DurationExpr, DurationExprKind, NumberLiteral, Span};
use crate::parse::cursor::{Cursor, Parsed};
use crate::parse::number::{parse_number, to_float};
use crate::parse::token::{Sign, Token, TokenKind};

/// Binding strength of `^`, as in `binary_strength`; that of a sign is just below.
const POWER_STRENGTH: u8 = 3;
/// Seconds that 64-bit nanoseconds hold.
const SECONDS_MAX: f64 = 9_223_372_036.854_776;

impl Cursor<'_> {
    /// Value of the number or duration `token`, in seconds; faults are reported, the value is 0.
    pub(crate) fn number(&mut self, token: Token) -> NumberLiteral {
        let text = self.text(token);
        if token.kind == TokenKind::Duration {
            let value = match model::duration::parse_duration_ms(text) {
                Ok(ms) => seconds(ms),
                Err(error) => {
                    self.fault(Cursor::span_of(token), error.to_string());
                    0.0
                }
            };
            return NumberLiteral { value, is_duration: true };
        }
        let value = match parse_number(text) {
            Ok(value) => value,
            Err(fault) => {
                let cause = format!("strconv.ParseFloat: parsing {text:?}: {}", fault.text());
                self.fault(self.newest_span(), format!("error parsing number: {cause}"));
                0.0
            }
        };
        NumberLiteral { value, is_duration: false }
    }

    /// What stands after `[` or `[...:`; a plain number must be positive.
    pub(crate) fn positive_duration(&mut self) -> Parsed<DurationExpr> {
        let parsed = self.duration(0)?;
        match parsed.kind {
            DurationExprKind::Number(number) if number.value <= 0.0 => {
                self.fault(parsed.span, "duration must be greater than 0");
                Ok(zero())
            }
            _ => Ok(parsed),
        }
    }

    /// What stands after `offset`. A number, a keyword with its arguments, or either with a sign,
    /// ends it, so that `offset 5s - 8` subtracts from the selector's value; only a parenthesis
    /// without a sign may go on: `offset (5s) - 8`.
    pub(crate) fn offset_duration(&mut self) -> Parsed<DurationExpr> {
        let kind = self.first_of_duration()?;
        if let Some(sign) = kind.sign() {
            let token = self.take();
            return self.signed_offset(token, sign);
        }
        match kind {
            TokenKind::LeftParen => self.duration(0),
            _ => self.duration_operand(),
        }
    }

    fn signed_offset(&mut self, token: Token, sign: Sign) -> Parsed<DurationExpr> {
        match self.first_of_duration()? {
            TokenKind::LeftParen => {
                self.take();
                let inner = self.duration(0)?;
                self.close_duration_paren()?;
                let start = inner.span.start;
                Ok(self.apply_sign(token, sign, in_parens(inner, start)))
            }
            kind if kind.sign().is_some() => {
                let operand = self.duration(POWER_STRENGTH)?;
                let left = self.apply_sign(token, sign, operand);
                self.duration_rest(left, 0)
            }
            TokenKind::Number | TokenKind::Duration => {
                let number = self.take();
                let literal = self.number(number);
                let kind = DurationExprKind::Number(literal);
                let operand = DurationExpr { span: Cursor::span_of(number), kind };
                Ok(self.apply_sign(token, sign, operand))
            }
            _ => {
                let operand = self.duration_operand()?;
                Ok(self.apply_sign(token, sign, operand))
            }
        }
    }

    /// A duration whose operators bind at least as strongly as `strength_min`.
    fn duration(&mut self, strength_min: u8) -> Parsed<DurationExpr> {
        self.descend()?;
        let parsed = self.duration_operand();
        let parsed = parsed.and_then(|left| self.duration_rest(left, strength_min));
        self.ascend();
        parsed
    }

    fn duration_rest(&mut self, left: DurationExpr, strength_min: u8) -> Parsed<DurationExpr> {
        let mut left = left;
        while let TokenKind::Operator(op) = self.peek() {
            let Some(strength) = duration_strength(op).filter(|strength| strength_min <= *strength)
            else {
                break;
            };
            let operator = self.take();
            let height = self.height();
            let right_min = if op == BinaryOp::Pow { strength } else { strength + 1 };
            let right = self.duration(right_min)?;
            self.set_height(height.max(self.height()) + 1)?;
            left = self.combine(left, op, operator, right);
        }
        Ok(left)
    }

    fn combine(
        &mut self,
        left: DurationExpr,
        op: BinaryOp,
        operator: Token,
        right: DurationExpr,
    ) -> DurationExpr {
        self.check_duration_enabled(left.span);
        let by_zero = matches!(right.kind, DurationExprKind::Number(number) if number.value == 0.0);
        if by_zero && matches!(op, BinaryOp::Div | BinaryOp::Mod) {
            let what = if op == BinaryOp::Div { "division" } else { "modulo" };
            self.fault(Cursor::span_of(operator), format!("{what} by zero"));
            return zero();
        }
        let span = Span { start: left.span.start, end: right.span.end };
        let (left, right) = (Box::new(left), Box::new(right));
        DurationExpr { span, kind: DurationExprKind::Binary { op, left, right } }
    }

    /// Waits for a token that may begin a duration.
    fn first_of_duration(&mut self) -> Parsed<TokenKind> {
        use TokenKind::{Duration, LeftParen, MaxOf, MinOf, Number, Range, Step};
        loop {
            let kind = self.peek();
            if matches!(kind, Number | Duration | LeftParen | Step | Range | MaxOf | MinOf)
                || kind.sign().is_some()
            {
                return Ok(kind);
            }
            self.refuse()?;
        }
    }

    fn duration_operand(&mut self) -> Parsed<DurationExpr> {
        let kind = self.first_of_duration()?;
        let token = self.take();
        let span = Cursor::span_of(token);
        self.set_height(1)?;
        if let Some(sign) = kind.sign() {
            let operand = self.duration(POWER_STRENGTH)?;
            self.set_height(self.height() + 1)?;
            return Ok(self.apply_sign(token, sign, operand));
        }
        match kind {
            TokenKind::LeftParen => {
                let inner = self.duration(0)?;
                self.close_duration_paren()?;
                self.set_height(self.height() + 1)?;
                self.check_duration_enabled(inner.span);
                Ok(in_parens(inner, span.start))
            }
            TokenKind::Step | TokenKind::Range => {
                self.expect(TokenKind::LeftParen)?;
                let close = self.expect(TokenKind::RightParen)?;
                let span = Span { start: span.start, end: Cursor::span_of(close).end };
                self.check_duration_enabled(span);
                let step = kind == TokenKind::Step;
                let kind = if step { DurationExprKind::Step } else { DurationExprKind::Range };
                Ok(DurationExpr { span, kind })
            }
            TokenKind::MaxOf | TokenKind::MinOf => self.extreme_of(kind == TokenKind::MaxOf),
            _ => {
                let literal = self.number(token);
                Ok(self.in_range(DurationExpr { span, kind: DurationExprKind::Number(literal) }))
            }
        }
    }

    /// Arguments of `max_of` or `min_of`.
    fn extreme_of(&mut self, max: bool) -> Parsed<DurationExpr> {
        self.expect(TokenKind::LeftParen)?;
        let left = self.duration(0)?;
        let height = self.height();
        self.duration_until(TokenKind::Comma)?;
        let right = self.duration(0)?;
        self.close_duration_paren()?;
        self.set_height(height.max(self.height()) + 1)?;
        let span = Span { start: left.span.start, end: right.span.end };
        self.check_duration_enabled(span);
        let (left, right) = (Box::new(left), Box::new(right));
        let kind = if max {
            DurationExprKind::Max(left, right)
        } else {
            DurationExprKind::Min(left, right)
        };
        Ok(DurationExpr { span, kind })
    }

    fn close_duration_paren(&mut self) -> Parsed<()> {
        self.duration_until(TokenKind::RightParen)
    }

    fn duration_until(&mut self, wanted: TokenKind) -> Parsed<()> {
        self.expect(wanted).map(|_| ())
    }

    /// A number takes the sign in; a plus before anything else is forgotten.
    fn apply_sign(&mut self, token: Token, sign: Sign, operand: DurationExpr) -> DurationExpr {
        let start = Cursor::span_of(token).start;
        let span = Span { start, end: operand.span.end };
        match operand.kind {
            DurationExprKind::Number(number) => {
                let value = if sign == Sign::Minus { -number.value } else { number.value };
                if SECONDS_MAX < value.abs() {
                    self.fault(Cursor::span_of(token), "duration out of range");
                    return zero();
                }
                let literal = NumberLiteral { value, is_duration: number.is_duration };
                DurationExpr { span, kind: DurationExprKind::Number(literal) }
            }
            _ if sign == Sign::Minus => {
                let kind = DurationExprKind::Unary { negative: true, expr: Box::new(operand) };
                DurationExpr { span, kind }
            }
            _ => operand,
        }
    }

    fn in_range(&mut self, parsed: DurationExpr) -> DurationExpr {
        match parsed.kind {
            DurationExprKind::Number(number) if SECONDS_MAX < number.value.abs() => {
                self.fault(parsed.span, "duration out of range");
                zero()
            }
            _ => parsed,
        }
    }

    fn check_duration_enabled(&mut self, span: Span) {
        if !self.options.duration_expr {
            self.fault(span, "experimental duration expression is not enabled");
        }
    }
}

/// What Prometheus goes on with after a fault in a duration.
fn zero() -> DurationExpr {
    let kind = DurationExprKind::Number(NumberLiteral { value: 0.0, is_duration: false });
    DurationExpr { span: Span::default(), kind }
}

/// Several pairs of parentheses count as one. The span of arithmetic stays that of its inside.
fn in_parens(inner: DurationExpr, start: u32) -> DurationExpr {
    let span = match inner.kind {
        DurationExprKind::Paren(_) => return inner,
        DurationExprKind::Number(_) => Span { start, end: inner.span.end },
        _ => inner.span,
    };
    DurationExpr { span, kind: DurationExprKind::Paren(Box::new(inner)) }
}

fn duration_strength(op: BinaryOp) -> Option<u8> {
    match op {
        BinaryOp::Add | BinaryOp::Sub => Some(1),
        BinaryOp::Mul | BinaryOp::Div | BinaryOp::Mod => Some(2),
        BinaryOp::Pow => Some(POWER_STRENGTH),
        _ => None,
    }
}

/// The tree's form of a parsed duration: numbers are milliseconds, as Prometheus rounds them:
/// to nanoseconds, then down.
pub(crate) fn settle(parsed: DurationExpr) -> Duration {
    match parsed.kind {
        DurationExprKind::Number(number) => Duration::Ms(milliseconds(number.value)),
        _ => Duration::Expr(parsed),
    }
}

fn milliseconds(seconds: f64) -> i64 {
    #[expect(clippy::cast_possible_truncation, reason = "checked to be within 64-bit nanoseconds")]
    let nanoseconds = (seconds * 1e9).round() as i64;
    nanoseconds / 1_000_000
}

/// Seconds of a duration as Go's `Duration.Seconds` adds them up.
fn seconds(ms: i64) -> f64 {
    to_float(ms / 1000) + to_float(ms % 1000 * 1_000_000) / 1e9
}
