//! `cresset`: reads the command line, sets up the log, runs the server or a check.

#![forbid(unsafe_code)]

use std::process::ExitCode;

use server::boot::{Refused, run};
use server::doctor::checkup::{self, Verdict};
use server::doctor::examine;
use server::flags::{Flags, LogFormat, Task, parse};
use server::log::Logfmt;
use server::{tool_command, tsdb_command};

/// Upstream's exit code for a configuration that it refuses.
const EXIT_REFUSED: u8 = 2;

fn main() -> ExitCode {
    match parse(std::env::args()) {
        Err(error) => {
            // Help and version go to standard output, faults to standard error.
            let _ = error.print();
            match error.exit_code() {
                0 => ExitCode::SUCCESS,
                // promtool's code, where its commands are asked; Prometheus's for the server.
                _ if std::env::args().nth(1).is_some_and(|first| !first.starts_with('-')) => {
                    ExitCode::FAILURE
                }
                _ => ExitCode::from(EXIT_REFUSED),
            }
        }
        Ok(Task::ConfigSchema) => {
            println!("{:#}", server::config::schema::schema());
            ExitCode::SUCCESS
        }
        Ok(Task::Doctor { directory, json }) => {
            let checks = examine(&directory);
            let text = if json { checkup::json(&checks) } else { checkup::table(&checks) };
            print!("{text}");
            let is_well = checks.iter().all(|check| check.verdict != Verdict::Fix);
            if is_well { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Ok(Task::Tsdb(task)) => tsdb_command::run(&task),
        Ok(Task::Tool(task)) => tool_command::run(&task),
        Ok(Task::Run(flags)) => serve(&flags),
    }
}

fn serve(flags: &Flags) -> ExitCode {
    machine::heap::bound_arenas();
    let log = tracing_subscriber::fmt().with_max_level(flags.log_level);
    let log = log.with_writer(std::io::stderr).with_target(false);
    match flags.log_format {
        LogFormat::Logfmt => log.event_format(Logfmt).init(),
        LogFormat::Json => log.json().init(),
    }
    tracing::info!(version = env!("CARGO_PKG_VERSION"), "starting cresset");
    match run(flags) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}");
            let is_refused = error.is::<Refused>();
            if is_refused { ExitCode::from(EXIT_REFUSED) } else { ExitCode::FAILURE }
        }
    }
}
