//! Tree: YAML text as values that know their place; anchors, aliases and merge keys resolved.
//!
//! Never: guesses types; a scalar keeps its text, and who reads it says what it must be.

use std::collections::HashMap;
use std::rc::Rc;

use serde_saphyr::granit_parser::{Event, Parser, ScalarStyle, Span, Tag};

use crate::config::fault::{Fault, Place};

/// Most bytes of a configuration. Fleets with every target written out stay below a tenth.
pub const TEXT_BYTES_MAX: usize = 16 << 20;
/// Most values, those behind aliases counted each time: bounds what a small file can swell to.
pub const NODES_MAX: usize = 2_000_000;
/// Deepest nesting.
pub const DEPTH_MAX: usize = 64;

/// A value and where it stands.
#[derive(Clone, Debug)]
pub struct Node {
    /// Its place.
    pub place: Place,
    /// What it is.
    pub kind: Kind,
}

/// What a value is.
#[derive(Clone, Debug)]
pub enum Kind {
    /// Nothing: an empty value, `~` or `null`.
    Null,
    /// A scalar. A plain one may be meant as a number or a boolean.
    Scalar {
        /// The text, escapes resolved.
        text: String,
        /// Whether it was written without quotes.
        is_plain: bool,
    },
    /// Bytes that are not text (`!!binary`).
    Bytes(Vec<u8>),
    /// A list.
    List(Rc<[Node]>),
    /// A map, in the order written; keys may be there twice.
    Map(Rc<[(Node, Node)]>),
}

impl Kind {
    /// The name that upstream's errors give it.
    #[must_use]
    pub fn tag(&self) -> &'static str {
        match self {
            Kind::Null => "!!null",
            Kind::Scalar { .. } => "!!str",
            Kind::Bytes(_) => "!!binary",
            Kind::List(_) => "!!seq",
            Kind::Map(_) => "!!map",
        }
    }
}

/// The tree of `text`'s first document; `Null` when it is empty.
///
/// # Errors
/// The text is no YAML, or passes a bound.
pub fn parse(text: &str) -> Result<Node, Fault> {
    if TEXT_BYTES_MAX < text.len() {
        let bound = format!("configuration is longer than {TEXT_BYTES_MAX} bytes");
        return Err(Fault::wrong(Place { line: 1, column: 1 }, bound));
    }
    let mut builder =
        Builder { parser: Parser::new_from_str(text), anchors: HashMap::new(), nodes: 0 };
    builder.document()
}

struct Builder<'a> {
    parser: Parser<'a, serde_saphyr::granit_parser::StrInput<'a>>,
    anchors: HashMap<usize, (Node, usize)>,
    nodes: usize,
}

impl<'a> Builder<'a> {
    fn document(&mut self) -> Result<Node, Fault> {
        loop {
            match self.next()? {
                None | Some((Event::StreamEnd, _)) => {
                    let place = Place { line: 1, column: 1 };
                    return Ok(Node { place, kind: Kind::Null });
                }
                Some((Event::StreamStart | Event::DocumentStart(..), _)) => {}
                Some((event, span)) => return self.node(event, span, 0),
            }
        }
    }

    fn next(&mut self) -> Result<Option<(Event<'a>, Span)>, Fault> {
        loop {
            match self.parser.next_event() {
                None => return Ok(None),
                Some(Ok((Event::Comment(..), _))) => {}
                Some(Ok(pair)) => return Ok(Some(pair)),
                Some(Err(error)) => {
                    let marker = error.marker();
                    let place = Place { line: marker.line(), column: marker.col() + 1 };
                    // The text near a fault of form may be a secret: it is not shown.
                    return Err(Fault::wrong(place, format!("yaml: {}", error.info())).secret());
                }
            }
        }
    }

