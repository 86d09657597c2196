//! Inflate: bodies of import as they come, piece by piece.

use std::io::Write as _;

use flate2::write::{GzDecoder, ZlibDecoder};
use hyper::header::{self, HeaderMap};

use crate::receive::text_of;

/// Bytes that are inflated at once: gzip makes at most a thousand times as many of them, 16 MiB.
pub const STEP_BYTES: usize = 16 << 10;

/// How a body is coded, and what is inflated of it so far.
pub enum Inflater {
    /// Not at all.
    Plain,
    /// gzip
    Gzip(GzDecoder<Vec<u8>>),
    /// zlib's frame around deflate
    Deflate(ZlibDecoder<Vec<u8>>),
    /// Zstandard
    Zstd(Box<zstd::stream::write::Decoder<'static, Vec<u8>>>),
}

impl Inflater {
    /// By the Content-Encoding of a request.
    ///
    /// # Errors
    /// It is not known.
    pub fn new(headers: &HeaderMap) -> Result<Inflater, String> {
        match text_of(headers, &header::CONTENT_ENCODING).to_ascii_lowercase().as_str() {
            "" | "identity" => Ok(Inflater::Plain),
            "gzip" => Ok(Inflater::Gzip(GzDecoder::new(Vec::new()))),
            "deflate" => Ok(Inflater::Deflate(ZlibDecoder::new(Vec::new()))),
            "zstd" => {
                let decoder = zstd::stream::write::Decoder::new(Vec::new());
                let decoder = decoder.map_err(|error| error.to_string())?;
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
        into.append(inflated);
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
        rest.map_err(|error| format!("inflate the body: {error}"))
    }
}
