//! Test scripts: `load`, `clear`, `eval` with what is expected.

use std::collections::HashMap;

use model::duration::parse_duration_ms;
use model::label_set::LabelSet;
use model::regex::GoRegex;
use query::parse::series::{
    SequenceValue, is_start_timestamp_line, parse_series_description, parse_start_timestamps,
};

/// One command of a script.
pub enum Command {
    /// Forget what was loaded.
    Clear,
    /// Load series.
    Load(Load),
    /// Evaluate a query.
    Eval(Box<Eval>),
    /// A command that cannot be read.
    Invalid {
        /// Its line, from 1.
        line: usize,
        /// What is wrong.
        reason: String,
    },
}

/// Series to be loaded.
pub struct Load {
    /// Line of the command, from 1.
    pub line: usize,
    /// Milliseconds between samples.
    pub gap_ms: i64,
    /// Classic histograms are to be stored as custom-bucket histograms too.
    pub with_nhcb: bool,
    /// Labels, values and start timestamps relative to each sample's time.
    pub series: Vec<(LabelSet, Vec<SequenceValue>, Vec<Option<i64>>)>,
}

/// A query and what is expected of it.
pub struct Eval {
    /// Line of the command, from 1.
    pub line: usize,
    /// The query.
    pub expr: String,
    /// A range query.
    pub is_range: bool,
    /// Time of an instant query; end of its expected range vector.
    pub eval_ms: i64,
    /// First time of expected values.
    pub start_ms: i64,
    /// Last time of expected values.
    pub end_ms: i64,
    /// Milliseconds between expected values.
    pub step_ms: i64,
    /// Not to be tried as a range query.
    pub instant_only: bool,
    /// Expected failure, annotations, order.
    pub notes: Notes,
    /// Expected values by labels, with their position from 1.
    pub expected: HashMap<LabelSet, (usize, Vec<SequenceValue>)>,
    /// A scalar is expected.
    pub scalar: Option<f64>,
    /// A text is expected.
    pub string: Option<String>,
}

/// `expect` lines and what stands for them in old spellings.
#[derive(Default)]
pub struct Notes {
    expects: Vec<(String, Pattern)>,
}

enum Pattern {
    Any,
    Text(String),
    Regex(Box<GoRegex>),
}

impl Pattern {
    fn matches(&self, text: &str) -> bool {
        match self {
            Pattern::Any => true,
            Pattern::Text(expected) => expected == text,
            Pattern::Regex(regex) => regex.is_match(text),
        }
    }

    fn text(&self) -> String {
        match self {
            Pattern::Any => "anything".to_owned(),
            Pattern::Text(text) => format!("{text:?}"),
            Pattern::Regex(regex) => format!("{regex:?}"),
        }
    }
}

impl Notes {
    fn of<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a Pattern> {
        self.expects.iter().filter(move |(known, _)| known == kind).map(|(_, pattern)| pattern)
    }

    fn add(&mut self, kind: &str, pattern: Pattern) {
        self.expects.push((kind.to_owned(), pattern));
    }

    /// A failure is expected.
    #[must_use]
    pub fn fails(&self) -> bool {
        self.of("fail").next().is_some()
    }

    /// The samples' order counts.
    #[must_use]
    pub fn ordered(&self) -> bool {
        self.of("ordered").next().is_some()
    }

    /// Compares the text of a failure.
    ///
    /// # Errors
    /// It is not the expected one.
    pub fn check_failure(&self, error: &str) -> Result<(), String> {
        match self.of("fail").find(|pattern| !pattern.matches(error)) {
            Some(pattern) => Err(format!("expected error {}, got {error:?}", pattern.text())),
            None => Ok(()),
        }
    }

