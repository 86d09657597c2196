//! Records of the log, and of definitions in the catalog.
//!
//! Format: docs/format/wal.md, version 1.

use model::label_set::LabelSet;
use model::time::TimestampMs;

use crate::exemplars::Exemplar;
use crate::metadata::{self, Family};
use crate::row::{ColumnKind, Rank, Row};
use crate::varint::{Cursor, put, put_bytes, put_signed};

/// Kind byte of a record. The numbers are on disk: never reuse one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Kind {
    /// A group: number, key, identity labels.
    Group = 1,
    /// A column: group, number, labels of its series.
    Column = 2,
    /// A row as its difference from the group's row before it.
    Row = 3,
    /// A row that needs none before it.
    FullRow = 4,
    /// The group's open tile was sealed: replay must seal there too, or a late row that was taken
    /// into the open tile would come after it.
    Seal = 5,
    /// A column that is not of floats: group, number, kind, labels of its series.
    TypedColumn = 6,
    /// Metadata of some families of a group.
    Metadata = 7,
    /// An exemplar of a column.
    Exemplar = 8,
    /// A side group: as a group, beside the one with its key.
    SideGroup = 9,
    /// Cells for a row that is there, or may be: leans on nothing before it.
    Cells = 10,
}

impl Kind {
    pub(crate) fn from_byte(byte: u8) -> Option<Kind> {
        let kinds = [
            Kind::Group,
            Kind::Column,
            Kind::Row,
            Kind::FullRow,
            Kind::Seal,
            Kind::TypedColumn,
            Kind::Metadata,
            Kind::Exemplar,
            Kind::SideGroup,
            Kind::Cells,
        ];
        kinds.into_iter().find(|kind| *kind as u8 == byte)
    }
}

/// Most bytes before the entries of a row.
pub(crate) const ROW_HEAD_BYTES_MAX: usize = 64;
/// Most bytes of one entry of a row.
pub(crate) const ENTRY_BYTES_MAX: usize = 16;

/// Appends a record of `kind` around `body`.
pub(crate) fn put_record(out: &mut Vec<u8>, kind: Kind, body: &[u8]) {
    out.push(kind as u8);
    put_bytes(out, body);
}

/// The next record's kind (`None` in it when unknown) and body.
pub(crate) fn next_record<'a>(cursor: &mut Cursor<'a>) -> Option<(Option<Kind>, &'a [u8])> {
    let kind = cursor.byte()?;
    let body = cursor.sized_bytes()?;
    Some((Kind::from_byte(kind), body))
}

/// Appends the body of a group's definition.
pub(crate) fn put_group(out: &mut Vec<u8>, group: u32, key: u128, labels: &LabelSet) {
    put(out, group.into());
    out.extend_from_slice(&key.to_le_bytes());
    put_bytes(out, labels.packed().as_bytes());
}

/// Reads what [`put_group`] wrote.
pub(crate) fn read_group(body: &[u8]) -> Option<(u32, u128, LabelSet)> {
    let mut cursor = Cursor::new(body);
    let group = cursor.unsigned32()?;
    let key = u128::from_le_bytes(cursor.array()?);
    let labels = labels(cursor.sized_bytes()?)?;
    cursor.is_empty().then_some((group, key, labels))
}

/// Appends the body of a column's definition; gives the kind of its record.
pub(crate) fn put_column(
    out: &mut Vec<u8>,
    group: u32,
    column: u32,
    kind: ColumnKind,
    labels: &LabelSet,
) -> Kind {
    put(out, group.into());
    put(out, column.into());
    let record = if kind == ColumnKind::Float { Kind::Column } else { Kind::TypedColumn };
    if record == Kind::TypedColumn {
        out.push(kind as u8);
    }
    put_bytes(out, labels.packed().as_bytes());
    record
}

/// Group and number of what [`put_column`] wrote, without its labels.
pub(crate) fn read_column_place(body: &[u8]) -> Option<(u32, u32)> {
    let mut cursor = Cursor::new(body);
    Some((cursor.unsigned32()?, cursor.unsigned32()?))
}

/// Reads what [`put_column`] wrote into a record of this kind.
pub(crate) fn read_column(record: Kind, body: &[u8]) -> Option<(u32, u32, ColumnKind, LabelSet)> {
    let mut cursor = Cursor::new(body);
    let group = cursor.unsigned32()?;
    let column = cursor.unsigned32()?;
    let kind = match record {
        Kind::TypedColumn => ColumnKind::from_byte(cursor.byte()?)?,
        _ => ColumnKind::Float,
    };
    let labels = labels(cursor.sized_bytes()?)?;
    cursor.is_empty().then_some((group, column, kind, labels))
}

