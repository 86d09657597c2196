//! Comparing with what was predicted, written so that the compiler makes vector code of it.

/// Bytes that one step of the comparison takes.
const BLOCK: usize = 32;

/// Whether `text` begins with `prefix`.
#[must_use]
#[inline]
pub fn starts_with(text: &[u8], prefix: &[u8]) -> bool {
    let Some(text) = text.get(..prefix.len()) else { return false };
    let (Some(text_tail), Some(prefix_tail)) =
        (text.last_chunk::<BLOCK>(), prefix.last_chunk::<BLOCK>())
    else {
        return text == prefix;
    };
    let (text_blocks, _) = text.as_chunks::<BLOCK>();
    let (prefix_blocks, _) = prefix.as_chunks::<BLOCK>();
    for (a, b) in text_blocks.iter().zip(prefix_blocks) {
        if a != b {
            return false;
        }
    }
    text_tail == prefix_tail
}
