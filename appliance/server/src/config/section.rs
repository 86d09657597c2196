//! Section: reads a map by its table; what the table does not know or allow becomes a fault.

use std::path::Path;

use model::duration::parse_duration_ms;
use model::label_name::quote;

use crate::config::fault::{FAULTS_MAX, Fault, FaultKind, Place, Source};
use crate::config::field::{Support, Table};
use crate::config::tree::{Kind, Node};

/// Fields further than this many edits from a known one get no suggestion.
const EDITS_MAX: usize = 3;

/// What reading finds.
#[derive(Debug, Default)]
pub struct Findings {
    /// Faults, in order of finding; at most `FAULTS_MAX`.
    pub faults: Vec<Fault>,
    /// Things accepted without effect.
    pub notices: Vec<String>,
    /// Files that were read.
    pub sources: Vec<Source>,
}

impl Findings {
    /// Faults from here on are of this file.
    pub fn enter(&mut self, path: &Path, text: &str) {
        self.sources.push(Source { path: path.display().to_string(), text: text.to_owned() });
    }

    /// Keeps `fault`, unless there are enough; what upstream refuses too displaces what is only
    /// unsupported.
    ///
    /// A fault that is there already is not told twice: a section may be read by several.
    pub fn push(&mut self, mut fault: Fault) {
        fault.source = fault.source.max(self.sources.len().saturating_sub(1));
        let same = |kept: &Fault| {
            (kept.source, kept.place) == (fault.source, fault.place) && kept.text == fault.text
        };
        if self.faults.iter().any(same) {
            return;
        }
        if FAULTS_MAX <= self.faults.len() {
            let unsupported = |kept: &Fault| kept.kind == FaultKind::Unsupported;
            match self.faults.iter().rposition(unsupported) {
                Some(at) if fault.kind == FaultKind::Wrong => drop(self.faults.remove(at)),
                _ => return,
            }
        }
        self.faults.push(fault);
    }

    /// Keeps a notice, once.
    pub fn notice(&mut self, text: &str) {
        if !self.notices.iter().any(|kept| kept == text) {
            self.notices.push(text.to_owned());
        }
    }

    /// Keeps what upstream refuses too of what was found within something unsupported.
    pub fn take_wrong(&mut self, within: Findings) {
        for fault in within.faults.into_iter().filter(|fault| fault.kind == FaultKind::Wrong) {
            self.push(fault);
        }
    }
}

/// The fields of one map that its table allows.
#[derive(Debug)]
pub struct Section<'a> {
    /// Where the map stands.
    pub place: Place,
    table: &'static Table,
    entries: Vec<(&'static str, &'a Node)>,
}