/// Appends the body of a seal of tile `number`.
pub(crate) fn put_seal(out: &mut Vec<u8>, group: u32, number: u32) {
    put(out, u64::from(group));
    put(out, u64::from(number));
}

/// Reads what [`put_seal`] wrote; the number is `None` in logs that had none.
pub(crate) fn read_seal(body: &[u8]) -> Option<(u32, Option<u32>)> {
    let mut cursor = Cursor::new(body);
    let group = cursor.unsigned32()?;
    let number = if cursor.is_empty() { None } else { Some(cursor.unsigned32()?) };
    cursor.is_empty().then_some((group, number))
}

/// Appends the metadata of a family; the catalog has the same.
pub(crate) fn put_family(out: &mut Vec<u8>, family: &Family) {
    out.push(metadata::number_of(family.metric_type));
    for text in [&family.name, &family.help, &family.unit] {
        put_bytes(out, text.as_bytes());
    }
}

/// Reads what [`put_family`] wrote.
pub(crate) fn read_family(cursor: &mut Cursor<'_>) -> Option<Family> {
    let metric_type = metadata::type_of(cursor.byte()?)?;
    let mut text = || Some(Box::from(std::str::from_utf8(cursor.sized_bytes()?).ok()?));
    Some(Family { metric_type, name: text()?, help: text()?, unit: text()? })
}

/// Appends the body of a group's metadata.
pub(crate) fn put_metadata(out: &mut Vec<u8>, group: u32, families: &[&Family]) {
    put(out, group.into());
    families.iter().for_each(|family| put_family(out, family));
}

/// Reads what [`put_metadata`] wrote.
pub(crate) fn read_metadata(body: &[u8]) -> Option<(u32, Vec<Family>)> {
    let mut cursor = Cursor::new(body);
    let group = cursor.unsigned32()?;
    let mut families = Vec::new();
    while !cursor.is_empty() {
        families.push(read_family(&mut cursor)?);
    }
    Some((group, families))
}

/// Appends the body of an exemplar of a column of a group.
pub(crate) fn put_exemplar(out: &mut Vec<u8>, (group, column): (u32, u32), exemplar: &Exemplar) {
    put(out, group.into());
    put(out, column.into());
    put_signed(out, exemplar.timestamp.0);
    out.extend_from_slice(&exemplar.value.to_bits().to_le_bytes());
    put_bytes(out, exemplar.labels.packed().as_bytes());
}

/// Reads what [`put_exemplar`] wrote.
pub(crate) fn read_exemplar(body: &[u8]) -> Option<((u32, u32), Exemplar)> {
    let mut cursor = Cursor::new(body);
    let place = (cursor.unsigned32()?, cursor.unsigned32()?);
    let timestamp = TimestampMs(cursor.signed()?);
    let value = f64::from_bits(u64::from_le_bytes(cursor.array()?));
    let labels = labels(cursor.sized_bytes()?)?;
    cursor.is_empty().then_some((place, Exemplar { labels, value, timestamp }))
}

fn labels(bytes: &[u8]) -> Option<LabelSet> {
    LabelSet::from_packed(std::str::from_utf8(bytes).ok()?)
}

/// What stands before the entries of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RowHead {
    pub(crate) group: u32,
    /// Against `slot_before`, which is 0 for a full row.
    pub(crate) slot: i64,
    pub(crate) timestamp_ms: i64,
    pub(crate) rank: Rank,
    /// Entries that follow.
    pub(crate) entries: usize,
}

/// Appends the head of `row`.
pub(crate) fn put_row_head(out: &mut Vec<u8>, row: &Row<'_>, slot_before: i64, entries: usize) {
    put(out, row.group.0.into());
    put_signed(out, row.slot.0.wrapping_sub(slot_before));
    put_signed(out, row.timestamp.0.wrapping_sub(row.slot.0));
    out.push(row.rank as u8);
    put(out, entries as u64);
}

/// Reads the number of the group, which says what `slot_before` is.
pub(crate) fn read_row_group(cursor: &mut Cursor<'_>) -> Option<u32> {
    cursor.unsigned32()
}

/// Reads the rest of the head.
pub(crate) fn read_row_head(
    cursor: &mut Cursor<'_>,
    group: u32,
    slot_before: i64,
) -> Option<RowHead> {
    let slot = slot_before.wrapping_add(cursor.signed()?);
    let timestamp_ms = slot.wrapping_add(cursor.signed()?);
    let rank = match cursor.byte()? {
        0 => Rank::StandIn,
        1 => Rank::Owner,
        _ => return None,
    };
    Some(RowHead { group, slot, timestamp_ms, rank, entries: cursor.size()? })
}
