//! Request line: the first line of a connection, made to what the HTTP library accepts.
//!
//! Path: bytes of `web`'s connection → **request_line** → hyper.
//! Never: looks past the first line: later requests come from libraries, which encode.
//!
//! `curl -g 'http://.../query?query=up{job="node"}'` sends its quotes as they are. Go's server
//! takes them, so scripts and runbooks rely on it; hyper answers 400 without a word.

/// Bytes that one byte may become.
pub const GROWTH_MAX: usize = 3;

/// Percent-encodes the first line as its bytes pass.
#[derive(Debug, Default)]
pub struct RequestLine {
    is_over: bool,
}

impl RequestLine {
    /// Whether the first line has passed: bytes need no more looking at.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.is_over
    }

    /// Appends `bytes`, the next of the connection, to `encoded`; at most [`GROWTH_MAX`] times as
    /// many.
    pub fn encode(&mut self, bytes: &[u8], encoded: &mut Vec<u8>) {
        let line = bytes.iter().position(|byte| *byte == b'\n').map_or(bytes.len(), |at| at + 1);
        let (line, rest) = bytes.split_at(if self.is_over { 0 } else { line });
        for byte in line {
            match byte {
                b'"' => encoded.extend_from_slice(b"%22"),
                b'<' => encoded.extend_from_slice(b"%3C"),
                b'>' => encoded.extend_from_slice(b"%3E"),
                byte => encoded.push(*byte),
            }
        }
        encoded.extend_from_slice(rest);
        self.is_over |= line.ends_with(b"\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Passes `text` in pieces of `piece` bytes.
    fn encoded(text: &str, piece: usize) -> String {
        let mut line = RequestLine::default();
        let mut encoded = Vec::new();
        for bytes in text.as_bytes().chunks(piece) {
            line.encode(bytes, &mut encoded);
        }
        String::from_utf8(encoded).expect("ASCII stays ASCII")
    }

    #[track_caller]
    fn check(text: &str, expected: &str) {
        for piece in 1..=text.len() {
            assert_eq!(encoded(text, piece), expected, "in pieces of {piece}");
        }
    }

    #[test]
    fn quotes_and_brackets_of_the_first_line_are_encoded() {
        check(
            "GET /q?query=up{job=\"a\"}<1>0 HTTP/1.1\r\nX: \"<>\"\r\n\r\n",
            "GET /q?query=up{job=%22a%22}%3C1%3E0 HTTP/1.1\r\nX: \"<>\"\r\n\r\n",
        );
    }

    #[test]
    fn later_requests_pass_as_they_are() {
        let two = "GET /a HTTP/1.1\r\n\r\nGET /b?x=\" HTTP/1.1\r\n\r\n";
        check(two, two);
    }

    #[test]
    fn a_line_that_does_not_end_passes_whole() {
        check("GET /\"", "GET /%22");
    }
}
