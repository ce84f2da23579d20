//! `completions` and `man`.

use clap_complete::aot;

use super::arguments::{Shell, whole};
use super::failure::Failure;
use super::show;

const NAME: &str = "otturnaut";

pub(super) fn completions(shell: Shell) -> Result<(), Failure> {
    let mut out = Vec::new();
    let mut command = whole();
    match shell {
        Shell::Bash => aot::generate(aot::Bash, &mut command, NAME, &mut out),
        Shell::Zsh => aot::generate(aot::Zsh, &mut command, NAME, &mut out),
        Shell::Fish => aot::generate(aot::Fish, &mut command, NAME, &mut out),
    }
    show::print(&String::from_utf8_lossy(&out))
}

/// The manual page: the command, then each of its commands.
pub(super) fn page() -> Result<(), Failure> {
    let command = whole();
    let mut out = Vec::new();
    let man = clap_mangen::Man::new(command.clone());
    man.render_title(&mut out)?;
    man.render_name_section(&mut out)?;
    man.render_synopsis_section(&mut out)?;
    man.render_description_section(&mut out)?;
    for sub in command.get_subcommands().filter(|sub| sub.get_name() != "help") {
        out.extend_from_slice(section(sub)?.as_bytes());
    }
    man.render_extra_section(&mut out)?;
    show::print(&String::from_utf8_lossy(&out))
}

/// The part of one command: its sections become parts of one that has its name.
fn section(sub: &clap::Command) -> Result<String, Failure> {
    let sub = sub.clone().disable_help_flag(true);
    let noted = sub.get_after_help().is_some();
    let man = clap_mangen::Man::new(sub.clone());
    let mut out = Vec::new();
    man.render_description_section(&mut out)?;
    man.render_options_section(&mut out)?;
    if noted {
        man.render_extra_section(&mut out)?;
    }
    let text = String::from_utf8_lossy(&out);
    let parts =
        text.replace(".SH DESCRIPTION", ".PP").replace(".SH OPTIONS", ".SS Options").replace(".SH EXTRA", ".SS Notes");
    Ok(format!(".SH {NAME} {}\n{parts}", sub.get_name()))
}
