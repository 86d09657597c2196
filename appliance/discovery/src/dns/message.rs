//! Message: a DNS question as bytes, and the records of an answer.
//!
//! Source: RFC 1035 section 4, RFC 2782 (SRV), RFC 3596 (AAAA), RFC 6891 (EDNS).
//! Never: trusts a length or a pointer of the answer.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Bytes of an answer over UDP that the question allows.
pub const ANSWER_BYTES_MAX: u16 = 4096;
/// Bytes of a name on the wire.
const NAME_BYTES_MAX: usize = 255;
/// Pointers that a name may be made of: each costs two bytes of the message.
const POINTERS_MAX: usize = 128;
const HEADER_BYTES: usize = 12;
const CLASS_INTERNET: u16 = 1;
const KIND_OPTIONS: u16 = 41;
const IS_ANSWER: u16 = 0x8000;
const IS_TRUNCATED: u16 = 0x0200;
const RECURSION_DESIRED: u16 = 0x0100;

/// Kind of records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// IPv4 addresses
    A,
    /// IPv6 addresses
    Aaaa,
    /// Mail servers
    Mx,
    /// Name servers
    Ns,
    /// Hosts and ports of a service
    Srv,
}

impl Kind {
    /// The kind of this name, in upper or lower case.
    #[must_use]
    pub fn find(name: &str) -> Option<Kind> {
        match name.to_ascii_uppercase().as_str() {
            "A" => Some(Kind::A),
            "AAAA" => Some(Kind::Aaaa),
            "MX" => Some(Kind::Mx),
            "NS" => Some(Kind::Ns),
            "SRV" => Some(Kind::Srv),
            _ => None,
        }
    }

    fn number(self) -> u16 {
        match self {
            Kind::A => 1,
            Kind::Ns => 2,
            Kind::Mx => 15,
            Kind::Aaaa => 28,
            Kind::Srv => 33,
        }
    }
}

/// One record of a kind that was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// A or AAAA
    Address(IpAddr),
    /// MX: the server, its last dot included.
    Mx(String),
    /// NS: the server, its last dot included.
    Ns(String),
    /// SRV
    Srv {
        /// The host, its last dot included.
        target: String,
        /// Its port.
        port: u16,
    },
}

/// What a server says.
#[derive(Debug, PartialEq, Eq)]
pub struct Answer {
    /// The response code: 0 is success, 3 that the name does not exist.
    pub code: u16,
    /// Whether records are missing because the answer was too long.
    pub is_truncated: bool,
    /// Records of the kind asked for.
    pub records: Vec<Record>,
}

/// The question for records of `kind` of `name`, which ends in a dot.
///
/// # Errors
/// The name cannot be asked for.
pub fn question(id: u16, name: &str, kind: Kind, has_options: bool) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::with_capacity(HEADER_BYTES + name.len() + 16);
    let options = u16::from(has_options);
    for word in [id, RECURSION_DESIRED, 1, 0, 0, options] {
        bytes.extend(word.to_be_bytes());
    }
    let fault = || format!("{name:?} is no name of the domain name system");
    for label in name.strip_suffix('.').unwrap_or(name).split('.') {
        let length = u8::try_from(label.len()).ok().filter(|length| (1..64).contains(length));
        bytes.push(length.ok_or_else(fault)?);
        bytes.extend(label.as_bytes());
    }
    bytes.push(0);
    if HEADER_BYTES + NAME_BYTES_MAX < bytes.len() {
        return Err(fault());
    }
    bytes.extend(kind.number().to_be_bytes());
    bytes.extend(CLASS_INTERNET.to_be_bytes());
    if has_options {
        // The root's name, the kind, the bytes we take, no flags, no options.
        bytes.push(0);
        bytes.extend(KIND_OPTIONS.to_be_bytes());
        bytes.extend(ANSWER_BYTES_MAX.to_be_bytes());
        bytes.extend([0; 6]);
    }
    Ok(bytes)
}

