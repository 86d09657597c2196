//! Writes runs of floats, each in the encoding that takes the fewest bytes.
//!
//! Path: `write`, `write_histograms`, blocks → **write_values**.
//! Format: docs/format/chunk.md, version 1.

use crate::chunk::integers;
use crate::chunk::kind::Kind;
use crate::chunk::order;
use crate::decimal::{self, Code};
use crate::varint::put_signed;

/// Values further than this many floats from their decimal are no decimals: an integer found for
/// them would only disturb the differences of the others.
const NEAR_MAX: u64 = 1 << 16;
/// One value in so many may be no decimal of the others' form: at worst such a value takes ten
/// bytes as a patch, and the others must win that back.
const STRANGERS: usize = 8;
/// Values looked at to learn whether a form fits nearly.
const SAMPLES: usize = 16;
/// Floats between a value and its decimal that two roundings explain.
const ROUNDINGS_MAX: u64 = 4;
/// Largest magnitude of a constant's integer: larger ones are as short as their bits.
const CONSTANT_MAX: u64 = 1 << 40;

/// Memory that one run after the other uses.
#[derive(Clone, Debug, Default)]
pub(crate) struct Scratch {
    integers: Vec<i64>,
    other: Vec<i64>,
    candidate: Vec<u8>,
    packed: integers::Scratch,
}

/// Appends `values`; their count is the reader's to know.
///
/// # Panics
/// There are at most [`integers::COUNT_MAX`].
pub(crate) fn write_values(values: &[f64], scratch: &mut Scratch, out: &mut Vec<u8>) {
    let at = out.len();
    out.push(0);
    out[at] = write_run(values, scratch, out) as u8;
}

/// Appends `values` as [`write_values`] does, or as differences from `previous`, as many values of
/// the series beside it, which the reader must have: whichever is shorter.
///
/// # Panics
/// `previous` has as many values.
pub(crate) fn write_values_after(
    previous: &[f64],
    values: &[f64],
    scratch: &mut Scratch,
    out: &mut Vec<u8>,
) {
    let at = out.len();
    out.push(0);
    out[at] = write_run_after(previous, values, scratch, out) as u8;
}

/// Appends what follows the kind.
pub(crate) fn write_run(values: &[f64], scratch: &mut Scratch, out: &mut Vec<u8>) -> Kind {
    let Some(first) = values.first() else { return Kind::Empty };
    if values.iter().all(|value| value.to_bits() == first.to_bits()) {
        return write_constant(*first, out);
    }
    let start = out.len();
    if let Some(code) = to_integers(values, &mut scratch.integers) {
        out.push(code.byte());
        integers::write(&scratch.integers, &mut scratch.packed, out);
        // Packing has a head of its own: two or three values far apart are shorter as their bits.
        if out.len() - start <= size_of_val(values) {
            return Kind::Decimal;
        }
        out.truncate(start);
    }
    let mut best = Kind::Raw;
    for value in values {
        out.extend_from_slice(&value.to_bits().to_le_bytes());
    }
    let mut candidate = std::mem::take(&mut scratch.candidate);
    for kind in [Kind::Places, Kind::DecimalNear] {
        candidate.clear();
        let written = match kind {
            Kind::Places => write_places(values, scratch, &mut candidate),
            _ => write_near(values, scratch, &mut candidate),
        };
        if written.is_some() && candidate.len() < out.len() - start {
            best = kind;
            out.truncate(start);
            out.extend_from_slice(&candidate);
        }
    }
    scratch.candidate = candidate;
    best
}

/// Appends what follows the kind, see [`write_values_after`].
pub(crate) fn write_run_after(
    previous: &[f64],
    values: &[f64],
    scratch: &mut Scratch,
    out: &mut Vec<u8>,
) -> Kind {
    assert_eq!(previous.len(), values.len(), "neighbours have as many values");
    let start = out.len();
    let plain = write_run(values, scratch, out);
    if plain != Kind::Decimal {
        return plain;
    }
    let code = Code::from_byte(out[start]).expect("a decimal run begins with its form");
    if fill(previous, code, &mut scratch.other).is_some() {
        return plain;
    }
    for (own, previous) in scratch.integers.iter_mut().zip(&scratch.other) {
        *own = own.wrapping_sub(*previous);
    }
    let mut candidate = std::mem::take(&mut scratch.candidate);
    candidate.clear();
    candidate.push(code.byte());
    integers::write(&scratch.integers, &mut scratch.packed, &mut candidate);
    let shorter = candidate.len() < out.len() - start;
    if shorter {
        out.truncate(start);
        out.extend_from_slice(&candidate);
    }
    scratch.candidate = candidate;
    if shorter { Kind::DecimalAfter } else { plain }
}

