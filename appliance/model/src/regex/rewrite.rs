//! Rewriter: a pattern of Go's regexp package as a pattern of the `regex` crate with its meaning.
//!
//! Path: pattern → **rewrite** → `regex` and, for the short cuts, `shape`.
//! Never: hands a part of the pattern on unread; each element is read as Go reads it and written
//! anew, so the notation of the `regex` crate cannot leak in.
//!
//! Source: Go 1.27 `regexp/syntax/parse.go` with the flags `Perl | DotNL`, as Prometheus parses
//! matchers and relabelling rules; the words of the refusals are Go's too.

use thiserror::Error;

use super::class::{self, Members};

/// Longest pattern: the longest alternation of pod names that dashboards send is some 100 KiB.
pub(super) const PATTERN_BYTES_MAX: usize = 1 << 20;
/// Longest rewritten pattern: a class such as `\pL` grows by three orders when it is written out.
const REWRITTEN_BYTES_MAX: usize = 8 << 20;
/// Deepest nesting of groups. Go takes 1000; the compiler below us recurses.
const DEPTH_MAX: usize = 200;
/// Largest count of one repetition, and product of the counts of nested ones (Go's limit).
const REPEAT_MAX: u32 = 1000;

/// Why Go refuses a pattern, and where.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{words}: `{place}`")]
pub(super) struct SyntaxError {
    words: &'static str,
    place: String,
}

const INVALID_RANGE: &str = "invalid character class range";
const INVALID_ESCAPE: &str = "invalid escape sequence";
const INVALID_NAME: &str = "invalid named capture";
const INVALID_SYNTAX: &str = "invalid or unsupported Perl syntax";
const INVALID_REPEAT: &str = "invalid nested repetition operator";
const INVALID_COUNT: &str = "invalid repeat count";
const MISSING_BRACKET: &str = "missing closing ]";
const MISSING_PAREN: &str = "missing closing )";
const MISSING_ARGUMENT: &str = "missing argument to repetition operator";
const TRAILING_BACKSLASH: &str = "trailing backslash at end of expression";
const UNEXPECTED_PAREN: &str = "unexpected )";
const TOO_DEEP: &str = "expression nests too deeply";
const TOO_LARGE: &str = "expression too large";

/// A pattern in the `regex` crate's notation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Rewritten {
    /// Pattern; its capture groups are unnamed and numbered as in the original.
    pub(super) text: String,
    /// Names of the groups, "" for one without name; group 0 is the whole match.
    pub(super) names: Vec<String>,
}

/// Rewrites `pattern`.
///
/// # Errors
/// The pattern is none that Go accepts, or passes one of our bounds.
pub(super) fn rewrite(pattern: &str) -> Result<Rewritten, SyntaxError> {
    if PATTERN_BYTES_MAX < pattern.len() {
        return Err(SyntaxError { words: TOO_LARGE, place: format!("{} bytes", pattern.len()) });
    }
    let mut rewriter = Rewriter::new(pattern);
    while let Some(c) = rewriter.peek() {
        rewriter.element(c)?;
        if REWRITTEN_BYTES_MAX < rewriter.out.len() {
            return Err(rewriter.refuse(TOO_LARGE, 0));
        }
    }
    if !rewriter.groups.is_empty() {
        return Err(SyntaxError { words: MISSING_PAREN, place: pattern.to_owned() });
    }
    Ok(Rewritten { text: rewriter.out, names: rewriter.names })
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Flags {
    fold: bool,
    multi_line: bool,
    dot_newline: bool,
    lazy: bool,
}

/// What a repetition operator would apply to.
#[derive(Clone, Copy, Debug)]
struct Atom {
    /// Where it begins in the rewritten pattern.
    start: usize,
    /// Largest product of nested counts in it.
    weight: u32,
    repeated: bool,
}

/// A sequence of atoms between parentheses.
#[derive(Debug)]
struct Sequence {
    last: Option<Atom>,
    /// Largest weight of the atoms before the last.
    weight: u32,
}

#[derive(Debug)]
struct Group {
    start: usize,
    flags_outside: Flags,
    outside: Sequence,
}

struct Rewriter<'a> {
    pattern: &'a str,
    at: usize,
    out: String,
    names: Vec<String>,
    flags: Flags,
    sequence: Sequence,
    groups: Vec<Group>,
    /// Where the repetition operator just read began.
    repeat_start: Option<usize>,
    /// Parentheses put around repetitions that are repeated again.
    wraps: usize,
}

