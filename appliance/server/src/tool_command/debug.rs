//! `cresset debug`: what helps to find a fault, in one archive.

use std::io::Write as _;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::tool_arguments::{DebugScope, ServerOptions};
use crate::tool_command::archive::Archive;
use crate::tool_command::connection::Connection;
use crate::tool_command::ended::Ended;
use crate::tsdb_command::print::output;

/// Where the archive goes: promtool's name.
const ARCHIVE: &str = "debug.tar.gz";
const TIMEOUT: Duration = Duration::from_secs(60);

/// What the server is, has and does.
const STATE: [(&str, &str); 11] = [
    ("/api/v1/status/buildinfo", "buildinfo.json"),
    ("/api/v1/status/runtimeinfo", "runtimeinfo.json"),
    ("/api/v1/status/flags", "flags.json"),
    // Secrets are not in it.
    ("/api/v1/status/config", "config.json"),
    ("/api/v1/status/tsdb", "tsdb.json"),
    ("/api/v1/status/walreplay", "walreplay.json"),
    ("/api/v1/status/queries", "queries.json"),
    ("/api/v1/targets?state=active", "targets.json"),
    ("/api/v1/rules", "rules.json"),
    ("/-/healthy", "healthy.txt"),
    ("/-/ready", "ready.txt"),
];
const METRICS: [(&str, &str); 2] =
    [("/metrics", "metrics.txt"), ("/metrics/host", "host_metrics.txt")];

/// Gathers and writes the archive into the working directory. What another kind of server does not
/// have is told and left out.
///
/// # Errors
/// The server does not answer, or the file system refuses.
pub fn run(server: &ServerOptions, scope: DebugScope) -> Result<Ended> {
    let mut connection = Connection::new(server)?;
    let seconds = u64::try_from(machine::clock::now().wall.0 / 1000).unwrap_or(0);
    let mut archive = Archive::new(Vec::new(), seconds);
    let state = STATE.iter().filter(|_| scope != DebugScope::Metrics);
    let metrics = METRICS.iter().filter(|_| scope != DebugScope::State);
    let mut out = output();
    for (path, name) in state.chain(metrics) {
        writeln!(out, "collecting: {}{path}", connection.base())?;
        out.flush()?;
        let response = connection.get(path, TIMEOUT).context("error completing debug command")?;
        if response.status == 404 {
            writeln!(out, "  there is none: left out")?;
            continue;
        }
        archive.add(name, &response.body)?;
    }
    let bytes = archive.finish()?;
    std::fs::write(ARCHIVE, bytes).with_context(|| format!("write {ARCHIVE}"))?;
    writeln!(out, "Compiling debug information complete, all files written in {ARCHIVE:?}.")?;
    out.flush()?;
    Ok(Ended::Well)
}