/// Reads the answer to a question; `None` when it is none to this one.
#[must_use]
pub fn answer(bytes: &[u8], id: u16, name: &str, kind: Kind) -> Option<Answer> {
    let mut reader = Reader { bytes, at: 0 };
    if reader.word()? != id {
        return None;
    }
    let flags = reader.word()?;
    let (questions, answers) = (reader.word()?, reader.word()?);
    reader.take(4)?;
    if flags & IS_ANSWER == 0 {
        return None;
    }
    for _ in 0..questions {
        let asked = reader.name()?;
        let is_ours = asked.eq_ignore_ascii_case(name) && reader.word()? == kind.number();
        reader.take(2)?;
        if !is_ours {
            return None;
        }
    }
    let is_truncated = flags & IS_TRUNCATED != 0;
    let mut records = Vec::new();
    for _ in 0..answers {
        match reader.record(kind) {
            Some(record) => records.extend(record),
            // A truncated answer is asked for again.
            None if is_truncated => break,
            None => return None,
        }
    }
    Some(Answer { code: flags & 0xf, is_truncated, records })
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let taken = self.bytes.get(self.at..self.at.checked_add(count)?)?;
        self.at += count;
        Some(taken)
    }

    fn word(&mut self) -> Option<u16> {
        Some(u16::from_be_bytes(self.take(2)?.try_into().ok()?))
    }

    /// The next record; `Some(None)` when it is of another kind, such as an alias.
    fn record(&mut self, kind: Kind) -> Option<Option<Record>> {
        self.name()?;
        let (found, class) = (self.word()?, self.word()?);
        self.take(4)?;
        let length = usize::from(self.word()?);
        let end = self.at.checked_add(length).filter(|end| *end <= self.bytes.len())?;
        let record = if found == kind.number() && class == CLASS_INTERNET {
            Some(self.content(kind)?)
        } else {
            None
        };
        if record.is_some() && self.at != end {
            return None;
        }
        self.at = end;
        Some(record)
    }

    fn content(&mut self, kind: Kind) -> Option<Record> {
        Some(match kind {
            Kind::A => {
                let octets: [u8; 4] = self.take(4)?.try_into().ok()?;
                Record::Address(IpAddr::V4(Ipv4Addr::from(octets)))
            }
            Kind::Aaaa => {
                let octets: [u8; 16] = self.take(16)?.try_into().ok()?;
                Record::Address(IpAddr::V6(Ipv6Addr::from(octets)))
            }
            Kind::Mx => {
                self.take(2)?;
                Record::Mx(self.name()?)
            }
            Kind::Ns => Record::Ns(self.name()?),
            Kind::Srv => {
                // Priority and weight.
                self.take(4)?;
                let port = self.word()?;
                Record::Srv { target: self.name()?, port }
            }
        })
    }

    /// A name, its last dot included; what is no plain character is escaped.
    fn name(&mut self) -> Option<String> {
        let mut name = String::new();
        let (mut at, mut length, mut pointers) = (self.at, 0, 0);
        // Where reading goes on: behind the first pointer.
        let mut after = None;
        loop {
            let size = usize::from(*self.bytes.get(at)?);
            at += 1;
            match size {
                0 => break,
                1..64 => {
                    length += size + 1;
                    if NAME_BYTES_MAX <= length {
                        return None;
                    }
                    write_label(&mut name, self.bytes.get(at..at + size)?);
                    at += size;
                }
                192.. => {
                    let low = usize::from(*self.bytes.get(at)?);
                    after.get_or_insert(at + 1);
                    at = (size & 63) << 8 | low;
                    pointers += 1;
                    if POINTERS_MAX < pointers {
                        return None;
                    }
                }
                _ => return None,
            }
        }
        self.at = after.unwrap_or(at);
        if name.is_empty() {
            name.push('.');
        }
        Some(name)
    }
}

