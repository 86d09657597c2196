//! Inflate: bodies of import as they come, piece by piece.

use std::io::{self, Write};

use flate2::write::{GzDecoder, ZlibDecoder};
use hyper::header::{self, HeaderMap};

use crate::receive::text_of;

/// Bytes that are inflated at once, and most that they may become: a thousand times as many is all
/// that gzip can make, and zstd of text; a few bytes of zstd can be 128 KiB.
pub const STEP_BYTES: usize = 16 << 10;
const STEP_INFLATED_MAX: usize = 32 << 20;
/// Logarithm of the bytes that a zstd stream may look back: 8 MiB, as its own levels up to 19 do.
const WINDOW_LOG_MAX: u32 = 23;

/// Inflated bytes, so many at most.
#[derive(Debug, Default)]
pub struct Inflated(Vec<u8>);

impl Write for Inflated {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if STEP_INFLATED_MAX - self.0.len() < bytes.len() {
            let text = format!("a few bytes become more than {STEP_INFLATED_MAX} bytes");
            return Err(io::Error::other(text));
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// How a body is coded, and what is inflated of it so far.
pub enum Inflater {
    /// Not at all.
    Plain,
    /// gzip
    Gzip(GzDecoder<Inflated>),
    /// zlib's frame around deflate
    Deflate(ZlibDecoder<Inflated>),
    /// Zstandard
    Zstd(Box<zstd::stream::write::Decoder<'static, Inflated>>),
}

impl Inflater {
    /// By the Content-Encoding of a request.
    ///
    /// # Errors
    /// It is not known.
    pub fn new(headers: &HeaderMap) -> Result<Inflater, String> {
        match text_of(headers, &header::CONTENT_ENCODING).to_ascii_lowercase().as_str() {
            "" | "identity" => Ok(Inflater::Plain),
            "gzip" => Ok(Inflater::Gzip(GzDecoder::new(Inflated::default()))),
            "deflate" => Ok(Inflater::Deflate(ZlibDecoder::new(Inflated::default()))),
            "zstd" => {
                let decoder = zstd::stream::write::Decoder::new(Inflated::default());
                let mut decoder = decoder.map_err(|error| error.to_string())?;
                decoder.window_log_max(WINDOW_LOG_MAX).map_err(|error| error.to_string())?;
                Ok(Inflater::Zstd(Box::new(decoder)))
            }
            other => Err(format!(
                "content encoding {other:?} is not read; gzip, deflate, zstd and none are"
            )),
        }
    }

    /// Appends what `bytes` inflate to.
    ///
    /// # Errors
    /// They do not.
    pub fn take(&mut self, bytes: &[u8], into: &mut Vec<u8>) -> Result<(), String> {
        let inflated = match self {
            Inflater::Plain => {
                into.extend_from_slice(bytes);
                return Ok(());
            }
            Inflater::Gzip(decoder) => decoder.write_all(bytes).map(|()| decoder.get_mut()),
            Inflater::Deflate(decoder) => decoder.write_all(bytes).map(|()| decoder.get_mut()),
            Inflater::Zstd(decoder) => decoder.write_all(bytes).map(|()| decoder.get_mut()),
        };
        let inflated = inflated.map_err(|error| format!("inflate the body: {error}"))?;
        into.append(&mut inflated.0);
        Ok(())
    }

    /// What is left at the end of the body.
    ///
    /// # Errors
    /// It is cut short.
    pub fn finish(self) -> Result<Vec<u8>, String> {
        let rest = match self {
            Inflater::Plain => return Ok(Vec::new()),
            Inflater::Gzip(decoder) => decoder.finish(),
            Inflater::Deflate(decoder) => decoder.finish(),
            Inflater::Zstd(mut decoder) => {
                decoder.flush().map(|()| std::mem::take(decoder.get_mut()))
            }
        };
        rest.map(|rest| rest.0).map_err(|error| format!("inflate the body: {error}"))
    }
}
