//! The parser's place in the token stream, its faults, and how it goes on after one.
//!
//! Prometheus's parser is an LALR(1) automaton that recovers at marked places of its grammar. To
//! find the same faults at the same places this one works alike: a token that no rule takes either
//! *unwinds* to the innermost marked construct, which reports it, or, while no token was taken
//! since the last fault, is dropped.
//!
//! Invariants
//! - C1: no tree is higher than `HEIGHT_MAX`; recursion is no deeper than `DEPTH_MAX`.

use crate::ast::Span;
use crate::parse::error::{ParseError, ParseErrors};
use crate::parse::lexer::Lexer;
use crate::parse::options::Options;
use crate::parse::token::{Token, TokenKind, describe};

/// Bytes of a query text; a longer one is refused.
pub const TEXT_BYTES_MAX: usize = 1 << 20;
/// Expressions inside one another (parentheses, arguments, signs); deeper ones are refused, so that
/// a stack of 2 MiB suffices.
pub const DEPTH_MAX: u32 = 400;
/// Selectors of one query. Each is a question to the store; the largest expressions in real use
/// have some dozens.
pub const SELECTORS_MAX: usize = 5_000;
/// Matchers in braces of one query: four a selector.
pub const MATCHERS_MAX: usize = 20_000;
/// Bytes that the compiled patterns of one query may take together: a thousand of the smallest
/// that need an engine, six of the largest.
pub const PATTERN_BYTES_MAX: usize = 64 << 20;
/// Nodes between the root and a leaf of a tree, `DEPTH_MAX` and the links of a chain such as
/// `a or b or c` together; what walks a tree by recursion can rely on it.
pub const HEIGHT_MAX: u32 = 1000;
/// Faults that are kept of one text.
const ERRORS_MAX: usize = 100;
/// Tokens that must be taken after a fault before the parser trusts its state again.
const TRUST_TOKENS: u8 = 3;

/// Why a rule gave up. The fault is not yet reported if it unwinds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// The innermost marked construct reports the token and goes on.
    Unwind,
    /// Nothing is left to go on with.
    Abort,
}

pub(crate) type Parsed<T> = Result<T, Stop>;

