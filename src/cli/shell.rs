//! `marts completions` and `marts man`: what shells and manual readers want to know, out of the same definitions.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Args, CommandFactory as _};
use clap_complete::Shell;

use super::{Cli, Context, Exit, Outcome, output};

/// Print what a shell needs to complete the verbs, their options and values
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  marts completions bash > ~/.local/share/bash-completion/completions/marts
  marts completions zsh > ~/.zfunc/_marts
  marts completions fish > ~/.config/fish/completions/marts.fish")]
pub struct CompletionsArgs {
    #[arg(value_name = "SHELL", value_enum)]
    pub shell: Shell,
}

/// Print the manual page, or write one for each verb
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  marts man | man -l -\n  marts man --dir ~/.local/share/man/man1")]
pub struct ManArgs {
    /// Write the pages of all verbs into this folder
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
}

/// Prints the completions.
pub fn completions(args: &CompletionsArgs) -> Outcome {
    let mut text = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "marts", &mut text);
    output::print(&String::from_utf8_lossy(&text))?;
    Ok(Exit::Good)
}

/// Prints or writes the manual.
pub fn man(args: &ManArgs, context: &Context) -> Outcome {
    let command = Cli::command();
    match &args.dir {
        None => output::print(&page(command)?)?,
        Some(dir) => {
            std::fs::create_dir_all(dir).with_context(|| format!("cannot make the folder {}", dir.display()))?;
            clap_mangen::generate_to(command, dir).with_context(|| format!("cannot write into {}", dir.display()))?;
            context.say(&format!("a page for each command is in {}", dir.display()));
        }
    }
    Ok(Exit::Good)
}

fn page(command: clap::Command) -> anyhow::Result<String> {
    let mut text = Vec::new();
    clap_mangen::Man::new(command).render(&mut text).context("rendering the manual")?;
    Ok(String::from_utf8(text)?)
}