    fn node(&mut self, event: Event<'a>, span: Span, depth: usize) -> Result<Node, Fault> {
        let place = Place { line: span.start.line(), column: span.start.col() + 1 };
        let before = self.nodes;
        self.count(1, place)?;
        if DEPTH_MAX < depth {
            return Err(Fault::wrong(place, "yaml: nested too deeply"));
        }
        let (kind, anchor) = match event {
            Event::Scalar(text, style, anchor, tag) => {
                (scalar(&text, style, tag.as_deref(), place)?, anchor)
            }
            Event::SequenceStart(_, anchor, _) => (self.list(depth)?, anchor),
            Event::MappingStart(_, anchor, _) => (self.map(depth)?, anchor),
            Event::Alias(anchor) => {
                let unknown = || Fault::wrong(place, "yaml: alias within its own anchor");
                let (node, size) = self.anchors.get(&anchor).cloned().ok_or_else(unknown)?;
                self.count(size, place)?;
                return Ok(node);
            }
            other => {
                return Err(Fault::wrong(place, format!("yaml: unexpected {other:?}")).secret());
            }
        };
        let node = Node { place, kind };
        if anchor != 0 {
            self.anchors.insert(anchor, (node.clone(), self.nodes - before));
        }
        Ok(node)
    }

    fn count(&mut self, nodes: usize, place: Place) -> Result<(), Fault> {
        self.nodes = self.nodes.saturating_add(nodes);
        if NODES_MAX < self.nodes {
            return Err(Fault::wrong(place, format!("yaml: more than {NODES_MAX} values")));
        }
        Ok(())
    }

    fn list(&mut self, depth: usize) -> Result<Kind, Fault> {
        let mut items = Vec::new();
        loop {
            match self.next()? {
                None | Some((Event::SequenceEnd, _)) => return Ok(Kind::List(items.into())),
                Some((event, span)) => items.push(self.node(event, span, depth + 1)?),
            }
        }
    }

    fn map(&mut self, depth: usize) -> Result<Kind, Fault> {
        let mut entries = Vec::new();
        let mut merged = Vec::new();
        loop {
            let key = match self.next()? {
                None | Some((Event::MappingEnd, _)) => break,
                Some((event, span)) => self.node(event, span, depth + 1)?,
            };
            let Some((event, span)) = self.next()? else { break };
            let value = self.node(event, span, depth + 1)?;
            match &key.kind {
                Kind::Scalar { text, is_plain: true } if text == "<<" => {
                    merged.extend(merge_sources(&value)?);
                }
                _ => entries.push((key, value)),
            }
        }
        merge(&mut entries, merged);
        Ok(Kind::Map(entries.into()))
    }
}

/// The entries that `<<` brings in: of one map, or of a list of them.
fn merge_sources(value: &Node) -> Result<Vec<(Node, Node)>, Fault> {
    let maps: &[Node] = match &value.kind {
        Kind::List(items) => items,
        _ => std::slice::from_ref(value),
    };
    let mut entries = Vec::new();
    for map in maps {
        match &map.kind {
            Kind::Map(inner) => entries.extend(inner.iter().cloned()),
            _ => return Err(Fault::wrong(value.place, "yaml: map merge requires map")),
        }
    }
    Ok(entries)
}

/// What is written in the map itself wins over what is merged, the earlier merged over the later.
fn merge(entries: &mut Vec<(Node, Node)>, merged: Vec<(Node, Node)>) {
    for (key, value) in merged {
        let is_same = |known: &Node| match (&known.kind, &key.kind) {
            (Kind::Scalar { text: a, .. }, Kind::Scalar { text: b, .. }) => a == b,
            _ => false,
        };
        if !entries.iter().any(|(known, _)| is_same(known)) {
            entries.push((key, value));
        }
    }
}