/// See the module.
pub(crate) struct Cursor<'a> {
    pub(crate) options: Options,
    input: &'a [u8],
    lexer: Lexer<'a>,
    /// Read but not taken.
    ahead: Option<Token>,
    /// The token read last, taken or not: the one that messages name.
    newest: Token,
    /// End of the newest token that may close an expression, read ahead or not.
    last_closing: usize,
    distrust: u8,
    depth: u32,
    /// Height of the tree that a rule returned last.
    height: u32,
    /// Selectors so far, their matchers, and bytes of their compiled patterns.
    selectors: usize,
    matchers: usize,
    pattern_bytes: usize,
    errors: Vec<ParseError>,
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(input: &'a [u8], options: Options) -> Cursor<'a> {
        Cursor {
            options,
            input,
            lexer: Lexer::new(input),
            ahead: None,
            newest: Token { kind: TokenKind::Nothing, start: 0, end: 0 },
            last_closing: 0,
            distrust: 0,
            depth: 0,
            height: 0,
            selectors: 0,
            matchers: 0,
            pattern_bytes: 0,
            errors: Vec::new(),
        }
    }

    /// Kind of the next token.
    pub(crate) fn peek(&mut self) -> TokenKind {
        if let Some(token) = self.ahead {
            return token.kind;
        }
        let token = self.read();
        self.ahead = Some(token);
        token.kind
    }

    fn read(&mut self) -> Token {
        use TokenKind::{Duration, Fault, Nothing, Number, RightBrace, RightBracket, RightParen};
        let token = match self.lexer.next_token() {
            Ok(token) => token,
            Err(fault) => {
                self.fault_at(fault.start, self.input.len(), fault.reason);
                Token { kind: Fault, start: fault.start, end: self.lexer.position() }
            }
        };
        if matches!(token.kind, RightBrace | RightParen | RightBracket | Duration | Number) {
            self.last_closing = token.end;
        }
        if token.kind != Nothing {
            self.newest = token;
        }
        token
    }

    /// Takes the next token.
    pub(crate) fn take(&mut self) -> Token {
        self.peek();
        self.distrust = self.distrust.saturating_sub(1);
        self.ahead.take().unwrap_or(self.newest)
    }

    /// The next token is one that no rule takes here. `Ok`: it was dropped, look again.
    pub(crate) fn refuse(&mut self) -> Parsed<()> {
        let kind = self.peek();
        if self.distrust < TRUST_TOKENS {
            self.distrust = TRUST_TOKENS;
            return Err(Stop::Unwind);
        }
        if matches!(kind, TokenKind::Nothing | TokenKind::Fault) {
            return Err(Stop::Abort);
        }
        self.ahead = None;
        Ok(())
    }

    /// Takes a token of kind `wanted`.
    pub(crate) fn expect(&mut self, wanted: TokenKind) -> Parsed<Token> {
        while self.peek() != wanted {
            self.refuse()?;
        }
        Ok(self.take())
    }

    /// Drops what is left, for the faults that its tokens hold.
    pub(crate) fn drain(&mut self) {
        while !matches!(self.peek(), TokenKind::Eof | TokenKind::Nothing | TokenKind::Fault) {
            self.ahead = None;
        }
    }

    /// Reports the newest token as one that does not belong here.
    pub(crate) fn unexpected(&mut self, context: &str, expected: &str) {
        let token = self.newest;
        if token.kind == TokenKind::Fault {
            return; // the lexer's fault is reported already
        }
        let mut reason = format!("unexpected {}", describe(token.kind, self.bytes(token)));
        if !context.is_empty() {
            reason += &format!(" in {context}");
        }
        if !expected.is_empty() {
            reason += &format!(", expected {expected}");
        }
        self.fault_at(token.start, token.end, reason);
    }

    /// Reports a fault of what stands at `span`.
    pub(crate) fn fault(&mut self, span: Span, reason: impl Into<String>) {
        self.fault_at(span.start as usize, span.end as usize, reason.into());
    }

    fn fault_at(&mut self, start: usize, end: usize, reason: String) {
        if self.errors.len() < ERRORS_MAX {
            self.errors.push(ParseError::new(self.input, start..end, reason));
        }
    }

    /// Whether no fault was found.
    pub(crate) fn is_sound(&self) -> bool {
        self.errors.is_empty()
    }

    pub(crate) fn into_errors(self) -> ParseErrors {
        ParseErrors(self.errors)
    }

    fn bytes(&self, token: Token) -> &'a [u8] {
        &self.input[token.start..token.end]
    }

    /// Text of a token that is whole UTF-8, as all are that the grammar takes.
    pub(crate) fn text(&self, token: Token) -> &'a str {
        std::str::from_utf8(self.bytes(token)).unwrap_or("")
    }

    /// The whole text.
    pub(crate) fn input(&self) -> &'a [u8] {
        self.input
    }

    pub(crate) fn newest_span(&self) -> Span {
        span(self.newest.start, self.newest.end)
    }

    pub(crate) fn last_closing(&self) -> u32 {
        offset(self.last_closing)
    }

    /// End of the newest closing token; if that is a parenthesis only read ahead, of the one
    /// before it, when nothing but spaces lies between.
    pub(crate) fn closing_before_ahead(&self) -> u32 {
        let last = self.newest.start;
        if last == 0 || self.input.get(last) != Some(&b')') {
            return self.last_closing();
        }
        let before = &self.input[1..last];
        let spaces = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\n' | b'\r');
        match before.iter().rposition(|byte| !spaces(byte)) {
            Some(at) if before[at] == b')' => offset(at + 2),
            _ => self.last_closing(),
        }
    }

    /// Enters a rule that may contain itself.
    pub(crate) fn descend(&mut self) -> Parsed<()> {
        if DEPTH_MAX <= self.depth {
            let reason = format!("expression nests deeper than {DEPTH_MAX} levels");
            self.fault(self.newest_span(), reason);
            return Err(Stop::Abort);
        }
        self.depth += 1;
        assert!(self.depth <= DEPTH_MAX, "C1: depth {} passes {DEPTH_MAX}", self.depth);
        Ok(())
    }

    /// Leaves a rule entered by [`Cursor::descend`].
    pub(crate) fn ascend(&mut self) {
        self.depth -= 1;
    }

    /// Height of the tree that a rule returned last.
    pub(crate) fn height(&self) -> u32 {
        self.height
    }

    /// The tree that a rule is to return has this height.
    pub(crate) fn set_height(&mut self, height: u32) -> Parsed<()> {
        if HEIGHT_MAX < height {
            let reason = format!("expression is a chain of more than {HEIGHT_MAX} parts");
            self.fault(self.newest_span(), reason);
            return Err(Stop::Abort);
        }
        self.height = height;
        assert!(self.height <= HEIGHT_MAX, "C1: height {} passes {HEIGHT_MAX}", self.height);
        Ok(())
    }

    /// Counts a selector.
    pub(crate) fn count_selector(&mut self) -> Parsed<()> {
        self.selectors += 1;
        if self.selectors <= SELECTORS_MAX {
            return Ok(());
        }
        let reason = format!("expression has more than {SELECTORS_MAX} selectors");
        self.fault(self.newest_span(), reason);
        Err(Stop::Abort)
    }

    /// Counts a matcher.
    pub(crate) fn count_matcher(&mut self) -> Parsed<()> {
        self.matchers += 1;
        if self.matchers <= MATCHERS_MAX {
            return Ok(());
        }
        let reason = format!("expression has more than {MATCHERS_MAX} matchers");
        self.fault(self.newest_span(), reason);
        Err(Stop::Abort)
    }

    /// Counts a pattern by the bytes that it takes when it is compiled.
    pub(crate) fn count_pattern(&mut self, bytes: usize) -> Parsed<()> {
        self.pattern_bytes = self.pattern_bytes.saturating_add(bytes);
        if self.pattern_bytes <= PATTERN_BYTES_MAX {
            return Ok(());
        }
        let reason = format!("regular expressions take more than {PATTERN_BYTES_MAX} bytes");
        self.fault(self.newest_span(), reason);
        Err(Stop::Abort)
    }

    pub(crate) fn span_of(token: Token) -> Span {
        span(token.start, token.end)
    }
}

fn span(start: usize, end: usize) -> Span {
    Span { start: offset(start), end: offset(end) }
}

fn offset(at: usize) -> u32 {
    u32::try_from(at).expect("texts longer than TEXT_BYTES_MAX are refused")
}
