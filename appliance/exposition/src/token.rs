//! Tokens of the text formats, and the classes of bytes they are made of.
//!
//! The words are upstream's, which its error messages carry.

/// Kind of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Token {
    Invalid,
    End,
    Linebreak,
    Help,
    Type,
    Unit,
    EndWord,
    Text,
    Comment,
    MetricName,
    QuotedString,
    BraceOpen,
    BraceClose,
    LabelName,
    LabelValue,
    Comma,
    Equal,
    Timestamp,
    Value,
}

impl Token {
    /// Upstream's word for the token, which its error messages carry.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Token::Invalid => "INVALID",
            Token::End => "EOF",
            Token::Linebreak => "LINEBREAK",
            Token::Help => "HELP",
            Token::Type => "TYPE",
            Token::Unit => "UNIT",
            Token::EndWord => "EOFWORD",
            Token::Text => "TEXT",
            Token::Comment => "COMMENT",
            Token::MetricName => "MNAME",
            Token::QuotedString => "QSTRING",
            Token::BraceOpen => "BOPEN",
            Token::BraceClose => "BCLOSE",
            Token::LabelName => "LNAME",
            Token::LabelValue => "LVALUE",
            Token::Comma => "COMMA",
            Token::Equal => "EQUAL",
            Token::Timestamp => "TIMESTAMP",
            Token::Value => "VALUE",
        }
    }
}

/// What the grammar of a series asks of a lexer; the newest token is `start()..at()`.
pub(crate) trait Tokens<'a> {
    /// Whether labels must be separated by commas.
    const COMMA_NEEDED: bool;

    /// The whole text.
    fn text(&self) -> &'a [u8];
    /// Where the newest token begins.
    fn start(&self) -> usize;
    /// Where it ends.
    fn at(&self) -> usize;
    /// The next token.
    fn next_token(&mut self) -> Token;

    /// Bytes of the newest token.
    fn token_text(&self) -> &'a [u8] {
        &self.text()[self.start()..self.at()]
    }
}

/// Bytes within a metric name.
pub(crate) const METRIC_NAME: u8 = 1;
/// Bytes within a label name.
pub(crate) const LABEL_NAME: u8 = 2;
/// Bytes within a value.
pub(crate) const VALUE: u8 = 4;
/// Bytes within quotes that stand for themselves.
pub(crate) const PLAIN: u8 = 8;

/// The classes of each byte, for the loops that take most bytes of a body.
const CLASSES: [u8; 256] = classes();

const fn classes() -> [u8; 256] {
    let mut classes = [0; 256];
    let mut byte = 0_u8;
    loop {
        let mut class = 0;
        if starts_metric_name(byte) || byte.is_ascii_digit() {
            class |= METRIC_NAME;
        }
        if starts_label_name(byte) || byte.is_ascii_digit() {
            class |= LABEL_NAME;
        }
        if !matches!(byte, b'{' | b' ' | b'\t' | b'\n' | 0) {
            class |= VALUE;
        }
        if !matches!(byte, b'"' | b'\\' | 0) {
            class |= PLAIN;
        }
        classes[byte as usize] = class;
        if byte == u8::MAX {
            return classes;
        }
        byte += 1;
    }
}

/// Whether `byte` is in the class `wanted`.
pub(crate) fn class(byte: u8, wanted: u8) -> bool {
    CLASSES[usize::from(byte)] & wanted != 0
}

/// Whether a label name may begin with `byte`.
pub(crate) const fn starts_label_name(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || byte == b'_'
}

/// Whether a metric name may begin with `byte`.
pub(crate) const fn starts_metric_name(byte: u8) -> bool {
    starts_label_name(byte) || byte == b':'
}
