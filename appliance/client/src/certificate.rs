//! Certificate: the few facts of an X.509 certificate that its verification does not give.
//!
//! Never: decides about trust; a certificate that does not parse has no facts.

use std::net::IpAddr;

/// Tags of the encoding (X.690).
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const OBJECT: u8 = 0x06;
const VERSION: u8 = 0xa0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
/// `id-at-commonName`, 2.5.4.3.
const COMMON_NAME: [u8; 3] = [0x55, 0x04, 0x03];

/// What a certificate says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Second from which it is valid.
    pub not_before: i64,
    /// Last second in which it is valid.
    pub not_after: i64,
    /// The common name of its subject, "" when there is none.
    pub common_name: String,
}

impl Facts {
    /// The facts of a certificate in DER.
    #[must_use]
    pub fn read(der: &[u8]) -> Option<Facts> {
        let (certificate, _) = element(der, SEQUENCE)?;
        let (mut body, _) = element(certificate, SEQUENCE)?;
        if body.first() == Some(&VERSION) {
            (_, body) = element(body, VERSION)?;
        }
        // Serial number, algorithm and issuer.
        for _ in 0..3 {
            body = any_element(body)?.2;
        }
        let (validity, body) = element(body, SEQUENCE)?;
        let (not_before, rest) = time(validity)?;
        let (not_after, _) = time(rest)?;
        let (subject, _) = element(body, SEQUENCE)?;
        let common_name = subject_name(subject).unwrap_or_default();
        Some(Facts { not_before, not_after, common_name })
    }
}

/// Whether Go takes `name` for the name of a host.
#[must_use]
pub fn is_host_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_*".contains(&byte);
    name.parse::<IpAddr>().is_err()
        && !name.is_empty()
        && name.split('.').all(|part| !part.is_empty() && part.bytes().all(plain))
}

/// `2006-01-02T15:04:05Z` of a second since 1970.
#[must_use]
pub fn date_text(seconds: i64) -> String {
    let (day, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let (year, month, day) = civil(day);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// Content of the first element, which must have this tag, and what follows it.
fn element(bytes: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (found, content, rest) = any_element(bytes)?;
    (found == tag).then_some((content, rest))
}

/// Tag and content of the first element, and what follows it.
fn any_element(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (tag, rest) = bytes.split_first()?;
    let (first, mut rest) = rest.split_first()?;
    let mut length = usize::from(*first);
    if 0x80 <= *first {
        let count = usize::from(first & 0x7f);
        if !(1..=4).contains(&count) || rest.len() < count {
            return None;
        }
        let (digits, after) = rest.split_at(count);
        length = digits.iter().fold(0, |length, digit| length << 8 | usize::from(*digit));
        rest = after;
    }
    (length <= rest.len()).then(|| {
        let (content, rest) = rest.split_at(length);
        (*tag, content, rest)
    })
}

fn subject_name(mut names: &[u8]) -> Option<String> {
    while !names.is_empty() {
        let (set, rest) = element(names, SET)?;
        let (pair, _) = element(set, SEQUENCE)?;
        let (object, value) = element(pair, OBJECT)?;
        if object == COMMON_NAME {
            return Some(String::from_utf8_lossy(any_element(value)?.1).into_owned());
        }
        names = rest;
    }
    None
}

/// The seconds of a time, and what follows it.
fn time(bytes: &[u8]) -> Option<(i64, &[u8])> {
    let (tag, content, rest) = any_element(bytes)?;
    let text = std::str::from_utf8(content).ok()?.strip_suffix('Z')?;
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let (year, rest_text) = match tag {
        UTC_TIME if text.len() == 12 => {
            let year: i64 = text[..2].parse().ok()?;
            (year + if year < 50 { 2000 } else { 1900 }, &text[2..])
        }
        GENERALIZED_TIME if text.len() == 14 => (text[..4].parse().ok()?, &text[4..]),
        _ => return None,
    };
    let part = |at: usize| rest_text[at..at + 2].parse::<i64>().ok();
    let (month, day) = (part(0)?, part(2)?);
    let seconds = part(4)? * 3600 + part(6)? * 60 + part(8)?;
    Some((days(year, month, day) * 86_400 + seconds, rest))
}

/// Days from 1970 to a date of the Gregorian calendar (Howard Hinnant's `days_from_civil`).
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// The reverse of [`days`].
fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (year + era * 400 + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_gregorian() {
        assert_eq!(date_text(0), "1970-01-01T00:00:00Z");
        assert_eq!(date_text(951_827_696), "2000-02-29T12:34:56Z");
        assert_eq!(date_text(-1), "1969-12-31T23:59:59Z");
        for day in (-200_000..200_000).step_by(37) {
            let (year, month, of_month) = civil(day);
            assert_eq!(days(year, month, of_month), day);
        }
    }

    #[test]
    fn facts_are_those_that_were_written() {
        let mut parameters = rcgen::CertificateParams::new(vec!["x".to_owned()]).unwrap();
        parameters.not_before = rcgen::date_time_ymd(2020, 1, 2);
        parameters.not_after = rcgen::date_time_ymd(2060, 3, 4);
        parameters.distinguished_name.push(rcgen::DnType::CommonName, "host.example");
        let key = rcgen::KeyPair::generate().unwrap();
        let made = parameters.self_signed(&key).unwrap();
        let facts = Facts::read(made.der()).unwrap();
        assert_eq!(date_text(facts.not_before), "2020-01-02T00:00:00Z");
        assert_eq!(date_text(facts.not_after), "2060-03-04T00:00:00Z");
        assert_eq!(facts.common_name, "host.example");
        for end in 0..made.der().len() {
            // Cut anywhere, it has the same facts or none.
            assert!(Facts::read(&made.der()[..end]).is_none_or(|cut| cut == facts));
        }
    }

    #[test]
    fn host_names_are_told_from_other_texts() {
        assert!(is_host_name("a.example") && is_host_name("*.a") && is_host_name("localhost"));
        assert!(!is_host_name("") && !is_host_name("My CA") && !is_host_name("10.0.0.1"));
    }
}