impl<'a> Rewriter<'a> {
    fn new(pattern: &'a str) -> Rewriter<'a> {
        Rewriter {
            pattern,
            at: 0,
            out: String::with_capacity(2 * pattern.len()),
            names: vec![String::new()],
            flags: Flags { fold: false, multi_line: false, dot_newline: true, lazy: false },
            sequence: Sequence { last: None, weight: 1 },
            groups: Vec::new(),
            repeat_start: None,
            wraps: 0,
        }
    }

    fn rest(&self) -> &'a str {
        &self.pattern[self.at..]
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += c.len_utf8();
        Some(c)
    }

    fn next_if(&mut self, wanted: impl Fn(char) -> bool) -> Option<char> {
        let c = self.peek().filter(|c| wanted(*c))?;
        self.at += c.len_utf8();
        Some(c)
    }

    /// Refusal whose place is the pattern from `start` to where reading stands.
    fn refuse(&self, words: &'static str, start: usize) -> SyntaxError {
        SyntaxError { words, place: self.pattern[start..self.at].to_owned() }
    }

    /// Reads one element that begins with `c`.
    fn element(&mut self, c: char) -> Result<(), SyntaxError> {
        let repeat_before = self.repeat_start.take();
        match c {
            '(' => self.open(),
            ')' => self.close(),
            '|' => {
                self.at += 1;
                self.out.push('|');
                self.settle_last();
                Ok(())
            }
            '[' => self.bracket(),
            '*' | '+' | '?' => self.repeat_operator(c, repeat_before),
            '{' => self.repeat_count(repeat_before),
            '\\' => self.escape(),
            '.' if self.flags.dot_newline => self.one(r"."),
            '.' => self.one(r"[^\n]"),
            '^' if self.flags.multi_line => self.one(r"(?m:^)"),
            '^' => self.one(r"\A"),
            '$' if self.flags.multi_line => self.one(r"(?m:$)"),
            '$' => self.one(r"\z"),
            c => {
                self.at += c.len_utf8();
                self.literal(u32::from(c));
                Ok(())
            }
        }
    }

    /// Reads a single character and writes `text` for it.
    fn one(&mut self, text: &str) -> Result<(), SyntaxError> {
        self.at += 1;
        self.atom(text);
        Ok(())
    }

    fn atom(&mut self, text: &str) {
        self.push_atom(1);
        self.out.push_str(text);
    }

    /// Notes that an atom begins here.
    fn push_atom(&mut self, weight: u32) {
        self.settle_last();
        self.sequence.last = Some(Atom { start: self.out.len(), weight, repeated: false });
    }

    fn settle_last(&mut self) {
        if let Some(last) = self.sequence.last.take() {
            self.sequence.weight = self.sequence.weight.max(last.weight);
        }
    }

    fn literal(&mut self, code_point: u32) {
        let mut members = Members::new(self.flags.fold);
        match char::from_u32(code_point) {
            Some(c) if !self.flags.fold => {
                self.push_atom(1);
                class::write_char(c, &mut self.out);
            }
            _ => {
                members.add_range(code_point, code_point);
                self.class(members, false);
            }
        }
    }

    fn class(&mut self, members: Members, negated: bool) {
        self.push_atom(1);
        class::write(&members.finish(negated), &mut self.out);
    }

    fn open(&mut self) -> Result<(), SyntaxError> {
        let flags_outside = self.flags;
        let opened = if self.rest().starts_with("(?") {
            self.special_group()?
        } else {
            self.at += 1;
            self.names.push(String::new());
            Some("(")
        };
        let Some(paren) = opened else { return Ok(()) };
        if DEPTH_MAX <= self.groups.len() {
            return Err(SyntaxError { words: TOO_DEEP, place: self.pattern.to_owned() });
        }
        let inside = Sequence { last: None, weight: 1 };
        let outside = std::mem::replace(&mut self.sequence, inside);
        self.groups.push(Group { start: self.out.len(), flags_outside, outside });
        self.out.push_str(paren);
        Ok(())
    }

