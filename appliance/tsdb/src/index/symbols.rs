//! Symbol table: every text of the labels once, named by number (by offset in version 1).

use super::toc::{Toc, check_section};
use crate::cursor::Cursor;
use crate::fault::{Fault, TsdbError};
use crate::files::Reading;

const WHAT: &str = "the symbol table";

/// The texts of an index.
#[derive(Clone, Debug, Default)]
pub struct Symbols {
    text: String,
    /// Where each one ends in `text`.
    ends: Vec<usize>,
    /// Version 1: where each one begins in the file.
    offsets: Option<Vec<u64>>,
}

impl Symbols {
    /// Reads the table that `toc` names.
    ///
    /// Memory: the bytes of the table, and eight (in version 1 sixteen) for each text.
    pub(crate) fn read(
        reading: &mut Reading,
        version: u8,
        toc: &Toc,
    ) -> Result<Symbols, TsdbError> {
        if toc.symbols == 0 {
            return Ok(Symbols::default());
        }
        let (start, length) = check_section(reading, toc.symbols, WHAT)?;
        let name = reading.name().to_owned();
        let length = usize::try_from(length).expect("four bytes hold the length");
        let mut cursor = Cursor::new(reading.bytes(start, length, WHAT)?, start);
        let count = cursor.big_u32(WHAT).map_err(|fault| fault.of(&name))? as usize;
        if cursor.left() < count {
            let text = format!("has {count} symbols in {} bytes", cursor.left());
            return Err(cursor.fault(Fault::wrong(text)).of(&name));
        }
        let mut symbols = Symbols {
            text: String::with_capacity(cursor.left() - count),
            ends: Vec::with_capacity(count),
            offsets: (version == 1).then(|| Vec::with_capacity(count)),
        };
        for _ in 0..count {
            if let Some(offsets) = &mut symbols.offsets {
                offsets.push(cursor.offset());
            }
            let text = cursor.text("a symbol").map_err(|fault| fault.of(&name))?;
            symbols.text.push_str(text);
            symbols.ends.push(symbols.text.len());
        }
        Ok(symbols)
    }

    /// The text that `reference` names.
    pub(crate) fn get(&self, reference: u64) -> Option<&str> {
        let index = match &self.offsets {
            Some(offsets) => offsets.binary_search(&reference).ok()?,
            None => usize::try_from(reference).ok()?,
        };
        let end = *self.ends.get(index)?;
        let start = if index == 0 { 0 } else { self.ends[index - 1] };
        Some(&self.text[start..end])
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }
}
