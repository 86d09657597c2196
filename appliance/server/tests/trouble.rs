//! What an operator meets at night: a disk that is full, fails, or is read-only; damaged pages;
//! files of a newer version. The process stays up, says what is wrong, comes back alone where that
//! can be, and loses no durable row.
//!
//! The disk tests mount file systems in image files, which takes root and loop devices; without
//! them they say so and check nothing.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::Signal;

#[path = "process/server.rs"]
#[allow(dead_code, reason = "this crate uses a part of it")]
mod server;

use crate::server::{Server, command, line_with, wait_for};

const MIB: u64 = 1 << 20;
const ROWS_DURABLE: &str = "cresset_storage_rows_durable_total";

/// Runs a program of the system; what it writes to standard output.
fn run(name: &str, arguments: &[&str]) -> Result<String, String> {
    let path = format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default());
    let output = Command::new(name).args(arguments).env("PATH", path).output();
    let output = output.map_err(|error| format!("{name}: {error}"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned());
    }
    Err(format!("{name} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr).trim()))
}

/// Something mounted in a folder; unmounted when dropped.
struct Mount(PathBuf);

impl Mount {
    fn new(at: &Path, arguments: &[&str]) -> Result<Mount, String> {
        std::fs::create_dir_all(at).map_err(|error| error.to_string())?;
        run("mount", &[arguments, &[shown(at)]].concat())?;
        Ok(Mount(at.to_owned()))
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        // A test that fails half-way leaves no mount behind.
        let _ = run("umount", &["--lazy", shown(&self.0)]);
    }
}

fn shown(path: &Path) -> &str {
    path.to_str().expect("names of tests are text")
}

/// A file system in an image file, with a configuration beside it. The outer file system is one in
/// memory: when that is full, the disk of the inner one has no room behind it.
struct Disk {
    mounted: Option<Mount>,
    outer: Mount,
    folder: tempfile::TempDir,
}

impl Disk {
    /// `None`, said aloud, where this machine lets nobody mount one.
    fn new(test: &str, mkfs: &[&str]) -> Option<Disk> {
        let folder = tempfile::tempdir().expect("a folder");
        let made = Disk::make(folder, mkfs);
        match made {
            Ok(disk) => Some(disk),
            Err(reason) => {
                println!("SKIPPED {test}: 1 test, no file system can be mounted: {reason}");
                None
            }
        }
    }

    fn make(folder: tempfile::TempDir, mkfs: &[&str]) -> Result<Disk, String> {
        let at = folder.path().join("outer");
        let outer = Mount::new(&at, &["-t", "tmpfs", "-o", "size=160m", "tmpfs"])?;
        let image = at.join("image");
        let file = rustix::fs::open(
            &image,
            rustix::fs::OFlags::CREATE | rustix::fs::OFlags::WRONLY,
            rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR,
        );
        let sized = file.and_then(|file| rustix::fs::ftruncate(file, 128 * MIB));
        sized.map_err(|error| error.to_string())?;
        run("mkfs.ext4", &[&["-q", "-F", "-m", "0"], mkfs, &[shown(&image)]].concat())?;
        let mut disk = Disk { mounted: None, outer, folder };
        disk.mount()?;
        Ok(disk)
    }

    fn image(&self) -> PathBuf {
        self.outer.0.join("image")
    }

    fn mount(&mut self) -> Result<(), String> {
        let options = ["-o", "loop,errors=remount-ro"];
        let image = self.image();
        self.mounted = Some(Mount::new(&self.root(), &[&options[..], &[shown(&image)]].concat())?);
        Ok(())
    }

    fn root(&self) -> PathBuf {
        self.folder.path().join("mounted")
    }

    /// Starts a server whose data lie there and that scrapes forty targets nobody serves.
    fn start(&self) -> Server {
        let path = self.folder.path().join("prometheus.yml");
        let targets: Vec<String> = (1..=40).map(|port| format!("'127.0.0.1:{port}'")).collect();
        let text = format!(
            "cresset: {{shards: 1, segment_size: 1MiB}}
global: {{scrape_interval: 200ms, scrape_timeout: 200ms}}
scrape_configs: [{{job_name: a, static_configs: [{{targets: [{}]}}]}}]
",
            targets.join(", ")
        );
        std::fs::write(&path, text).expect("write the configuration");
        let config = format!("--config.file={}", path.display());
        Server::start(&self.root(), &[&config, "--storage.tsdb.min-block-duration=2s"])
    }

    /// Device of the inner file system, `loop7`.
    fn device(&self) -> String {
        let source = run("findmnt", &["-n", "-o", "SOURCE", shown(&self.root())]);
        source.expect("the mount is there").trim_start_matches("/dev/").to_owned()
    }
}

/// Writes to a file until there is no room.
fn fill(path: &Path) {
    let file = rustix::fs::open(
        path,
        rustix::fs::OFlags::CREATE | rustix::fs::OFlags::WRONLY,
        rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR,
    );
    let file = file.expect("make the filler");
    for bytes in [1 << 20, 4096] {
        let zeroes = vec![0; bytes];
        while rustix::io::write(&file, &zeroes).is_ok_and(|written| 0 < written) {}
    }
}

/// The sum of a metric of the server itself.
fn metric(server: &Server, name: &str) -> f64 {
    let (_, text) = server.get("/metrics").expect("metrics");
    let values = text.lines().filter_map(|line| {
        let (series, value) = line.rsplit_once(' ')?;
        let is_wanted = series.split('{').next() == Some(name);
        value.parse::<f64>().ok().filter(|_| is_wanted)
    });
    values.sum()
}

#[track_caller]
fn wait_for_metric(server: &Server, name: &str, is_enough: impl Fn(f64) -> bool) -> f64 {
    wait_for(name, || {
        let value = metric(server, name);
        if is_enough(value) { Ok(value) } else { Err(value.to_string()) }
    })
}

/// Rows that the server answers queries with.
fn rows_held(server: &Server) -> f64 {
    server
        .values("sum(count_over_time(up[1h]))")
        .expect("an answer")
        .first()
        .copied()
        .unwrap_or(0.0)
}

/// Rows held after a kill are all that were called durable before it.
#[track_caller]
fn check_durable(disk: &Disk, before: f64) -> Server {
    let server = disk.start();
    let held = rows_held(&server);
    assert!(before <= held, "{before} rows were durable, {held} are held");
    server
}

/// The server goes on while its disk is in trouble, tells of it, and is well when it is over.
#[track_caller]
fn live_through(server: &Server, begin: impl FnOnce(), said: &str, end: impl FnOnce()) {
    wait_for_metric(server, ROWS_DURABLE, |rows| 400.0 <= rows);
    begin();
    wait_for_metric(server, "cresset_storage_disk_failing", |parts| 1.0 <= parts);
    let line = line_with(&server.lines, "samples wait in memory");
    assert!(line.contains("ERROR") && line.contains(said), "{line}");
    let newest = server.wait_for_value("max(timestamp(up))", |_| true);
    server.wait_for_value("max(timestamp(up))", |now| newest + 1.0 <= now);
    assert_eq!(server.get("/-/healthy").map(|(status, _)| status), Ok(200));
    assert_eq!(server.get("/-/ready").map(|(status, _)| status), Ok(200));
    end();
    let before = metric(server, ROWS_DURABLE);
    wait_for_metric(server, ROWS_DURABLE, |rows| before + 400.0 <= rows);
    wait_for_metric(server, "cresset_storage_disk_failing", |parts| parts == 0.0);
    line_with(&server.lines, "the disk takes writes again");
}

#[test]
fn a_full_disk_that_is_freed_is_used_again() {
    let Some(disk) = Disk::new("a_full_disk_that_is_freed_is_used_again", &[]) else { return };
    let server = disk.start();
    let filler = disk.root().join("filler");
    let free = || std::fs::remove_file(&filler).expect("remove the filler");
    live_through(&server, || fill(&filler), "the disk is full", free);
    assert!(metric(&server, "cresset_storage_disk_full") == 0.0);
    let durable = metric(&server, ROWS_DURABLE);
    server.end(Signal::KILL);
    drop(check_durable(&disk, durable));
}

#[test]
fn a_thin_disk_that_runs_out_is_lived_through() {
    let test = "a_thin_disk_that_runs_out_is_lived_through";
    // A journal that meets an error ends the file system until it is mounted anew.
    let Some(disk) = Disk::new(test, &["-O", "^has_journal"]) else { return };
    let server = disk.start();
    let filler = disk.outer.0.join("filler");
    let free = || std::fs::remove_file(&filler).expect("remove the filler");
    live_through(&server, || fill(&filler), "No space left on device", free);
    let durable = metric(&server, ROWS_DURABLE);
    server.end(Signal::KILL);
    drop(check_durable(&disk, durable));
}

#[test]
fn a_directory_that_nobody_may_write_to_is_lived_through() {
    let test = "a_directory_that_nobody_may_write_to_is_lived_through";
    let Some(disk) = Disk::new(test, &[]) else { return };
    let server = disk.start();
    let directories = ["tiles", "blocks", "wal", ""].map(|name| {
        let path = disk.root().join("data/shard-0").join(name);
        path.to_str().expect("text").to_owned()
    });
    let change = |flag: &str| {
        for path in &directories {
            run("chattr", &[flag, path]).expect("change the directory");
        }
    };
    live_through(&server, || change("+i"), "not permitted", || change("-i"));
    let durable = metric(&server, ROWS_DURABLE);
    server.end(Signal::KILL);
    drop(check_durable(&disk, durable));
}

#[test]
fn a_file_system_that_the_kernel_made_read_only_is_told_and_loses_nothing() {
    let test = "a_file_system_that_the_kernel_made_read_only_is_told_and_loses_nothing";
    let Some(mut disk) = Disk::new(test, &[]) else { return };
    let trigger = format!("/sys/fs/ext4/{}/trigger_fs_error", disk.device());
    let server = disk.start();
    wait_for_metric(&server, ROWS_DURABLE, |rows| 400.0 <= rows);
    // As if the file system had found itself damaged.
    std::fs::write(&trigger, "1").expect("trigger an error");
    wait_for_metric(&server, "cresset_storage_disk_failing", |parts| 1.0 <= parts);
    let line = line_with(&server.lines, "samples wait in memory");
    assert!(line.contains("the disk refuses writes"), "{line}");
    let newest = server.wait_for_value("max(timestamp(up))", |_| true);
    server.wait_for_value("max(timestamp(up))", |now| newest + 1.0 <= now);
    let durable = metric(&server, ROWS_DURABLE);
    server.end(Signal::KILL);
    disk.mounted = None;
    let checked = run("e2fsck", &["-f", "-y", shown(&disk.image())]);
    // It says with its code that it mended something.
    println!("{checked:?}");
    wait_for("the mount", || disk.mount());
    let server = check_durable(&disk, durable);
    wait_for_metric(&server, ROWS_DURABLE, |rows| 200.0 <= rows);
}

/// Every file below a directory with its bytes, but the lock, which says who came last.
fn files(directory: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(directory).expect("list") {
        let path = entry.expect("list").path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if path.file_name().is_some_and(|name| name != "lock") {
            found.insert(path.clone(), std::fs::read(&path).expect("read"));
        }
    }
    found
}

/// A data directory with files of every kind, whose server has ended; the last of each kind.
fn with_every_kind(directory: &Path) -> BTreeMap<&'static str, PathBuf> {
    let path = directory.join("prometheus.yml");
    let text = "cresset: {shards: 1}
global: {scrape_interval: 200ms}
scrape_configs: [{job_name: a, static_configs: [{targets: ['127.0.0.1:1', '127.0.0.1:2']}]}]
";
    std::fs::write(&path, text).expect("write the configuration");
    let config = format!("--config.file={}", path.display());
    let flags = [config.as_str(), "--storage.tsdb.min-block-duration=2s"];
    let server = Server::start(directory, &flags);
    wait_for_metric(&server, "prometheus_tsdb_compactions_total", |count| 1.0 <= count);
    let kinds = ["catalog.", "manifest.", ".tile", ".wal", ".block"];
    let found = wait_for("files of every kind", || {
        let files = files(&directory.join("data/shard-0"));
        let last = |kind: &&'static str| {
            let is_kind = |path: &&PathBuf| shown(path).contains(*kind);
            Some((
                *kind,
                // A spare segment of the log is all zeros, and says no version.
                files
                    .iter()
                    .filter(|(_, bytes)| bytes.iter().take(64).any(|byte| *byte != 0))
                    .map(|(path, _)| path)
                    .rfind(is_kind)?
                    .clone(),
            ))
        };
        let found: BTreeMap<&str, PathBuf> = kinds.iter().filter_map(last).collect();
        if found.len() == kinds.len() { Ok(found) } else { Err(format!("{found:?}")) }
    });
    server.end(Signal::KILL);
    found
}

