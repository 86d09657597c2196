//! Reads the catalog.
//!
//! Path: `recovery` → **read** → `store`.
//! Never: panics on what it reads.
//! Format: docs/format/catalog.md, version 1.

use std::sync::Arc;

use model::label_set::LabelSet;

use crate::catalog::record::Kind;
use crate::log::record::read_family;
use crate::metadata::Family;
use crate::row::ColumnKind;
use crate::varint::Cursor;

/// What one record says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Definition {
    Group { group: u32, key: u128, columns: u32, labels: LabelSet, side: bool },
    Column { group: u32, column: u32, kind: ColumnKind, labels: LabelSet },
    Metadata { group: u32, families: Vec<Arc<Family>> },
    DropColumn { group: u32, column: u32 },
    DropGroup { group: u32 },
    NextGroup { group: u32 },
    Complete,
}

/// Symbols of one catalog file.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reader {
    symbols: Vec<String>,
    families: Vec<Arc<Family>>,
    /// Numbers of the symbols of one label set.
    numbers: Vec<usize>,
}

impl Reader {
    /// Gives each definition of a frame's records to `each`.
    ///
    /// # Errors
    /// What does not check; definitions before it were given.
    pub(crate) fn read(
        &mut self,
        payload: &[u8],
        mut each: impl FnMut(Definition),
    ) -> Result<(), &'static str> {
        let mut cursor = Cursor::new(payload);
        while !cursor.is_empty() {
            let record = self.record(&mut cursor).ok_or("record of the catalog makes no sense")?;
            if let Some(definition) = record {
                each(definition);
            }
        }
        Ok(())
    }

    /// The next record; `Some(None)` for one that defines nothing by itself.
    fn record(&mut self, cursor: &mut Cursor<'_>) -> Option<Option<Definition>> {
        let definition = match Kind::from_byte(cursor.byte()?)? {
            Kind::Symbol => {
                self.symbols.push(std::str::from_utf8(cursor.sized_bytes()?).ok()?.to_owned());
                return Some(None);
            }
            record @ (Kind::Group | Kind::SideGroup) => {
                let group = cursor.unsigned32()?;
                let key = u128::from_le_bytes(cursor.array()?);
                let columns = cursor.unsigned32()?;
                let labels = std::str::from_utf8(cursor.sized_bytes()?).ok()?;
                let labels = LabelSet::from_packed(labels)?;
                let side = record == Kind::SideGroup;
                Definition::Group { group, key, columns, labels, side }
            }
            record @ (Kind::Column | Kind::TypedColumn) => {
                let (group, column) = (cursor.unsigned32()?, cursor.unsigned32()?);
                let kind = match record {
                    Kind::TypedColumn => ColumnKind::from_byte(cursor.byte()?)?,
                    _ => ColumnKind::Float,
                };
                Definition::Column { group, column, kind, labels: self.labels(cursor)? }
            }
            Kind::Family => {
                self.families.push(Arc::new(read_family(cursor)?));
                return Some(None);
            }
            Kind::Metadata => {
                let group = cursor.unsigned32()?;
                let count = cursor.size().filter(|count| *count <= cursor.left())?;
                let families = (0..count).map(|_| self.families.get(cursor.size()?).cloned());
                Definition::Metadata { group, families: families.collect::<Option<_>>()? }
            }
            Kind::DropColumn => {
                Definition::DropColumn { group: cursor.unsigned32()?, column: cursor.unsigned32()? }
            }
            Kind::DropGroup => Definition::DropGroup { group: cursor.unsigned32()? },
            Kind::NextGroup => Definition::NextGroup { group: cursor.unsigned32()? },
            Kind::Complete => Definition::Complete,
        };
        Some(Some(definition))
    }

    fn labels(&mut self, cursor: &mut Cursor<'_>) -> Option<LabelSet> {
        let count = cursor.size()?;
        if cursor.left() < count {
            return None;
        }
        self.numbers.clear();
        for _ in 0..2 * count {
            let number = cursor.size().filter(|number| *number < self.symbols.len())?;
            self.numbers.push(number);
        }
        let (pairs, _) = self.numbers.as_chunks::<2>();
        let text = |number: usize| self.symbols[number].as_str();
        LabelSet::from_sorted(pairs.iter().map(|[name, value]| (text(*name), text(*value))))
    }
}
