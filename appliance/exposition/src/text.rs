//! The general parser of text format 0.0.4, as Prometheus's scrapes understand it.
//!
//! Path: body → **text** → entries; `series` gives the labels of a series text.
//! Never: keeps anything of the body, guesses where upstream refuses.
//!
//! As upstream: a missing line end at the end of the body, a missing comma between labels and line
//! ends within label values are accepted; CRLF, values beyond the largest double, hexadecimal
//! floats, negative timestamps and text that is not UTF-8 in help and label values are refused.
//! Other than upstream: blanks before a series are no part of its name.

use model::time::TimestampMs;

use crate::entry::{Entry, Sample};
use crate::error::TextError;
use crate::lexer::Lexer;
use crate::metric_type::MetricType;
use crate::series::{NoParts, excerpt, series_parts, unescape, unescape_name, unexpected, value};
use crate::token::{Token, Tokens};

/// Entries of a body in order. After an error it is at its end.
#[derive(Clone, Debug)]
pub struct TextParser<'a> {
    lexer: Lexer<'a>,
    metric_type: MetricType,
    failed: bool,
}

impl<'a> TextParser<'a> {
    /// Entries of `body`.
    #[must_use]
    pub fn new(body: &'a [u8]) -> TextParser<'a> {
        TextParser::resume(body, 0, MetricType::Unknown)
    }

    /// Entries of `body` from byte `at` on, where a line begins below a `# TYPE` of `metric_type`.
    #[must_use]
    pub fn resume(body: &'a [u8], at: usize, metric_type: MetricType) -> TextParser<'a> {
        TextParser { lexer: Lexer::new(body, at.min(body.len())), metric_type, failed: false }
    }

    /// Byte behind the last entry and its line end.
    #[must_use]
    pub fn position(&self) -> usize {
        self.lexer.at
    }

    /// Type that the last `# TYPE` line declared.
    #[must_use]
    pub fn metric_type(&self) -> MetricType {
        self.metric_type
    }

    fn entry(&mut self) -> Result<Option<Entry<'a>>, TextError> {
        loop {
            match self.lexer.next_token() {
                Token::End => return Ok(None),
                Token::Linebreak => {}
                meta @ (Token::Help | Token::Type) => return self.meta(meta).map(Some),
                Token::Comment => return self.comment().map(Some),
                open @ (Token::BraceOpen | Token::MetricName) => {
                    return self.sample(open).map(Some);
                }
                other => {
                    return Err(unexpected(&self.lexer, "expected a valid start token", other));
                }
            }
        }
    }

    fn meta(&mut self, meta: Token) -> Result<Entry<'a>, TextError> {
        let token = self.lexer.next_token();
        if token != Token::MetricName {
            let wanted = format!("expected metric name after {}", meta.word());
            return Err(unexpected(&self.lexer, &wanted, token));
        }
        let name = unescape_name(self.lexer.token_text());
        let token = self.lexer.next_token();
        assert_eq!(token, Token::Text, "the rest of the line is text, whatever stands there");
        let start = self.lexer.start;
        let text = meta_text(self.lexer.token_text());
        let refused = |reason| Err(TextError::at(self.lexer.text, start, reason));
        let entry = if meta == Token::Type {
            let Some(metric_type) = MetricType::from_text(text) else {
                return refused(format!("invalid metric type {}", excerpt(text)));
            };
            self.metric_type = metric_type;
            Entry::Type { name, metric_type }
        } else {
            let Ok(help) = std::str::from_utf8(text) else {
                return refused(format!("help text {} is not a valid utf8 string", excerpt(text)));
            };
            Entry::Help { name, help: unescape(help, false) }
        };
        self.linebreak("linebreak expected after metadata")?;
        Ok(entry)
    }

