//! `exeat man`: the manual, a page a command, as packages install it.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Args, Command};

/// Where to.
#[derive(Debug, Args)]
pub struct ManArgs {
    /// A folder that is there; pages of the same names are replaced
    #[arg(value_name = "FOLDER")]
    folder: PathBuf,
}

/// Writes the pages: what `--help` says, in section 1.
pub fn man(args: &ManArgs, command: Command) -> anyhow::Result<()> {
    let unwritten = || format!("the pages cannot be written to {}; name a folder that is there", args.folder.display());
    clap_mangen::generate_to(command, &args.folder).with_context(unwritten)
}
