//! `completions` and `man`: files in `packaging/` that are part of the program. The tests make them of the description of the
//! command line, and say so where they are not what it would give; `SNAPSHOTS=write` writes them anew.

use super::arguments::Shell;
use super::failure::Failure;
use super::show;

const BASH: &str = include_str!("../../packaging/completions/otturnaut.bash");
const ZSH: &str = include_str!("../../packaging/completions/_otturnaut");
const FISH: &str = include_str!("../../packaging/completions/otturnaut.fish");
const PAGE: &str = include_str!("../../packaging/otturnaut.1");

pub(super) fn completions(shell: Shell) -> Result<(), Failure> {
    show::print(match shell {
        Shell::Bash => BASH,
        Shell::Zsh => ZSH,
        Shell::Fish => FISH,
    })
}

/// The manual page: the command, then each of its commands.
pub(super) fn page() -> Result<(), Failure> {
    show::print(PAGE)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use clap_complete::aot::{self, Generator};

    use super::super::arguments::whole;
    use super::*;

    const NAME: &str = "otturnaut";

    #[test]
    fn completions_are_those_of_the_command_line() {
        kept("completions/otturnaut.bash", BASH, &completions(aot::Bash));
        kept("completions/_otturnaut", ZSH, &completions(aot::Zsh));
        kept("completions/otturnaut.fish", FISH, &completions(aot::Fish));
    }

    #[test]
    fn the_manual_is_that_of_the_command_line() {
        let command = whole();
        let man = clap_mangen::Man::new(command.clone());
        let mut out = Vec::new();
        man.render_title(&mut out).unwrap();
        man.render_name_section(&mut out).unwrap();
        man.render_synopsis_section(&mut out).unwrap();
        man.render_description_section(&mut out).unwrap();
        for sub in command.get_subcommands().filter(|sub| sub.get_name() != "help") {
            out.extend_from_slice(section(sub).as_bytes());
        }
        man.render_extra_section(&mut out).unwrap();
        kept("otturnaut.1", PAGE, &String::from_utf8(out).unwrap());
    }

    fn completions(shell: impl Generator) -> String {
        let mut out = Vec::new();
        aot::generate(shell, &mut whole(), NAME, &mut out);
        String::from_utf8(out).unwrap()
    }

    /// The part of one command: its sections become parts of one that has its name.
    fn section(sub: &clap::Command) -> String {
        let sub = sub.clone().disable_help_flag(true);
        let noted = sub.get_after_help().is_some();
        let man = clap_mangen::Man::new(sub.clone());
        let mut out = Vec::new();
        man.render_description_section(&mut out).unwrap();
        man.render_options_section(&mut out).unwrap();
        if noted {
            man.render_extra_section(&mut out).unwrap();
        }
        let parts = String::from_utf8(out)
            .unwrap()
            .replace(".SH DESCRIPTION", ".PP")
            .replace(".SH OPTIONS", ".SS Options")
            .replace(".SH EXTRA", ".SS Notes");
        format!(".SH {NAME} {}\n{parts}", sub.get_name())
    }

    /// Compares what is in the program with what the command line gives now.
    #[expect(clippy::disallowed_methods, reason = "a test writes what it is asked to")]
    fn kept(file: &str, embedded: &str, made: &str) {
        if std::env::var("SNAPSHOTS").is_ok_and(|value| value == "write") {
            std::fs::write(Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging").join(file), made).unwrap();
        } else {
            assert!(
                embedded == made,
                "packaging/{file} is not what the command line gives: SNAPSHOTS=write writes it anew"
            );
        }
    }
}
