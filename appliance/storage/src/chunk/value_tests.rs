//! Round trips of runs of floats from adversarial distributions, sizes, damage, golden bytes.

use std::path::PathBuf;

use proptest::prelude::*;

use crate::chunk::kind::Kind;
use crate::chunk::read_values::{self, read_values, read_values_after};
use crate::chunk::write_values::{self, write_values, write_values_after};
use crate::varint::{Cursor, put};

fn encode(values: &[f64]) -> Vec<u8> {
    let mut out = Vec::new();
    write_values(values, &mut write_values::Scratch::default(), &mut out);
    out
}

fn encode_after(previous: &[f64], values: &[f64]) -> Vec<u8> {
    let mut out = Vec::new();
    write_values_after(previous, values, &mut write_values::Scratch::default(), &mut out);
    out
}

fn decode(bytes: &[u8], count: usize) -> Result<Vec<u64>, &'static str> {
    let (mut out, mut cursor) = (Vec::new(), Cursor::new(bytes));
    read_values(&mut cursor, count, &mut read_values::Scratch::default(), &mut out)?;
    if cursor.is_empty() { Ok(bits(&out)) } else { Err("bytes left over") }
}

fn decode_after(previous: &[f64], bytes: &[u8]) -> Result<Vec<u64>, &'static str> {
    let (mut out, mut cursor) = (Vec::new(), Cursor::new(bytes));
    read_values_after(&mut cursor, previous, &mut read_values::Scratch::default(), &mut out)?;
    if cursor.is_empty() { Ok(bits(&out)) } else { Err("bytes left over") }
}

fn bits(values: &[f64]) -> Vec<u64> {
    values.iter().map(|value| value.to_bits()).collect()
}

/// That the values come back, in this kind and at most so many bytes.
#[track_caller]
fn check(values: &[f64], kind: Kind, bytes_max: usize) {
    let bytes = encode(values);
    assert_eq!(decode(&bytes, values.len()).unwrap(), bits(values));
    let found = (Kind::from_byte(bytes[0]), bytes.len() <= bytes_max);
    assert_eq!(found, (Some(kind), true), "{} bytes", bytes.len());
}

fn each(value: impl Fn(f64) -> f64) -> Vec<f64> {
    (0..480).map(|at| value(f64::from(at))).collect()
}

#[test]
fn the_kind_that_fits_is_taken() {
    check(&[], Kind::Empty, 1);
    check(&[7.5; 480], Kind::ConstantDecimal, 4);
    check(&[f64::NAN; 480], Kind::Constant, 9);
    check(&each(|at| at * 15.0), Kind::Decimal, 6);
    check(&each(|at| (at * 7.0 % 19.0) * 0.01), Kind::Decimal, 480 * 5 / 8 + 10);
    check(&each(|at| (at * 7.0 % 19.0) / 1000.0 * 0.01), Kind::DecimalNear, 480 + 20);
    check(&each(|at| 1.0 + (at * 0.37).sin() * 1e-12), Kind::Places, 480 * 2);
    check(&[1.0e300, -3.0e-300, f64::MIN_POSITIVE / 3.0], Kind::Raw, 25);
}

#[test]
fn a_few_strangers_do_not_cost_the_others_their_form() {
    let mut values = each(|at| (at * 7.0 % 19.0) / 100.0);
    for (at, stranger) in [(0, f64::NAN), (77, f64::INFINITY), (300, -0.0), (479, 1e-310)] {
        values[at] = stranger;
    }
    check(&values, Kind::DecimalNear, 480 + 60);
}

#[test]
fn a_bucket_leans_on_the_one_below() {
    let below = each(|at| at * 3.0 + (at * 7.0 % 5.0));
    let above: Vec<f64> = below.iter().map(|value| value + 2.0).collect();
    let bytes = encode_after(&below, &above);
    assert_eq!(Kind::from_byte(bytes[0]), Some(Kind::DecimalAfter));
    assert!(bytes.len() < 8, "{}", bytes.len());
    assert_eq!(decode_after(&below, &bytes).unwrap(), bits(&above));
    assert!(decode(&bytes, above.len()).is_err(), "it does not read without its neighbour");
}

fn value() -> impl Strategy<Value = f64> {
    let special =
        vec![0.0, -0.0, f64::INFINITY, f64::NEG_INFINITY, f64::MIN_POSITIVE, f64::MAX, 5e-324];
    prop_oneof![
        any::<u64>().prop_map(f64::from_bits),
        any::<u64>().prop_map(|bits| f64::from_bits(bits | 0x7ff8 << 48)),
        any::<u64>().prop_map(|bits| f64::from_bits(bits & !(0x7ff << 52))),
        any::<i64>().prop_map(|integer| integer as f64),
        (-(1i64 << 53)..=1 << 53).prop_map(|integer| integer as f64),
        prop::sample::select(special),
        decimal(),
    ]
}

/// Decimals of mixed exponents, in either form or of two roundings.
fn decimal() -> impl Strategy<Value = f64> {
    (-1_000_000i64..1_000_000, 0i32..15, 0u8..3).prop_map(|(integer, exponent, form)| {
        let (integer, power) = (integer as f64, 10f64.powi(exponent));
        match form {
            0 => integer / power,
            1 => integer * 10f64.powi(-exponent),
            _ => integer / 1000.0 * 10f64.powi(-exponent),
        }
    })
}