    /// Compares annotations of one kind, `warn` or `info`.
    ///
    /// # Errors
    /// They are not the expected ones.
    pub fn check_kind(&self, kind: &str, texts: &[String]) -> Result<(), String> {
        if self.of(&format!("no_{kind}")).next().is_some() && !texts.is_empty() {
            return Err(format!("expected no {kind}, got {texts:?}"));
        }
        let expected: Vec<_> = self.of(kind).collect();
        if expected.is_empty() {
            return Ok(());
        }
        for pattern in &expected {
            if !texts.iter().any(|text| pattern.matches(text)) {
                return Err(format!("expected {kind} {}, got {texts:?}", pattern.text()));
            }
        }
        match texts.iter().find(|text| !expected.iter().any(|pattern| pattern.matches(text))) {
            Some(text) => Err(format!("unexpected {kind} {text:?}")),
            None => Ok(()),
        }
    }
}

/// The commands of a script.
#[must_use]
pub fn parse_script(text: &str) -> Vec<Command> {
    let lines: Vec<&str> = text
        .lines()
        .map(str::trim)
        .map(|line| if line.starts_with('#') { "" } else { line })
        .collect();
    let mut commands = Vec::new();
    let mut at = 0;
    while at < lines.len() {
        let first = at;
        at += 1;
        if lines[first].is_empty() {
            continue;
        }
        while at < lines.len() && !lines[at].is_empty() && !begins_command(lines[at]) {
            at += 1;
        }
        let command = parse_command(first + 1, lines[first], &lines[first + 1..at]);
        commands
            .push(command.unwrap_or_else(|reason| Command::Invalid { line: first + 1, reason }));
    }
    commands
}

/// Only `clear` may follow another command's lines without a gap.
fn begins_command(line: &str) -> bool {
    line == "clear"
}

fn parse_command(line: usize, head: &str, body: &[&str]) -> Result<Command, String> {
    let (word, rest) = head.split_once([' ', '\t']).unwrap_or((head, ""));
    match word {
        "clear" => Ok(Command::Clear),
        "load" | "load_with_nhcb" => {
            parse_load(line, rest.trim(), word != "load", body).map(Command::Load)
        }
        _ if word == "eval" || word.starts_with("eval_") => {
            let modifier = word.trim_start_matches("eval").trim_start_matches('_');
            parse_eval(line, modifier, rest.trim(), body).map(|eval| Command::Eval(Box::new(eval)))
        }
        _ => Err(format!("invalid command {head:?}")),
    }
}

fn duration(text: &str) -> Result<i64, String> {
    parse_duration_ms(text).map_err(|error| format!("{text:?}: {error}"))
}

fn parse_load(line: usize, gap: &str, with_nhcb: bool, body: &[&str]) -> Result<Load, String> {
    let mut load = Load { line, gap_ms: duration(gap)?, with_nhcb, series: Vec::new() };
    let mut starts: Option<(LabelSet, Vec<Option<i64>>)> = None;
    for text in body {
        if is_start_timestamp_line(text) {
            starts = Some(parse_start_timestamps(text).map_err(|error| error.to_string())?);
            continue;
        }
        let (labels, values) =
            parse_series_description(text).map_err(|error| format!("{text}: {error}"))?;
        let starts = match starts.take() {
            Some((of, starts)) if of == labels && starts.len() == values.len() => starts,
            Some(_) => return Err(format!("{text}: start timestamps of another series")),
            None => Vec::new(),
        };
        load.series.push((labels, values, starts));
    }
    Ok(load)
}

/// Takes `word` and the text up to the next space off the front.
fn take_after<'a>(rest: &mut &'a str, word: &str) -> Result<&'a str, String> {
    let after = rest
        .strip_prefix(word)
        .filter(|after| after.starts_with([' ', '\t']))
        .ok_or_else(|| format!("expected {word:?} at {rest:?}"))?
        .trim_start();
    let end = after.find([' ', '\t']).unwrap_or(after.len());
    let (value, tail) = after.split_at(end);
    *rest = tail.trim_start();
    Ok(value)
}

