//! Chunk files of a block: `chunks/000001` and so on, at most 512 MiB each.

use std::sync::Arc;

use crate::chunk::encoding::{CHUNK_BYTES_MAX, Encoding};
use crate::cursor::{Varint, uvarint};
use crate::fault::{Fault, TsdbError};
use crate::files::{FileRead, Reading, check_sum};

/// Name of the directory below the block's.
pub const CHUNKS_DIRECTORY: &str = "chunks";
/// First bytes of a chunk file.
pub(crate) const MAGIC: u32 = 0x85BD_40DD;
pub(crate) const VERSION: u8 = 1;
/// Magic number, version and three bytes of nothing.
pub(crate) const HEADER_BYTES: u64 = 8;
const LENGTH_BYTES_MAX: usize = 5;
const WHAT: &str = "a chunk";

/// A chunk as it stands in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawChunk {
    /// How its samples are written.
    pub encoding: Encoding,
    /// Its bytes, without length, encoding and checksum.
    pub bytes: Vec<u8>,
    /// The file it came from.
    pub file: Arc<str>,
    /// Where in that file.
    pub offset: u64,
}

/// Reads chunks by reference; one file is open at a time, read ahead.
pub struct ChunkFiles {
    files: Arc<dyn FileRead>,
    names: Vec<Arc<str>>,
    open: Option<(usize, Reading)>,
}

impl ChunkFiles {
    /// Lists the chunk files of the block in `directory`.
    ///
    /// # Errors
    /// The directory cannot be listed.
    pub fn open(files: &Arc<dyn FileRead>, directory: &str) -> Result<ChunkFiles, TsdbError> {
        let path = format!("{directory}/{CHUNKS_DIRECTORY}");
        let names = match files.names(&path) {
            // A block without samples may be without chunks too.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
            names => names.map_err(|error| TsdbError::io("list", &path, error))?,
        };
        let is_number = |name: &String| name.bytes().all(|byte| byte.is_ascii_digit());
        let names = names.iter().filter(|name| is_number(name));
        let names = names.map(|name| Arc::from(format!("{path}/{name}"))).collect();
        Ok(ChunkFiles { files: Arc::clone(files), names, open: None })
    }

    /// The chunk at `reference`, its checksum checked.
    ///
    /// # Errors
    /// There is no such place, or the chunk is wrong.
    pub fn read(&mut self, reference: u64) -> Result<RawChunk, TsdbError> {
        let index = usize::try_from(reference >> 32).expect("four bytes");
        let offset = reference & u64::from(u32::MAX);
        let reading = self.reading(index)?;
        let head = reading.bytes_at_most(offset, LENGTH_BYTES_MAX)?;
        let Varint::Read { value, bytes: length_bytes } = uvarint(head) else {
            return Err(reading.corrupt(offset, Fault::Short("a chunk's length")));
        };
        let count = usize::try_from(value).unwrap_or(usize::MAX);
        if CHUNK_BYTES_MAX < count {
            let text = format!("a chunk of {value} bytes; at most {CHUNK_BYTES_MAX} are read");
            return Err(reading.corrupt(offset, Fault::wrong(text)));
        }
        let start = offset + length_bytes as u64;
        let bytes = reading.bytes(start, 1 + count + 4, WHAT)?;
        let (covered, sum) = bytes.split_at(1 + count);
        let written = u32::from_be_bytes(sum.try_into().expect("four bytes"));
        let checked = check_sum(WHAT, covered, written).and_then(|()| Encoding::of(covered[0]));
        let encoding_and_bytes = checked.map(|encoding| (encoding, covered[1..].to_vec()));
        let (encoding, bytes) =
            encoding_and_bytes.map_err(|fault| reading.corrupt(offset, fault))?;
        let file = Arc::clone(&self.names[index]);
        Ok(RawChunk { encoding, bytes, file, offset })
    }

    /// How many files there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    fn reading(&mut self, index: usize) -> Result<&mut Reading, TsdbError> {
        if self.open.as_ref().is_none_or(|(open, _)| *open != index) {
            let Some(name) = self.names.get(index) else {
                let text = format!("a series names chunk file {}", index + 1);
                let file = self.names.last().map_or("chunks", |name| name);
                return Err(Fault::wrong(format!("{text}, which is not there")).at(0).of(file));
            };
            let mut reading = Reading::open(&self.files, name)?;
            check_header(&mut reading)?;
            self.open = Some((index, reading));
        }
        let (_, reading) = self.open.as_mut().expect("opened above");
        Ok(reading)
    }
}

fn check_header(reading: &mut Reading) -> Result<(), TsdbError> {
    let header = reading.bytes(0, 8, "the header")?;
    let found = u32::from_be_bytes([header[0], header[1], header[2], header[3]]);
    let version = header[4];
    if found != MAGIC {
        return Err(reading.corrupt(0, Fault::Magic { what: "chunk file", found }));
    }
    if version != VERSION {
        let found = u64::from(version);
        return Err(reading.corrupt(4, Fault::Version { what: "the chunk file", found }));
    }
    Ok(())
}