/// A counter that is reset now and then, in units of some form.
fn counter() -> impl Strategy<Value = Vec<f64>> {
    let steps = prop::collection::vec((0u64..1 << 20, 0u8..20), 0..500);
    (steps, 0u64..1 << 53, prop::sample::select(vec![1.0, 0.001, 0.1, 4096.0, 1e-9])).prop_map(
        |(steps, start, unit)| {
            let mut count = start;
            let values = steps.into_iter().map(|(step, reset)| {
                count = if reset == 0 { step } else { count + step };
                count as f64 * unit
            });
            values.collect()
        },
    )
}

fn run() -> impl Strategy<Value = Vec<f64>> {
    let mixed = (decimal(), value()).prop_flat_map(|(often, seldom)| {
        let often = move |chance: u8| if chance == 0 { seldom } else { often };
        prop::collection::vec((0u8..10).prop_map(often), 0..500)
    });
    prop_oneof![
        prop::collection::vec(value(), 0..500),
        prop::collection::vec(decimal(), 0..500),
        counter(),
        mixed,
    ]
}

proptest! {
    #[test]
    fn any_run_round_trips(values in run()) {
        let bytes = encode(&values);
        prop_assert_eq!(decode(&bytes, values.len()), Ok(bits(&values)));
        prop_assert!(bytes.len() <= 1 + 8 * values.len(), "raw is the worst: {}", bytes.len());
    }

    #[test]
    fn any_run_round_trips_after_any_other(
        values in run(),
        other in run(),
        add in prop::option::of(0u32..9),
    ) {
        let count = values.len().min(other.len());
        let (values, mut other) = (&values[..count], other[..count].to_vec());
        if let Some(add) = add {
            other = values.iter().map(|value| value + f64::from(add)).collect();
        }
        let bytes = encode_after(&other, values);
        prop_assert_eq!(decode_after(&other, &bytes), Ok(bits(values)));
        prop_assert!(bytes.len() <= encode(values).len());
    }

    #[test]
    fn any_bytes_are_read_without_panic(bytes: Vec<u8>, kind in 0u8..9, count in 0usize..600) {
        let bytes = [&[kind][..], &bytes].concat();
        let _ = decode(&bytes, count);
        let _ = decode_after(&vec![1.0; count], &bytes);
    }

    #[test]
    fn damaged_runs_are_read_without_panic(
        values in run(),
        at: prop::sample::Index,
        byte: u8,
        more in 0usize..200,
    ) {
        let mut bytes = encode(&values);
        let at = at.index(bytes.len());
        bytes[at] = byte;
        let _ = decode(&bytes, values.len() + more);
    }
}

#[test]
fn few_integers_far_apart_are_no_longer_than_their_bits() {
    let values = [2_199_023_255_553.0, 0.0];
    let bytes = encode(&values);
    assert_eq!((decode(&bytes, 2), bytes.len()), (Ok(bits(&values)), 17));
}

/// Runs of every kind; the neighbour of the last one is the one before it.
fn golden_runs() -> Vec<Vec<f64>> {
    vec![
        vec![],
        vec![f64::from_bits(0x7ff8_0000_0000_0abc); 3],
        vec![-12.25; 200],
        each(|at| 1000.0 + at * at),
        vec![1.0e300, -3.0e-300, f64::NEG_INFINITY],
        each(|at| (at * 7.0 % 19.0) / 1000.0 * 0.01),
        each(|at| 1.0 + at * at / 1_048_576.0 / 1_048_576.0 / 65_536.0),
        each(|at| 4096.0 * (at * 11.0 % 23.0)),
        each(|at| at * 3.0 + (at * 7.0 % 5.0)),
        each(|at| at * 3.0 + (at * 7.0 % 5.0) + 2.0 * (at % 2.0)),
    ]
}

#[test]
fn golden_runs_are_written_and_read() {
    let runs = golden_runs();
    let mut bytes = Vec::new();
    for (at, run) in runs.iter().enumerate() {
        let leans = at + 1 == runs.len();
        let encoded = if leans { encode_after(&runs[at - 1], run) } else { encode(run) };
        put(&mut bytes, run.len() as u64);
        put(&mut bytes, encoded.len() as u64);
        bytes.extend_from_slice(&encoded);
    }
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/chunk.golden");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, &bytes).unwrap();
    }
    let golden = std::fs::read(path).unwrap();
    assert!(bytes == golden, "chunk.golden differs; UPDATE_GOLDEN=1 writes it anew");
    let mut cursor = Cursor::new(&golden);
    let mut kinds = Vec::new();
    let mut previous: Vec<f64> = Vec::new();
    for run in runs {
        assert_eq!(cursor.size(), Some(run.len()));
        let encoded = cursor.sized_bytes().unwrap();
        kinds.push(encoded[0]);
        let found = if previous.len() == run.len() {
            decode_after(&previous, encoded)
        } else {
            decode(encoded, run.len())
        };
        assert_eq!(found, Ok(bits(&run)));
        previous = run;
    }
    kinds.sort_unstable();
    kinds.dedup();
    assert_eq!(kinds, [0, 1, 2, 3, 4, 5, 6, 7], "every kind has its golden bytes");
}