fn scalar(text: &str, style: ScalarStyle, tag: Option<&Tag>, place: Place) -> Result<Kind, Fault> {
    let is_plain = style == ScalarStyle::Plain;
    let tag = tag.map(ToString::to_string).unwrap_or_default();
    if tag.ends_with("binary") {
        let bytes = decode_base64(text)
            .ok_or_else(|| Fault::wrong(place, "yaml: !!binary value contains invalid base64"))?;
        return Ok(match String::from_utf8(bytes) {
            Ok(text) => Kind::Scalar { text, is_plain: false },
            Err(error) => Kind::Bytes(error.into_bytes()),
        });
    }
    let is_null = is_plain && tag.is_empty() && matches!(text, "" | "~" | "null" | "Null" | "NULL");
    Ok(if is_null { Kind::Null } else { Kind::Scalar { text: text.to_owned(), is_plain } })
}

fn decode_base64(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let (mut bits, mut held) = (0u32, 0u32);
    for byte in text.bytes().filter(|byte| !byte.is_ascii_whitespace()) {
        let six = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            b'=' => continue,
            _ => return None,
        };
        bits = (bits << 6) | u32::from(six);
        held += 6;
        if 8 <= held {
            held -= 8;
            bytes.push(u8::try_from((bits >> held) & 0xff).ok()?);
            bits &= (1 << held) - 1;
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn show(node: &Node) -> String {
        match &node.kind {
            Kind::Null => "~".to_owned(),
            Kind::Scalar { text, is_plain: true } => text.clone(),
            Kind::Scalar { text, .. } => format!("'{text}'"),
            Kind::Bytes(bytes) => format!("{bytes:?}"),
            Kind::List(items) => {
                format!("[{}]", items.iter().map(show).collect::<Vec<_>>().join(", "))
            }
            Kind::Map(entries) => {
                let pair = |(key, value): &(Node, Node)| format!("{}: {}", show(key), show(value));
                format!("{{{}}}", entries.iter().map(pair).collect::<Vec<_>>().join(", "))
            }
        }
    }

    #[track_caller]
    fn check(text: &str, expected: &str) {
        let shown = match parse(text) {
            Ok(node) => show(&node),
            Err(fault) => format!("{}:{} {}", fault.place.line, fault.place.column, fault.text),
        };
        assert_eq!(shown, expected);
    }

    #[test]
    fn values_keep_their_text() {
        check("", "~");
        check("a: 0123\nb: \"x\"\nc:\nd: [yes, ~]\n", "{a: 0123, b: 'x', c: ~, d: [yes, ~]}");
        check("a: !!binary /w==", "{a: [255]}");
        check("a: !!binary aGk=", "{a: 'hi'}");
    }

    #[test]
    fn anchors_are_resolved_and_merged() {
        check("a: &x {k: 1, l: 2}\nb:\n  <<: *x\n  k: 3\n", "{a: {k: 1, l: 2}, b: {k: 3, l: 2}}");
        check("a: &x [1]\nb: [*x, *x]\n", "{a: [1], b: [[1], [1]]}");
        check("a: &x 1\n<<: *x\n", "1:7 yaml: map merge requires map");
    }

    #[test]
    fn values_behind_aliases_are_counted() {
        let mut text = "a0: &a0 [1,1,1,1,1,1,1,1,1,1]\n".to_owned();
        for level in 1..9 {
            let list = vec![format!("*a{}", level - 1); 10].join(",");
            text.push_str(&format!("a{level}: &a{level} [{list}]\n"));
        }
        let fault = parse(&text).unwrap_err().text;
        assert!(fault.contains("more than 2000000 values"), "{fault}");
        let deep = format!("{}{}", "[".repeat(DEPTH_MAX + 2), "]".repeat(DEPTH_MAX + 2));
        let fault = parse(&deep).unwrap_err().text;
        assert!(fault.contains("nested too deeply"), "{fault}");
    }

    #[test]
    fn faults_of_form_have_a_place() {
        let fault = parse("a: [1\nb: 2\n").unwrap_err();
        assert!(fault.place.line >= 1 && !fault.is_public, "{fault:?}");
    }
}
