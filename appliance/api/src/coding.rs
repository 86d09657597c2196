//! Coding: how the bytes of an answer are compressed, as its reader accepts it.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};
use hyper::header::{self, HeaderMap};

/// Level of zstd: its fastest compresses JSON better than gzip's, in a fraction of the time.
const ZSTD_LEVEL: i32 = 1;

/// A way to compress.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coding {
    /// gzip
    Gzip,
    /// zlib's frame around deflate
    Deflate,
    /// Zstandard
    Zstd,
}

impl Coding {
    /// Value of Content-Encoding.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Coding::Gzip => "gzip",
            Coding::Deflate => "deflate",
            Coding::Zstd => "zstd",
        }
    }

    /// The first that a request accepts, as upstream takes the first; none where it refuses all.
    #[must_use]
    pub fn accepted(headers: &HeaderMap) -> Option<Coding> {
        let values = headers.get_all(header::ACCEPT_ENCODING).iter();
        let listed = values.filter_map(|value| value.to_str().ok());
        listed.flat_map(|value| value.split(',')).find_map(|clause| {
            let mut parts = clause.split(';').map(str::trim);
            let name = parts.next()?.to_ascii_lowercase();
            let known = [Coding::Gzip, Coding::Deflate, Coding::Zstd];
            let coding = known.into_iter().find(|coding| coding.text() == name)?;
            let is_refused = parts.any(|weight| {
                let weight = weight.strip_prefix("q=").and_then(|q| q.parse::<f64>().ok());
                weight == Some(0.0)
            });
            (!is_refused).then_some(coding)
        })
    }
}

/// Compresses an answer as it is made.
pub enum Encoder {
    /// See [`Coding::Gzip`].
    Gzip(GzEncoder<Vec<u8>>),
    /// See [`Coding::Deflate`].
    Deflate(ZlibEncoder<Vec<u8>>),
    /// See [`Coding::Zstd`].
    Zstd(zstd::stream::write::Encoder<'static, Vec<u8>>),
}

impl Encoder {
    /// Encoder of one answer.
    #[must_use]
    pub fn new(coding: Coding) -> Encoder {
        let fast = Compression::fast();
        match coding {
            Coding::Gzip => Encoder::Gzip(GzEncoder::new(Vec::new(), fast)),
            Coding::Deflate => Encoder::Deflate(ZlibEncoder::new(Vec::new(), fast)),
            Coding::Zstd => {
                let encoder = zstd::stream::write::Encoder::new(Vec::new(), ZSTD_LEVEL);
                Encoder::Zstd(encoder.expect("the level is one of zstd's"))
            }
        }
    }

    /// Takes the next bytes; gives what is compressed once that is `bytes_min`.
    pub fn take(&mut self, plain: &[u8], bytes_min: usize) -> Option<Vec<u8>> {
        let made = match self {
            Encoder::Gzip(encoder) => encoder.write_all(plain).map(|()| encoder.get_mut()),
            Encoder::Deflate(encoder) => encoder.write_all(plain).map(|()| encoder.get_mut()),
            Encoder::Zstd(encoder) => encoder.write_all(plain).map(|()| encoder.get_mut()),
        };
        let made = made.expect("a vector takes every byte");
        (bytes_min <= made.len()).then(|| std::mem::take(made))
    }

    /// What is left.
    #[must_use]
    pub fn finish(self) -> Vec<u8> {
        let rest = match self {
            Encoder::Gzip(encoder) => encoder.finish(),
            Encoder::Deflate(encoder) => encoder.finish(),
            Encoder::Zstd(encoder) => encoder.finish(),
        };
        rest.expect("a vector takes every byte")
    }
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::*;

    #[track_caller]
    fn check(accepted: &'static str, expected: Option<Coding>) {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static(accepted));
        assert_eq!(Coding::accepted(&headers), expected, "{accepted}");
    }

    #[test]
    fn the_first_that_is_known_and_wanted_is_taken() {
        check("gzip, deflate, br, zstd", Some(Coding::Gzip));
        check("br, deflate;q=0, GZIP;q=0.5", Some(Coding::Gzip));
        check("deflate", Some(Coding::Deflate));
        check("zstd;q=1, gzip", Some(Coding::Zstd));
        check("identity", None);
        check("gzip;q=0.0", None);
        check("", None);
    }
}
