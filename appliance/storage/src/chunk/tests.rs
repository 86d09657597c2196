//! Round trips of chunks, and damage.

use proptest::prelude::*;

use crate::chunk::kind::{Column, all_rows};
use crate::chunk::read;
use crate::chunk::write::{self, Values};
use crate::chunk::{read_values, write_values};

fn encode(rows: usize, column: &Column) -> Vec<u8> {
    let mut out = Vec::new();
    let values = Values::Each(&column.values);
    let (present, stale) = (column.present, column.stale);
    write::write(rows, present, stale, values, &mut write_values::Scratch::default(), &mut out);
    out
}

fn decode(bytes: &[u8], rows: usize) -> Result<Column, &'static str> {
    let mut column = Column::default();
    read::read(bytes, rows, &mut read_values::Scratch::default(), &mut column)?;
    Ok(column)
}

fn bits(column: &Column) -> (u128, u128, Vec<u64>) {
    (column.present, column.stale, column.values.iter().map(|v| v.to_bits()).collect())
}

#[track_caller]
fn check(values: &[f64], bytes_expected: usize) {
    let column = Column { present: all_rows(values.len()), stale: 0, values: values.to_vec() };
    let bytes = encode(values.len(), &column);
    assert_eq!(bits(&decode(&bytes, values.len()).unwrap()), bits(&column));
    assert_eq!(bytes.len(), bytes_expected);
}

#[test]
fn the_cheapest_kind_is_taken() {
    check(&[1.0; 128], 7);
    check(&[f64::NAN; 128], 13);
    check(&[1e300; 2], 13);
    check(&[1.5, 2.25], 12);
    check(&[0.1, f64::INFINITY], 21);
    check(&(0..128).map(f64::from).collect::<Vec<_>>(), 10);
    let seconds: Vec<f64> = (0..128).map(|at| f64::from(at * 7 % 19) * 0.01).collect();
    check(&seconds, 27);
}

fn columns() -> impl Strategy<Value = (usize, Column)> {
    let value = prop_oneof![
        any::<u64>().prop_map(f64::from_bits),
        (-1_000_000i64..1_000_000).prop_map(|i| i as f64 / 100.0),
        (0i64..1000).prop_map(|i| i as f64 * 0.001),
        Just(0.0),
        Just(-0.0),
    ];
    (1usize..=128, any::<u128>(), any::<u128>(), 0u8..4, prop::collection::vec(value, 128))
        .prop_map(|(rows, present, stale, mode, mut values)| {
            let all = all_rows(rows);
            let present = if mode & 1 == 0 { all } else { present & all };
            let stale = if mode & 2 == 0 { 0 } else { stale & all };
            let present = present & !stale;
            values.truncate(present.count_ones() as usize);
            (rows, Column { present, stale, values })
        })
}

proptest! {
    #[test]
    fn every_bit_pattern_round_trips((rows, column) in columns()) {
        let bytes = encode(rows, &column);
        prop_assert_eq!(bits(&decode(&bytes, rows).unwrap()), bits(&column));
    }

    #[test]
    fn damage_is_an_error((rows, column) in columns(), at: prop::sample::Index, bit in 0u8..8) {
        let mut bytes = encode(rows, &column);
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        prop_assert!(decode(&bytes, rows).is_err());
    }

    #[test]
    fn any_bytes_with_a_right_checksum_are_read_without_panic(body: Vec<u8>, rows in 1usize..=128) {
        let mut bytes = crc32c::crc32c(&body).to_le_bytes().to_vec();
        bytes.extend_from_slice(&body);
        let _ = decode(&bytes, rows);
    }
}
