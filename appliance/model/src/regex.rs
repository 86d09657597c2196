//! Regular expressions with the meaning of Go's regexp package (RE2), anchored at both ends.
//!
//! Path: matchers, relabelling → **regex** → `regex` crate, behind our own reader of the pattern.
//! Never: gives the pattern as the user wrote it to the `regex` crate, whose notation differs.
//!
//! Most patterns of dashboards and rules need no regex engine: a set of literals, `prefix.*`,
//! `.*suffix` and `.*text.*` are compared as text.
//!
//! Invariants
//! - R2: a short cut, the prefix and the literals agree with the pattern as the engine runs it.

mod class;
mod rewrite;
mod shape;
mod template;

use std::borrow::Cow;

use memchr::memmem::Finder;
use thiserror::Error;

use self::rewrite::rewrite;
use self::shape::Shape;

/// Bytes that a compiled pattern may take, the `regex` crate's own default; what it refuses, such
/// as `\pL{1000}`, Go would compile.
const COMPILED_BYTES_MAX: usize = 10 << 20;
/// Sizes that a pattern is tried in, the smallest first, so that the size is known that it fits.
const COMPILED_BYTES_TRIED: [usize; 3] = [64 << 10, 1 << 20, COMPILED_BYTES_MAX];
/// Nesting the `regex` crate may meet: four levels for each of ours.
const NEST_MAX: u32 = 1000;

/// A pattern that Go refuses, or that is too large to compile.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("error parsing regexp: {reason}")]
pub struct RegexError {
    /// What is wrong, in the words of Go's regexp package where they are known.
    pub reason: String,
}

/// A compiled pattern, anchored at both ends as matchers and relabelling use it.
#[derive(Clone, Debug)]
pub struct GoRegex {
    shape: Shape,
    /// Set when the shape is `Contains`.
    finder: Option<Finder<'static>>,
    /// Set when no short cut applies, or there are groups to expand.
    regex: Option<regex::Regex>,
    /// Bytes that `regex` fits in.
    compiled_bytes: usize,
    /// Names of the groups, "" for one without name; group 0 is the whole.
    names: Vec<String>,
    prefix: String,
}

/// The compiled pattern and the size that it fits in; `None` when it fits in none.
fn compile(whole: &str) -> Option<(usize, regex::Regex)> {
    COMPILED_BYTES_TRIED.into_iter().find_map(|bytes| {
        let mut builder = regex::RegexBuilder::new(whole);
        builder.size_limit(bytes).nest_limit(NEST_MAX);
        Some((bytes, builder.build().ok()?))
    })
}

impl GoRegex {
    /// Compiles `^(?s:pattern)$`.
    ///
    /// # Errors
    /// The pattern is none that Go accepts, or too large.
    pub fn anchored(pattern: &str) -> Result<GoRegex, RegexError> {
        let rewritten =
            rewrite(pattern).map_err(|error| RegexError { reason: error.to_string() })?;
        let whole = format!(r"\A(?s:{})\z", rewritten.text);
        let too_large = || RegexError { reason: format!("expression too large: `{pattern}`") };
        let mut parser = regex_syntax::ParserBuilder::new()
            .nest_limit(NEST_MAX)
            .dot_matches_new_line(true)
            .build();
        let hir = parser.parse(&rewritten.text).map_err(|_| too_large())?;
        let shape = shape::shape(&hir, pattern.len());
        let groups = 1 < rewritten.names.len();
        let regex = if groups || shape == Shape::Other {
            Some(compile(&whole).ok_or_else(too_large)?)
        } else {
            None
        };
        let (compiled_bytes, regex) = regex.unzip();
        let compiled_bytes = compiled_bytes.unwrap_or(0);
        let finder = match &shape {
            Shape::Contains(text) => Some(Finder::new(text.as_bytes()).into_owned()),
            _ => None,
        };
        let prefix = shape::prefix(&hir);
        if let Shape::Literals(literals) = &shape {
            let begin = literals.iter().all(|literal| literal.starts_with(&prefix));
            assert!(begin, "R2: every literal of {pattern} begins with {prefix}");
        }
        Ok(GoRegex { shape, finder, regex, compiled_bytes, names: rewritten.names, prefix })
    }

    /// Bytes that the compiled pattern fits in: an upper bound, 0 where none had to be compiled.
    #[must_use]
    pub fn compiled_bytes(&self) -> usize {
        self.compiled_bytes
    }

    /// Whether the whole of `text` matches.
    #[must_use]
    pub fn is_match(&self, text: &str) -> bool {
        match (&self.shape, &self.finder, &self.regex) {
            (Shape::Literals(literals), _, _) => {
                literals.binary_search_by(|literal| literal.as_str().cmp(text)).is_ok()
            }
            (Shape::Affix { prefix, suffix, middle_bytes_min }, _, _) => {
                prefix.len() + middle_bytes_min + suffix.len() <= text.len()
                    // An empty String points nowhere, and comparing no bytes there takes 150 ns
                    // with the masked loads of AVX-512 (measured on AMD Zen 4); so it is not tried.
                    && (prefix.is_empty() || text.starts_with(prefix.as_str()))
                    && (suffix.is_empty() || text.ends_with(suffix.as_str()))
            }
            (Shape::Contains(_), Some(finder), _) => finder.find(text.as_bytes()).is_some(),
            (_, _, Some(regex)) => regex.is_match(text),
            (_, _, None) => unreachable!("a pattern without short cut is compiled"),
        }
    }