impl<'a> Section<'a> {
    /// Reads the map `node`; an absent value is an empty map.
    pub fn open(node: &'a Node, table: &'static Table, findings: &mut Findings) -> Section<'a> {
        let mut section = Section { place: node.place, table, entries: Vec::new() };
        match &node.kind {
            Kind::Null => {}
            Kind::Map(entries) => {
                for (key, value) in entries.iter() {
                    section.admit(key, value, findings);
                }
            }
            other => findings.push(cannot_unmarshal(node.place, other, table.type_name)),
        }
        section
    }

    fn admit(&mut self, key: &'a Node, value: &'a Node, findings: &mut Findings) {
        let Kind::Scalar { text: name, .. } = &key.kind else {
            findings.push(cannot_unmarshal(key.place, &key.kind, "string"));
            return;
        };
        let type_name = self.table.type_name;
        let Some(field) = self.table.find(name) else {
            let text = format!("field {name} not found in type {type_name}");
            let mut fault = Fault::wrong(key.place, text);
            if let Some(near) = nearest(name, self.table) {
                fault.remedy = format!("did you mean {near}?");
            }
            findings.push(fault);
            return;
        };
        if self.entries.iter().any(|(known, _)| known == name) {
            let text = format!("field {name} already set in type {type_name}");
            findings.push(Fault::wrong(key.place, text));
            return;
        }
        match field.support {
            Support::Yes => {}
            Support::Notice(text) => findings.notice(text),
            Support::No(_) if is_empty(value) => {}
            Support::No(remedy) => {
                findings.push(Fault::unsupported(key.place, format!("field {name}"), remedy));
            }
            Support::Only(values, remedy) => {
                let asked = scalar_text(value).unwrap_or("");
                let allowed = matches!(value.kind, Kind::Null)
                    || values.contains(&asked)
                    || (values.contains(&"false") && boolean_of(asked) == Some(false));
                if !allowed {
                    let what = format!("value {} of field {name}", quote(asked));
                    findings.push(Fault::unsupported(value.place, what, remedy));
                }
            }
        }
        self.entries.push((field.name, value));
    }

    /// The value of `name`, if there is one and it is not null.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&'a Node> {
        assert!(self.table.find(name).is_some(), "{name} is in the table of its section");
        let found = self.entries.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| *value).filter(|value| !matches!(value.kind, Kind::Null))
    }

    /// Whether `name` is written without a value: upstream then takes the zero of its type, not
    /// the default.
    #[must_use]
    pub fn is_null(&self, name: &str) -> bool {
        let found = self.entries.iter().find(|(known, _)| *known == name);
        found.is_some_and(|(_, value)| matches!(value.kind, Kind::Null))
    }

    /// The text of `name`.
    pub fn text(&self, name: &str, findings: &mut Findings) -> Option<&'a str> {
        let node = self.get(name)?;
        let text = scalar_text(node);
        if text.is_none() {
            let fault = cannot_unmarshal(node.place, &node.kind, "string");
            let is_secret = self.table.find(name).is_some_and(|field| field.form == "secret");
            findings.push(if is_secret { fault.secret() } else { fault });
        }
        text
    }

    /// The boolean of `name`.
    pub fn boolean(&self, name: &str, findings: &mut Findings) -> Option<bool> {
        let node = self.get(name)?;
        let value = plain_text(node).and_then(boolean_of);
        if value.is_none() {
            findings.push(cannot_unmarshal(node.place, &node.kind, "bool"));
        }
        value
    }

    /// The count of `name`.
    pub fn count(&self, name: &str, findings: &mut Findings) -> Option<u64> {
        let node = self.get(name)?;
        let value = plain_text(node).and_then(integer_of).and_then(|n| u64::try_from(n).ok());
        if value.is_none() {
            findings.push(cannot_unmarshal(node.place, &node.kind, "uint"));
        }
        value
    }

    /// The whole number of `name`.
    pub fn integer(&self, name: &str, findings: &mut Findings) -> Option<i64> {
        let node = self.get(name)?;
        let value = plain_text(node).and_then(integer_of).and_then(|n| i64::try_from(n).ok());
        if value.is_none() {
            findings.push(cannot_unmarshal(node.place, &node.kind, "int"));
        }
        value
    }

    /// A number with or without fraction.
    pub fn number(&self, name: &str, findings: &mut Findings) -> Option<f64> {
        let node = self.get(name)?;
        let value = plain_text(node).and_then(number_of);
        if value.is_none() {
            findings.push(cannot_unmarshal(node.place, &node.kind, "float64"));
        }
        value
    }

    /// Milliseconds of the duration of `name`.
    pub fn duration_ms(&self, name: &str, findings: &mut Findings) -> Option<u64> {
        let node = self.get(name)?;
        let text = self.text(name, findings)?;
        match parse_duration_ms(text) {
            Ok(ms) => u64::try_from(ms).ok(),
            Err(error) => {
                findings.push(Fault::wrong(node.place, error.to_string()));
                None
            }
        }
    }

    /// Bytes of the size of `name`, such as `15MB`; units count by 1024.
    pub fn size(&self, name: &str, findings: &mut Findings) -> Option<u64> {
        let node = self.get(name)?;
        let text = self.text(name, findings)?;
        match parse_size(text) {
            Ok(bytes) => Some(bytes),
            Err(error) => {
                findings.push(Fault::wrong(node.place, error));
                None
            }
        }
    }

    /// The items of the list of `name`.
    pub fn list(&self, name: &str, findings: &mut Findings) -> &'a [Node] {
        match self.get(name).map(|node| (&node.kind, node.place)) {
            None => &[],
            Some((Kind::List(items), _)) => items,
            Some((other, place)) => {
                findings.push(cannot_unmarshal(place, other, "list"));
                &[]
            }
        }
    }

    /// The texts of the list of `name`.
    pub fn texts(&self, name: &str, findings: &mut Findings) -> Vec<String> {
        texts_of(self.list(name, findings), findings)
    }

    /// The entries of the map of `name`.
    pub fn map(&self, name: &str, findings: &mut Findings) -> Vec<(&'a Node, &'a Node)> {
        match self.get(name).map(|node| (&node.kind, node.place)) {
            None => Vec::new(),
            Some((Kind::Map(entries), _)) => {
                entries.iter().map(|(key, value)| (key, value)).collect()
            }
            Some((other, place)) => {
                findings.push(cannot_unmarshal(place, other, "map"));
                Vec::new()
            }
        }
    }

    /// Where the value of `name` stands; the section's place when it is absent.
    #[must_use]
    pub fn place_of(&self, name: &str) -> Place {
        self.get(name).map_or(self.place, |node| node.place)
    }
}

