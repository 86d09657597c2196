//! Cuts query text into tokens. It knows a little grammar, as Prometheus's lexer does: which
//! characters are faults depends on the braces, brackets and parentheses that are open.
//!
//! Never: allocates for a token, looks at more than the token and the character after it (but for
//! `fill`, a keyword only before a parenthesis).

use crate::ast::BinaryOp;
use crate::parse::go_text::{decode, quote_bytes, quote_char, unicode_char};
use crate::parse::token::{Token, TokenKind, duration_keyword, keyword};

/// Reads tokens off a text.
pub(crate) struct Lexer<'a> {
    input: &'a [u8],
    at: usize,
    start: usize,
    paren_depth: usize,
    brace_open: bool,
    bracket_open: bool,
    /// Directly after `[`, until the first number: the rules of duration arithmetic hold.
    in_duration: bool,
    colon_seen: bool,
    /// A number stood in a bracket, in any bracket so far.
    duration_seen: bool,
    ended: bool,
}

/// What the lexer cannot cut: where the bad token begins, and why it is bad.
pub(crate) struct LexFault {
    pub(crate) start: usize,
    pub(crate) reason: String,
}

type Lexed = Result<Token, LexFault>;

impl<'a> Lexer<'a> {
    pub(crate) fn new(input: &'a [u8]) -> Lexer<'a> {
        Lexer {
            input,
            at: 0,
            start: 0,
            paren_depth: 0,
            brace_open: false,
            bracket_open: false,
            in_duration: false,
            colon_seen: false,
            duration_seen: false,
            ended: false,
        }
    }

    /// The next token; after the end of the text [`TokenKind::Nothing`] for ever.
    pub(crate) fn next_token(&mut self) -> Lexed {
        if self.ended {
            return Ok(Token { kind: TokenKind::Nothing, start: self.at, end: self.at });
        }
        let lexed = if self.in_duration {
            self.next_in_duration()
        } else if self.brace_open {
            self.next_in_braces()
        } else {
            self.next_in_expression()
        };
        self.ended = !matches!(&lexed, Ok(token) if token.kind != TokenKind::Eof);
        lexed
    }

    /// Offset behind the last token.
    pub(crate) fn position(&self) -> usize {
        self.at
    }

    fn peek(&self) -> Option<char> {
        decode(&self.input[self.at..]).map(|(c, _)| c)
    }

    fn bump(&mut self) -> Option<char> {
        let (c, length) = decode(&self.input[self.at..])?;
        self.at += length;
        Some(c)
    }

    fn accept(&mut self, wanted: impl Fn(char) -> bool) -> bool {
        let accepted = self.peek().is_some_and(wanted);
        if accepted {
            self.bump();
        }
        accepted
    }

    fn skip_spaces(&mut self) {
        while self.accept(is_space) {}
        self.start = self.at;
    }

    fn skip_spaces_and_comments(&mut self) {
        self.skip_spaces();
        while self.peek() == Some('#') {
            while self.accept(|c| c != '\n' && c != '\r') {}
            self.skip_spaces();
        }
    }

    fn emit(&mut self, kind: TokenKind) -> Lexed {
        let token = Token { kind, start: self.start, end: self.at };
        self.start = self.at;
        Ok(token)
    }

    fn fault(&self, reason: String) -> Lexed {
        Err(LexFault { start: self.start, reason })
    }

    /// A fault that is found only after its token was cut: it stands behind the token.
    fn fault_after(&mut self, reason: String) -> Lexed {
        self.start = self.at;
        self.fault(reason)
    }

    fn next_in_expression(&mut self) -> Lexed {
        self.skip_spaces_and_comments();
        let Some(c) = self.bump() else { return self.end_of_text() };
        match c {
            ',' => self.emit(TokenKind::Comma),
            '@' => self.emit(TokenKind::At),
            '*' | '/' | '%' | '+' | '-' | '^' | '=' | '!' | '<' | '>' => self.operator(c),
            '0'..='9' => self.number_or_duration(),
            '.' if self.peek().is_some_and(|c| c.is_ascii_digit()) => self.number_or_duration(),
            '"' | '\'' => self.string(c),
            '`' => self.raw_string(),
            c if is_alpha(c) || c == ':' => {
                if self.bracket_open {
                    self.word_in_bracket(c)
                } else {
                    self.word()
                }
            }
            '(' | ')' => self.paren(c),
            '{' => {
                self.brace_open = true;
                self.emit(TokenKind::LeftBrace)
            }
            '[' if self.bracket_open => self.fault("unexpected left bracket '['".to_owned()),
            '[' => self.left_bracket(),
            ']' if self.bracket_open => {
                self.bracket_open = false;
                self.emit(TokenKind::RightBracket)
            }
            ']' => self.fault("unexpected right bracket ']'".to_owned()),
            c => self.fault(format!("unexpected character: {}", quote_char(Some(c)))),
        }
    }

    fn end_of_text(&mut self) -> Lexed {
        if self.paren_depth != 0 {
            return self.fault("unclosed left parenthesis".to_owned());
        }
        if self.bracket_open {
            return self.fault("unclosed left bracket".to_owned());
        }
        self.emit(TokenKind::Eof)
    }

    fn operator(&mut self, first: char) -> Lexed {
        let second = self.peek();
        let (kind, two) = match (first, second) {
            ('=', Some('=')) => (TokenKind::Operator(BinaryOp::Equal), true),
            ('=', Some('~')) => {
                return self.fault("unexpected character after '=': '~'".to_owned());
            }
            ('=', _) => (TokenKind::Assign, false),
            ('!', Some('=')) => (TokenKind::Operator(BinaryOp::NotEqual), true),
            ('!', other) => {
                let reason = format!("unexpected character after '!': {}", quote_char(other));
                return self.fault(reason);
            }
            ('<', Some('=')) => (TokenKind::Operator(BinaryOp::LessEqual), true),
            ('<', Some('/')) => (TokenKind::Operator(BinaryOp::TrimUpper), true),
            ('<', _) => (TokenKind::Operator(BinaryOp::Less), false),
            ('>', Some('=')) => (TokenKind::Operator(BinaryOp::GreaterEqual), true),
            ('>', Some('/')) => (TokenKind::Operator(BinaryOp::TrimLower), true),
            ('>', _) => (TokenKind::Operator(BinaryOp::Greater), false),
            (arithmetic, _) => (TokenKind::Operator(arithmetic_operator(arithmetic)), false),
        };
        if two {
            self.bump();
        }
        self.emit(kind)
    }

    fn paren(&mut self, c: char) -> Lexed {
        if c == '(' {
            self.paren_depth += 1;
            return self.emit(TokenKind::LeftParen);
        }
        match self.paren_depth.checked_sub(1) {
            Some(depth) => {
                self.paren_depth = depth;
                self.emit(TokenKind::RightParen)
            }
            None => self.fault_after("unexpected right parenthesis ')'".to_owned()),
        }
    }

    fn left_bracket(&mut self) -> Lexed {
        let token = self.emit(TokenKind::LeftBracket);
        self.skip_spaces();
        self.colon_seen = false;
        self.bracket_open = true;
        self.in_duration = true;
        token
    }

    /// After the first number in a bracket words are `:` and the keywords of duration arithmetic.
    fn word_in_bracket(&mut self, first: char) -> Lexed {
        if first == ':' {
            if self.colon_seen {
                return self.fault("unexpected colon ':'".to_owned());
            }
            self.colon_seen = true;
            return self.emit(TokenKind::Colon);
        }
        match self.duration_word(first) {
            Some(kind) => self.emit(kind),
            None => {
                let first = quote_char(Some(first));
                self.fault(format!("unexpected character: {first}, expected ':'"))
            }
        }
    }

    /// The keyword of duration arithmetic that begins with `first`, which is read already.
    fn duration_word(&mut self, first: char) -> Option<TokenKind> {
        if !matches!(first.to_ascii_lowercase(), 's' | 'r' | 'm') {
            return None;
        }
        while self.accept(is_alpha) {}
        let word = std::str::from_utf8(&self.input[self.start..self.at]).ok()?;
        duration_keyword(&word.to_ascii_lowercase())
    }

    fn next_in_duration(&mut self) -> Lexed {
        self.skip_spaces();
        let Some(c) = self.bump() else {
            return self.fault("unexpected end of input in duration expression".to_owned());
        };
        match c {
            ']' => {
                self.bracket_open = false;
                self.in_duration = false;
                self.colon_seen = false;
                self.emit(TokenKind::RightBracket)
            }
            ':' => self.colon_in_duration(),
            '(' | ')' => self.paren(c),
            '+' | '-' | '*' | '/' | '%' | '^' => self.operator(c),
            ',' => self.emit(TokenKind::Comma),
            '0'..='9' => self.first_duration(),
            '.' if self.peek().is_some_and(|c| c.is_ascii_digit()) => self.first_duration(),
            c => match self.duration_word(c) {
                Some(kind) => self.emit(kind),
                None => {
                    let c = quote_char(Some(c));
                    self.fault(format!("unexpected character in duration expression: {c}"))
                }
            },
        }
    }

    fn first_duration(&mut self) -> Lexed {
        self.duration_seen = true;
        self.in_duration = false;
        self.number_or_duration()
    }

    fn colon_in_duration(&mut self) -> Lexed {
        let reason = if !self.duration_seen {
            "unexpected colon before duration in duration expression"
        } else if self.colon_seen {
            "unexpected repeated colon in duration expression"
        } else {
            self.colon_seen = true;
            return self.emit(TokenKind::Colon);
        };
        self.fault_after(reason.to_owned())
    }

    fn next_in_braces(&mut self) -> Lexed {
        self.skip_spaces_and_comments();
        let Some(c) = self.bump() else {
            return self.fault("unexpected end of input inside braces".to_owned());
        };
        match c {
            c if is_alpha(c) => {
                while self.accept(is_alphanumeric) {}
                self.emit(TokenKind::Identifier)
            }
            ',' => self.emit(TokenKind::Comma),
            '"' | '\'' => self.string(c),
            '`' => self.raw_string(),
            '=' => {
                let regex = self.accept(|c| c == '~');
                self.emit(if regex { TokenKind::MatchRegex } else { TokenKind::Assign })
            }
            '!' => match self.bump() {
                Some('~') => self.emit(TokenKind::MatchNotRegex),
                Some('=') => self.emit(TokenKind::Operator(BinaryOp::NotEqual)),
                other => {
                    let other = quote_char(other);
                    self.fault(format!("unexpected character after '!' inside braces: {other}"))
                }
            },
            '{' => self.fault("unexpected left brace '{'".to_owned()),
            '}' => {
                self.brace_open = false;
                self.emit(TokenKind::RightBrace)
            }
            c => self.fault(format!("unexpected character inside braces: {}", quote_char(Some(c)))),
        }
    }

    fn word(&mut self) -> Lexed {
        while self.accept(|c| is_alphanumeric(c) || c == ':') {}
        let word = std::str::from_utf8(&self.input[self.start..self.at]).unwrap_or("");
        let kind = match keyword(word) {
            Some(TokenKind::Fill | TokenKind::FillLeft | TokenKind::FillRight)
                if !self.paren_follows() =>
            {
                TokenKind::Identifier
            }
            Some(kind) => kind,
            None if word.contains(':') => TokenKind::MetricIdentifier,
            None => TokenKind::Identifier,
        };
        self.emit(kind)
    }

    fn paren_follows(&self) -> bool {
        let rest = &self.input[self.at..];
        rest.iter().find(|byte| !is_space(char::from(**byte))) == Some(&b'(')
    }

    fn string(&mut self, quote: char) -> Lexed {
        loop {
            match self.bump() {
                Some('\\') => {
                    if let Err(reason) = self.escape(quote) {
                        return self.fault(reason);
                    }
                }
                Some(char::REPLACEMENT_CHARACTER) => {
                    return self.fault("invalid UTF-8 rune".to_owned());
                }
                None | Some('\n') => return self.fault("unterminated quoted string".to_owned()),
                Some(c) if c == quote => return self.emit(TokenKind::String),
                Some(_) => {}
            }
        }
    }

    fn raw_string(&mut self) -> Lexed {
        loop {
            match self.bump() {
                Some(char::REPLACEMENT_CHARACTER) => {
                    return self.fault("invalid UTF-8 rune".to_owned());
                }
                None => return self.fault("unterminated raw string".to_owned()),
                Some('`') => return self.emit(TokenKind::String),
                Some(_) => {}
            }
        }
    }

    /// Checks the escape whose backslash is read; it is resolved only when the text is needed.
    fn escape(&mut self, quote: char) -> Result<(), String> {
        let unterminated = || "escape sequence not terminated".to_owned();
        let first = self.bump().ok_or_else(unterminated)?;
        let (digits, radix, largest) = match first {
            'a' | 'b' | 'f' | 'n' | 'r' | 't' | 'v' | '\\' => return Ok(()),
            c if c == quote => return Ok(()),
            '0'..='7' => (3, 8, 255),
            'x' => (2, 16, 255),
            'u' => (4, 16, u32::from(char::MAX)),
            'U' => (8, 16, u32::from(char::MAX)),
            c => return Err(format!("unknown escape sequence {}", unicode_char(c))),
        };
        let mut number: u32 = 0;
        for at in 0..digits {
            let next = if at == 0 && radix == 8 { Some(first) } else { self.bump() };
            let c = next.ok_or_else(unterminated)?;
            let digit = c.to_digit(radix).ok_or_else(|| {
                format!("illegal character {} in escape sequence", unicode_char(c))
            })?;
            number = number.wrapping_mul(radix).wrapping_add(digit);
        }
        if largest < number || (0xd800..0xe000).contains(&number) {
            return Err("escape sequence is an invalid Unicode code point".to_owned());
        }
        Ok(())
    }

    /// A number or a duration, whose first character is read already.
    fn number_or_duration(&mut self) -> Lexed {
        self.at = self.start;
        if self.scan_number() {
            return self.emit(TokenKind::Number);
        }
        if self.scan_duration() {
            return self.emit(TokenKind::Duration);
        }
        let text = quote_bytes(&self.input[self.start..self.at]);
        self.fault(format!("bad number or duration syntax: {text}"))
    }

    /// Reads what looks like a number; it may still be none.
    fn scan_number(&mut self) -> bool {
        let hex = self.accept(|c| c == '0') && self.accept(|c| c == 'x' || c == 'X');
        let is_digit = |c: char| if hex { c.is_ascii_hexdigit() } else { c.is_ascii_digit() };
        let is_exponent = |c: char| c == 'e' || c == 'E';
        if hex {
            self.accept(|c| c == '_');
        }
        self.accept(|c| c == '.');
        self.accept(is_digit);
        let (mut dot_seen, mut exponent_seen) = (false, false);
        while let Some(c) = self.peek() {
            if !(is_digit(c) || c == '.' || c == '_' || is_exponent(c)) {
                break;
            }
            self.bump();
            if c == '.' {
                if dot_seen || self.accept(|c| c == '_' || c == '.') || hex {
                    return false;
                }
                dot_seen = true;
            } else if is_exponent(c) && exponent_seen {
                return false;
            } else if is_exponent(c) {
                exponent_seen = true;
                self.accept(|c| c == '+' || c == '-');
                if self.bad_after_joint(is_exponent) {
                    return false;
                }
            } else if c == '_' && self.bad_after_joint(is_exponent) {
                return false;
            } else {
                while self.accept(is_digit) {}
            }
        }
        !self.peek().is_some_and(is_alphanumeric)
    }

    /// Whether what follows an exponent mark or an underscore cannot follow it; reads it if so.
    fn bad_after_joint(&mut self, is_exponent: impl Fn(char) -> bool) -> bool {
        self.accept(|c| c == '.' || c == '_' || is_exponent(c)) || self.peek().is_none()
    }

    /// Reads on where a number could not: units and further numbers. Units that do not fit are
    /// found when the duration is parsed.
    fn scan_duration(&mut self) -> bool {
        if !self.accept(|c| matches!(c, 's' | 'm' | 'h' | 'd' | 'w' | 'y')) {
            return false;
        }
        self.accept(|c| c == 's');
        while self.accept(|c| c.is_ascii_digit()) {
            while self.accept(|c| c.is_ascii_digit()) {}
            if !self.accept(|c| matches!(c, 's' | 'm' | 'h' | 'd' | 'w')) {
                return false;
            }
            self.accept(|c| c == 's');
        }
        !self.accept(is_alphanumeric)
    }
}

fn arithmetic_operator(c: char) -> BinaryOp {
    match c {
        '*' => BinaryOp::Mul,
        '/' => BinaryOp::Div,
        '%' => BinaryOp::Mod,
        '+' => BinaryOp::Add,
        '-' => BinaryOp::Sub,
        _ => BinaryOp::Pow,
    }
}

/// Whether `c` separates tokens.
pub(crate) fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r')
}

fn is_alpha(c: char) -> bool {
    c == '_' || c.is_ascii_alphabetic()
}

fn is_alphanumeric(c: char) -> bool {
    is_alpha(c) || c.is_ascii_digit()
}
