//! Short cuts: what a pattern's syntax tree says about the texts that match, without running it.
//!
//! All of this holds for patterns anchored at both ends.
//!
//! Invariants
//! - R1: a set of literals is sorted, without doubles, and is exactly the language of the pattern.

use regex_syntax::hir::{Class, Hir, HirKind, Look, Repetition};

/// How a pattern is matched without the regex engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// One of these texts, sorted.
    Literals(Vec<String>),
    /// `prefix.*suffix` or `prefix.+suffix`.
    Affix {
        prefix: String,
        suffix: String,
        /// Least bytes between them: 0 for `.*`, 1 for `.+`.
        middle_bytes_min: usize,
    },
    /// `.*text.*`
    Contains(String),
    /// No short cut.
    Other,
}

/// Texts of a literal set and their bytes may reach this, or the length of the pattern where that
/// is more: a set may not be larger than the request that asked for it.
const LITERALS_SIZE_MAX: usize = 4096;

/// Repetitions are unrolled into a prefix until it has this length; it need not be the longest.
const PREFIX_BYTES_MAX: usize = 256;

/// Shape of the pattern whose tree is `hir`; `pattern_bytes` bounds the set of literals.
pub(super) fn shape(hir: &Hir, pattern_bytes: usize) -> Shape {
    let mut pieces = Vec::new();
    let flat = flatten(hir, &mut pieces);
    drop_outer_anchors(&mut pieces);
    match (flat, pieces.as_slice()) {
        (true, [Piece::Any(min)]) => affix("", *min, ""),
        (true, [Piece::Text(prefix), Piece::Any(min)]) => affix(prefix, *min, ""),
        (true, [Piece::Any(min), Piece::Text(suffix)]) => affix("", *min, suffix),
        (true, [Piece::Text(prefix), Piece::Any(min), Piece::Text(suffix)]) => {
            affix(prefix, *min, suffix)
        }
        (true, [Piece::Any(0), Piece::Text(text), Piece::Any(0)]) => Shape::Contains(text.clone()),
        (_, pieces) => {
            let size_max = LITERALS_SIZE_MAX.max(2 * pattern_bytes);
            literals(pieces, size_max).map_or(Shape::Other, Shape::Literals)
        }
    }
}

/// A text that begins every match.
pub(super) fn prefix(hir: &Hir) -> String {
    let mut bytes = Vec::new();
    walk_prefix(hir, &mut bytes);
    whole_chars(bytes)
}

fn affix(prefix: &str, middle_bytes_min: usize, suffix: &str) -> Shape {
    Shape::Affix { prefix: prefix.to_owned(), suffix: suffix.to_owned(), middle_bytes_min }
}

/// An element of a concatenation.
#[derive(Debug)]
enum Piece<'a> {
    Text(String),
    /// `.*` (0) or `.+` (1), newlines too.
    Any(usize),
    Look(Look),
    Other(&'a Hir),
}

/// Appends the elements of `hir`, seen through groups; whether all are texts, dots or anchors.
fn flatten<'a>(hir: &'a Hir, pieces: &mut Vec<Piece<'a>>) -> bool {
    match hir.kind() {
        HirKind::Empty => true,
        HirKind::Literal(literal) => {
            let text = String::from_utf8(literal.0.to_vec()).expect("a UTF-8 pattern's literals");
            match pieces.last_mut() {
                Some(Piece::Text(before)) => before.push_str(&text),
                _ => pieces.push(Piece::Text(text)),
            }
            true
        }
        HirKind::Look(look) => {
            pieces.push(Piece::Look(*look));
            true
        }
        HirKind::Capture(capture) => flatten(&capture.sub, pieces),
        HirKind::Concat(subs) => {
            let mut flat = true;
            for sub in subs {
                flat &= flatten(sub, pieces);
            }
            flat
        }
        HirKind::Repetition(repetition) => match any_of(repetition) {
            Some(min) => {
                pieces.push(Piece::Any(min));
                true
            }
            None => {
                pieces.push(Piece::Other(hir));
                false
            }
        },
        HirKind::Class(_) | HirKind::Alternation(_) => {
            pieces.push(Piece::Other(hir));
            false
        }
    }
}

