//! Names of an enumeration, from the running kernel's type information.
//!
//! Source: the kernel's Documentation/bpf/btf.rst.
//! Never: trusts a length; bytes that do not fit give no names.

/// Kinds of types, and the bytes that follow a type of each.
const ARRAY: u32 = 3;
const STRUCT: u32 = 4;
const UNION: u32 = 5;
const ENUM: u32 = 6;
const FUNC_PROTO: u32 = 13;
const DATASEC: u32 = 15;
const INT: u32 = 1;
const VAR: u32 = 14;
const DECL_TAG: u32 = 17;
const ENUM64: u32 = 19;

const MAGIC: u16 = 0xeb9f;
const TYPE_BYTES: usize = 12;
/// Values of an enumeration that are kept.
const VALUES_MAX: usize = 1024;

/// Names and values of the enumeration `name`; empty when it is not there.
#[must_use]
pub fn enumeration(btf: &[u8], name: &str) -> Vec<(u32, String)> {
    find(btf, name).unwrap_or_default()
}

fn find(btf: &[u8], name: &str) -> Option<Vec<(u32, String)>> {
    if u16::from_ne_bytes(btf.get(..2)?.try_into().ok()?) != MAGIC {
        return None;
    }
    let word = |at: usize| -> Option<u32> {
        Some(u32::from_ne_bytes(btf.get(at..at.checked_add(4)?)?.try_into().ok()?))
    };
    let size = |at: usize| -> Option<usize> { word(at)?.try_into().ok() };
    let header = size(4)?;
    let types = header.checked_add(size(8)?)?;
    let types_end = types.checked_add(size(12)?)?;
    let strings = btf.get(header.checked_add(size(16)?)?..)?;
    let text = |offset: u32| -> Option<&str> {
        let rest = strings.get(usize::try_from(offset).ok()?..)?;
        std::str::from_utf8(rest.split(|byte| *byte == 0).next()?).ok()
    };
    let mut at = types;
    while at < types_end {
        let (named, about) = (word(at)?, word(at + 4)?);
        let (kind, members) = (about >> 24 & 0x1f, usize::try_from(about & 0xffff).ok()?);
        at += TYPE_BYTES;
        if kind == ENUM && text(named) == Some(name) {
            let values = (0..members.min(VALUES_MAX)).map(|member| {
                let place = at + 8 * member;
                Some((word(place + 4)?, text(word(place)?)?.to_owned()))
            });
            return values.collect();
        }
        at += match kind {
            INT | VAR | DECL_TAG => 4,
            ARRAY => 12,
            STRUCT | UNION | DATASEC | ENUM64 => 12 * members,
            ENUM | FUNC_PROTO => 8 * members,
            _ => 0,
        };
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made() -> Vec<u8> {
        let strings = b"\0color\0RED\0GREEN\0";
        let mut types: Vec<u32> = Vec::new();
        // An integer with its four bytes more, then the enumeration.
        types.extend([0, INT << 24, 4, 32]);
        types.extend([1, ENUM << 24 | 2, 4, 7, 0, 11, 5]);
        let types: Vec<u8> = types.into_iter().flat_map(u32::to_ne_bytes).collect();
        let length = u32::try_from(types.len()).unwrap();
        let mut btf = Vec::new();
        btf.extend(MAGIC.to_ne_bytes());
        btf.extend([1, 0]);
        for word in [24, 0, length, length, u32::try_from(strings.len()).unwrap()] {
            btf.extend(word.to_ne_bytes());
        }
        btf.extend(types);
        btf.extend(strings);
        btf
    }

    #[test]
    fn an_enumeration_gives_its_names() {
        let expected = [(0, "RED".to_owned()), (5, "GREEN".to_owned())];
        assert_eq!(enumeration(&made(), "color"), expected);
        assert!(enumeration(&made(), "shape").is_empty());
    }

    #[test]
    fn cut_and_damaged_bytes_give_no_panic() {
        let whole = made();
        for end in 0..whole.len() {
            let _ = enumeration(&whole[..end], "color");
        }
        for at in 0..whole.len() {
            let mut damaged = whole.clone();
            damaged[at] = 0xff;
            let _ = enumeration(&damaged, "color");
        }
    }

    #[test]
    fn this_kernel_names_its_drop_reasons() {
        let Ok(btf) = std::fs::read("/sys/kernel/btf/vmlinux") else {
            println!("skipped: this kernel gives no type information");
            return;
        };
        let reasons = enumeration(&btf, "skb_drop_reason");
        assert!(reasons.iter().any(|(_, name)| name == "SKB_DROP_REASON_NO_SOCKET"));
    }
}