    /// Reads what begins with `(?`; gives the parenthesis to write, `None` when it only set flags.
    fn special_group(&mut self) -> Result<Option<&'static str>, SyntaxError> {
        let start = self.at;
        let rest = self.rest();
        let name_at = if rest.len() > 4 && rest.starts_with("(?P<") {
            Some(4)
        } else if rest.len() > 3 && rest.starts_with("(?<") {
            Some(3)
        } else {
            None
        };
        let Some(name_at) = name_at else {
            self.at += 2;
            return self.flags(start).map(|group| group.then_some("(?:"));
        };
        let end = rest.find('>').unwrap_or(rest.len());
        let name = rest.get(name_at..end).unwrap_or_default();
        self.at += if end < rest.len() { end + 1 } else { end };
        let valid = !name.is_empty() && name.chars().all(|c| c == '_' || c.is_ascii_alphanumeric());
        if !valid || end == rest.len() {
            return Err(self.refuse(INVALID_NAME, start));
        }
        self.names.push(name.to_owned());
        Ok(Some("("))
    }

    /// Reads flags up to `)` or `:` and sets them; whether a group follows.
    fn flags(&mut self, start: usize) -> Result<bool, SyntaxError> {
        let mut flags = self.flags;
        let mut on = true;
        let mut seen = false;
        while let Some(c) = self.next() {
            match c {
                'i' => flags.fold = on,
                'm' => flags.multi_line = on,
                's' => flags.dot_newline = on,
                'U' => flags.lazy = on,
                '-' if on => {
                    on = false;
                    seen = false;
                    continue;
                }
                ':' | ')' if on || seen => {
                    self.flags = flags;
                    return Ok(c == ':');
                }
                _ => break,
            }
            seen = true;
        }
        Err(self.refuse(INVALID_SYNTAX, start))
    }

    fn close(&mut self) -> Result<(), SyntaxError> {
        let Some(group) = self.groups.pop() else {
            return Err(SyntaxError { words: UNEXPECTED_PAREN, place: self.pattern.to_owned() });
        };
        self.at += 1;
        self.settle_last();
        let weight = self.sequence.weight;
        self.out.push(')');
        self.flags = group.flags_outside;
        self.sequence = group.outside;
        self.settle_last();
        self.sequence.last = Some(Atom { start: group.start, weight, repeated: false });
        Ok(())
    }

    fn repeat_operator(&mut self, c: char, before: Option<usize>) -> Result<(), SyntaxError> {
        let start = self.at;
        self.at += 1;
        let mut operator = [0; 4];
        self.repeat(c.encode_utf8(&mut operator), start, before, None)
    }

    fn repeat_count(&mut self, before: Option<usize>) -> Result<(), SyntaxError> {
        let start = self.at;
        let Some((min, max, bytes)) = counts(self.rest()) else {
            self.at += 1;
            self.literal(u32::from('{'));
            return Ok(());
        };
        self.at += bytes;
        let falling = max.is_some_and(|max| max < min);
        if REPEAT_MAX < min.max(max.unwrap_or(0)) || falling {
            return Err(self.refuse(INVALID_COUNT, start));
        }
        let operator = self.pattern[start..self.at].to_owned();
        self.repeat(&operator, start, before, Some(max.unwrap_or(min)))
    }

    /// Applies an operator, read from `start` on, to the last atom; `count` is that of a `{…}`.
    fn repeat(
        &mut self,
        operator: &str,
        start: usize,
        before: Option<usize>,
        count: Option<u32>,
    ) -> Result<(), SyntaxError> {
        let lazy = self.next_if(|c| c == '?').is_some() != self.flags.lazy;
        if let Some(before) = before {
            return Err(self.refuse(INVALID_REPEAT, before));
        }
        let Some(mut atom) = self.sequence.last else {
            return Err(self.refuse(MISSING_ARGUMENT, start));
        };
        if let Some(count) = count {
            // Go divides its limit by each count from the outside in, and stops at a count of 0
            // that is a maximum; a product of weights says the same.
            atom.weight = if operator == "{0}" || operator.ends_with(",0}") {
                1
            } else {
                atom.weight * count.max(1)
            };
            if 2 <= count && REPEAT_MAX < atom.weight {
                return Err(self.refuse(INVALID_COUNT, start));
            }
        }
        if atom.repeated {
            self.wraps += 1;
            if DEPTH_MAX < self.wraps {
                return Err(SyntaxError { words: TOO_DEEP, place: self.pattern.to_owned() });
            }
            self.out.insert_str(atom.start, "(?:");
            self.out.push(')');
        }
        self.out.push_str(operator);
        if lazy {
            self.out.push('?');
        }
        atom.repeated = true;
        self.sequence.last = Some(atom);
        self.repeat_start = Some(start);
        Ok(())
    }

    fn bracket(&mut self) -> Result<(), SyntaxError> {
        let start = self.at;
        self.at += 1;
        let negated = self.next_if(|c| c == '^').is_some();
        let mut members = Members::new(self.flags.fold);
        let mut first = true;
        while first || self.peek() != Some(']') {
            first = false;
            if self.named_class(&mut members)? {
                continue;
            }
            let range_start = self.at;
            let low = self.class_char(start)?;
            let mut high = low;
            let rest = self.rest();
            if 2 <= rest.len() && rest.starts_with('-') && !rest.starts_with("-]") {
                self.at += 1;
                high = self.class_char(start)?;
                if high < low {
                    return Err(self.refuse(INVALID_RANGE, range_start));
                }
            }
            members.add_range(low, high);
        }
        self.at += 1;
        self.class(members, negated);
        Ok(())
    }

    /// Adds a class that has a name, `[:alpha:]`, `\pL` or `\d`, if one stands here.
    fn named_class(&mut self, members: &mut Members) -> Result<bool, SyntaxError> {
        let start = self.at;
        let rest = self.rest();
        let posix = rest.strip_prefix("[:").and_then(|rest| rest.find(":]"));
        if let Some(bytes) = posix {
            self.at += "[:".len() + bytes + ":]".len();
            let name = &rest["[:".len().."[:".len() + bytes];
            let (part, negated) =
                class::posix(name).ok_or_else(|| self.refuse(INVALID_RANGE, start))?;
            members.add(part, negated);
            return Ok(true);
        }
        let mut chars = rest.chars();
        if chars.next() != Some('\\') {
            return Ok(false);
        }
        let letter = chars.next();
        if let Some('p' | 'P') = letter {
            let (part, negated) = self.unicode_class()?;
            members.add(part, negated);
            return Ok(true);
        }
        let Some((part, negated)) = letter.and_then(class::perl) else { return Ok(false) };
        self.at += 2;
        members.add(part, negated);
        Ok(true)
    }

    fn unicode_class(&mut self) -> Result<(regex_syntax::hir::ClassUnicode, bool), SyntaxError> {
        let start = self.at;
        let mut negated = self.rest().starts_with("\\P");
        self.at += 2;
        let name_start = self.at;
        let mut name = match self.next() {
            Some('{') => {
                let Some(bytes) = self.rest().find('}') else {
                    self.at = self.pattern.len();
                    return Err(self.refuse(INVALID_RANGE, start));
                };
                self.at += bytes + 1;
                &self.pattern[name_start + 1..self.at - 1]
            }
            _ => &self.pattern[name_start..self.at],
        };
        if let Some(rest) = name.strip_prefix('^') {
            negated = !negated;
            name = rest;
        }
        let part = class::unicode(name).ok_or_else(|| self.refuse(INVALID_RANGE, start))?;
        Ok((part, negated))
    }

    fn class_char(&mut self, bracket_start: usize) -> Result<u32, SyntaxError> {
        match self.peek() {
            None => Err(self.refuse(MISSING_BRACKET, bracket_start)),
            Some('\\') => self.escaped_char(),
            Some(c) => {
                self.at += c.len_utf8();
                Ok(u32::from(c))
            }
        }
    }

    fn escape(&mut self) -> Result<(), SyntaxError> {
        let written = match self.rest().as_bytes().get(1) {
            Some(b'A') => r"\A",
            Some(b'z') => r"\z",
            Some(b'b') => r"(?-u:\b)",
            Some(b'B') => r"(?-u:\B)",
            Some(b'Q') => {
                self.quoted();
                return Ok(());
            }
            _ => {
                let mut members = Members::new(self.flags.fold);
                if self.named_class(&mut members)? {
                    self.class(members, false);
                } else {
                    let code_point = self.escaped_char()?;
                    self.literal(code_point);
                }
                return Ok(());
            }
        };
        self.at += 2;
        self.atom(written);
        Ok(())
    }

    /// Reads `\Q…\E`; without `\E` it reaches to the end.
    fn quoted(&mut self) {
        self.at += 2;
        let rest = self.rest();
        let end = rest.find("\\E").unwrap_or(rest.len());
        for c in rest[..end].chars() {
            self.literal(u32::from(c));
        }
        self.at += (end + 2).min(rest.len());
    }

    /// Reads an escape that stands for one code point.
    fn escaped_char(&mut self) -> Result<u32, SyntaxError> {
        let start = self.at;
        self.at += 1;
        let Some(c) = self.next() else {
            return Err(SyntaxError { words: TRAILING_BACKSLASH, place: String::new() });
        };
        let code_point = match c {
            '0' => Some(self.octal(0)),
            '1'..='7' => {
                let octal = self.peek().is_some_and(|c| matches!(c, '0'..='7'));
                octal.then(|| self.octal(u32::from(c) - u32::from('0')))
            }
            'x' => self.hexadecimal(),
            'a' => Some(7),
            'f' => Some(12),
            'n' => Some(10),
            'r' => Some(13),
            't' => Some(9),
            'v' => Some(11),
            c if c.is_ascii() && !c.is_ascii_alphanumeric() => Some(u32::from(c)),
            _ => None,
        };
        code_point.ok_or_else(|| self.refuse(INVALID_ESCAPE, start))
    }

    /// Up to two octal digits more after `value`.
    fn octal(&mut self, value: u32) -> u32 {
        let mut value = value;
        for _ in 0..2 {
            let Some(digit) = self.next_if(|c| matches!(c, '0'..='7')) else { break };
            value = value * 8 + u32::from(digit) - u32::from('0');
        }
        value
    }

    /// Two hexadecimal digits, or any number of them in braces.
    fn hexadecimal(&mut self) -> Option<u32> {
        let first = self.next()?;
        if first != '{' {
            let second = self.next()?;
            return Some(first.to_digit(16)? * 16 + second.to_digit(16)?);
        }
        let mut value = None;
        loop {
            match self.next()? {
                '}' => return value,
                c => {
                    let sum = value.unwrap_or(0) * 16 + c.to_digit(16)?;
                    value = Some(sum).filter(|sum| *sum <= u32::from(char::MAX));
                    value?;
                }
            }
        }
    }
}

/// Minimum, maximum and length of a `{2}`, `{2,}` or `{2,3}` at the start of `text`. A number too
/// large to matter is given as one above the bound.
fn counts(text: &str) -> Option<(u32, Option<u32>, usize)> {
    let end = text.find('}')?;
    let inside = text.get(1..end)?;
    let (min, max) = match inside.split_once(',') {
        None => (count(inside)?, Some(count(inside)?)),
        Some((min, "")) => (count(min)?, None),
        Some((min, max)) => (count(min)?, Some(count(max)?)),
    };
    Some((min, max, end + 1))
}

fn count(digits: &str) -> Option<u32> {
    let number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let canonical = digits.len() < 2 || !digits.starts_with('0');
    (number && canonical).then(|| digits.parse().unwrap_or(u32::MAX).min(REPEAT_MAX + 1))
}
