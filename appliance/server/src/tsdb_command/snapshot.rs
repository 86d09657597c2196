//! `cresset tsdb snapshot`: a copy of a data directory; files that never change are linked.
//!
//! It is made under another name and renamed last: a snapshot is whole or not there.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use machine::offline::{Offline, is_data_directory};
use model::time::TimestampMs;
use storage::names::FileName;
use tsdb::directory::Directory;
use tsdb::merge::{Selection, SeriesStream};

use crate::tsdb_arguments::SnapshotOptions;
use crate::tsdb_command::blocks_out::BlocksOut;
use crate::tsdb_command::opened::{load_head, open_prometheus, refuse_running};
use crate::tsdb_command::own::take;
use crate::tsdb_command::print::{Ended, output};

/// Files of a data directory that are none of a shard and belong to it.
const OWN_FILES: [&str; 2] = ["cresset.json", "import.json"];

/// Makes the copy.
///
/// # Errors
/// The directory is in use or does not open, the output is there, or the file system refuses.
pub fn run(options: &SnapshotOptions) -> Result<Ended> {
    let shown = options.output.display();
    if options.output.exists() {
        bail!("{shown} is there already");
    }
    let mut name = options.output.file_name().context("the output has no name")?.to_owned();
    name.push(".making");
    let making = options.output.with_file_name(name);
    if making.exists() {
        fs::remove_dir_all(&making).with_context(|| format!("remove {}", making.display()))?;
    }
    fs::create_dir_all(&making).with_context(|| format!("make {}", making.display()))?;
    let files = if is_data_directory(&options.directory) {
        copy_own(&take(&options.directory)?, &options.directory, &making)?
    } else {
        refuse_running(&options.directory)?;
        copy_prometheus(&mut open_prometheus(&options.directory)?, &options.directory, &making)?
    };
    fs::rename(&making, &options.output).with_context(|| format!("rename to {shown}"))?;
    // The parent of a bare name is "".
    let parent = options.output.parent().filter(|parent| !parent.as_os_str().is_empty());
    sync(parent.unwrap_or(Path::new(".")))?;
    let mut out = output();
    writeln!(out, "{files} files in {shown}")?;
    out.flush()?;
    Ok(Ended::Well)
}

fn copy_own(offline: &Offline, from: &Path, to: &Path) -> Result<u64> {
    let mut count = 0;
    for name in OWN_FILES.iter().filter(|name| from.join(name).exists()) {
        copy(&from.join(name), &to.join(name))?;
        count += 1;
    }
    for shard in 0..offline.shards() {
        let directory = format!("shard-{shard}");
        let parts = storage::names::DIRECTORIES.map(|part| to.join(&directory).join(part));
        for part in &parts {
            fs::create_dir_all(part).with_context(|| format!("make {}", part.display()))?;
        }
        for (file, _) in offline.files(shard)? {
            let path = PathBuf::from(&directory).join(file.to_string());
            // Only blocks never change once they have their name.
            match file {
                FileName::Block(_) => link(&from.join(&path), &to.join(&path))?,
                _ => copy(&from.join(&path), &to.join(&path))?,
            }
            count += 1;
        }
        parts.iter().try_for_each(|part| sync(part))?;
        sync(&to.join(&directory))?;
    }
    sync(to)?;
    Ok(count)
}

/// Blocks are linked, and what is in no block yet becomes one.
fn copy_prometheus(directory: &mut Directory, from: &Path, to: &Path) -> Result<u64> {
    let mut count = 0;
    for block in directory.blocks() {
        let name = PathBuf::from(block.directory());
        let chunks = name.join(tsdb::chunk_files::CHUNKS_DIRECTORY);
        fs::create_dir_all(to.join(&chunks)).context("make a block's directory")?;
        for part in [&name, &chunks] {
            for entry in fs::read_dir(from.join(part)).context("list a block")? {
                let path = part.join(entry?.file_name());
                if from.join(&path).is_file() {
                    link(&from.join(&path), &to.join(&path))?;
                    count += 1;
                }
            }
            sync(&to.join(part))?;
        }
    }
    load_head(directory)?;
    let sources = directory.head_sources();
    let Some((min, max)) = directory.head_range() else { return Ok(count) };
    let mut stream = SeriesStream::new(sources, Selection::default());
    let mut writer = BlocksOut::new(to)?.block(min, TimestampMs(max.0.saturating_add(1)))?;
    while let Some(labels) = stream.next_series()? {
        writer.series(&labels)?;
        while let Some(sample) = stream.next_sample()? {
            writer.sample(&sample)?;
        }
    }
    count += u64::from(writer.finish()?.is_some());
    Ok(count)
}

/// A second name for the file; a copy where that cannot be.
fn link(from: &Path, to: &Path) -> Result<()> {
    match fs::hard_link(from, to) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::CrossesDevices => copy(from, to),
        Err(error) => Err(error).with_context(|| format!("link {}", from.display())),
    }
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::copy(from, to).with_context(|| format!("copy {}", from.display()))?;
    sync(to)
}

#[expect(clippy::disallowed_types, reason = "to bring it to the disk it must be open")]
fn sync(path: &Path) -> Result<()> {
    let synced = fs::File::open(path).and_then(|file| file.sync_all());
    synced.with_context(|| format!("sync {}", path.display()))
}
