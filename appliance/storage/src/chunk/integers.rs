//! Integers: a sequence of 64-bit integers as frame of reference, patched bit packing, after the
//! differencing that costs least.
//!
//! Path: `chunk`, time columns of `tile` → **integers** → `bits`.
//! All arithmetic wraps, so every sequence has an encoding.

use crate::chunk::bits;
use crate::varint::{Cursor, put, put_signed};

/// Most integers of one sequence.
pub(crate) const COUNT_MAX: usize = 4096;

/// How often the differences are taken. The numbers are on disk: never reuse one.
const MODES: [Mode; 3] = [Mode::Plain, Mode::Delta, Mode::DeltaOfDelta];
/// A base above the least residue is looked for if the longest offset has at least so many bits …
const LENGTH_WORTH: usize = 4;
/// … and at most one in so many is two bits shorter; …
const OUTLIERS: usize = 16;
/// … and, as there are outliers of different size, so often.
const BASES_TRIED: usize = 3;
/// Added to the mode when a divisor follows.
const DIVIDED: u8 = 0x10;
/// Added to the mode when patches follow.
const PATCHED: u8 = 0x20;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum Mode {
    Plain = 0,
    Delta = 1,
    DeltaOfDelta = 2,
}

/// One way to write a sequence: what is packed, and its cost.
struct Plan {
    mode: Mode,
    base: i64,
    divisor: u64,
    width: u32,
    cost_bits: usize,
}

/// Memory that one encoding after the other uses.
#[derive(Clone, Debug, Default)]
pub(crate) struct Scratch {
    /// Residues of each mode: the sequence, its differences, theirs.
    residues: [Vec<i64>; 3],
    offsets: Vec<u64>,
    patches: Vec<(usize, u64)>,
}

/// Appends `integers`; their count is the reader's to know.
pub(crate) fn write(integers: &[i64], scratch: &mut Scratch, out: &mut Vec<u8>) {
    assert!(integers.len() <= COUNT_MAX, "a sequence has at most {COUNT_MAX} integers");
    if integers.is_empty() {
        return;
    }
    difference(integers, &mut scratch.residues);
    let mut best: Option<Plan> = None;
    for mode in MODES.into_iter().take(integers.len()) {
        let plan = plan(mode, &scratch.residues[mode as usize], &mut scratch.offsets);
        if best.as_ref().is_none_or(|best| plan.cost_bits < best.cost_bits) {
            best = Some(plan);
        }
    }
    let best = best.expect("a sequence that is not empty has a plain plan");
    emit(&best, scratch, out);
}

fn difference(integers: &[i64], residues: &mut [Vec<i64>; 3]) {
    let [plain, delta, second] = residues;
    plain.clear();
    plain.extend_from_slice(integers);
    delta.clear();
    delta.extend(integers.windows(2).map(|pair| pair[1].wrapping_sub(pair[0])));
    second.clear();
    second.extend(delta.windows(2).map(|pair| pair[1].wrapping_sub(pair[0])));
}

/// Offsets of `residues` above `base`, divided by what divides them all. A residue below it has an
/// offset near 2^64: all arithmetic wraps.
fn offsets_of(residues: &[i64], base: i64, offsets: &mut Vec<u64>) -> u64 {
    offsets.clear();
    offsets.extend(residues.iter().map(|r| r.wrapping_sub(base).cast_unsigned()));
    let divisor = divisor_of_all(offsets);
    if 1 < divisor {
        for offset in offsets.iter_mut() {
            *offset /= divisor;
        }
    }
    divisor
}

/// Greatest common divisor; 1 when all are 0.
fn divisor_of_all(offsets: &[u64]) -> u64 {
    let mut divisor = 0;
    for offset in offsets {
        divisor = gcd(*offset, divisor);
        if divisor == 1 {
            return 1;
        }
    }
    divisor.max(1)
}

fn gcd(a: u64, b: u64) -> u64 {
    if a == 0 || b == 0 {
        return a | b;
    }
    let shift = (a | b).trailing_zeros();
    let (mut a, mut b) = (a >> a.trailing_zeros(), b);
    while b != 0 {
        b >>= b.trailing_zeros();
        (a, b) = (a.min(b), a.max(b) - a.min(b));
    }
    a << shift
}

fn plan(mode: Mode, residues: &[i64], offsets: &mut Vec<u64>) -> Plan {
    let mut base = residues.iter().copied().min().unwrap_or(0);
    let (mut best, mut few_are_low) = plan_from(mode, residues, base, offsets);
    for _ in 0..BASES_TRIED {
        if !few_are_low {
            break;
        }
        let Some(next) = base_above(residues, base) else { break };
        base = next;
        let plan;
        (plan, few_are_low) = plan_from(mode, residues, base, offsets);
        if plan.cost_bits < best.cost_bits {
            best = plan;
        }
    }
    best
}

