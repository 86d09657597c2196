//! Page: checksummed, perhaps compressed bytes of a block.
//!
//! Path: `block::writer` → **page** → file → **page** → `block::reader`.
//! Never: panics on what it reads, takes more memory than a page may have.
//! Format: docs/format/block.md, version 1.
//!
//! Invariants
//! - P1: a page is read only if its kind, its block's number and its checksum are right.

use zerocopy::{FromBytes, IntoBytes};

use crate::block::layout::{
    CHECKED_FROM, Codec, PAGE_BYTES_MAX, PAGE_HEADER_BYTES, PageHeader, PageKind,
};

/// Level of zstd: 1 is within a hundredth of 3 on packed integers, at a third of its time.
const ZSTD_LEVEL: i32 = 1;

/// Appends a page with the bytes `raw`; `compress` has them compressed where that helps.
pub(crate) fn write(number: u64, kind: PageKind, raw: &[u8], compress: bool, out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_slice(&[0; PAGE_HEADER_BYTES]);
    let packed = if compress { zstd::bulk::compress(raw, ZSTD_LEVEL).ok() } else { None };
    // What saves less than a sixteenth is not worth the time of its reading.
    let packed = packed.filter(|packed| packed.len() < raw.len() - raw.len() / 16);
    let codec = if packed.is_some() { Codec::Zstd } else { Codec::Plain };
    let stored = packed.as_deref().unwrap_or(raw);
    out.extend_from_slice(stored);
    let length = |bytes: usize| {
        let length = u32::try_from(bytes).ok().filter(|length| *length <= PAGE_BYTES_MAX);
        length.expect("pages are closed long before their bound")
    };
    let header = PageHeader {
        crc: 0.into(),
        stored: length(stored.len()).into(),
        raw: length(raw.len()).into(),
        kind: kind as u8,
        codec: codec as u8,
        zero: 0.into(),
        number: number.into(),
    };
    out[start..start + PAGE_HEADER_BYTES].copy_from_slice(header.as_bytes());
    let crc = crc32c::crc32c(&out[start + CHECKED_FROM..]);
    out[start..start + CHECKED_FROM].copy_from_slice(&crc.to_le_bytes());
}

/// The bytes of the page of this kind that is all of `bytes`.
///
/// # Errors
/// What does not check.
pub(crate) fn read(number: u64, kind: PageKind, bytes: &[u8]) -> Result<Vec<u8>, &'static str> {
    let Ok((header, stored)) = PageHeader::read_from_prefix(bytes) else {
        return Err("header of a page is cut short");
    };
    if header.number.get() != number || header.kind != kind as u8 {
        return Err("a page of another block or kind");
    }
    if header.stored.get() as usize != stored.len() || PAGE_BYTES_MAX < header.raw.get() {
        return Err("header of a page makes no sense");
    }
    let crc = crc32c::crc32c(&bytes[CHECKED_FROM..]);
    if crc != header.crc.get() {
        return Err("checksum of a page does not match");
    }
    assert_eq!(header.number.get(), number, "P1: a page of another block was read");
    let raw_bytes = header.raw.get() as usize;
    let raw = match header.codec {
        codec if codec == Codec::Plain as u8 => stored.to_vec(),
        codec if codec == Codec::Zstd as u8 => {
            zstd::bulk::decompress(stored, raw_bytes).map_err(|_| "a page does not decompress")?
        }
        _ => return Err("compression of a page is unknown"),
    };
    if raw.len() == raw_bytes { Ok(raw) } else { Err("a page has another length") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p1_any_flipped_bit_is_noticed() {
        for compress in [false, true] {
            let raw = vec![7u8; 300];
            let mut good = Vec::new();
            write(9, PageKind::Series, &raw, compress, &mut good);
            assert_eq!(read(9, PageKind::Series, &good), Ok(raw.clone()));
            assert!(read(8, PageKind::Series, &good).is_err(), "another block");
            assert!(read(9, PageKind::Values, &good).is_err(), "another kind");
            for bit in 0..good.len() * 8 {
                let mut bad = good.clone();
                bad[bit / 8] ^= 1 << (bit % 8);
                assert!(read(9, PageKind::Series, &bad).is_err(), "bit {bit}");
            }
        }
    }
}