    fn comment(&mut self) -> Result<Entry<'a>, TextError> {
        let text = self.lexer.token_text();
        self.linebreak("linebreak expected after comment")?;
        Ok(Entry::Comment { text })
    }

    fn linebreak(&mut self, wanted: &str) -> Result<(), TextError> {
        match self.lexer.next_token() {
            Token::Linebreak => Ok(()),
            other => Err(unexpected(&self.lexer, wanted, other)),
        }
    }

    fn sample(&mut self, opening: Token) -> Result<Entry<'a>, TextError> {
        let series_start = self.lexer.start;
        let (series_end, token) = series_parts(&mut self.lexer, opening, &mut NoParts)?;
        if token != Token::Value {
            return Err(unexpected(&self.lexer, "expected value after metric", token));
        }
        let value_start = self.lexer.start;
        let value = value(&self.lexer)?;
        let timestamp = match self.lexer.next_token() {
            Token::Linebreak => None,
            Token::Timestamp => {
                let timestamp = timestamp(&self.lexer)?;
                self.linebreak("expected next entry after timestamp")?;
                Some(timestamp)
            }
            other => {
                return Err(unexpected(&self.lexer, "expected timestamp or new record", other));
            }
        };
        Ok(Entry::Sample(Sample {
            series: &self.lexer.text[series_start..series_end],
            series_start,
            value_start,
            value,
            timestamp,
            metric_type: self.metric_type,
            exemplar: None,
            start: None,
        }))
    }
}

impl<'a> Iterator for TextParser<'a> {
    type Item = Result<Entry<'a>, TextError>;

    fn next(&mut self) -> Option<Result<Entry<'a>, TextError>> {
        if self.failed {
            return None;
        }
        let entry = self.entry().transpose();
        self.failed = matches!(entry, Some(Err(_)));
        entry
    }
}

fn timestamp(lexer: &Lexer<'_>) -> Result<TimestampMs, TextError> {
    let text = lexer.token_text();
    let parsed = std::str::from_utf8(text).ok().and_then(|text| text.parse::<i64>().ok());
    parsed.map(TimestampMs).ok_or_else(|| {
        let reason = format!("strconv.ParseInt: parsing {}: value out of range", excerpt(text));
        TextError::at(lexer.text, lexer.start, reason)
    })
}

/// The text of a metadata line: what stands behind the one byte that ends the name.
fn meta_text(text: &[u8]) -> &[u8] {
    let blank = text.iter().all(|byte| matches!(byte, b' ' | b'\t'));
    if blank { &[] } else { &text[1..] }
}

#[cfg(test)]
mod tests {
    use model::label_set::Builder;

    use super::*;
    use crate::series::parse_series;

    /// Entries of `body`, a line each; the error as the last.
    fn rendered(body: &str) -> String {
        let lines = TextParser::new(body.as_bytes()).map(|entry| match entry {
            Ok(Entry::Help { name, help }) => format!("help {name} {help:?}"),
            Ok(Entry::Type { name, metric_type }) => format!("type {name} {}", metric_type.text()),
            Ok(Entry::Comment { text }) => format!("comment {}", text.escape_ascii()),
            Ok(Entry::Sample(sample)) => {
                let mut labels = Builder::default();
                let at = sample.timestamp.map_or(String::new(), |at| format!(" @{at}"));
                let parsed = parse_series(sample.series, sample.metric_type, &mut labels);
                let labels = parsed.map_or_else(|e| e.to_string(), |()| labels.build().to_string());
                format!("{} {labels} {}{at}", sample.series.escape_ascii(), sample.value)
            }
            Ok(other) => format!("{other:?}"),
            Err(error) => format!("error {error}"),
        });
        lines.collect::<Vec<_>>().join("\n")
    }

    #[track_caller]
    fn check(body: &str, expected: &str) {
        assert_eq!(rendered(body), expected, "{body:?}");
    }