fn parse_eval(line: usize, modifier: &str, head: &str, body: &[&str]) -> Result<Eval, String> {
    let (kind, rest) = head.split_once([' ', '\t']).ok_or("no query")?;
    let mut rest = rest.trim_start();
    let mut eval = Eval {
        line,
        expr: String::new(),
        is_range: kind == "range",
        eval_ms: 0,
        start_ms: 0,
        end_ms: 0,
        step_ms: 0,
        instant_only: false,
        notes: Notes::default(),
        expected: HashMap::new(),
        scalar: None,
        string: None,
    };
    if eval.is_range {
        eval.start_ms = duration(take_after(&mut rest, "from")?)?;
        eval.end_ms = duration(take_after(&mut rest, "to")?)?;
        eval.step_ms = duration(take_after(&mut rest, "step")?)?;
    } else {
        let at = take_after(&mut rest, "at")?;
        eval.eval_ms = duration(at)?;
        eval.start_ms = eval.eval_ms;
        eval.end_ms = eval.eval_ms;
    }
    eval.expr = rest.to_owned();
    if !modifier.is_empty() {
        eval.notes.add(modifier, Pattern::Any);
    }
    let mut position = 1;
    for text in body {
        parse_expectation(&mut eval, text, &mut position)?;
    }
    Ok(eval)
}

fn parse_expectation(eval: &mut Eval, text: &str, position: &mut usize) -> Result<(), String> {
    if let Some(message) = text.strip_prefix("expected_fail_message") {
        eval.notes.add("fail", Pattern::Text(message.trim().to_owned()));
    } else if let Some(pattern) = text.strip_prefix("expected_fail_regexp") {
        eval.notes.add("fail", regex(pattern.trim())?);
    } else if let Some(range) = text.strip_prefix("expect range vector") {
        let mut rest = range.trim();
        eval.start_ms = duration(take_after(&mut rest, "from")?)?;
        eval.end_ms = duration(take_after(&mut rest, "to")?)?;
        eval.step_ms = duration(take_after(&mut rest, "step")?)?;
        eval.eval_ms = eval.end_ms;
        eval.instant_only = true;
    } else if let Some(quoted) = text.strip_prefix("expect string") {
        eval.string = Some(unquoted(quoted.trim())?);
        eval.instant_only = true;
    } else if let Some(expect) = text.strip_prefix("expect ") {
        parse_expect(eval, expect.trim())?;
    } else if let Some(number) = parse_number(text) {
        eval.scalar = Some(number);
    } else {
        let (labels, values) =
            parse_series_description(text).map_err(|error| format!("{text}: {error}"))?;
        eval.expected.insert(labels, (*position, values));
        *position += 1;
    }
    Ok(())
}

fn parse_expect(eval: &mut Eval, expect: &str) -> Result<(), String> {
    let (kind, rest) = expect.split_once([' ', '\t']).unwrap_or((expect, ""));
    if !["ordered", "fail", "warn", "no_warn", "info", "no_info"].contains(&kind) {
        return Err(format!("unknown expectation {expect:?}"));
    }
    let rest = rest.trim();
    let pattern = if let Some(message) = rest.strip_prefix("msg:") {
        Pattern::Text(message.trim().to_owned())
    } else if let Some(pattern) = rest.strip_prefix("regex:") {
        regex(pattern.trim())?
    } else if rest.is_empty() {
        Pattern::Any
    } else {
        return Err(format!("unknown expectation {expect:?}"));
    };
    eval.notes.add(kind, pattern);
    Ok(())
}

/// A pattern that may match anywhere in a text.
fn regex(pattern: &str) -> Result<Pattern, String> {
    GoRegex::anchored(&format!(".*({pattern}).*"))
        .map(|regex| Pattern::Regex(Box::new(regex)))
        .map_err(|error| error.to_string())
}

/// A text between quotes, as an expression of PromQL reads it.
fn unquoted(text: &str) -> Result<String, String> {
    let options = query::parse::options::Options::ALL;
    match query::parse::parse(text, &options).map(|expr| expr.kind) {
        Ok(query::ast::ExprKind::String(value)) => Ok(value),
        _ => Err(format!("{text} is no quoted text")),
    }
}

fn parse_number(text: &str) -> Option<f64> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    if let Some(hex) = digits.strip_prefix("0x") {
        let value = i64::from_str_radix(hex, 16).ok()?;
        #[expect(clippy::cast_precision_loss, reason = "as upstream reads it")]
        let value = value as f64;
        return Some(if text.starts_with('-') { -value } else { value });
    }
    text.parse().ok()
}
