//! Tokens of OpenMetrics text, state by state as upstream's lexer (openmetricslex.l) knows them.
//!
//! One space stands where a space may stand. Unlike upstream a null byte never ends the text
//! early: outside help and label values it is refused.

use crate::token::{
    LABEL_NAME, METRIC_NAME, PLAIN, Token, Tokens, class, starts_label_name, starts_metric_name,
};

/// What the lexer expects next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Start of a line.
    Line,
    /// Metric name behind `# HELP`, `# TYPE` or `# UNIT`.
    MetaName,
    /// Rest of such a line.
    MetaText,
    /// Within braces.
    Labels,
    /// Behind `=` within braces.
    LabelValue,
    /// Behind the series.
    Value,
    /// Behind the value.
    Timestamp,
    /// Within the braces of an exemplar.
    Exemplar,
    /// Behind `=` within them, or behind them.
    ExemplarValue,
    /// Behind the value of an exemplar.
    ExemplarTimestamp,
}

/// Cuts `text` into tokens; the newest is `start..at`.
#[derive(Clone, Debug)]
pub(crate) struct Lexer<'a> {
    text: &'a [u8],
    start: usize,
    at: usize,
    state: State,
}

impl<'a> Lexer<'a> {
    /// Tokens of `text` from byte `at` on, which begins a line.
    pub(crate) fn new(text: &'a [u8], at: usize) -> Lexer<'a> {
        Lexer { text, start: at, at, state: State::Line }
    }

    fn byte(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn skip_while(&mut self, wanted: impl Fn(u8) -> bool) {
        let rest = &self.text[self.at..];
        self.at += rest.iter().position(|byte| !wanted(*byte)).unwrap_or(rest.len());
    }

    /// Takes one byte as `token` and goes on in `state`.
    fn one(&mut self, token: Token, state: State) -> Token {
        self.at += 1;
        self.state = state;
        token
    }

    fn line_start(&mut self) -> Token {
        match self.byte() {
            Some(b'#') => self.comment(),
            Some(b'{') => self.one(Token::BraceOpen, State::Labels),
            Some(byte) if starts_metric_name(byte) => {
                self.skip_while(|byte| class(byte, METRIC_NAME));
                self.state = State::Value;
                Token::MetricName
            }
            _ => Token::Invalid,
        }
    }

    fn comment(&mut self) -> Token {
        let rest = &self.text[self.at..];
        if rest.starts_with(b"# EOF") {
            self.at += if rest.get(5) == Some(&b'\n') { 6 } else { 5 };
            return Token::EndWord;
        }
        let meta = match rest.get(..7) {
            Some(b"# HELP ") => Token::Help,
            Some(b"# TYPE ") => Token::Type,
            Some(b"# UNIT ") => Token::Unit,
            _ => return Token::Invalid,
        };
        self.at += 7;
        self.state = State::MetaName;
        meta
    }

    fn meta_name(&mut self) -> Token {
        let found = match self.byte() {
            Some(b'"') => self.quoted(true, false),
            Some(byte) if starts_metric_name(byte) => {
                self.skip_while(|byte| class(byte, METRIC_NAME));
                true
            }
            _ => false,
        };
        if !found {
            return Token::Invalid;
        }
        self.state = State::MetaText;
        Token::MetricName
    }

    /// The rest of the line behind one space; the token has its line end with it.
    fn meta_text(&mut self) -> Token {
        let rest = &self.text[self.at..];
        let end = memchr::memchr(b'\n', rest);
        let (Some(b' '), Some(end)) = (rest.first(), end) else { return Token::Invalid };
        self.start += 1;
        self.at += end + 1;
        self.state = State::Line;
        Token::Text
    }

    fn label_part(&mut self, close: State, equal: State) -> Token {
        match self.byte() {
            Some(b'}') => self.one(Token::BraceClose, close),
            Some(b'=') => self.one(Token::Equal, equal),
            Some(b',') => self.one(Token::Comma, self.state),
            Some(b'"') if self.quoted(self.state == State::Labels, false) => Token::QuotedString,
            Some(byte) if starts_label_name(byte) => {
                self.skip_while(|byte| class(byte, LABEL_NAME));
                Token::LabelName
            }
            _ => Token::Invalid,
        }
    }

    fn label_value(&mut self, nulls: bool, next: State) -> Token {
        if self.byte() != Some(b'"') || !self.quoted(false, nulls) {
            return Token::Invalid;
        }
        self.state = next;
        Token::LabelValue
    }

    /// Takes a quoted string, on whose opening quote the lexer stands. It may go over line ends if
    /// `lines`, a backslash takes any byte but a line end with it, null bytes are allowed if
    /// `nulls`.
    fn quoted(&mut self, lines: bool, nulls: bool) -> bool {
        self.at += 1;
        loop {
            self.skip_while(|byte| class(byte, PLAIN) && (lines || byte != b'\n'));
            match self.byte() {
                Some(b'"') => {
                    self.at += 1;
                    return true;
                }
                Some(b'\\') => {
                    self.at += 1;
                    if nulls {
                        self.skip_while(|byte| byte == 0);
                    }
                    if matches!(self.byte(), None | Some(b'\n' | 0)) {
                        return false;
                    }
                }
                Some(0) if nulls => {}
                _ => return false,
            }
            self.at += 1;
        }
    }

    /// One space and what stands behind it up to the next space or the line end.
    fn word(&mut self, token: Token, next: State) -> Token {
        let rest = &self.text[self.at..];
        let text = rest.get(1..).unwrap_or(&[]);
        let bytes = text.iter().position(|byte| matches!(byte, b' ' | b'\n' | 0));
        let bytes = bytes.unwrap_or(text.len());
        if rest.first() != Some(&b' ') || bytes == 0 {
            return Token::Invalid;
        }
        self.start += 1;
        self.at += 1 + bytes;
        self.state = next;
        token
    }

    fn value(&mut self) -> Token {
        if self.byte() == Some(b'{') {
            return self.one(Token::BraceOpen, State::Labels);
        }
        self.word(Token::Value, State::Timestamp)
    }

    fn timestamp(&mut self) -> Token {
        let rest = &self.text[self.at..];
        if rest.starts_with(b" # {") {
            self.at += 4;
            self.state = State::Exemplar;
            return Token::Comment;
        }
        self.timestamp_or_end()
    }

    fn timestamp_or_end(&mut self) -> Token {
        if self.byte() == Some(b'\n') {
            return self.one(Token::Linebreak, State::Line);
        }
        self.word(Token::Timestamp, self.state)
    }

    fn exemplar_value(&mut self) -> Token {
        if self.byte() == Some(b'"') {
            return self.label_value(false, State::Exemplar);
        }
        self.word(Token::Value, State::ExemplarTimestamp)
    }
}

impl<'a> Tokens<'a> for Lexer<'a> {
    const COMMA_NEEDED: bool = true;

    fn text(&self) -> &'a [u8] {
        self.text
    }

    fn start(&self) -> usize {
        self.start
    }

    fn at(&self) -> usize {
        self.at
    }

    fn next_token(&mut self) -> Token {
        self.start = self.at;
        if self.text.len() <= self.at {
            return Token::End;
        }
        match self.state {
            State::Line => self.line_start(),
            State::MetaName => self.meta_name(),
            State::MetaText => self.meta_text(),
            State::Labels => self.label_part(State::Value, State::LabelValue),
            State::LabelValue => self.label_value(true, State::Labels),
            State::Value => self.value(),
            State::Timestamp => self.timestamp(),
            State::Exemplar => self.label_part(State::ExemplarValue, State::ExemplarValue),
            State::ExemplarValue => self.exemplar_value(),
            State::ExemplarTimestamp => self.timestamp_or_end(),
        }
    }
}