    #[test]
    fn samples_in_all_their_spellings() {
        check("up 1", r#"up {__name__="up"} 1"#);
        check(" \t up\t1 \t2000 \n\n", r#"up {__name__="up"} 1 @2000"#);
        check("a{}0", r#"a{} {__name__="a"} 0"#);
        check(
            "a { b = \"c\" d=\"\" , } -Inf",
            r#"a { b = \"c\" d=\"\" , } {__name__="a", b="c"} -inf"#,
        );
        check(
            r#"{"my.m", a="b", "x.y"="z"} 1"#,
            r#"{\"my.m\", a=\"b\", \"x.y\"=\"z\"} {__name__="my.m", a="b", "x.y"="z"} 1"#,
        );
        check(r#"{a="b","m"} 1"#, r#"{a=\"b\",\"m\"} {__name__="m", a="b"} 1"#);
        check(r#"a{b="\\\"\n\x"} 1"#, r#"a{b=\"\\\\\\\"\\n\\x\"} {__name__="a", b="\\\"\n\\x"} 1"#);
    }

    #[test]
    fn comments_help_and_type() {
        check("# HELP a  two\\n\\\\ \n", "help a \" two\\n\\\\ \"");
        check(
            "# HELP a\n#\tTYPE a counter\n#HELP\n# HELP",
            "help a \"\"\ntype a counter\ncomment #HELP\ncomment # HELP",
        );
        check("# HELP \"a.b\" c", "help a.b \"c\"");
        check("# TYPE a gouge", "error 1:9: invalid metric type \"gouge\"");
        check("\n# TYPE a counter\r\n", "error 2:9: invalid metric type \"counter\\r\"");
        check("# HELP #", "error 1:8: expected metric name after HELP, got \"#\" (\"INVALID\")");
    }

    #[test]
    fn bounds_get_float_form_below_their_type() {
        let body = concat!(
            "# TYPE h histogram\nh_bucket{le=\"1\",quantile=\"1\"} 1\n",
            "# TYPE s summary\ns{quantile=\"0\"} 1",
        );
        check(
            body,
            concat!(
                "type h histogram\n",
                "h_bucket{le=\\\"1\\\",quantile=\\\"1\\\"} ",
                "{__name__=\"h_bucket\", le=\"1.0\", quantile=\"1\"} 1\n",
                "type s summary\ns{quantile=\\\"0\\\"} {__name__=\"s\", quantile=\"0.0\"} 1",
            ),
        );
    }

    #[test]
    fn faults_have_upstream_s_words_and_their_place() {
        for (body, error) in [
            ("a", "1:2: expected value after metric, got \"\\n\" (\"INVALID\")"),
            ("a{b='c'} 1", "1:5: expected label value, got \"'\" (\"INVALID\")"),
            ("{\"a\", \"b = \"c\"}", "1:13: expected equal, got \"c\\\"\" (\"LNAME\")"),
            ("a{\"b\"} 1", "1:4: metric name already set"),
            ("{a=\"ok\"} 1", "1:1: metric name not set"),
            ("\n\na true", "3:3: strconv.ParseFloat: parsing \"true\": invalid syntax"),
            ("a 0x1p-3", "1:3: unsupported character in float"),
            ("a 1\r\n", "1:3: strconv.ParseFloat: parsing \"1\\r\": invalid syntax"),
            ("a 1 -2", "1:5: expected timestamp or new record, got \"-\" (\"INVALID\")"),
            ("a 0 1_2", "1:6: expected next entry after timestamp, got \"_\" (\"INVALID\")"),
            (
                "a 0 99999999999999999999",
                "1:5: strconv.ParseInt: parsing \"99999999999999999999\": value out of range",
            ),
            ("a{b\0=\"c\"} 1", "1:4: expected equal, got \"\\x00\" (\"INVALID\")"),
            ("\0", "1:1: expected a valid start token, got \"\\x00\" (\"INVALID\")"),
        ] {
            check(body, &format!("error {error}"));
        }
        let mut parser = TextParser::new(b"a{b=\"\xff\"} 1\nb 1");
        let error = parser.next().expect("one entry").expect_err("no UTF-8");
        assert_eq!(error.to_string(), "1:5: invalid UTF-8 label value: \"\\\"\\xff\\\"\"");
        assert_eq!(parser.next(), None);
    }

    #[test]
    fn series_that_are_no_label_set_are_refused() {
        for (series, error) in [
            ("a{b=\"1\",b=\"\"}", "1:9: label name \"b\" is not unique: invalid sample"),
            ("a{__name__=\"b\"}", "1:3: label name \"__name__\" is not unique: invalid sample"),
            ("{\"\"}", "1:3: invalid metric name or label names: \"{\\\"\\\"}\""),
            ("a{\"\"=\"b\"}", "1:4: invalid metric name or label names: \"a{\\\"\\\"=\\\"b\\\"}\""),
            ("a{} 1", "1:4: expected end of series, got \" 1\""),
        ] {
            let parsed =
                parse_series(series.as_bytes(), MetricType::Unknown, &mut Builder::default());
            assert_eq!(parsed.expect_err("refused").to_string(), error);
        }
    }
}
