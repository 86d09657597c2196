//! Archive: small files in a gzipped tar, as `tar xzf` reads it.
//!
//! Source: POSIX.1-2017, `pax`, ustar interchange format.

use std::io::{self, Write};

use flate2::Compression;
use flate2::write::GzEncoder;

const BLOCK_BYTES: usize = 512;

/// An archive that is being written.
pub struct Archive<W: Write> {
    out: GzEncoder<W>,
    /// Seconds since the epoch that the files get.
    seconds: u64,
}

impl<W: Write> Archive<W> {
    /// An archive without files.
    pub fn new(out: W, seconds: u64) -> Archive<W> {
        Archive { out: GzEncoder::new(out, Compression::default()), seconds }
    }

    /// Adds a file. Its name has at most 100 bytes.
    ///
    /// # Errors
    /// The output refuses.
    pub fn add(&mut self, name: &str, content: &[u8]) -> io::Result<()> {
        assert!(name.len() <= 100, "names are ours, and short");
        let mut header = [0u8; BLOCK_BYTES];
        let mut put = |at: usize, text: &str| {
            header[at..at + text.len()].copy_from_slice(text.as_bytes());
        };
        put(0, name);
        put(100, "0000644\0");
        put(108, "0000000\0");
        put(116, "0000000\0");
        put(124, &format!("{:011o}\0", content.len()));
        put(136, &format!("{:011o}\0", self.seconds));
        // The checksum is that of a header whose checksum is spaces.
        put(148, "        ");
        put(156, "0");
        put(257, "ustar\x0000");
        let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
        header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        self.out.write_all(&header)?;
        self.out.write_all(content)?;
        let rest = content.len() % BLOCK_BYTES;
        if rest != 0 {
            self.out.write_all(&[0; BLOCK_BYTES][rest..])?;
        }
        Ok(())
    }

    /// Ends the archive.
    ///
    /// # Errors
    /// The output refuses.
    pub fn finish(mut self) -> io::Result<W> {
        self.out.write_all(&[0; 2 * BLOCK_BYTES])?;
        self.out.finish()
    }
}