/// The texts of `items`; another value is a fault.
pub fn texts_of(items: &[Node], findings: &mut Findings) -> Vec<String> {
    let mut texts = Vec::with_capacity(items.len());
    for item in items {
        match (&item.kind, scalar_text(item)) {
            (Kind::Null, _) => texts.push(String::new()),
            (_, Some(text)) => texts.push(text.to_owned()),
            (kind, None) => findings.push(cannot_unmarshal(item.place, kind, "string")),
        }
    }
    texts
}

/// The text of a scalar.
#[must_use]
pub fn scalar_text(node: &Node) -> Option<&str> {
    match &node.kind {
        Kind::Scalar { text, .. } => Some(text),
        _ => None,
    }
}

/// The text of a scalar without quotes: only such a one is a number or a boolean.
fn plain_text(node: &Node) -> Option<&str> {
    match &node.kind {
        Kind::Scalar { text, is_plain: true } => Some(text),
        _ => None,
    }
}

/// The whole number that YAML reads `text` as.
#[must_use]
pub fn integer_of(text: &str) -> Option<i128> {
    let digits = text.replace('_', "");
    let (sign, digits) = match digits.strip_prefix('-') {
        Some(rest) => (-1, rest.to_owned()),
        None => (1, digits.strip_prefix('+').unwrap_or(&digits).to_owned()),
    };
    let radix = |prefix: &str, radix| {
        digits.strip_prefix(prefix).map(|rest| u64::from_str_radix(rest, radix).ok())
    };
    let octal = || digits.strip_prefix('0').filter(|rest| !rest.is_empty());
    let number = radix("0x", 16)
        .or_else(|| radix("0b", 2))
        .or_else(|| radix("0o", 8))
        .or_else(|| octal().map(|rest| u64::from_str_radix(rest, 8).ok()))
        .unwrap_or_else(|| digits.parse().ok())?;
    Some(sign * i128::from(number))
}

/// The number that YAML reads `text` as.
#[must_use]
pub fn number_of(text: &str) -> Option<f64> {
    let lower = text.to_ascii_lowercase();
    match lower.as_str() {
        ".inf" | "+.inf" => return Some(f64::INFINITY),
        "-.inf" => return Some(f64::NEG_INFINITY),
        ".nan" => return Some(f64::NAN),
        _ => {}
    }
    let starts = text.starts_with(|c: char| c.is_ascii_digit() || "+-.".contains(c));
    starts.then(|| text.replace('_', "").parse().ok()).flatten()
}