/// The least residue but for a few that lie far below the others, as a counter's reset does among
/// its differences: those are better patched than their distance packed with each of the others.
fn base_above(residues: &[i64], base: i64) -> Option<i64> {
    let offset = |residue: i64| residue.wrapping_sub(base).cast_unsigned();
    let above = || residues.iter().copied().filter(|residue| base <= *residue);
    let range = above().map(offset).max()?;
    let next = above().filter(|residue| range / 4 < offset(*residue)).min()?;
    // Two bits for nearly each residue, or it is not worth the patches.
    let near = above().filter(|residue| residue.wrapping_sub(next).cast_unsigned() < range / 4);
    (residues.len() - residues.len() / OUTLIERS <= near.count()).then_some(next)
}

/// The plan over `base`, and whether few residues lie in the lower part of their range.
fn plan_from(mode: Mode, residues: &[i64], base: i64, offsets: &mut Vec<u64>) -> (Plan, bool) {
    let divisor = offsets_of(residues, base, offsets);
    let mut lengths = [0usize; 65];
    for offset in offsets.iter() {
        lengths[(64 - offset.leading_zeros()) as usize] += 1;
    }
    let longest = lengths.iter().rposition(|count| *count != 0).unwrap_or(0);
    let mut best = (usize::MAX, 0);
    let mut patched = 0;
    for width in (0..=longest).rev() {
        let patch_bits = 8 + 8 * (longest - width).div_ceil(7);
        let packed = bits::packed_bytes(offsets.len(), width_of(width));
        let cost = packed * 8 + patched * patch_bits;
        if cost < best.0 {
            best = (cost, width);
        }
        patched += lengths[width];
    }
    // The differenced modes write their first integers in full.
    let divisor_bits = if divisor == 1 { 0 } else { 64 - divisor.leading_zeros() as usize };
    let heads = 16 * mode as usize + divisor_bits;
    let plan = Plan { mode, base, divisor, width: width_of(best.1), cost_bits: best.0 + heads };
    (plan, few_are_low(&lengths))
}

/// Whether the lengths of offsets say so; the longest are of residues below the base.
fn few_are_low(lengths: &[usize; 65]) -> bool {
    let Some(longest) = lengths[..64].iter().rposition(|count| *count != 0) else { return false };
    let low: usize = lengths[..longest.saturating_sub(1)].iter().sum();
    let all: usize = lengths[..64].iter().sum();
    LENGTH_WORTH <= longest && 1 <= low && low <= all / OUTLIERS
}

fn width_of(width: usize) -> u32 {
    u32::try_from(width).expect("a width is at most 64")
}

fn emit(plan: &Plan, scratch: &mut Scratch, out: &mut Vec<u8>) {
    let [plain, delta, second] = &scratch.residues;
    let offsets = &mut scratch.offsets;
    let residues = [plain, delta, second][plan.mode as usize];
    offsets_of(residues, plan.base, offsets);
    let patches = &mut scratch.patches;
    patches.clear();
    if plan.width < 64 {
        let high = |offset: &u64| offset >> plan.width;
        patches.extend(offsets.iter().map(high).enumerate().filter(|(_, high)| *high != 0));
    }
    let mut tag = plan.mode as u8;
    tag |= if plan.divisor == 1 { 0 } else { DIVIDED };
    tag |= if patches.is_empty() { 0 } else { PATCHED };
    out.push(tag);
    if plan.mode != Mode::Plain {
        put_signed(out, plain[0]);
    }
    if plan.mode == Mode::DeltaOfDelta {
        put_signed(out, delta[0]);
    }
    put_signed(out, plan.base);
    if plan.divisor != 1 {
        put(out, plan.divisor);
    }
    out.push(u8::try_from(plan.width).expect("a width is at most 64"));
    if !patches.is_empty() {
        put(out, patches.len() as u64);
        let mut next = 0;
        for (at, high) in patches.iter() {
            put(out, (at - next) as u64);
            put(out, *high);
            next = at + 1;
        }
    }
    bits::pack(offsets, plan.width, out);
}

/// Appends the `count` integers that `cursor` begins with.
pub(crate) fn read(
    cursor: &mut Cursor<'_>,
    count: usize,
    offsets: &mut Vec<u64>,
    out: &mut Vec<i64>,
) -> Option<()> {
    if count == 0 {
        return Some(());
    }
    if COUNT_MAX < count {
        return None;
    }
    let tag = cursor.byte()?;
    let mode = *MODES.get(usize::from(tag & 0x0f))?;
    let known = (mode as u8) | DIVIDED | PATCHED;
    let first_count = mode as usize;
    if tag | known != known || count < first_count {
        return None;
    }
    let first = if mode == Mode::Plain { 0 } else { cursor.signed()? };
    let first_delta = if mode == Mode::DeltaOfDelta { cursor.signed()? } else { 0 };
    let base = cursor.signed()?;
    let divisor = if tag & DIVIDED == 0 { 1 } else { cursor.unsigned()? };
    let residues = count - first_count;
    let offsets = read_offsets(cursor, residues, tag & PATCHED != 0, offsets)?;
    let start = out.len();
    out.resize(start + count, first);
    let filled = &mut out[start..];
    // A product a residue would keep the common case from the vector units.
    if divisor == 1 {
        let residues = offsets.iter().map(|offset| base.wrapping_add_unsigned(*offset));
        sum_up(mode, first, first_delta, residues, filled);
    } else {
        let residue = |offset: &u64| base.wrapping_add_unsigned(offset.wrapping_mul(divisor));
        sum_up(mode, first, first_delta, offsets.iter().map(residue), filled);
    }
    Some(())
}

