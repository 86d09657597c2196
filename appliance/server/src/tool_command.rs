//! `cresset check`, `query`, `promql`, `push` and `debug`: what promtool does, in its words where
//! scripts read them.
//!
//! Path: `flags` reads the command line → **tool_command** → files and servers.
//! Never: writes more than it is asked for; a reader that has left is no fault.

pub mod ended;
pub mod connection;
pub mod value_text;
pub mod chart;
pub mod archive;
pub mod check_rules;
pub mod check_config;
pub mod lint;
pub mod check_metrics;
pub mod check_discovery;
pub mod ask;
pub mod analyze;
pub mod promql;
pub mod push;
pub mod debug;

use std::path::PathBuf;
use std::process::ExitCode;

use ended::Ended;

use crate::tool_arguments::ToolTask;
use crate::tsdb_command::print::is_broken_pipe;

/// Runs a tool; its exit code.
#[must_use]
pub fn run(task: &ToolTask) -> ExitCode {
    let done = match task {
        ToolTask::CheckConfig(options) => check_config::run(options),
        ToolTask::CheckWebConfig(files) => Ok(check_web_config(files)),
        ToolTask::CheckRules(files, lint) => check_rules::run(files, lint),
        ToolTask::CheckMetrics { extended, lint } => check_metrics::run(*extended, *lint),
        ToolTask::CheckDiscovery { file, job, timeout_ms } => {
            check_discovery::run(file, job, *timeout_ms)
        }
        ToolTask::CheckStatus(server, path) => ask::status(server, path),
        ToolTask::Query(options) => ask::run(options),
        ToolTask::Analyze(options) => analyze::run(options),
        ToolTask::Promql(text, rewrite, options) => promql::run(text, rewrite, options),
        ToolTask::Push(options) => push::run(options),
        ToolTask::Debug(server, scope) => debug::run(server, *scope),
    };
    match done {
        Ok(Ended::Well) => ExitCode::SUCCESS,
        Ok(Ended::Linted) => ExitCode::from(3),
        Ok(Ended::Failed) => ExitCode::FAILURE,
        // Whoever read the output has enough.
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn check_web_config(files: &[PathBuf]) -> Ended {
    let mut ended = Ended::Well;
    for file in files {
        match crate::web_config::load(file) {
            Ok(_) => eprintln!("{} SUCCESS", file.display()),
            Err(reason) => {
                eprintln!("{} FAILED: {reason}", file.display());
                ended = Ended::Failed;
            }
        }
    }
    ended
}
