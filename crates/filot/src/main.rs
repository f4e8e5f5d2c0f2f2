//! The `filot` program.

use std::process::ExitCode;

use clap::Parser;
use clap::error::ErrorKind;
use filot::cli::{Cli, EXIT_USAGE};

fn main() -> ExitCode {
    match Cli::try_parse() {
        Ok(cli) => ExitCode::from(cli.run()),
        Err(error) => {
            // Printing fails only when nobody reads it.
            let _ = error.print();
            match error.kind() {
                ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => ExitCode::SUCCESS,
                _ => ExitCode::from(EXIT_USAGE),
            }
        }
    }
}
