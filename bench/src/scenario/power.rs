//! The disk as it stands at random moments, opened as after a power cut: it holds every row that
//! was called durable by then, in the log, in tiles or in the blocks that compaction makes all the
//! while, and `cresset tsdb verify` finds no damage in it.
//!
//! The data directory lies on a file system in an image file. At each moment the daemon is stopped
//! and the image copied: what the inner file system had not yet handed to its disk is lost, as with
//! the power. Each copy is mounted (which replays its journal) and opened by another daemon.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use rustix::process::Signal;

use crate::behaviour::Behaviour;
use crate::client;
use crate::config::{Job, Target, write_config};
use crate::flags::Flags;
use crate::fleet::{Fleet, mix};
use crate::process::{self, Server};
use crate::scenario::crash::{ROWS_DURABLE, rows_held};
use crate::serve::{Targets, now_ms};

const TARGETS: u64 = 50;
const SERIES: usize = 500;
const COPIES: u64 = 50;
/// Room for the log's segments and minutes of tiles.
const IMAGE_BYTES: u64 = 2 << 30;
/// Windows so short that every copy meets a compaction, or one just over.
const WINDOWS: &str = "--storage.tsdb.min-block-duration=2s";
const BLOCKS: &str = "prometheus_tsdb_blocks_loaded";
const COMPACTIONS: &str = "prometheus_tsdb_compactions_total";

/// Cuts the power `--copies` times.
pub(crate) fn run(flags: &Flags) -> anyhow::Result<()> {
    flags.only(&["copies", "seed"])?;
    let copies = flags.number("copies", COPIES);
    let seed = flags.number("seed", now_ms());
    println!("seed {seed}");
    let folder = tempfile::tempdir().context("make a folder")?;
    let image = folder.path().join("disk");
    let Some(disk) = make(&image, &folder.path().join("mounted"))? else {
        println!("skipped: mounting an image takes root and loop devices");
        return Ok(());
    };
    let program = process::cresset()?;
    let targets = Targets::start(Fleet::mixed(SERIES))?;
    let address = targets.address.to_string();
    let job = Job {
        name: "crash".to_owned(),
        interval_seconds: 1,
        timeout_seconds: 1,
        targets: (0..TARGETS).map(|k| Target::new(&address, Behaviour::Healthy, k)).collect(),
    };
    let config = write_config(folder.path(), &[job])?;
    let quiet_folder = folder.path().join("quiet");
    std::fs::create_dir(&quiet_folder).context("make a folder")?;
    let quiet = write_config(&quiet_folder, &[])?;
    let data = disk.mounted.join("data");
    let server = Server::start_with(&program, &config, &data, &[WINDOWS])?;
    let mut ready_seconds = Vec::new();
    let mut with_blocks = 0;
    for copy in 0..copies {
        let run_for = Duration::from_millis(200 + mix(seed, copy) % 1_500);
        let durable = watch(&server, run_for)?;
        let copied = folder.path().join("copy");
        server.signal(Signal::STOP)?;
        let made = copy_image(&image, &copied);
        server.signal(Signal::CONT)?;
        made?;
        let opened = open(&program, &quiet, &copied, durable)
            .with_context(|| format!("copy {copy} of seed {seed}"))?;
        ready_seconds.push(opened.ready_seconds);
        with_blocks += u64::from(0.0 < opened.blocks);
    }
    let compactions = client::metric(&server.address, COMPACTIONS)?.unwrap_or(0.0);
    server.stop()?;
    // The first windows must be over before there is a block.
    ensure!(copies < 10 || copies / 2 <= with_blocks, "only {with_blocks} copies had a block");
    ready_seconds.sort_by(f64::total_cmp);
    let worst = ready_seconds.last().copied().unwrap_or(0.0);
    println!(
        "{copies} copies opened, {with_blocks} with blocks of {compactions} compactions, no \
         durable row lost, none twice, none damaged; worst ready {worst:.3} s"
    );
    Ok(())
}

/// Watches the durable rows until the moment comes.
fn watch(server: &Server, run_for: Duration) -> anyhow::Result<f64> {
    let started = Instant::now();
    loop {
        let metric = client::metric(&server.address, ROWS_DURABLE)?;
        let durable = metric.with_context(|| format!("{ROWS_DURABLE} is not exported"))?;
        if run_for <= started.elapsed() {
            return Ok(durable);
        }
    }
}

/// A copy that opened.
struct Opened {
    ready_seconds: f64,
    blocks: f64,
}

/// Opens the store on the image at `copied`, which must hold `durable` rows.
fn open(program: &Path, config: &Path, copied: &Path, durable: f64) -> anyhow::Result<Opened> {
    let disk = Disk::mount(copied, &copied.with_extension("mounted"))?;
    let server = Server::start(program, config, &disk.mounted.join("data"))?;
    let rows = rows_held(&server, now_ms())?;
    let ready_seconds = server.ready_after.as_secs_f64();
    let blocks = client::metric(&server.address, BLOCKS)?;
    let blocks = blocks.with_context(|| format!("{BLOCKS} is not exported"))?;
    println!(
        "ready after {ready_seconds:.3} s, {rows} rows held, {durable} reported durable, {blocks} \
         blocks"
    );
    ensure!(durable <= rows, "{} durable rows are lost", durable - rows);
    server.stop()?;
    verify(program, &disk.mounted.join("data"))?;
    Ok(Opened { ready_seconds, blocks })
}

/// Reads every page of every block and tile, and the manifest that names them. The end of the
/// newest tile file may be torn: what stood there is in the log.
fn verify(program: &Path, data: &Path) -> anyhow::Result<()> {
    let output = Command::new(program).args(["tsdb", "verify"]).arg(data).output();
    let output = output.context("start cresset tsdb verify")?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(said.contains(" files read, "), "verify did not end: {said}");
    let damage = said.lines().find(|line| line.contains("; lost: ") && !line.contains(".tile, "));
    ensure!(damage.is_none(), "verify found damage: {}", damage.unwrap_or_default());
    Ok(())
}

/// A mounted image; unmounted when dropped.
struct Disk {
    mounted: PathBuf,
}

impl Disk {
    fn mount(image: &Path, at: &Path) -> anyhow::Result<Disk> {
        std::fs::create_dir_all(at).context("make the mount point")?;
        run_program("mount", &["-o", "loop", &shown(image), &shown(at)])?;
        Ok(Disk { mounted: at.to_owned() })
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // A scenario that fails half-way leaves no mount behind.
        let _ = run_program("umount", &[&shown(&self.mounted)]);
    }
}

/// A new file system in a file, mounted; `None` where this machine lets nobody do so.
fn make(image: &Path, at: &Path) -> anyhow::Result<Option<Disk>> {
    let file = std::fs::File::create(image).context("make the image")?;
    file.set_len(IMAGE_BYTES).context("size the image")?;
    run_program("mkfs.ext4", &["-q", "-F", &shown(image)])?;
    Ok(Disk::mount(image, at).ok())
}

fn copy_image(image: &Path, to: &Path) -> anyhow::Result<()> {
    run_program("cp", &["--sparse=always", &shown(image), &shown(to)])
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

fn run_program(name: &str, arguments: &[&str]) -> anyhow::Result<()> {
    let path = format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default());
    let output = Command::new(name)
        .args(arguments)
        .env("PATH", path)
        .output()
        .with_context(|| format!("start {name}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{name} {}: {}", arguments.join(" "), said.trim());
    Ok(())
}
