//! Reads the notation of samples character by character, for `series`.

use crate::parse::number::parse_number;

/// What is wrong and at which byte.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ScanFault {
    pub(crate) at: usize,
    pub(crate) reason: String,
}

pub(crate) type Scanned<T> = Result<T, ScanFault>;

/// A place in a text.
pub(crate) struct Scanner<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Scanner<'a> {
    pub(crate) fn new(text: &'a str, at: usize) -> Scanner<'a> {
        Scanner { text, at }
    }

    pub(crate) fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or("")
    }

    pub(crate) fn is_at_end(&self) -> bool {
        self.rest().is_empty()
    }

    pub(crate) fn accept(&mut self, wanted: &str) -> bool {
        let accepted = self.rest().starts_with(wanted);
        if accepted {
            self.at += wanted.len();
        }
        accepted
    }

    /// Skips spaces; whether there were any.
    pub(crate) fn skip_spaces(&mut self) -> bool {
        !self.take_while(|c| matches!(c, ' ' | '\t' | '\n' | '\r')).is_empty()
    }

    pub(crate) fn take_while(&mut self, wanted: impl Fn(char) -> bool) -> &'a str {
        let rest = self.rest();
        let taken = rest.len() - rest.trim_start_matches(wanted).len();
        self.at += taken;
        &rest[..taken]
    }

    pub(crate) fn fault<T>(&self, context: &str, expected: &str) -> Scanned<T> {
        let found = match self.rest().chars().next() {
            Some(c) => format!("{c:?}"),
            None => "end of input".to_owned(),
        };
        let expected =
            if expected.is_empty() { String::new() } else { format!(", expected {expected}") };
        self.fail(format!("unexpected {found} in {context}{expected}"))
    }

    pub(crate) fn fail<T>(&self, reason: String) -> Scanned<T> {
        Err(ScanFault { at: self.at, reason })
    }

    /// `x12`: the 12; `None` without an `x`.
    pub(crate) fn repetition(&mut self) -> Scanned<Option<usize>> {
        if !self.accept("x") {
            return Ok(None);
        }
        let digits = self.take_while(|c| c.is_ascii_digit());
        match digits.parse() {
            Ok(count) => Ok(Some(count)),
            Err(_) => self.fail(format!("invalid repetition in series values: {digits:?}")),
        }
    }

    /// `+` or `-`: the factor; `None` without.
    pub(crate) fn sign(&mut self) -> Option<f64> {
        if self.accept("+") {
            Some(1.0)
        } else if self.accept("-") {
            Some(-1.0)
        } else {
            None
        }
    }

    /// A number with or without sign.
    pub(crate) fn signed_number(&mut self, context: &str) -> Scanned<f64> {
        let sign = self.sign().unwrap_or(1.0);
        Ok(sign * self.number(context)?)
    }

    /// A number without sign: decimal, `Inf` or `NaN`.
    pub(crate) fn number(&mut self, context: &str) -> Scanned<f64> {
        let start = self.at;
        let digits = |c: char| c.is_ascii_digit() || c == '.' || c == '_';
        if self.rest().starts_with(|c: char| c.is_ascii_digit() || c == '.') {
            self.take_while(digits);
            if self.accept("e") || self.accept("E") {
                self.sign();
                self.take_while(digits);
            }
        } else {
            self.take_while(|c| c.is_ascii_alphabetic());
        }
        let text = &self.text[start..self.at];
        let named = matches!(text.to_ascii_lowercase().as_str(), "inf" | "nan");
        if text.is_empty() || text.starts_with(|c: char| c.is_ascii_alphabetic()) && !named {
            self.at = start;
            return self.fault(context, "number or \"stale\"");
        }
        match parse_number(text) {
            Ok(value) => Ok(value),
            Err(fault) => {
                self.at = start;
                self.fail(format!("error parsing number: {text:?}: {}", fault.text()))
            }
        }
    }
}