    /// `template` with `$1`, `${name}` replaced by the groups of the match, as Go's `Expand`:
    /// `$1x` is the group named `1x`, unknown groups are empty, `$$` is a dollar; `None` when
    /// `text` does not match.
    #[must_use]
    pub fn expand(&self, text: &str, template: &str) -> Option<String> {
        let Some(regex) = &self.regex else {
            let whole = |number| (number == 0).then_some(Cow::Borrowed(text));
            return self.is_match(text).then(|| template::expand(template, whole, |_| None));
        };
        let captures = regex.captures(text)?;
        let group = |number| captures.get(number).map(|found| Cow::Borrowed(found.as_str()));
        // Two groups may share a name: Go takes the first that took part in the match.
        let named = |name: &str| {
            let numbers = self.names.iter().enumerate().filter(|(_, group)| *group == name);
            numbers.filter_map(|(number, _)| group(number)).next()
        };
        Some(template::expand(template, group, named))
    }

    /// The finite set of texts that match, when the pattern is one (`a|b|c`, `ba[zx]`); sorted.
    #[must_use]
    pub fn literals(&self) -> Option<&[String]> {
        match &self.shape {
            Shape::Literals(literals) => Some(literals),
            _ => None,
        }
    }

    /// Text with which every match begins; "" when none is known.
    #[must_use]
    pub fn prefix(&self) -> &str {
        &self.prefix
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check_match(pattern: &str, matching: &[&str], other: &[&str]) {
        let regex = GoRegex::anchored(pattern).expect(pattern);
        for text in matching {
            assert!(regex.is_match(text), "{pattern} matches {text:?}");
        }
        for text in other {
            assert!(!regex.is_match(text), "{pattern} does not match {text:?}");
        }
    }

    #[track_caller]
    fn check_refused(pattern: &str, reason: &str) {
        let error = GoRegex::anchored(pattern).expect_err(pattern);
        assert_eq!(error.reason, reason);
    }

    #[test]
    fn what_the_regex_crate_refuses_is_accepted() {
        check_match(r"\Qa.b\Ec", &["a.bc"], &["axbc"]);
        check_match(r"\Qa.b", &["a.b"], &["axb"]);
        check_match(r"\07|\0|\101", &["\u{7}", "\0", "A"], &["7"]);
        check_match("a{,2}|{|x{a}", &["a{,2}", "{", "x{a}"], &["aa"]);
        check_match("(?s-s:a.b)", &["axb"], &["a\nb"]);
        check_match(r"\<a\_", &["<a_"], &["a_"]);
        check_match("a*(?i)*b", &["aab", "B"], &["c"]);
    }

    #[test]
    fn what_differs_has_the_meaning_of_go() {
        check_match(r"\d\w\s", &["1a "], &["\u{661}a ", "1\u{e9} ", "1a\u{a0}", "1a\u{b}"]);
        check_match(r"a\b.*", &["a", "a b", "a\u{e9}"], &["ab"]);
        check_match("[a&&b]", &["a", "&", "b"], &["c"]);
        check_match("[a[b]", &["a", "[", "b"], &["]"]);
        check_match("[a~~b]", &["~"], &["c"]);
        check_match("[[:word:]é]+", &["a_é"], &["-"]);
        check_match("(?i)stra\u{df}e|\\x{212a}", &["STRA\u{1e9e}E", "k", "K"], &["STRASSE"]);
        check_match(".", &["\n", "\u{1f600}"], &["", "ab"]);
        check_match("a # b", &["a # b"], &["a"]);
        check_match("(?U)a+(a*)", &["aaa"], &["b"]);
        check_match("(?m)a$.^b", &["a\nb"], &["ab"]);
        check_match(r"\pL\p{^Greek}\P{Lu}[\p{Nd}\D]", &["axb1", "axbc"], &["a\u{3b1}b1", "axB1"]);
        check_match(r"\x{D800}|a", &["a"], &["\u{fffd}"]);
    }

    #[test]
    fn refusals_have_the_words_of_go() {
        check_refused("[a", "missing closing ]: `[a`");
        check_refused("a**", "invalid nested repetition operator: `**`");
        check_refused("a{2}*?", "invalid nested repetition operator: `{2}*?`");
        check_refused("a{1001}", "invalid repeat count: `{1001}`");
        check_refused("a{99999999999}", "invalid repeat count: `{99999999999}`");
        check_refused("a{3,2}", "invalid repeat count: `{3,2}`");
        check_refused("((a{10}){10}){11}", "invalid repeat count: `{11}`");
        check_refused("(?x)a", "invalid or unsupported Perl syntax: `(?x`");
        check_refused("(?i", "invalid or unsupported Perl syntax: `(?i`");
        check_refused("(?i-)", "invalid or unsupported Perl syntax: `(?i-)`");
        check_refused("(?=a)", "invalid or unsupported Perl syntax: `(?=`");
        check_refused(r"\u0041", r"invalid escape sequence: `\u`");
        check_refused(r"\8", r"invalid escape sequence: `\8`");
        check_refused(r"a\", "trailing backslash at end of expression: ``");
        check_refused("(a", "missing closing ): `(a`");
        check_refused("a)", "unexpected ): `a)`");
        check_refused("*a", "missing argument to repetition operator: `*`");
        check_refused("a|*?", "missing argument to repetition operator: `*?`");
        check_refused("[z-a]", "invalid character class range: `z-a`");
        check_refused("[[:foo:]]", "invalid character class range: `[:foo:]`");
        check_refused(r"\p{Foo}", r"invalid character class range: `\p{Foo}`");
        check_refused("(?P<a-b>c)", "invalid named capture: `(?P<a-b>`");
        check_refused("(?P<a", "invalid named capture: `(?P<a`");
    }

    #[test]
    fn templates_see_the_groups() {
        let regex = GoRegex::anchored("(?P<host>[^:]+):(\\d+)?").expect("valid");
        assert_eq!(regex.expand("db1:90", "$host-${2}x$1x").as_deref(), Some("db1-90x"));
        assert_eq!(regex.expand("db1:", "[$2$3$9]").as_deref(), Some("[]"));
        assert_eq!(regex.expand("db1", "$1"), None);
        let plain = GoRegex::anchored("a|b").expect("valid");
        assert_eq!(plain.expand("b", "<$0$1>").as_deref(), Some("<b>"));
        let default = GoRegex::anchored("(.*)").expect("valid");
        assert_eq!(default.expand("x\ny", "$1").as_deref(), Some("x\ny"));
        let dropped = GoRegex::anchored("(a){0}(b)").expect("valid");
        assert_eq!(dropped.expand("b", "<$1$2>").as_deref(), Some("<b>"));
        let nested = GoRegex::anchored("(?:a+(?i))?(a*)").expect("valid");
        assert_eq!(nested.expand("aa", "<$1>").as_deref(), Some("<>"));
    }

    /// Patterns that Go and the `regex` crate read alike, over a small alphabet.
    fn shared_pattern() -> impl Strategy<Value = String> {
        let atom = prop_oneof![
            "[abé]{1,3}",
            Just(".".to_owned()),
            Just("[ab]".to_owned()),
            Just("[^a]".to_owned()),
            Just(".*".to_owned()),
            Just(".+".to_owned()),
            Just("(?i:b)".to_owned()),
            Just("^".to_owned()),
            Just("$".to_owned()),
        ];
        atom.prop_recursive(4, 24, 4, |inner| {
            let list = prop::collection::vec(inner.clone(), 1..4);
            prop_oneof![
                list.clone().prop_map(|parts| parts.concat()),
                list.prop_map(|parts| format!("({})", parts.join("|"))),
                (inner, "[*+?]|[{][0-3][}]|[{]1,2[}]")
                    .prop_map(|(part, repeat)| format!("(?:{part}){repeat}")),
            ]
        })
    }

    fn text() -> impl Strategy<Value = String> {
        "[abBAé\n]{0,8}"
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn r2_short_cuts_agree_with_the_plain_regex(
            pattern in shared_pattern(),
            texts in prop::collection::vec(text(), 8),
        ) {
            let ours = GoRegex::anchored(&pattern).expect("a valid pattern");
            let plain = regex::Regex::new(&format!("^(?s:{pattern})$")).expect("a valid pattern");
            let literals = ours.literals().unwrap_or_default();
            for text in texts.iter().chain(literals) {
                prop_assert_eq!(ours.is_match(text), plain.is_match(text), "R2: {:?}", text);
                let begins = text.starts_with(ours.prefix());
                prop_assert!(begins || !plain.is_match(text), "R2: prefix {:?}", ours.prefix());
                let listed = literals.contains(text);
                let finite = ours.literals().is_some();
                prop_assert!(!finite || listed == plain.is_match(text), "R2: literal {:?}", text);
                let expected = plain.captures(text).map(|groups| {
                    let group = |at: usize| groups.get(at).map_or("", |group| group.as_str());
                    format!("{}-{}", group(0), group(1))
                });
                prop_assert_eq!(ours.expand(text, "$0-$1"), expected, "R2: {:?}", text);
            }
        }

        #[test]
        fn any_pattern_is_read_without_panic(
            pattern in concat!(
                r"([ab.*+?|(){}\[\]^$\\é:<>!=-]|\\[pPdDxQEbAz0-9]",
                r"|\(\?[imsUP<:-]|[0-9,]){0,16}",
            ),
        ) {
            if let Ok(regex) = GoRegex::anchored(&pattern) {
                let _ = (regex.is_match("ab"), regex.expand("a", "$1"));
            }
        }
    }
}
