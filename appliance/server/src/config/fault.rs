//! Fault: what is wrong with a configuration, where, and what to do about it.

use std::fmt;

/// Most faults of one file that are reported.
pub const FAULTS_MAX: usize = 100;

/// Words of keys whose values are secret: a line with one of them is not shown.
const SECRET_WORDS: [&str; 5] = ["password", "credentials", "secret", "token", "_key"];

/// A place in the file; both counts from 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Line.
    pub line: usize,
    /// Column, in characters.
    pub column: usize,
}

/// What kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// Prometheus refuses this too.
    Wrong,
    /// Prometheus accepts this and this server does not.
    Unsupported,
}

/// One fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// In which of the sources.
    pub source: usize,
    /// Where in it.
    pub place: Place,
    /// What kind.
    pub kind: FaultKind,
    /// What is wrong, in upstream's words where it has some.
    pub text: String,
    /// What to do, "" when the text says it.
    pub remedy: String,
    /// Whether the line may be shown: false at and beside secrets.
    pub is_public: bool,
}

impl Fault {
    /// A fault that upstream has too.
    pub fn wrong(place: Place, text: impl Into<String>) -> Fault {
        Fault {
            source: 0,
            place,
            kind: FaultKind::Wrong,
            text: text.into(),
            remedy: String::new(),
            is_public: true,
        }
    }

    /// Something that this server does not do.
    pub fn unsupported(place: Place, text: impl fmt::Display, remedy: impl Into<String>) -> Fault {
        Fault {
            source: 0,
            place,
            kind: FaultKind::Unsupported,
            text: format!("unsupported {text}"),
            remedy: remedy.into(),
            is_public: true,
        }
    }

    /// The same fault; its line is not shown.
    #[must_use]
    pub fn secret(mut self) -> Fault {
        self.is_public = false;
        self
    }
}

/// A file that was read.
#[derive(Clone, PartialEq, Eq)]
pub struct Source {
    /// Its name, for people.
    pub path: String,
    /// Its text. It may hold secrets.
    pub text: String,
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source").field("path", &self.path).finish_non_exhaustive()
    }
}

/// Why a configuration is refused: at least one fault, in order of file and place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// The file, and those that it names, as far as they were read.
    pub sources: Vec<Source>,
    /// The first faults.
    pub faults: Vec<Fault>,
}

impl std::error::Error for ConfigError {}

/// `file:line:column: text; remedy`, a line a fault.
impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<String> = self.faults.iter().map(|fault| self.line(fault)).collect();
        f.write_str(&lines.join("\n"))
    }
}

impl ConfigError {
    /// Whether Prometheus would accept the file: all that is wrong is unsupported.
    #[must_use]
    pub fn is_unsupported(&self) -> bool {
        self.faults.iter().all(|fault| fault.kind == FaultKind::Unsupported)
    }

    fn line(&self, fault: &Fault) -> String {
        let path = self.sources.get(fault.source).map_or("", |source| &source.path);
        let Place { line, column } = fault.place;
        let remedy = if fault.remedy.is_empty() { "" } else { "; " };
        format!("{path}:{line}:{column}: {}{remedy}{}", fault.text, fault.remedy)
    }

    /// The faults with the lines that they are in, each marked; secrets stay unseen.
    #[must_use]
    pub fn with_snippets(&self) -> String {
        let report = |fault| format!("{}\n{}", self.line(fault), self.snippet(fault));
        self.faults.iter().map(report).collect()
    }

    fn snippet(&self, fault: &Fault) -> String {
        let Place { line, column } = fault.place;
        let text = self.sources.get(fault.source).map_or("", |source| &source.text);
        let shown = line.checked_sub(1).and_then(|at| text.lines().nth(at));
        let is_secret = |line: &str| SECRET_WORDS.iter().any(|word| line.contains(word));
        let Some(shown) = shown.filter(|line| fault.is_public && !is_secret(line)) else {
            return String::new();
        };
        let number = line.to_string();
        let gap = " ".repeat(number.len());
        let pad: String = shown
            .chars()
            .take(column.saturating_sub(1))
            .map(|c| if c == '\t' { '\t' } else { ' ' })
            .collect();
        format!("  {number} | {shown}\n  {gap} | {pad}^\n")
    }
}
