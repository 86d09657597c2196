//! Snappy's block format, as remote write and read have it.
//!
//! Never: makes more bytes than it may; the length that a body claims is looked at first.

use thiserror::Error;

/// Why a body is not read.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SnappyError {
    /// It is damaged, or no Snappy.
    #[error("snappy: {0}")]
    Damaged(String),
    /// It would be larger than it may.
    #[error("snappy: {bytes} bytes after inflating, at most {bytes_max} are read")]
    TooLarge {
        /// What it says of itself.
        bytes: usize,
        /// What is read.
        bytes_max: usize,
    },
}

/// Bytes that a body says it has after inflating.
///
/// # Errors
/// [`SnappyError::Damaged`].
pub fn inflated_bytes(body: &[u8]) -> Result<usize, SnappyError> {
    snap::raw::decompress_len(body).map_err(|error| SnappyError::Damaged(error.to_string()))
}

/// Inflates a body to at most `bytes_max` bytes.
///
/// # Errors
/// See [`SnappyError`].
pub fn inflate(body: &[u8], bytes_max: usize) -> Result<Vec<u8>, SnappyError> {
    let damaged = |error: snap::Error| SnappyError::Damaged(error.to_string());
    let bytes = snap::raw::decompress_len(body).map_err(damaged)?;
    if bytes_max < bytes {
        return Err(SnappyError::TooLarge { bytes, bytes_max });
    }
    snap::raw::Decoder::new().decompress_vec(body).map_err(damaged)
}

/// Deflates a body.
#[must_use]
pub fn deflate(body: &[u8]) -> Vec<u8> {
    let deflated = snap::raw::Encoder::new().compress_vec(body);
    deflated.expect("bodies are far below the 4 GiB of the format")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_read_back_within_their_bound() {
        let body = vec![7; 100_000];
        let deflated = deflate(&body);
        assert_eq!(inflate(&deflated, 100_000), Ok(body));
        let error = inflate(&deflated, 99_999).unwrap_err();
        assert_eq!(error, SnappyError::TooLarge { bytes: 100_000, bytes_max: 99_999 });
        assert!(matches!(inflate(b"\xff", 10), Err(SnappyError::Damaged(_))));
        assert!(matches!(inflate(&deflated[..9], 100_000), Err(SnappyError::Damaged(_))));
    }
}
