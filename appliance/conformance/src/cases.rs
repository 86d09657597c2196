//! Reads the case files: `{"note", "cases"}` in JSON.

use std::path::Path;

use anyhow::{Context, Result};
use serde::Deserialize;
use serde::de::DeserializeOwned;

#[derive(Deserialize)]
struct CaseFile<Case> {
    cases: Vec<Case>,
}

/// The cases of `file` below `directory`.
///
/// # Errors
/// The file is not there or not of the expected form.
pub fn read<Case: DeserializeOwned>(directory: &Path, file: &str) -> Result<Vec<Case>> {
    let path = directory.join(file);
    let text =
        std::fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
    let file: CaseFile<Case> =
        serde_json::from_str(&text).with_context(|| format!("parse {}", path.display()))?;
    Ok(file.cases)
}

/// A text of a case, which JSON may have to carry as base64 where it is no UTF-8.
#[derive(Deserialize)]
#[serde(untagged)]
pub enum CaseText {
    /// As it is.
    Plain(String),
    /// Bytes in base64.
    Encoded {
        /// The base64 text.
        b64: String,
    },
}

impl CaseText {
    /// The bytes meant.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        match self {
            CaseText::Plain(text) => text.clone().into_bytes(),
            CaseText::Encoded { b64 } => decode_base64(b64),
        }
    }
}

fn decode_base64(text: &str) -> Vec<u8> {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut bytes = Vec::new();
    let (mut bits, mut count) = (0u32, 0);
    for byte in text.bytes() {
        let Some(six) = ALPHABET.iter().position(|letter| *letter == byte) else { break };
        bits = (bits << 6 | u32::try_from(six).expect("64 letters")) & 0xffff;
        count += 6;
        if 8 <= count {
            count -= 8;
            bytes.push(u8::try_from(bits >> count & 0xff).expect("masked to a byte"));
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_decoded() {
        assert_eq!(decode_base64("c29tZV8i/yJ9"), b"some_\"\xff\"}");
        assert_eq!(decode_base64("YQ=="), b"a");
    }
}