/// A value of the wrong kind. Its text is not repeated: it may be a secret.
#[must_use]
pub fn cannot_unmarshal(place: Place, kind: &Kind, into: &str) -> Fault {
    let text = format!("yaml: unmarshal errors: cannot unmarshal {} into {into}", kind.tag());
    Fault::wrong(place, text)
}

fn is_empty(node: &Node) -> bool {
    match &node.kind {
        Kind::Null => true,
        Kind::List(items) => items.is_empty(),
        Kind::Map(entries) => entries.is_empty(),
        Kind::Scalar { text, .. } => text.is_empty(),
        Kind::Bytes(_) => false,
    }
}

/// Booleans as YAML 1.1 and upstream's parser write them.
#[must_use]
pub fn boolean_of(text: &str) -> Option<bool> {
    match text {
        "true" | "True" | "TRUE" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" | "y" | "Y" => {
            Some(true)
        }
        "false" | "False" | "FALSE" | "no" | "No" | "NO" | "off" | "Off" | "OFF" | "n" | "N" => {
            Some(false)
        }
        _ => None,
    }
}

/// Bytes of `1GB512MB`; the texts are those of the library that upstream reads sizes with.
///
/// # Errors
/// What is wrong with the text.
pub fn parse_size(text: &str) -> Result<u64, String> {
    if text == "0" {
        return Ok(0);
    }
    let invalid = || format!("units: invalid {text}");
    let mut total: u64 = 0;
    let mut rest = text;
    if rest.is_empty() {
        return Err(invalid());
    }
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(|b| b.is_ascii_digit() || *b == b'.').count();
        let unit_end = rest[digits..].find(|c: char| c.is_ascii_digit() || c == '.');
        let end = unit_end.map_or(rest.len(), |at| digits + at);
        let number: f64 = rest[..digits].parse().map_err(|_| invalid())?;
        let unit = &rest[digits..end];
        let power = match unit {
            "B" => 0,
            "KB" | "KiB" => 1,
            "MB" | "MiB" => 2,
            "GB" | "GiB" => 3,
            "TB" | "TiB" => 4,
            "PB" | "PiB" => 5,
            "EB" | "EiB" => 6,
            _ => return Err(format!("units: unknown unit {unit} in {text}")),
        };
        total = total.saturating_add(whole(number * 1024f64.powi(power)));
        rest = &rest[end..];
    }
    Ok(total)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "`as` from float to integer saturates"
)]
fn whole(number: f64) -> u64 {
    number as u64
}

/// The known field nearest to `name`.
fn nearest(name: &str, table: &Table) -> Option<&'static str> {
    let distances = table.fields().map(|field| (edits(name, field.name), field.name));
    distances.min().filter(|(edits, _)| *edits <= EDITS_MAX.min(name.len() / 2)).map(|(_, n)| n)
}

/// Levenshtein distance, over bytes.
fn edits(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (at, byte) in a.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = at + 1;
        for (column, other) in b.bytes().enumerate() {
            let replaced = diagonal + usize::from(byte != other);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(row[column] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_units() {
        assert_eq!(parse_size("15MB"), Ok(15 << 20));
        assert_eq!(parse_size("1GiB512KB"), Ok((1 << 30) + (512 << 10)));
        assert_eq!(parse_size("1.5KB"), Ok(1536));
        assert_eq!(parse_size("0"), Ok(0));
        assert_eq!(parse_size("100"), Err("units: unknown unit  in 100".to_owned()));
        assert_eq!(parse_size("MB"), Err("units: invalid MB".to_owned()));
    }

    #[test]
    fn a_slip_gets_a_suggestion() {
        let near = |name| nearest(name, &crate::config::fields::scrape::SCRAPE);
        assert_eq!(near("consult_sd_configs"), Some("consul_sd_configs"));
        assert_eq!(near("scrape_intervall"), Some("scrape_interval"));
        assert_eq!(near("zzz"), None);
    }
}
