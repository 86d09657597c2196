//! Manual: writes the manual pages and completions of the package, from the table of flags.
//!
//! `cargo run -p server --example manual -- DIRECTORY`

#![forbid(unsafe_code)]

use std::path::PathBuf;

use anyhow::Context as _;
use clap_complete::{Shell, generate_to};
use server::flags::command;

fn main() -> anyhow::Result<()> {
    let directory = std::env::args().nth(1).context("give the directory to write to")?;
    let directory = PathBuf::from(directory);
    std::fs::create_dir_all(&directory).context("make the directory")?;
    clap_mangen::generate_to(command(), &directory).context("write manual pages")?;
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
        generate_to(shell, &mut command(), "cresset", &directory).context("write completions")?;
    }
    Ok(())
}
