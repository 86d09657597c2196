//! Lists of label names: `by (a, "b.c")`, `on (...)`, `group_left (...)`.

use crate::parse::cursor::{Cursor, Parsed, Stop};
use crate::parse::go_text::quote_bytes;
use crate::parse::token::TokenKind;
use crate::parse::unquote::unquote;

const CONTEXT: &str = "grouping opts";

impl Cursor<'_> {
    /// `(a, b,)`. Names that are not where they should be are reported and left out.
    pub(crate) fn grouping(&mut self) -> Parsed<Vec<String>> {
        while self.peek() != TokenKind::LeftParen {
            match self.refuse() {
                Err(Stop::Unwind) => {
                    self.unexpected(CONTEXT, "\"(\"");
                    return Ok(Vec::new());
                }
                other => other?,
            }
        }
        self.take();
        let mut names = Vec::new();
        if self.peek() == TokenKind::RightParen {
            self.take();
            return Ok(names);
        }
        while self.grouping_label(&mut names)? && self.grouping_comma()? {}
        Ok(names)
    }

    /// Takes a label name; `false`: the list has ended instead.
    fn grouping_label(&mut self, names: &mut Vec<String>) -> Parsed<bool> {
        loop {
            let kind = self.peek();
            if kind == TokenKind::RightParen {
                self.take();
                return Ok(false);
            }
            if kind == TokenKind::String || kind.is_label_name() {
                let name = self.label_name();
                names.push(name);
                return Ok(true);
            }
            match self.refuse() {
                Err(Stop::Unwind) => {
                    self.unexpected(CONTEXT, "label");
                    return Ok(true);
                }
                other => other?,
            }
        }
    }

    fn label_name(&mut self) -> String {
        let token = self.take();
        let name = match token.kind {
            TokenKind::String => self.string(token),
            _ => self.text(token).to_owned(),
        };
        if name.is_empty() {
            let name = quote_bytes(name.as_bytes());
            let reason = format!("invalid label name for grouping: {name}");
            self.fault(Cursor::span_of(token), reason);
        }
        name
    }

    /// Takes the comma after a label; `false`: the list has ended instead.
    fn grouping_comma(&mut self) -> Parsed<bool> {
        loop {
            match self.peek() {
                TokenKind::Comma => {
                    self.take();
                    return Ok(true);
                }
                TokenKind::RightParen => {
                    self.take();
                    return Ok(false);
                }
                _ => match self.refuse() {
                    Err(Stop::Unwind) => self.unexpected(CONTEXT, "\",\" or \")\""),
                    other => other?,
                },
            }
        }
    }

    /// Text of a string token; U+FFFD stands for bytes that are no UTF-8.
    pub(crate) fn string(&mut self, token: crate::parse::token::Token) -> String {
        let quoted = self.text(token);
        unquote(quoted).unwrap_or_else(|| {
            let quoted = quote_bytes(quoted.as_bytes());
            let reason = format!("error unquoting string {quoted}: invalid syntax");
            self.fault(self.newest_span(), reason);
            String::new()
        })
    }
}
