//! Round trips of tiles, and damage.

use proptest::prelude::*;

use crate::chunk::kind::all_rows;
use crate::chunk::write::Values;
use crate::tile::read;
use crate::tile::write::{self, Builder, Rows};

fn sample(slots: &[i64], delay: i64) -> Vec<u8> {
    let timestamps: Vec<i64> = slots.iter().map(|slot| slot.wrapping_add(delay)).collect();
    let rows = Rows { slots, timestamps_ms: &timestamps, owner: 1 };
    let mut builder = Builder::default();
    builder.begin(rows);
    let all = all_rows(slots.len());
    builder.column(3, slots.len(), all, 0, Values::Constant(2.5));
    builder.column(70_000, slots.len(), 1, 0, Values::Each(&[7.0]));
    let mut bytes = builder.finish(9, 4, rows);
    write::place(&mut bytes, 6, 1000);
    bytes
}

#[test]
fn a_tile_reads_back() {
    let bytes = sample(&[1000, 2000, 3000], 5);
    let (summary, directory) = read::directory(&bytes, 6).unwrap();
    assert_eq!((summary.group, summary.number, summary.rows, summary.columns), (9, 4, 3, 2));
    assert_eq!((summary.min_time_ms, summary.max_time_ms, summary.slot_max), (1005, 3005, 3000));
    assert_eq!((summary.append_offset, summary.tile_bytes), (1000, bytes.len()));
    assert_eq!(directory.timestamps_ms[..], [1005, 2005, 3005]);
    assert_eq!(directory.owner, 1);
    assert!(directory.find(3).is_some() && directory.find(70_000).is_some());
    assert!(directory.find(4).is_none());
    assert!(read::chunks_check(&bytes, &directory));
    assert!(read::directory(&bytes, 7).is_err(), "another file's");
}

#[test]
fn a_header_torn_before_its_version_has_none() {
    let mut bytes = sample(&[1000, 2000, 3000], 5);
    assert_eq!(read::version_here(&bytes, 6), Some(1));
    assert_eq!(read::version_here(&bytes, 7), None, "another file's");
    bytes[32..].fill(0);
    assert_eq!(read::version_here(&bytes, 6), None, "nothing was written there");
}

#[test]
fn a_flipped_bit_is_noticed_by_directory_or_chunk() {
    let good = sample(&[1000, 2000, 3000], 5);
    for bit in 0..good.len() * 8 {
        let mut bad = good.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        let whole = read::directory(&bad, 6).is_ok_and(|(_, d)| read::chunks_check(&bad, &d));
        assert!(!whole, "bit {bit}");
    }
}

proptest! {
    #[test]
    fn any_times_round_trip(slots in prop::collection::vec(any::<i64>(), 1..=128), delay: i64) {
        let bytes = sample(&slots, delay);
        let (_, directory) = read::directory(&bytes, 6).unwrap();
        prop_assert_eq!(&directory.slots, &slots);
        prop_assert_eq!(directory.timestamps_ms[0], slots[0].wrapping_add(delay));
    }

    #[test]
    fn any_bytes_are_read_without_panic(bytes: Vec<u8>, at: prop::sample::Index, byte: u8) {
        let _ = read::directory(&bytes, 0);
        let mut tile = sample(&[1, 2, 3], 0);
        let at = at.index(tile.len());
        tile[at] = byte;
        // With the checksum made right again the parser itself meets the damage.
        let end = read::summary(&tile, 6).map_or(0, |s| s.head_bytes.min(tile.len()));
        if 4 < end {
            let crc = crc32c::crc32c(&tile[4..end]);
            tile[..4].copy_from_slice(&crc.to_le_bytes());
        }
        if let Ok((_, directory)) = read::directory(&tile, 6) {
            let _ = read::chunks_check(&tile, &directory);
        }
    }
}
