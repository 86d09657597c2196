//! The grammar of expressions, by precedence climbing.

use crate::ast::{
    AggregateExpr, AggregateOp, BinaryExpr, BinaryOp, Call, Cardinality, Expr, ExprKind,
    NumberLiteral, Span, UnaryExpr, VectorMatching,
};
use crate::function;
use crate::parse::cursor::{Cursor, Parsed, Stop};
use crate::parse::go_text::quote_bytes;
use crate::parse::token::{Sign, Token, TokenKind};

/// Binding strength of the operand of a sign: that of `^`, for `-2 ^ 2` is `-(2 ^ 2)`.
const SIGN_OPERAND_STRENGTH: u8 = 6;

/// `by (a)` or `without (a)`.
#[derive(Default)]
struct Grouping {
    labels: Vec<String>,
    without: bool,
}

/// What may stand between an operator and its right side.
struct BinaryModifier {
    return_bool: bool,
    matching: VectorMatching,
}

impl Cursor<'_> {
    /// An expression whose operators bind at least as strongly as `strength_min`.
    pub(crate) fn expression(&mut self, strength_min: u8) -> Parsed<Expr> {
        self.descend()?;
        let parsed = self.operand().and_then(|left| self.rest_of_expression(left, strength_min));
        self.ascend();
        parsed
    }

    /// Goes on after `left`: modifiers, then operators with their right sides.
    fn rest_of_expression(&mut self, left: Expr, strength_min: u8) -> Parsed<Expr> {
        let mut left = self.modifiers(left)?;
        while let TokenKind::Operator(op) = self.peek() {
            let strength = strength(op);
            if strength < strength_min {
                break;
            }
            let operator = Cursor::span_of(self.take());
            let height = self.height();
            let modifier = self.binary_modifier()?;
            let right =
                self.expression(if op == BinaryOp::Pow { strength } else { strength + 1 })?;
            self.set_height(height.max(self.height()) + 1)?;
            left = self.binary(left, op, operator, modifier, right);
        }
        Ok(left)
    }

    fn binary(
        &mut self,
        left: Expr,
        op: BinaryOp,
        op_span: Span,
        modifier: BinaryModifier,
        right: Expr,
    ) -> Expr {
        let span = Span { start: left.span.start, end: right.span.end };
        let BinaryModifier { return_bool, matching } = modifier;
        let fills = matching.fill_left.is_some() || matching.fill_right.is_some();
        if fills && !self.options.binop_fill_modifiers {
            self.fault(span, "binop fill modifiers are experimental and not enabled");
        }
        let matching = Some(matching);
        let binary = BinaryExpr { op, op_span, return_bool, left, right, matching };
        Expr { span, kind: ExprKind::Binary(Box::new(binary)) }
    }

    fn binary_modifier(&mut self) -> Parsed<BinaryModifier> {
        let mut matching = VectorMatching::default();
        let return_bool = self.peek() == TokenKind::Bool;
        if return_bool {
            self.take();
        }
        if matches!(self.peek(), TokenKind::On | TokenKind::Ignoring) {
            matching.on = self.take().kind == TokenKind::On;
            matching.labels = self.grouping()?;
            let cardinality = match self.peek() {
                TokenKind::GroupLeft => Some(Cardinality::ManyToOne),
                TokenKind::GroupRight => Some(Cardinality::OneToMany),
                _ => None,
            };
            if let Some(cardinality) = cardinality {
                self.take();
                matching.cardinality = cardinality;
                if self.peek() == TokenKind::LeftParen {
                    matching.include = self.grouping()?;
                }
            }
        }
        self.fill_modifiers(&mut matching)?;
        Ok(BinaryModifier { return_bool, matching })
    }

    fn fill_modifiers(&mut self, matching: &mut VectorMatching) -> Parsed<()> {
        match self.peek() {
            TokenKind::Fill => {
                let value = self.fill_value()?;
                matching.fill_left = Some(value);
                matching.fill_right = Some(value);
            }
            TokenKind::FillLeft => {
                matching.fill_left = Some(self.fill_value()?);
                if self.peek() == TokenKind::FillRight {
                    matching.fill_right = Some(self.fill_value()?);
                }
            }
            TokenKind::FillRight => {
                matching.fill_right = Some(self.fill_value()?);
                if self.peek() == TokenKind::FillLeft {
                    matching.fill_left = Some(self.fill_value()?);
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// `fill (-1)`: the keyword, then a number with or without sign.
    fn fill_value(&mut self) -> Parsed<f64> {
        self.take();
        self.expect(TokenKind::LeftParen)?;
        let mut sign = None;
        let number = loop {
            let kind = self.peek();
            if matches!(kind, TokenKind::Number | TokenKind::Duration) {
                break self.take();
            }
            match kind.sign() {
                Some(found) if sign.is_none() => {
                    sign = Some(found);
                    self.take();
                }
                _ => self.refuse()?,
            }
        };
        let value = self.number(number).value;
        self.expect(TokenKind::RightParen)?;
        Ok(if sign == Some(Sign::Minus) { -value } else { value })
    }

    fn operand(&mut self) -> Parsed<Expr> {
        while !self.peek().begins_expression() {
            self.refuse()?;
        }
        if self.peek() == TokenKind::LeftBrace {
            return self.selector(None);
        }
        let token = self.take();
        let span = Cursor::span_of(token);
        self.set_height(1)?;
        if let Some(sign) = token.kind.sign() {
            return self.signed(span, sign);
        }
        match token.kind {
            TokenKind::Number | TokenKind::Duration => {
                Ok(Expr { span, kind: ExprKind::Number(self.number(token)) })
            }
            TokenKind::String => Ok(Expr { span, kind: ExprKind::String(self.string(token)) }),
            TokenKind::LeftParen => self.paren(span),
            TokenKind::Aggregate(op) => match self.peek() {
                TokenKind::LeftParen | TokenKind::By | TokenKind::Without => {
                    self.aggregate(span, op)
                }
                _ => self.selector(Some(token)),
            },
            kind if kind.is_function_name() && self.peek() == TokenKind::LeftParen => {
                self.call(token)
            }
            _ => self.selector(Some(token)),
        }
    }

    /// What follows a sign; a number takes it in.
    fn signed(&mut self, sign_span: Span, sign: Sign) -> Parsed<Expr> {
        let operand = self.expression(SIGN_OPERAND_STRENGTH)?;
        let span = Span { start: sign_span.start, end: operand.span.end };
        let negative = sign == Sign::Minus;
        if let ExprKind::Number(NumberLiteral { value, is_duration }) = operand.kind {
            let value = if negative { -value } else { value };
            return Ok(Expr { span, kind: ExprKind::Number(NumberLiteral { value, is_duration }) });
        }
        self.set_height(self.height() + 1)?;
        let unary = UnaryExpr { negative, expr: Box::new(operand) };
        Ok(Expr { span, kind: ExprKind::Unary(unary) })
    }

    fn paren(&mut self, open: Span) -> Parsed<Expr> {
        let mut inner = self.expression(0)?;
        while self.peek() != TokenKind::RightParen {
            self.refuse()?;
            inner = self.rest_of_expression(inner, 0)?;
        }
        let close = Cursor::span_of(self.take());
        self.set_height(self.height() + 1)?;
        let span = Span { start: open.start, end: close.end };
        Ok(Expr { span, kind: ExprKind::Paren(Box::new(inner)) })
    }

    fn aggregate(&mut self, op_span: Span, op: AggregateOp) -> Parsed<Expr> {
        match self.aggregate_parts() {
            Ok((grouping, args, end)) => {
                let span = Span { start: op_span.start, end };
                Ok(self.build_aggregate(span, op, grouping, args))
            }
            Err(Stop::Unwind) => {
                self.unexpected("aggregation", "");
                let span = Span { start: op_span.start, end: self.last_closing() };
                Ok(self.build_aggregate(span, op, Grouping::default(), Vec::new()))
            }
            Err(Stop::Abort) => Err(Stop::Abort),
        }
    }

    /// Labels and arguments in either order, and where the whole ends.
    fn aggregate_parts(&mut self) -> Parsed<(Grouping, Vec<Expr>, u32)> {
        if self.peek() != TokenKind::LeftParen {
            let grouping = self.aggregate_grouping()?;
            let args = self.arguments()?;
            return Ok((grouping, args, self.last_closing()));
        }
        let args = self.arguments()?;
        if matches!(self.peek(), TokenKind::By | TokenKind::Without) {
            let grouping = self.aggregate_grouping()?;
            return Ok((grouping, args, self.last_closing()));
        }
        Ok((Grouping::default(), args, self.closing_before_ahead()))
    }

    fn aggregate_grouping(&mut self) -> Parsed<Grouping> {
        let without = self.take().kind == TokenKind::Without;
        Ok(Grouping { labels: self.grouping()?, without })
    }

    fn build_aggregate(
        &mut self,
        span: Span,
        op: AggregateOp,
        grouping: Grouping,
        args: Vec<Expr>,
    ) -> Expr {
        let count = args.len();
        let wanted = if op.takes_parameter() { 2 } else { 1 };
        let experimental = matches!(op, AggregateOp::Limitk | AggregateOp::LimitRatio);
        if count == 0 {
            self.fault(span, "no arguments for aggregate expression provided");
        } else if experimental && !self.options.experimental_functions {
            let flag = "--enable-feature=promql-experimental-functions";
            let op = op.text();
            let reason = format!("{op}() is experimental and must be enabled with {flag}");
            self.fault(span, reason);
        } else if count != wanted {
            let reason = format!(
                "wrong number of arguments for aggregate expression provided, expected {wanted}, \
                 got {count}"
            );
            self.fault(span, reason);
        }
        let mut args = args.into_iter();
        let parameter = if op.takes_parameter() { args.next() } else { None };
        // After a fault something must stand here; the tree is then dropped.
        let nothing = NumberLiteral { value: 0.0, is_duration: false };
        let expr = args.next().unwrap_or(Expr { span, kind: ExprKind::Number(nothing) });
        let Grouping { labels, without } = grouping;
        let aggregate = AggregateExpr { op, parameter, expr, grouping: labels, without };
        Expr { span, kind: ExprKind::Aggregate(Box::new(aggregate)) }
    }

    fn call(&mut self, name: Token) -> Parsed<Expr> {
        let args = self.arguments()?;
        let name_span = Cursor::span_of(name);
        let span = Span { start: name_span.start, end: self.last_closing() };
        let quoted = quote_bytes(self.text(name).as_bytes());
        let Some(function) = function::lookup(self.text(name)) else {
            self.fault(name_span, format!("unknown function with name {quoted}"));
            // After a fault something must stand here; the tree is then dropped.
            let nothing = NumberLiteral { value: 0.0, is_duration: false };
            let nothing = Expr { span, kind: ExprKind::Number(nothing) };
            return Ok(Expr { span, kind: ExprKind::Paren(Box::new(nothing)) });
        };
        if function.experimental && !self.options.experimental_functions {
            self.fault(name_span, format!("function {quoted} is not enabled"));
        }
        Ok(Expr { span, kind: ExprKind::Call(Call { function, args }) })
    }

    /// `(a, b)`; the tree around it is one higher than the highest argument.
    fn arguments(&mut self) -> Parsed<Vec<Expr>> {
        self.expect(TokenKind::LeftParen)?;
        let mut args = Vec::new();
        let mut height = 0;
        loop {
            let kind = self.peek();
            if kind == TokenKind::RightParen {
                self.take();
                self.set_height(height + 1)?;
                return Ok(args);
            }
            let comma = (kind == TokenKind::Comma && !args.is_empty()).then(|| self.take());
            if (args.is_empty() || comma.is_some()) && self.peek().begins_expression() {
                args.push(self.expression(0)?);
                height = height.max(self.height());
            } else if let Some(comma) = comma {
                let reason = "trailing commas not allowed in function call args";
                self.fault(Cursor::span_of(comma), reason);
            } else {
                self.refuse()?;
            }
        }
    }
}

/// How strongly an operator binds; `^` alone groups from the right.
fn strength(op: BinaryOp) -> u8 {
    use BinaryOp::{
        Add, And, Atan2, Div, Equal, Greater, GreaterEqual, Less, LessEqual, Mod, Mul, NotEqual,
        Or, Pow, Sub, TrimLower, TrimUpper, Unless,
    };
    match op {
        Or => 1,
        And | Unless => 2,
        Equal | NotEqual | Less | LessEqual | Greater | GreaterEqual | TrimUpper | TrimLower => 3,
        Add | Sub => 4,
        Mul | Div | Mod | Atan2 => 5,
        Pow => SIGN_OPERAND_STRENGTH,
    }
}