/// Appends a run of one value.
pub(crate) fn write_constant(value: f64, out: &mut Vec<u8>) -> Kind {
    match decimal::learn(value, Code::INTEGER) {
        Some((code, integer)) if integer.unsigned_abs() < CONSTANT_MAX => {
            out.push(code.byte());
            put_signed(out, integer);
            Kind::ConstantDecimal
        }
        _ => {
            out.extend_from_slice(&value.to_bits().to_le_bytes());
            Kind::Constant
        }
    }
}

/// All `values` as integers of one form.
fn to_integers(values: &[f64], integers: &mut Vec<i64>) -> Option<Code> {
    let mut code = Code::INTEGER;
    // A form that fails at a value is replaced by one that fits it; a wider divided form still fits
    // all before, so two rounds settle all but values that mix both forms.
    for _ in 0..8 {
        match fill(values, code, integers) {
            None => return Some(code),
            Some(failed) => {
                let (next, _) = decimal::learn(failed, code)?;
                if next == code {
                    return None;
                }
                code = next;
            }
        }
    }
    None
}

/// The first value that is no integer of this form.
fn fill(values: &[f64], code: Code, integers: &mut Vec<i64>) -> Option<f64> {
    integers.clear();
    for value in values {
        match decimal::exact(*value, code) {
            Some(integer) => integers.push(integer),
            None => return Some(*value),
        }
    }
    None
}

fn write_places(values: &[f64], scratch: &mut Scratch, out: &mut Vec<u8>) -> Option<()> {
    scratch.integers.clear();
    scratch.integers.extend(values.iter().map(|value| order::place(*value)));
    integers::write(&scratch.integers, &mut scratch.packed, out);
    Some(())
}

/// Decimals that two roundings moved, and decimals with a few strangers among them.
fn write_near(values: &[f64], scratch: &mut Scratch, out: &mut Vec<u8>) -> Option<()> {
    let code = near_code(values)?;
    scratch.integers.clear();
    scratch.other.clear();
    let mut last = 0;
    for value in values {
        let mut integer = decimal::nearest(*value, code);
        let near = order::place(decimal::value(integer, code));
        if NEAR_MAX < order::place(*value).abs_diff(near) {
            integer = last;
        }
        last = integer;
        let near = order::place(decimal::value(integer, code));
        scratch.integers.push(integer);
        scratch.other.push(order::place(*value).wrapping_sub(near));
    }
    out.push(code.byte());
    integers::write(&scratch.integers, &mut scratch.packed, out);
    integers::write(&scratch.other, &mut scratch.packed, out);
    Some(())
}

/// The form that is exact for all but some strangers, else the one with the fewest digits that
/// nearly all of a sample of the values lie beside.
fn near_code(values: &[f64]) -> Option<Code> {
    let step = values.len().div_ceil(SAMPLES);
    let samples = || values.iter().step_by(step);
    let strangers_max = values.len().div_ceil(step) / STRANGERS;
    let fits = |fit: &dyn Fn(f64) -> bool| {
        samples().filter(|value| !fit(**value)).count() <= strangers_max
    };
    let codes = || (0..Code::END).filter_map(Code::from_byte);
    let exact = codes().find(|code| fits(&|value| decimal::exact(value, *code).is_some()));
    exact.or_else(|| codes().find(|code| fits(&|value| is_beside(value, *code))))
}

fn is_beside(value: f64, code: Code) -> bool {
    let near = decimal::value(decimal::nearest(value, code), code);
    value != 0.0 && order::place(value).abs_diff(order::place(near)) <= ROUNDINGS_MAX
}
