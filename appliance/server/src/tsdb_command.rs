//! `cresset tsdb`: looks into data directories, brings them from Prometheus and back.
//!
//! Path: `flags` reads the command line → **tsdb_command** → a directory of ours or Prometheus's.
//! Never: writes to a directory of Prometheus, or to one that a server has open.

pub mod print;
pub mod own;
pub mod opened;
pub mod list;
pub mod fullness;
pub mod analyze;
pub mod dump;
pub mod blocks_out;
pub mod backfill;
pub mod export;
pub mod journal;
pub mod import;
pub mod verify;
pub mod snapshot;

use std::process::ExitCode;

use print::Ended;

use crate::tsdb_arguments::TsdbTask;

/// Runs a subcommand; its exit code: 0 done, 1 failed or something is damaged.
#[must_use]
pub fn run(task: &TsdbTask) -> ExitCode {
    let done = match task {
        TsdbTask::List(options) => list::run(options),
        TsdbTask::Analyze(options) => analyze::run(options),
        TsdbTask::Dump(options) => dump::run(options),
        TsdbTask::Backfill(options) => backfill::run(options),
        TsdbTask::Export(options) => export::run(options),
        TsdbTask::Import(options) => import::run(options),
        TsdbTask::Verify(options) => verify::run(options),
        TsdbTask::Snapshot(options) => snapshot::run(options),
    };
    match done {
        Ok(Ended::Well) => ExitCode::SUCCESS,
        Ok(Ended::Damaged) => ExitCode::FAILURE,
        // Whoever read the output has enough.
        Err(error) if print::is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