/// 0 for `.*`, 1 for `.+`.
fn any_of(repetition: &Repetition) -> Option<usize> {
    let HirKind::Class(Class::Unicode(class)) = repetition.sub.kind() else { return None };
    let [all] = class.ranges() else { return None };
    let everything = all.start() == '\0' && all.end() == char::MAX;
    match (everything, repetition.min, repetition.max) {
        (true, 0, None) => Some(0),
        (true, 1, None) => Some(1),
        _ => None,
    }
}

/// `^` at the start and `$` at the end say what the anchoring says already.
fn drop_outer_anchors(pieces: &mut Vec<Piece<'_>>) {
    while let Some(Piece::Look(Look::End)) = pieces.last() {
        pieces.pop();
    }
    let starts = pieces.iter().take_while(|piece| matches!(piece, Piece::Look(Look::Start)));
    let count = starts.count();
    pieces.drain(..count);
}

/// The language of a concatenation, if it is finite and its size at most `size_max`.
fn literals(pieces: &[Piece<'_>], size_max: usize) -> Option<Vec<String>> {
    let mut texts = vec![Vec::new()];
    for piece in pieces {
        texts = match piece {
            Piece::Text(text) => cross(&texts, &[text.as_bytes().to_vec()], size_max)?,
            Piece::Other(hir) => cross(&texts, &enumerate(hir, size_max)?, size_max)?,
            Piece::Any(_) | Piece::Look(_) => return None,
        };
    }
    texts.sort_unstable();
    texts.dedup();
    let texts = texts.into_iter().map(|text| String::from_utf8(text).ok());
    let set: Vec<String> = texts.collect::<Option<_>>()?;
    assert!(set.is_sorted_by(|a, b| a < b), "R1: literals rise");
    Some(set)
}

fn enumerate(hir: &Hir, size_max: usize) -> Option<Vec<Vec<u8>>> {
    match hir.kind() {
        HirKind::Empty => Some(vec![Vec::new()]),
        HirKind::Literal(literal) => Some(vec![literal.0.to_vec()]),
        HirKind::Class(Class::Unicode(class)) => {
            let count: usize = class.ranges().iter().map(|range| range.len()).sum();
            let chars = || class.ranges().iter().flat_map(|range| range.start()..=range.end());
            (count <= size_max).then(|| chars().map(|c| c.to_string().into_bytes()).collect())
        }
        // The tree's own form of what never matches.
        HirKind::Class(Class::Bytes(class)) if class.ranges().is_empty() => Some(Vec::new()),
        HirKind::Class(Class::Bytes(_)) | HirKind::Look(_) => None,
        HirKind::Capture(capture) => enumerate(&capture.sub, size_max),
        HirKind::Repetition(repetition) => {
            let once = enumerate(&repetition.sub, size_max)?;
            let max = repetition.max?;
            let mut texts = vec![Vec::new()];
            for _ in 0..repetition.min {
                texts = cross(&texts, &once, size_max)?;
            }
            match max - repetition.min {
                0 => Some(texts),
                1 => {
                    let longer = cross(&texts, &once, size_max)?;
                    bounded(texts.into_iter().chain(longer), size_max)
                }
                _ => None,
            }
        }
        HirKind::Concat(subs) => {
            let mut texts = vec![Vec::new()];
            for sub in subs {
                texts = cross(&texts, &enumerate(sub, size_max)?, size_max)?;
            }
            Some(texts)
        }
        HirKind::Alternation(subs) => {
            let mut texts = Vec::new();
            let mut size = 0;
            for sub in subs {
                let more = enumerate(sub, size_max)?;
                size += more.iter().map(|text| text.len() + 1).sum::<usize>();
                if size_max < size {
                    return None;
                }
                texts.extend(more);
            }
            Some(texts)
        }
    }
}

/// Every text of `first` followed by every text of `then`.
fn cross(first: &[Vec<u8>], then: &[Vec<u8>], size_max: usize) -> Option<Vec<Vec<u8>>> {
    let pairs =
        first.iter().flat_map(|head| then.iter().map(move |tail| [&head[..], tail].concat()));
    bounded(pairs, size_max)
}

fn bounded(texts: impl Iterator<Item = Vec<u8>>, size_max: usize) -> Option<Vec<Vec<u8>>> {
    let mut kept = Vec::new();
    let mut size = 0;
    for text in texts {
        size += text.len() + 1;
        if size_max < size {
            return None;
        }
        kept.push(text);
    }
    Some(kept)
}

/// Appends the bytes that begin every match of `hir`; whether they are all of the match.
fn walk_prefix(hir: &Hir, out: &mut Vec<u8>) -> bool {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => true,
        HirKind::Literal(literal) => {
            out.extend_from_slice(&literal.0);
            true
        }
        HirKind::Class(_) => false,
        HirKind::Capture(capture) => walk_prefix(&capture.sub, out),
        HirKind::Concat(subs) => subs.iter().all(|sub| walk_prefix(sub, out)),
        HirKind::Repetition(repetition) => {
            let whole = (0..repetition.min)
                .all(|_| out.len() < PREFIX_BYTES_MAX && walk_prefix(&repetition.sub, out));
            whole && repetition.max == Some(repetition.min)
        }
        HirKind::Alternation(subs) => {
            let start = out.len();
            let mut whole = true;
            for (at, sub) in subs.iter().enumerate() {
                let mut other = Vec::new();
                whole &= walk_prefix(sub, &mut other);
                if at == 0 {
                    out.extend_from_slice(&other);
                    continue;
                }
                let shared = out[start..].iter().zip(&other).take_while(|(a, b)| a == b).count();
                whole &= start + shared == out.len() && shared == other.len();
                out.truncate(start + shared);
            }
            whole
        }
    }
}

