//! Tokens of a template, as Go's lexer cuts them.
//!
//! Source: `text/template/parse/lex.go`.

/// What a token is.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    /// Text outside of actions.
    Text(String),
    /// `{{`
    Open,
    /// `}}`
    Close,
    /// White space within an action.
    Space,
    /// A word: a function, a keyword, `true`.
    Word(String),
    /// `.name`, without the dot.
    Field(String),
    /// `$name`
    Variable(String),
    /// A number or character constant as written.
    Number(String),
    /// A quoted text as written.
    Quoted(String),
    /// `.`
    Dot,
    /// `:=`
    Declare,
    /// `=`
    Assign,
    /// `|`
    Pipe,
    /// `(`
    ParenOpen,
    /// `)`
    ParenClose,
    /// Any other printable character.
    Character(char),
    /// The end of the text.
    End,
}

impl Kind {
    /// The token as errors show it.
    #[must_use]
    pub fn shown(&self) -> String {
        let quoted = |text: &str| format!("{text:?}");
        match self {
            Kind::End => "EOF".to_owned(),
            Kind::Word(word) if KEYWORDS.contains(&word.as_str()) => format!("<{word}>"),
            Kind::Text(text)
            | Kind::Word(text)
            | Kind::Number(text)
            | Kind::Quoted(text)
            | Kind::Variable(text) => quoted(text),
            Kind::Field(name) => quoted(&format!(".{name}")),
            Kind::Open => quoted("{{"),
            Kind::Close => quoted("}}"),
            Kind::Space => quoted(" "),
            Kind::Dot => "<.>".to_owned(),
            Kind::Declare => quoted(":="),
            Kind::Assign => quoted("="),
            Kind::Pipe => quoted("|"),
            Kind::ParenOpen => quoted("("),
            Kind::ParenClose => quoted(")"),
            Kind::Character(c) => quoted(&c.to_string()),
        }
    }
}

/// Words that are no functions.
pub const KEYWORDS: [&str; 11] = [
    "block", "break", "continue", "define", "else", "end", "if", "nil", "range", "template", "with",
];

/// A token and the line on which it begins.
#[derive(Clone, Debug, PartialEq)]
pub struct Token {
    /// What it is.
    pub kind: Kind,
    /// Line, from 1.
    pub line: usize,
}

/// Cuts `text` into tokens; `Err` is the line and what is wrong, in Go's words.
///
/// # Errors
/// The text is no sequence of tokens.
pub fn cut(text: &str) -> Result<Vec<Token>, (usize, String)> {
    let mut lexer = Lexer { text, at: 0, line: 1, tokens: Vec::new() };
    lexer.run().map_err(|reason| (lexer.line, reason))?;
    Ok(lexer.tokens)
}

const WHITE: [char; 4] = [' ', '\t', '\r', '\n'];

struct Lexer<'a> {
    text: &'a str,
    at: usize,
    line: usize,
    tokens: Vec<Token>,
}

