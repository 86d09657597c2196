//! An empty server, beside the peers: until it is ready on an empty directory, and what it uses
//! while it has nothing to do.

use std::time::Duration;

use anyhow::Context as _;

use crate::config::write_config;
use crate::flags::Flags;
use crate::peers::{self, Table};

/// After the start, before idling is measured.
const SETTLED_AFTER: Duration = Duration::from_secs(10);

/// Runs the scenario.
pub(crate) fn run(flags: &Flags) -> anyhow::Result<()> {
    flags.only(&["seconds"])?;
    let window = Duration::from_secs(flags.number("seconds", 60));
    let peers = peers::all()?;
    let mut table = Table::new(peers.iter().map(|peer| peer.name).collect());
    let (mut ready, mut resident, mut share) = (Vec::new(), Vec::new(), Vec::new());
    for peer in &peers {
        let folder = tempfile::tempdir().context("make a folder")?;
        let config = write_config(folder.path(), &[])?;
        let server = peer.start(&config, &folder.path().join("data"))?;
        std::thread::sleep(SETTLED_AFTER);
        let before = server.usage()?;
        std::thread::sleep(window);
        let after = server.usage()?;
        ready.push(Some(server.ready_after.as_secs_f64()));
        resident.push(Some(after.resident_bytes as f64 / 1_048_576.0));
        let used = after.cpu_seconds - before.cpu_seconds;
        share.push(Some(used / window.as_secs_f64() * 100.0));
        server.stop()?;
    }
    table.row("s until ready", 3, &ready);
    table.row("resident MiB", 1, &resident);
    table.row("% of a core", 3, &share);
    table.print();
    Ok(())
}
