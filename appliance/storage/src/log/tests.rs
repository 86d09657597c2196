//! Rows through the writer and the reader of entries.

use proptest::prelude::*;

use crate::cells::{Cell, Cells};
use crate::last_row::LastRow;
use crate::log::record::{self, put_row_head};
use crate::log::row_read::Decoder;
use crate::log::row_write::put_entries;
use crate::row::{GroupId, Rank, Row, Slot};
use model::time::TimestampMs;

const COLUMNS: usize = 70;

fn cell() -> impl Strategy<Value = Cell> {
    prop_oneof![
        4 => (-2000i64..2000).prop_map(|i| Cell::Present(i as f64 / 100.0)),
        2 => Just(Cell::Present(1.0)),
        1 => any::<u64>().prop_map(|bits| Cell::Present(f64::from_bits(bits))),
        1 => Just(Cell::Absent),
        1 => Just(Cell::Stale),
    ]
}

/// What the store does to a row, as far as the log is concerned.
fn encode(last: &mut LastRow, row: &Row<'_>, full: bool) -> Vec<u8> {
    let mut changed = Vec::new();
    if full {
        last.occupied(row.cells, &mut changed);
    } else {
        last.changes(row.cells, &mut changed);
    }
    let mut body = Vec::new();
    put_row_head(&mut body, row, if full { 0 } else { last.slot }, changed.len());
    put_entries(row.cells, last, &changed, full, &mut body);
    for column in 0..row.cells.len() {
        if let Cell::Present(value) = row.cells.get(column) {
            last.values[column] = value;
        }
    }
    last.take_states(row.cells);
    last.slot = row.slot.0;
    body
}

fn bits(cells: &Cells) -> Vec<Option<u64>> {
    (0..COLUMNS)
        .map(|at| if at < cells.len() { cells.get(at) } else { Cell::Absent })
        .map(|cell| cell.value().map(f64::to_bits))
        .collect()
}

proptest! {
    #[test]
    fn rows_round_trip(
        rows in prop::collection::vec(
            (
                any::<bool>(),
                1..=COLUMNS,
                prop::collection::vec(cell(), COLUMNS),
                any::<i64>(),
                any::<i64>(),
            ),
            1..12,
        ),
    ) {
        let mut last = LastRow::default();
        last.grow(COLUMNS);
        let mut decoder = Decoder::default();
        for (at, (new_segment, width, row, slot, time)) in rows.iter().enumerate() {
            let full = at == 0 || *new_segment;
            let mut cells = Cells::new(*width);
            for (column, cell) in row.iter().take(*width).enumerate() {
                cells.set(column, *cell);
            }
            let row = Row {
                group: GroupId(3),
                slot: Slot(*slot),
                timestamp: TimestampMs(*time),
                rank: Rank::Owner,
                cells: &cells,
            };
            let body = encode(&mut last, &row, full);
            if full {
                decoder.reset();
            }
            let found = decoder.row(&body, full, |_| Some(COLUMNS)).unwrap().unwrap();
            let head = (found.slot, found.timestamp, found.rank);
            prop_assert_eq!(head, (row.slot, row.timestamp, row.rank));
            prop_assert_eq!(bits(found.cells), bits(&cells));
        }
    }

    #[test]
    fn any_bytes_are_read_without_panic(
        bodies in prop::collection::vec(any::<Vec<u8>>(), 1..4),
        full: bool,
    ) {
        let mut decoder = Decoder::default();
        for body in bodies {
            let _ = decoder.row(&body, full, |_| Some(COLUMNS));
        }
    }
}

#[test]
fn a_seal_reads_with_and_without_the_number_of_its_tile() {
    let mut body = Vec::new();
    record::put_seal(&mut body, 300, 7);
    assert_eq!(record::read_seal(&body), Some((300, Some(7))));
    body.pop();
    assert_eq!(record::read_seal(&body), Some((300, None)), "as the first logs had it");
    body.extend_from_slice(&[7, 7]);
    assert_eq!(record::read_seal(&body), None);
}