impl<'a> Lexer<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    /// Moves over `length` bytes, which it gives.
    fn take(&mut self, length: usize) -> &'a str {
        let taken = &self.rest()[..length];
        self.at += length;
        self.line += taken.matches('\n').count();
        taken
    }

    fn push(&mut self, kind: Kind, length: usize) {
        self.tokens.push(Token { kind, line: self.line });
        self.take(length);
    }

    fn run(&mut self) -> Result<(), String> {
        let mut trim_left = false;
        loop {
            let rest = self.rest();
            let open = rest.find("{{");
            let mut text = &rest[..open.unwrap_or(rest.len())];
            let behind = open.map_or("", |open| &rest[open + 2..]);
            let trim_right = behind.starts_with('-') && behind[1..].starts_with(WHITE);
            let length = text.len();
            if trim_left {
                text = text.trim_start_matches(WHITE);
            }
            if trim_right {
                text = text.trim_end_matches(WHITE);
            }
            if !text.is_empty() {
                self.push(Kind::Text(text.to_owned()), 0);
            }
            self.take(length);
            if open.is_none() {
                self.push(Kind::End, 0);
                return Ok(());
            }
            let marker = if trim_right { 2 } else { 0 };
            trim_left = if self.rest()[2 + marker..].starts_with("/*") {
                self.comment(2 + marker)?
            } else {
                self.push(Kind::Open, 2 + marker);
                self.action()?
            };
        }
    }

    /// Passes over a comment; whether the text behind it is trimmed.
    fn comment(&mut self, start: usize) -> Result<bool, String> {
        self.take(start);
        let Some(end) = self.rest().find("*/") else { return Err("unclosed comment".to_owned()) };
        self.take(end + 2);
        match self.close() {
            Some((length, trim)) => {
                self.take(length);
                Ok(trim)
            }
            None => Err("comment ends before closing delimiter".to_owned()),
        }
    }

    /// Length of the closing delimiter that stands here, and whether it trims.
    fn close(&self) -> Option<(usize, bool)> {
        let rest = self.rest();
        if rest.starts_with("}}") {
            return Some((2, false));
        }
        let trims = rest.starts_with(WHITE) && rest[1..].starts_with("-}}");
        trims.then_some((4, true))
    }

    /// Cuts an action; whether the text behind it is trimmed.
    fn action(&mut self) -> Result<bool, String> {
        let mut depth = 0usize;
        let first_line = self.line;
        loop {
            if let Some((length, trim)) = self.close() {
                if depth != 0 {
                    return Err("unclosed left paren".to_owned());
                }
                self.push(Kind::Close, length);
                return Ok(trim);
            }
            let rest = self.rest();
            let Some(first) = rest.chars().next() else {
                self.line = first_line;
                return Err("unclosed action".to_owned());
            };
            let second = rest[first.len_utf8()..].chars().next();
            match first {
                ' ' | '\t' | '\r' | '\n' => self.space(),
                ':' if second == Some('=') => self.push(Kind::Declare, 2),
                ':' => return Err("expected :=".to_owned()),
                '=' => self.push(Kind::Assign, 1),
                '|' => self.push(Kind::Pipe, 1),
                '(' => {
                    depth += 1;
                    self.push(Kind::ParenOpen, 1);
                }
                ')' => {
                    depth = depth.checked_sub(1).ok_or("unexpected right paren")?;
                    self.push(Kind::ParenClose, 1);
                }
                '"' | '\'' => self.quoted(first)?,
                '`' => self.raw()?,
                '$' => self.named(1)?,
                '.' if second.is_some_and(|c| c.is_ascii_digit()) => self.number()?,
                '.' => self.named(1)?,
                '+' | '-' | '0'..='9' => self.number()?,
                c if is_alphanumeric(c) => self.named(0)?,
                c if c.is_ascii_graphic() => self.push(Kind::Character(c), 1),
                c => return Err(format!("unrecognized character in action: {}", unicode(c))),
            }
        }
    }

    /// White space, up to one that belongs to a trimming delimiter.
    fn space(&mut self) {
        let rest = self.rest();
        let length = rest.find(|c: char| !WHITE.contains(&c)).unwrap_or(rest.len());
        let trims = rest[length..].starts_with("-}}");
        let length = if trims { length - 1 } else { length };
        if 0 < length {
            self.push(Kind::Space, length);
        }
    }

    fn quoted(&mut self, quote: char) -> Result<(), String> {
        let what = if quote == '"' { "quoted string" } else { "character constant" };
        let mut is_escaped = false;
        for (at, c) in self.rest().char_indices().skip(1) {
            match c {
                '\n' => break,
                _ if is_escaped => is_escaped = false,
                '\\' => is_escaped = true,
                c if c == quote => {
                    let text = self.rest()[..=at].to_owned();
                    let length = text.len();
                    let kind = if quote == '"' { Kind::Quoted(text) } else { Kind::Number(text) };
                    self.push(kind, length);
                    return Ok(());
                }
                _ => {}
            }
        }
        Err(format!("unterminated {what}"))
    }

    fn raw(&mut self) -> Result<(), String> {
        let Some(end) = self.rest()[1..].find('`') else {
            return Err("unterminated raw quoted string".to_owned());
        };
        let text = self.rest()[..end + 2].to_owned();
        let length = text.len();
        self.push(Kind::Quoted(text), length);
        Ok(())
    }

    /// A word, field or variable, whose mark has `mark` bytes.
    fn named(&mut self, mark: usize) -> Result<(), String> {
        let rest = self.rest();
        let name = &rest[mark..];
        let name = &name[..name.find(|c| !is_alphanumeric(c)).unwrap_or(name.len())];
        let whole = &rest[..mark + name.len()];
        let behind = &rest[whole.len()..];
        let terminators = [' ', '\t', '\r', '\n', '.', ',', '|', ':', ')', '('];
        if let Some(bad) = behind.chars().next()
            && !behind.starts_with(terminators)
            && !behind.starts_with("}}")
            // A lone dot is followed by anything that the parser takes.
            && whole != "."
        {
            return Err(format!("bad character {}", unicode(bad)));
        }
        let kind = match whole.chars().next() {
            Some('$') => Kind::Variable(whole.to_owned()),
            Some('.') if name.is_empty() => Kind::Dot,
            Some('.') => Kind::Field(name.to_owned()),
            _ => Kind::Word(whole.to_owned()),
        };
        self.push(kind, whole.len());
        Ok(())
    }

    fn number(&mut self) -> Result<(), String> {
        let rest = self.rest();
        let mut before = ' ';
        let part_of = |c: char, before: char| {
            let sign = matches!(c, '+' | '-') && matches!(before, 'e' | 'E' | 'p' | 'P' | ' ');
            sign || c == '.' || is_alphanumeric(c)
        };
        let mut length = 0;
        for c in rest.chars() {
            if !part_of(c, before) {
                break;
            }
            before = c;
            length += c.len_utf8();
        }
        let text = rest[..length].to_owned();
        if !is_number(&text) {
            return Err(format!("bad number syntax: {text:?}"));
        }
        self.push(Kind::Number(text), length);
        Ok(())
    }
}

fn is_number(text: &str) -> bool {
    let digits = text.trim_start_matches(['+', '-']).replace('_', "").to_ascii_lowercase();
    let radix = |prefix: &str, radix| {
        let rest = digits.strip_prefix(prefix);
        rest.is_some_and(|rest| u64::from_str_radix(rest, radix).is_ok())
    };
    let real = digits.strip_suffix('i').unwrap_or(&digits);
    let begins = real.starts_with(|c: char| c.is_ascii_digit() || c == '.');
    radix("0x", 16)
        || radix("0o", 8)
        || radix("0b", 2)
        || (begins && model::float_text::parse_go_float(real).is_some())
}

fn is_alphanumeric(c: char) -> bool {
    c == '_' || c.is_alphanumeric()
}

/// As Go's `%#U`.
fn unicode(c: char) -> String {
    let code = format!("U+{:04X}", u32::from(c));
    // Go shows what can be printed; of white space only the space.
    if c.is_control() || (c.is_whitespace() && c != ' ') { code } else { format!("{code} '{c}'") }
}
