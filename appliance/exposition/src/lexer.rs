//! Tokens of the text format 0.0.4, state by state as upstream's lexer (promlex.l) knows them.
//!
//! A missing newline at the end of the text is supplied, as upstream does. Unlike upstream a null
//! byte never ends the text early: outside comments, help and label values it is refused.

use crate::token::{
    LABEL_NAME, METRIC_NAME, PLAIN, Token, Tokens, VALUE, class, starts_label_name,
    starts_metric_name,
};

/// What the lexer expects next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// Start of a line.
    Line,
    /// Metric name behind `# HELP` or `# TYPE`.
    MetaName,
    /// Rest of a `# HELP` or `# TYPE` line.
    MetaText,
    /// Within braces.
    Labels,
    /// Behind `=` within braces.
    LabelValue,
    /// Behind the series.
    Value,
    /// Behind the value.
    Timestamp,
}

/// Cuts `text` into tokens; the newest is `start..at`.
#[derive(Clone, Debug)]
pub(crate) struct Lexer<'a> {
    pub(crate) text: &'a [u8],
    pub(crate) start: usize,
    pub(crate) at: usize,
    pub(crate) state: State,
    ended: bool,
}

impl<'a> Lexer<'a> {
    /// Tokens of `text` from byte `at` on, which begins a line.
    pub(crate) fn new(text: &'a [u8], at: usize) -> Lexer<'a> {
        Lexer { text, start: at, at, state: State::Line, ended: false }
    }

    fn byte(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn skip_blanks(&mut self) {
        self.skip_while(|byte| byte == b' ' || byte == b'\t');
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
            None if self.ended => Token::End,
            None => self.supplied_linebreak(),
            Some(b'\n') => self.one(Token::Linebreak, State::Line),
            Some(b'#') => self.comment(),
            Some(b'{') => self.one(Token::BraceOpen, State::Labels),
            Some(byte) if starts_metric_name(byte) => {
                self.skip_while(|byte| class(byte, METRIC_NAME));
                self.state = State::Value;
                Token::MetricName
            }
            Some(_) => Token::Invalid,
        }
    }

    fn supplied_linebreak(&mut self) -> Token {
        self.ended = true;
        self.state = State::Line;
        Token::Linebreak
    }

    fn comment(&mut self) -> Token {
        self.at += 1;
        let before_blanks = self.at;
        self.skip_blanks();
        let rest = &self.text[self.at..];
        let word = rest.get(..4).filter(|_| before_blanks < self.at);
        let blank_behind = matches!(rest.get(4), Some(b' ' | b'\t'));
        let meta = match word {
            Some(b"HELP") if blank_behind => Some(Token::Help),
            Some(b"TYPE") if blank_behind => Some(Token::Type),
            _ => None,
        };
        if let Some(meta) = meta {
            self.at += 4;
            self.skip_blanks();
            self.state = State::MetaName;
            return meta;
        }
        self.skip_line();
        self.state = State::Line;
        Token::Comment
    }

    fn skip_line(&mut self) {
        let rest = &self.text[self.at..];
        self.at += memchr::memchr(b'\n', rest).unwrap_or(rest.len());
    }

    fn meta_name(&mut self) -> Token {
        let found = match self.byte() {
            Some(b'"') => self.quoted(false),
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

    fn meta_text(&mut self) -> Token {
        self.skip_line();
        self.state = State::Line;
        Token::Text
    }

    fn label_part(&mut self) -> Token {
        match self.byte() {
            Some(b'}') => self.one(Token::BraceClose, State::Value),
            Some(b'=') => self.one(Token::Equal, State::LabelValue),
            Some(b',') => self.one(Token::Comma, State::Labels),
            Some(b'"') if self.quoted(false) => Token::QuotedString,
            Some(byte) if starts_label_name(byte) => {
                self.skip_while(|byte| class(byte, LABEL_NAME));
                Token::LabelName
            }
            _ => Token::Invalid,
        }
    }

    fn label_value(&mut self) -> Token {
        if self.byte() != Some(b'"') || !self.quoted(true) {
            return Token::Invalid;
        }
        self.state = State::Labels;
        Token::LabelValue
    }

    /// Takes a quoted string, on whose opening quote the lexer stands. It may go over line ends,
    /// a backslash takes any byte but a line end with it, null bytes are allowed if `nulls`.
    fn quoted(&mut self, nulls: bool) -> bool {
        self.at += 1;
        loop {
            self.skip_while(|byte| class(byte, PLAIN));
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

    fn value(&mut self) -> Token {
        if self.byte() == Some(b'{') {
            return self.one(Token::BraceOpen, State::Labels);
        }
        self.skip_while(|byte| class(byte, VALUE));
        if self.at == self.start {
            return Token::Invalid;
        }
        self.state = State::Timestamp;
        Token::Value
    }

    fn timestamp(&mut self) -> Token {
        match self.byte() {
            None if !self.ended => self.supplied_linebreak(),
            Some(b'\n') => self.one(Token::Linebreak, State::Line),
            Some(b'0'..=b'9') => {
                self.skip_while(|byte| byte.is_ascii_digit());
                Token::Timestamp
            }
            _ => Token::Invalid,
        }
    }
}

impl<'a> Tokens<'a> for Lexer<'a> {
    const COMMA_NEEDED: bool = false;

    fn text(&self) -> &'a [u8] {
        self.text
    }

    fn start(&self) -> usize {
        self.start
    }

    fn at(&self) -> usize {
        self.at
    }

    /// The next token that is not blank.
    fn next_token(&mut self) -> Token {
        if self.state != State::MetaText {
            self.skip_blanks();
        }
        self.start = self.at;
        match self.state {
            State::Line => self.line_start(),
            State::MetaName => self.meta_name(),
            State::MetaText => self.meta_text(),
            State::Labels => self.label_part(),
            State::LabelValue => self.label_value(),
            State::Value => self.value(),
            State::Timestamp => self.timestamp(),
        }
    }
}
