//! `cresset`: reads the command line, sets up the log, runs the server or a check.

#![forbid(unsafe_code)]

use std::process::ExitCode;

use server::boot::{Refused, run};
use server::check::check_config;
use server::doctor::checkup::{self, Verdict};
use server::doctor::examine;
use server::flags::{Flags, LogFormat, Task, parse};
use server::log::Logfmt;
use server::tsdb_command;

/// Upstream's exit code for a configuration that it refuses.
const EXIT_REFUSED: u8 = 2;

fn main() -> ExitCode {
    match parse(std::env::args()) {
        Err(error) => {
            // Help and version go to standard output, faults to standard error.
            let _ = error.print();
            ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(1))
        }
        Ok(Task::CheckWebConfig(file)) => match server::web_config::load(&file) {
            Ok(_) => {
                println!("{} SUCCESS", file.display());
                ExitCode::SUCCESS
            }
            Err(reason) => {
                eprintln!("FAILED: {reason}");
                ExitCode::FAILURE
            }
        },
        Ok(Task::CheckConfig(files)) => {
            let mut are_valid = true;
            for file in files {
                let (report, is_valid) = check_config(&file);
                if is_valid {
                    print!("{report}");
                } else {
                    eprint!("{report}");
                }
                are_valid &= is_valid;
            }
            if are_valid { ExitCode::SUCCESS } else { ExitCode::FAILURE }
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
        Ok(Task::Run(flags)) => serve(&flags),
    }
}

fn serve(flags: &Flags) -> ExitCode {
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