fn write_label(name: &mut String, label: &[u8]) {
    for byte in label {
        match byte {
            b'.' | b'\\' | b'"' | b';' | b'(' | b')' | b'@' | b'$' => {
                name.push('\\');
                name.push(char::from(*byte));
            }
            b'!'..=b'~' => name.push(char::from(*byte)),
            other => {
                // Writing to a string cannot fail.
                let _ = write!(name, "\\{other:03}");
            }
        }
    }
    name.push('.');
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// An answer with these flags and records after the question for `a.b.`.
    fn message(kind: Kind, flags: u16, records: &[&[u8]]) -> Vec<u8> {
        let mut bytes = question(7, "a.b.", kind, false).unwrap();
        bytes[2..4].copy_from_slice(&flags.to_be_bytes());
        bytes[6..8].copy_from_slice(&u16::try_from(records.len()).unwrap().to_be_bytes());
        bytes.extend(records.concat());
        bytes
    }

    /// A record of `kind` about the name of the question, by pointer.
    fn record(kind: u16, content: &[u8]) -> Vec<u8> {
        let length = u16::try_from(content.len()).unwrap();
        let head = [0xc0, 12, 0, 0, 0, 1, 0, 0, 0, 60, 0, 0];
        let mut bytes = head.to_vec();
        bytes[2..4].copy_from_slice(&kind.to_be_bytes());
        bytes[10..12].copy_from_slice(&length.to_be_bytes());
        bytes.extend(content);
        bytes
    }

    #[test]
    fn records_are_read_with_compressed_names() {
        let srv = record(33, &[0, 1, 0, 2, 0x1f, 0x90, 1, b'x', 0xc0, 14]);
        let alias = record(5, &[0xc0, 12]);
        let bytes = message(Kind::Srv, 0x8180, &[&alias, &srv]);
        let expected = Record::Srv { target: "x.b.".to_owned(), port: 8080 };
        let found = answer(&bytes, 7, "A.b.", Kind::Srv).unwrap();
        assert_eq!((found.code, found.records), (0, vec![expected]));
    }

    #[test]
    fn another_answer_is_not_taken() {
        let bytes = message(Kind::A, 0x8183, &[]);
        assert_eq!(answer(&bytes, 7, "a.b.", Kind::A).map(|answer| answer.code), Some(3));
        assert_eq!(answer(&bytes, 8, "a.b.", Kind::A), None);
        assert_eq!(answer(&bytes, 7, "a.c.", Kind::A), None);
        assert_eq!(answer(&bytes, 7, "a.b.", Kind::Ns), None);
        assert_eq!(answer(&message(Kind::A, 0x0100, &[]), 7, "a.b.", Kind::A), None);
    }

    #[test]
    fn loops_and_lies_end() {
        // A name that is a pointer to itself: the record begins at byte 21.
        let circle = [0xc0, 21, 0, 2, 0, 1, 0, 0, 0, 1, 0, 2, 0xc0, 21];
        assert_eq!(answer(&message(Kind::Ns, 0x8180, &[&circle]), 7, "a.b.", Kind::Ns), None);
        let mut short = record(1, &[127, 0, 0, 1]);
        short[11] = 9;
        assert_eq!(answer(&message(Kind::A, 0x8180, &[&short]), 7, "a.b.", Kind::A), None);
        let cut = answer(&message(Kind::A, 0x8380, &[&short]), 7, "a.b.", Kind::A).unwrap();
        assert!(cut.is_truncated && cut.records.is_empty());
    }

    #[test]
    fn names_that_are_none_are_refused() {
        for name in ["", "a..b.", &"x".repeat(64), &"abc.".repeat(64)] {
            assert!(question(1, name, Kind::A, true).is_err(), "{name}");
        }
    }

    #[test]
    fn odd_bytes_of_names_are_escaped() {
        let mut shown = String::new();
        write_label(&mut shown, b"a.b\\ \x07z");
        assert_eq!(shown, "a\\.b\\\\\\032\\007z.");
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(
            tail in proptest::collection::vec(any::<u8>(), 0..200),
            count in 0u16..5,
        ) {
            for kind in [Kind::A, Kind::Aaaa, Kind::Mx, Kind::Ns, Kind::Srv] {
                let mut bytes = message(kind, 0x8180, &[&tail]);
                bytes[6..8].copy_from_slice(&count.to_be_bytes());
                let _ = answer(&bytes, 7, "a.b.", kind);
            }
        }
    }
}