/// `bytes` without a character cut at the end.
fn whole_chars(mut bytes: Vec<u8>) -> String {
    if let Err(error) = std::str::from_utf8(&bytes) {
        bytes.truncate(error.valid_up_to());
    }
    String::from_utf8(bytes).expect("cut to what is valid")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(pattern: &str) -> Hir {
        regex_syntax::parse(&format!("(?s:{pattern})")).expect("a test's pattern")
    }

    #[track_caller]
    fn check(pattern: &str, expected: &str, begins: &str) {
        let hir = parse(pattern);
        let found = match shape(&hir, pattern.len()) {
            Shape::Literals(texts) => texts.join("|"),
            Shape::Affix { prefix, suffix, middle_bytes_min } => {
                format!("{prefix} {middle_bytes_min} {suffix}")
            }
            Shape::Contains(text) => format!("contains {text}"),
            Shape::Other => "other".to_owned(),
        };
        assert_eq!((found.as_str(), prefix(&hir).as_str()), (expected, begins), "{pattern}");
    }

    #[test]
    fn shapes_are_found() {
        check("", "", "");
        check(".*", " 0 ", "");
        check("(.+)", " 1 ", "");
        check("^node.*$", "node 0 ", "node");
        check("node.+", "node 1 ", "node");
        check(".*(ms)", " 0 ms", "");
        check("a(.*)b", "a 0 b", "a");
        check(".*err.*", "contains err", "");
        check(".+err.*", "other", "");
        check("a[^b]*", "other", "a");
    }

    #[test]
    fn r1_literals_are_the_language() {
        check("foo|bar|ba[zx]", "bar|bax|baz|foo", "");
        check("a(b|c)d(e|f)", "abde|abdf|acde|acdf", "a");
        check("(?i)ab", "AB|Ab|aB|ab", "");
        check("pod-(a|ab)?", "pod-|pod-a|pod-ab", "pod-");
        check("x{3}|xx", "xx|xxx", "xx");
        check("(ab){2,}c", "other", "abab");
        check("[a&&b]", "", "");
        check("a|b*", "other", "");
        check(r"a\bc", "other", "ac");
        check("é|è", "è|é", "");
        check("[a-z]{4}", "other", "");
    }
}
