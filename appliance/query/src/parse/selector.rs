//! Vector selectors: a metric name, matchers in braces, or both.

use model::label_set::METRIC_NAME;
use model::matcher::MatchOp;
use model::regex::GoRegex;

use crate::ast::{BinaryOp, Expr, ExprKind, LabelMatcher, Modifiers, Span, VectorSelector};
use crate::parse::cursor::{Cursor, Parsed, Stop};
use crate::parse::token::{Token, TokenKind};

const CONTEXT: &str = "label matching";

impl Cursor<'_> {
    /// The selector whose metric name is `token`, already taken, if it has one outside the braces.
    pub(crate) fn selector(&mut self, token: Option<Token>) -> Parsed<Expr> {
        self.count_selector()?;
        let name = token.map(|token| self.text(token).to_owned());
        let mut span = token.map(Cursor::span_of);
        let mut matchers = Vec::new();
        if self.peek() == TokenKind::LeftBrace {
            let braces = self.matchers(&mut matchers)?;
            let start = span.map_or(braces.start, |span| span.start);
            span = Some(Span { start, end: braces.end });
        }
        if let Some(name) = &name {
            matchers.push(equals(METRIC_NAME, name));
        }
        self.set_height(1)?;
        let selector = VectorSelector { name, matchers, modifiers: Modifiers::default() };
        Ok(Expr { span: span.unwrap_or_default(), kind: ExprKind::Vector(selector) })
    }

    /// `{a="b", c=~"d",}`; gives the span of the braces.
    fn matchers(&mut self, matchers: &mut Vec<LabelMatcher>) -> Parsed<Span> {
        let open = Cursor::span_of(self.take());
        loop {
            if self.peek() == TokenKind::RightBrace {
                break;
            }
            self.matcher(matchers)?;
            if !self.matcher_comma()? {
                break;
            }
        }
        let close = Cursor::span_of(self.take());
        Ok(Span { start: open.start, end: close.end })
    }

    fn matcher(&mut self, matchers: &mut Vec<LabelMatcher>) -> Parsed<()> {
        self.count_matcher()?;
        loop {
            match self.peek() {
                TokenKind::RightBrace => return Ok(()),
                TokenKind::Identifier => return self.named_matcher(matchers),
                TokenKind::String => return self.quoted_matcher(matchers),
                _ => match self.refuse() {
                    Err(Stop::Unwind) => {
                        self.unexpected(CONTEXT, "identifier or \"}\"");
                        return Ok(());
                    }
                    other => other?,
                },
            }
        }
    }

    fn named_matcher(&mut self, matchers: &mut Vec<LabelMatcher>) -> Parsed<()> {
        let token = self.take();
        let name = self.text(token).to_owned();
        loop {
            if let Some(op) = match_op(self.peek()) {
                self.take();
                return self.matcher_value(token, name, op, matchers);
            }
            match self.refuse() {
                Err(Stop::Unwind) => {
                    self.unexpected(CONTEXT, "label matching operator");
                    return Ok(());
                }
                other => other?,
            }
        }
    }

    /// A quoted label name with its operator, or a quoted metric name.
    fn quoted_matcher(&mut self, matchers: &mut Vec<LabelMatcher>) -> Parsed<()> {
        let token = self.take();
        let name = self.string(token);
        match match_op(self.peek()) {
            Some(op) => {
                self.take();
                self.matcher_value(token, name, op, matchers)
            }
            None => {
                matchers.push(equals(METRIC_NAME, &name));
                Ok(())
            }
        }
    }

    fn matcher_value(
        &mut self,
        label: Token,
        name: String,
        op: MatchOp,
        matchers: &mut Vec<LabelMatcher>,
    ) -> Parsed<()> {
        while self.peek() != TokenKind::String {
            match self.refuse() {
                Err(Stop::Unwind) => {
                    self.unexpected(CONTEXT, "string");
                    return Ok(());
                }
                other => other?,
            }
        }
        let token = self.take();
        let value = self.string(token);
        if matches!(op, MatchOp::Regex | MatchOp::NotRegex) {
            let (start, end) = (Cursor::span_of(label).start, Cursor::span_of(token).end);
            let compiled_bytes = match GoRegex::anchored(&value) {
                Ok(regex) => regex.compiled_bytes(),
                Err(error) => {
                    self.fault(Span { start, end }, error.to_string());
                    0
                }
            };
            self.count_pattern(value.len() + compiled_bytes)?;
        }
        matchers.push(LabelMatcher { name, op, value });
        Ok(())
    }

    /// Takes the comma after a matcher; `false`: the braces are about to close.
    fn matcher_comma(&mut self) -> Parsed<bool> {
        loop {
            match self.peek() {
                TokenKind::Comma => {
                    self.take();
                    return Ok(true);
                }
                TokenKind::RightBrace => return Ok(false),
                _ => match self.refuse() {
                    Err(Stop::Unwind) => self.unexpected(CONTEXT, "\",\" or \"}\""),
                    other => other?,
                },
            }
        }
    }
}

fn equals(name: &str, value: &str) -> LabelMatcher {
    LabelMatcher { name: name.to_owned(), op: MatchOp::Equal, value: value.to_owned() }
}

fn match_op(kind: TokenKind) -> Option<MatchOp> {
    match kind {
        TokenKind::Assign => Some(MatchOp::Equal),
        TokenKind::Operator(BinaryOp::NotEqual) => Some(MatchOp::NotEqual),
        TokenKind::MatchRegex => Some(MatchOp::Regex),
        TokenKind::MatchNotRegex => Some(MatchOp::NotRegex),
        _ => None,
    }
}