/// The bytes with another version where this kind of file has it.
fn newer(kind: &str, bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let end = bytes.len();
    match kind {
        ".tile" => bytes[66] = 2,
        ".block" => {
            bytes[end - 60] = 2;
            let crc = crc32c::crc32c(&bytes[end - 60..]);
            bytes[end - 64..end - 60].copy_from_slice(&crc.to_le_bytes());
        }
        _ => bytes[36] = 2,
    }
    bytes
}

#[test]
fn files_of_a_newer_version_are_refused_and_untouched() {
    let directory = tempfile::tempdir().expect("directory");
    let kinds = with_every_kind(directory.path());
    let data = directory.path().join("data");
    for (kind, path) in kinds {
        // A file may have gone with the last steps of the server.
        let Ok(bytes) = std::fs::read(&path) else { panic!("{kind} is gone: {}", path.display()) };
        std::fs::write(&path, newer(kind, &bytes)).expect("write");
        let before = files(&data);
        let mut child = command(directory.path(), &[]).spawn().expect("run the binary");
        let status = wait_for(kind, || match child.try_wait() {
            Ok(Some(status)) => Ok(status),
            other => Err(format!("{other:?}")),
        });
        let output = child.wait_with_output().expect("its log");
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(status.code(), Some(1), "{kind}: {text}");
        let name = path.file_name().and_then(|name| name.to_str()).expect("text");
        let said = text.contains(name) && text.contains("version 2 is unknown");
        assert!(said, "{kind}: {text}");
        let after = files(&data);
        let changed: Vec<&PathBuf> =
            before.keys().chain(after.keys()).filter(|p| before.get(*p) != after.get(*p)).collect();
        assert!(changed.is_empty(), "{kind}: {changed:?}");
        std::fs::write(&path, bytes).expect("write");
    }
    // As it was it opens.
    drop(Server::start(directory.path(), &[]));
}

