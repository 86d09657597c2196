//! Parameters: the form of a request, from its URL and from its body.
//!
//! Source: Go's `url.ParseQuery` and `http.Request.ParseForm`, whose leniency clients rely on:
//! a pair that cannot be read is left out, the body's pairs come before the URL's.

use std::borrow::Cow;

use model::time::TimestampMs;

use crate::failure::Failure;
use crate::timestamp::{parse_duration_nanos, parse_time};

/// Most pairs of one request that are looked at.
const PAIRS_MAX: usize = 10_000;

/// Decoded pairs in order.
#[derive(Clone, Debug, Default)]
pub struct Parameters {
    pairs: Vec<(String, String)>,
}

impl Parameters {
    /// Pairs of a form body, then those of the query string. More than 10,000 are cut.
    #[must_use]
    pub fn new(query: &str, form: &[u8]) -> Parameters {
        let parts = form.split(|byte| *byte == b'&').chain(query.as_bytes().split(|b| *b == b'&'));
        let pairs = parts.filter(|part| !part.is_empty()).filter_map(decode_pair);
        Parameters { pairs: pairs.take(PAIRS_MAX).collect() }
    }

    /// First value of `name`, "" when there is none.
    #[must_use]
    pub fn first(&self, name: &str) -> &str {
        self.pairs.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value)
    }

    /// All values of `name` in order.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.pairs.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The time that `name` gives, or `default` when it is absent.
    ///
    /// # Errors
    /// It is no time.
    pub fn time(&self, name: &str, default: TimestampMs) -> Result<TimestampMs, Failure> {
        match self.first(name) {
            "" => Ok(default),
            text => parse_time(text).map_err(|error| {
                Failure::parameter(name, format!("invalid time value for '{name}': {error}"))
            }),
        }
    }

    /// The time that `name` must give.
    ///
    /// # Errors
    /// It is absent or no time.
    pub fn required_time(&self, name: &str) -> Result<TimestampMs, Failure> {
        parse_time(self.first(name)).map_err(|error| Failure::parameter(name, error))
    }

    /// Nanoseconds of the duration that `name` gives; `None` when it is absent.
    ///
    /// # Errors
    /// It is no duration.
    pub fn duration_nanos(&self, name: &str) -> Result<Option<i64>, String> {
        match self.first(name) {
            "" => Ok(None),
            text => parse_duration_nanos(text).map(Some),
        }
    }

    /// The bound that `name` gives; 0 when it is absent: no bound.
    ///
    /// # Errors
    /// It is no number, or negative.
    pub fn limit(&self, name: &str) -> Result<usize, Failure> {
        let text = self.first(name);
        if text.is_empty() {
            return Ok(0);
        }
        let number = text.parse::<i64>().map_err(|_| {
            let quoted = model::label_name::quote(text);
            Failure::parameter(name, format!("strconv.Atoi: parsing {quoted}: invalid syntax"))
        })?;
        usize::try_from(number).map_err(|_| Failure::parameter(name, "limit must be non-negative"))
    }
}

/// A truth as Go's `strconv.ParseBool` reads it.
///
/// # Errors
/// It is none; the message is Go's.
pub fn parse_bool(text: &str) -> Result<bool, String> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        other => {
            let text = model::label_name::quote(other);
            Err(format!("strconv.ParseBool: parsing {text}: invalid syntax"))
        }
    }
}

fn decode_pair(pair: &[u8]) -> Option<(String, String)> {
    if pair.contains(&b';') {
        return None;
    }
    let at = pair.iter().position(|byte| *byte == b'=');
    let (name, value) = at.map_or((pair, &[][..]), |at| (&pair[..at], &pair[at + 1..]));
    Some((decode(name)?, decode(value)?))
}

/// Percent-decoded text, `+` as a space; bytes that are not UTF-8 become U+FFFD.
fn decode(encoded: &[u8]) -> Option<String> {
    let mut decoded = Vec::with_capacity(encoded.len());
    let mut at = 0;
    while at < encoded.len() {
        match encoded[at] {
            b'+' => decoded.push(b' '),
            b'%' => {
                let high = char::from(*encoded.get(at + 1)?).to_digit(16)?;
                let low = char::from(*encoded.get(at + 2)?).to_digit(16)?;
                decoded.push(u8::try_from(high * 16 + low).ok()?);
                at += 2;
            }
            byte => decoded.push(byte),
        }
        at += 1;
    }
    Some(match String::from_utf8_lossy(&decoded) {
        Cow::Borrowed(text) => text.to_owned(),
        Cow::Owned(text) => text,
    })
}

/// `segment` of a path, percent-decoded; `None` when it cannot be.
#[must_use]
pub fn decode_segment(segment: &str) -> Option<String> {
    decode(segment.replace('+', "%2B").as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(query: &str, form: &str, expected: &[(&str, &str)]) {
        let parameters = Parameters::new(query, form.as_bytes());
        let pairs: Vec<(&str, &str)> =
            parameters.pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(pairs, expected);
    }

    #[test]
    fn pairs_are_decoded_and_bad_ones_left_out() {
        check("query=up%7Bjob%3D%22a+b%22%7D", "", &[("query", "up{job=\"a b\"}")]);
        check("a=1&a=2&b", "", &[("a", "1"), ("a", "2"), ("b", "")]);
        check("a=%zz&b=%4&c=1;d=2&e=3&&", "", &[("e", "3")]);
        check("a=url", "a=body", &[("a", "body"), ("a", "url")]);
        check("a=%ff", "", &[("a", "\u{fffd}")]);
    }

    #[test]
    fn pairs_are_bounded() {
        let many = "a=1&".repeat(PAIRS_MAX + 1);
        assert_eq!(Parameters::new(&many, b"").pairs.len(), PAIRS_MAX);
    }

    #[test]
    fn limits_are_counts() {
        let limit = |query: &str| Parameters::new(query, b"").limit("limit");
        assert_eq!(limit(""), Ok(0));
        assert_eq!(limit("limit=10"), Ok(10));
        let negative = "invalid parameter \"limit\": limit must be non-negative";
        assert_eq!(limit("limit=-1"), Err(Failure::bad_data(negative)));
        let text = "invalid parameter \"limit\": strconv.Atoi: parsing \"x\": invalid syntax";
        assert_eq!(limit("limit=x"), Err(Failure::bad_data(text)));
    }
}
