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
    man.render(&mut out)?;
    for sub in command.get_subcommands().filter(|sub| sub.get_name() != "help") {
        let sub = sub.clone().disable_help_flag(true);
        let man = clap_mangen::Man::new(sub.clone());
        out.extend_from_slice(format!(".SH OTTURNAUT {}\n", sub.get_name().to_uppercase()).as_bytes());
        man.render_description_section(&mut out)?;
        man.render_options_section(&mut out)?;
        man.render_extra_section(&mut out)?;
    }
    show::print(&String::from_utf8_lossy(&out))
}