fn cresset(directory: &Path, arguments: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cresset"));
    let output = command.current_dir(directory).args(arguments).output().expect("run cresset");
    (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
}

/// An answer of the query API: what it holds, and its warnings.
fn ask(server: &Server, path: &str) -> (serde_json::Value, String) {
    let (status, body) = server.get(path).expect("an answer");
    assert_eq!(status, 200, "{path}: {body}");
    let json: serde_json::Value = serde_json::from_str(&body).expect("JSON");
    (json["data"].clone(), json["warnings"].to_string())
}

const SERIES: usize = 600;
const MINUTES: usize = 600;

/// Makes a data directory of samples that do not compress, so that blocks have several pages.
fn import_samples(at: &Path) {
    let mut file = std::io::BufWriter::new(Vec::new());
    writeln!(file, "# TYPE a gauge").expect("write");
    for series in 0..SERIES {
        for minute in 0..MINUTES {
            let value = ((series * MINUTES + minute) as f64).sqrt();
            let time = 1_700_000_000 + minute * 60;
            writeln!(file, "a{{n=\"{series:04}\"}} {value} {time}").expect("write");
        }
    }
    writeln!(file, "# EOF").expect("write");
    std::fs::write(at.join("in.om"), file.into_inner().expect("text")).expect("write");
    for arguments in [
        &["tsdb", "create-blocks-from", "openmetrics", "in.om", "old"][..],
        &["tsdb", "import", "old", "--storage.tsdb.path", "data"][..],
    ] {
        let (code, text) = cresset(at, arguments);
        assert_eq!(code, Some(0), "{text}");
    }
}

#[test]
fn a_damaged_page_is_left_out_with_a_warning_counted_and_found_offline() {
    let directory = tempfile::tempdir().expect("a directory");
    let at = directory.path();
    import_samples(at);
    let block = "shard-0/blocks/00000000000000000001.block";
    let path = at.join("data").join(block);
    let whole = std::fs::read(&path).expect("read");
    let counts = "/api/v1/query?query=count_over_time(a[1d])&time=1700050000";
    let counted = |server: &Server| {
        let (data, warnings) = ask(server, counts);
        let result = data["result"].as_array().expect("a vector").clone();
        let value = |sample: &serde_json::Value| sample["value"][1].as_str()?.parse::<f64>().ok();
        (result.iter().filter_map(value).sum::<f64>(), result.len(), warnings)
    };
    let flags = ["--storage.tsdb.retention.time=100y"];
    let all = (SERIES * MINUTES) as f64;
    let server = Server::start(at, &flags);
    assert_eq!(counted(&server), (all, SERIES, "null".to_owned()));
    server.end(Signal::TERM);

    let mut bad = whole.clone();
    bad[100] ^= 1;
    std::fs::write(&path, &bad).expect("write");
    let server = Server::start(at, &flags);
    let place = format!("{block} is damaged at 0: checksum of a page does not match");
    for _ in 0..2 {
        let (samples, _, warnings) = counted(&server);
        assert!(all * 0.5 < samples && samples < all, "{samples} of {all}");
        assert!(warnings.contains(&format!("samples were left out: {place}")), "{warnings}");
    }
    let line = line_with(&server.lines, "a file is damaged");
    let told = ["ERROR", block, "offset=0", "checksum of a page does not match", "tsdb verify"];
    assert!(told.iter().all(|part| line.contains(part)), "{line}");
    assert_eq!(metric(&server, "cresset_storage_damaged_places"), 1.0);
    assert!(1.0 <= metric(&server, "cresset_storage_damaged_reads_total"));
    server.end(Signal::TERM);
    let (code, text) = cresset(at, &["tsdb", "verify", "data"]);
    let found = format!("{block}, byte 0: checksum of a page does not match; lost: ");
    assert!(code == Some(1) && text.contains(&found), "{text}");

    // Damage of the index costs the block; what is elsewhere is answered.
    let mut bad = whole;
    let end = bad.len();
    bad[end - 100] ^= 1;
    std::fs::write(&path, &bad).expect("write");
    let server = Server::start(at, &flags);
    let (samples, _, warnings) = counted(&server);
    assert!(0.0 < samples && samples < all, "{samples} of {all}");
    assert!(warnings.contains("outline") || warnings.contains("checksum"), "{warnings}");
    let (_, warnings) = ask(&server, "/api/v1/label/n/values?start=1699999000&end=1700050000");
    assert!(warnings.contains(block), "{warnings}");
}
