//! Symbols: label names and values of a block, sorted, with shared beginnings left out.
//!
//! Path: `block::writer` → **symbols** → `block::reader`.
//! Never: panics on what it reads.
//! Format: docs/format/block.md, version 1.

use crate::varint::{Cursor, put, put_bytes};

/// Appends `text` behind the symbol `before` of the same page ("" for the first).
pub(crate) fn write(before: &str, text: &str, out: &mut Vec<u8>) {
    let same = before.bytes().zip(text.bytes()).take_while(|(a, b)| a == b).count();
    put(out, same as u64);
    put_bytes(out, &text.as_bytes()[same..]);
}

/// Symbols of one page, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct SymbolPage {
    texts: String,
    /// Where each ends.
    ends: Vec<u32>,
}

impl SymbolPage {
    /// The symbols of a page's bytes; `None` if they make no sense.
    pub(crate) fn read(bytes: &[u8]) -> Option<SymbolPage> {
        let mut cursor = Cursor::new(bytes);
        let mut page = SymbolPage::default();
        let mut text: Vec<u8> = Vec::new();
        while !cursor.is_empty() {
            let same = cursor.size()?;
            let rest = cursor.sized_bytes()?;
            if text.len() < same {
                return None;
            }
            text.truncate(same);
            text.extend_from_slice(rest);
            page.texts.push_str(std::str::from_utf8(&text).ok()?);
            // A page of shared beginnings may stand for far more text than it has bytes.
            let end = u32::try_from(page.texts.len()).ok().filter(|end| *end <= TEXT_BYTES_MAX)?;
            page.ends.push(end);
        }
        Some(page)
    }

    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    /// Symbol `at` of the page.
    pub(crate) fn get(&self, at: usize) -> Option<&str> {
        let end = *self.ends.get(at)? as usize;
        let start = if at == 0 { 0 } else { self.ends[at - 1] as usize };
        self.texts.get(start..end)
    }

    /// Number of symbols in the page that are less than `text`.
    pub(crate) fn rank(&self, text: &str) -> usize {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = usize::midpoint(low, high);
            if self.get(middle).is_some_and(|symbol| symbol < text) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }

    pub(crate) fn heap_bytes(&self) -> usize {
        self.texts.len() + self.ends.len() * 4
    }
}

/// Most bytes of text of one page: a symbol may have a megabyte.
const TEXT_BYTES_MAX: u32 = 1 << 26;