/// Fills in the integers whose differences `residues` are, the first being there.
#[inline]
fn sum_up(
    mode: Mode,
    first: i64,
    first_delta: i64,
    residues: impl Iterator<Item = i64>,
    filled: &mut [i64],
) {
    // Plain loops: what a closure borrows is stored and loaded again with each integer.
    match mode {
        Mode::Plain => {
            for (to, residue) in filled.iter_mut().zip(residues) {
                *to = residue;
            }
        }
        Mode::Delta => {
            let mut value = first;
            for (to, residue) in filled[1..].iter_mut().zip(residues) {
                value = value.wrapping_add(residue);
                *to = value;
            }
        }
        Mode::DeltaOfDelta => {
            let mut delta = first_delta;
            let mut value = first.wrapping_add(delta);
            filled[1] = value;
            for (to, residue) in filled[2..].iter_mut().zip(residues) {
                delta = delta.wrapping_add(residue);
                value = value.wrapping_add(delta);
                *to = value;
            }
        }
    }
}

fn read_offsets<'a>(
    cursor: &mut Cursor<'_>,
    count: usize,
    patched: bool,
    offsets: &'a mut Vec<u64>,
) -> Option<&'a [u64]> {
    let width = u32::from(cursor.byte()?);
    let mut patches = cursor.clone();
    let patch_count = if patched { cursor.size()? } else { 0 };
    if count < patch_count || (patched && 64 <= width) {
        return None;
    }
    if patched {
        patches = cursor.clone();
        for _ in 0..patch_count {
            cursor.unsigned()?;
            cursor.unsigned()?;
        }
    }
    let packed = cursor.bytes(bits::packed_bytes(count, width))?;
    let padded = bits::padded(count);
    if offsets.len() < padded {
        offsets.resize(padded, 0);
    }
    bits::unpack(packed, width, count, &mut offsets[..padded])?;
    let offsets = &mut offsets[..count];
    let mut next = 0usize;
    for _ in 0..patch_count {
        let at = next.checked_add(patches.size()?)?;
        *offsets.get_mut(at)? |= patches.unsigned()? << width;
        next = at + 1;
    }
    Some(offsets)
}

/// Most bytes that [`write`] appends for `count` integers.
#[cfg(test)]
fn bytes_max(count: usize) -> usize {
    use crate::varint::VARINT_BYTES_MAX;
    6 * VARINT_BYTES_MAX + count * (8 + VARINT_BYTES_MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(integers: &[i64], bytes_expected: usize) {
        let mut out = Vec::new();
        write(integers, &mut Scratch::default(), &mut out);
        assert_eq!(out.len(), bytes_expected, "{integers:?}");
        assert!(out.len() <= bytes_max(integers.len()));
        let mut found = Vec::new();
        let mut cursor = Cursor::new(&out);
        read(&mut cursor, integers.len(), &mut Vec::new(), &mut found).unwrap();
        assert!(cursor.is_empty());
        assert_eq!(found, integers);
    }

    #[test]
    fn the_cheapest_way_is_taken() {
        check(&[], 0);
        check(&[5], 3);
        check(&[5; 128], 3);
        check(&(0..128).map(|at| 1000 + 15 * at).collect::<Vec<_>>(), 5);
        check(&(0..128).map(|at| 4096 * (at % 2)).collect::<Vec<_>>(), 3 + 2 + 16);
        let mut outlier = [7; 128];
        outlier[100] = 1 << 40;
        check(&outlier, 12);
        check(&[i64::MIN, i64::MAX], 1 + 10 + 1 + 1);
        let mut counter: Vec<i64> = (0..128).map(|at| 1_000_000_000 + at * 100 + at % 7).collect();
        counter[90..].iter_mut().for_each(|count| *count -= 1_000_008_000);
        check(&counter, 1 + 5 + 2 + 1 + 1 + 1 + 9 + 48);
    }

    proptest! {
        #[test]
        fn any_sequence_round_trips(
            integers in prop::collection::vec(any::<i64>(), 0..130),
            shift in 0u32..64,
        ) {
            let integers: Vec<i64> = integers.iter().map(|i| i >> shift).collect();
            let mut out = Vec::new();
            write(&integers, &mut Scratch::default(), &mut out);
            prop_assert!(out.len() <= bytes_max(integers.len()));
            let mut found = Vec::new();
            let mut cursor = Cursor::new(&out);
            let count = integers.len();
            prop_assert_eq!(read(&mut cursor, count, &mut Vec::new(), &mut found), Some(()));
            prop_assert!(cursor.is_empty());
            prop_assert_eq!(found, integers);
        }

        #[test]
        fn any_bytes_are_read_without_panic(bytes: Vec<u8>, count in 0usize..300) {
            let _ = read(&mut Cursor::new(&bytes), count, &mut Vec::new(), &mut Vec::new());
        }
    }
}
