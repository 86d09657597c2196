//! Records of the catalog.
//!
//! Format: docs/format/catalog.md, version 1.

/// Kind byte of a record. The numbers are on disk: never reuse one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Kind {
    /// A label name or value; it takes the next number of this file, from 0.
    Symbol = 1,
    /// A group: number, key, columns ever made, identity labels.
    Group = 2,
    /// A column: group, number, labels as symbols.
    Column = 3,
    /// The column was dropped.
    DropColumn = 4,
    /// The group was dropped with all its columns.
    DropGroup = 5,
    /// Groups below this number were made; the number is not used again.
    NextGroup = 6,
    /// The file holds all that was known when it was begun: it replaces the one before it.
    Complete = 7,
    /// A column that is not of floats: group, number, kind, labels as symbols.
    TypedColumn = 8,
    /// Metadata of a family; it takes the next number of this file, from 0.
    Family = 9,
    /// Families that a group describes: all, each time.
    Metadata = 10,
    /// A side group: as a group, beside the one with its key.
    SideGroup = 11,
}

impl Kind {
    pub(crate) fn from_byte(byte: u8) -> Option<Kind> {
        let kinds = [
            Kind::Symbol,
            Kind::Group,
            Kind::Column,
            Kind::DropColumn,
            Kind::DropGroup,
            Kind::NextGroup,
            Kind::Complete,
            Kind::TypedColumn,
            Kind::Family,
            Kind::Metadata,
            Kind::SideGroup,
        ];
        kinds.into_iter().find(|kind| *kind as u8 == byte)
    }
}

/// Most bytes of the records of one frame, so that a damaged length cannot ask for more.
pub(crate) const FRAME_BYTES_MAX: usize = 1 << 30;
