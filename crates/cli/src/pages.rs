//! `antiphon completion` and `antiphon man`: what is made from the tree of commands.
//! Promise: every command that can be typed is completed and has a page; nothing is installed.
//! Not here: the tree (`args`).

use clap::{Command, CommandFactory as _};
use clap_mangen::Man;

use crate::args::{Cli, CompletionArgs, ManArgs};
use crate::failure::{Exit, Failure};

/// The name of the program, and of the first page.
const PROGRAM: &str = "antiphon";
/// What the foot of each page says.
const MANUAL: &str = "Antiphon";

/// Prints the script for a shell.
pub fn completion(args: &CompletionArgs) -> Exit {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), PROGRAM, &mut script);
    out!("{}", String::from_utf8_lossy(&script));
    Exit::Ok
}

/// Prints the first page, or writes all of them.
pub fn man(args: &ManArgs) -> Result<Exit, Failure> {
    let pages = pages(Cli::command())?;
    let Some(folder) = &args.dir else {
        let first = pages.first().map(|page| page.text.as_str());
        out!("{}", first.unwrap_or_default());
        return Ok(Exit::Ok);
    };
    std::fs::create_dir_all(folder).map_err(|error| Failure::unwritable(folder, &error))?;
    for page in &pages {
        let file = folder.join(&page.file);
        std::fs::write(&file, &page.text).map_err(|error| Failure::unwritable(&file, &error))?;
    }
    eprintln!("wrote {} pages to {}", pages.len(), folder.display());
    eprintln!(
        "try: man -l {}",
        folder.join(format!("{PROGRAM}.1")).display()
    );
    Ok(Exit::Ok)
}

/// A page of the manual.
struct Page {
    /// `antiphon-floor-diff.1`.
    file: String,
    /// Its text, roff.
    text: String,
}

/// A page for the program and each of its commands, the program's first.
fn pages(mut program: Command) -> Result<Vec<Page>, Failure> {
    // Gives each command the whole of its name, `antiphon-floor-diff`.
    program.build();
    let mut pages = Vec::new();
    let mut left = vec![program];
    while let Some(command) = left.pop() {
        let below = command
            .get_subcommands()
            .filter(|below| !below.is_hide_set());
        // Clap's own `help` has the same tree below it once more.
        let below = below.filter(|below| below.get_name() != "help");
        left.extend(below.cloned());
        let page = Man::new(command).manual(MANUAL);
        let mut text = Vec::new();
        page.render(&mut text)?;
        pages.push(Page {
            file: page.get_filename(),
            text: String::from_utf8_lossy(&text).into_owned(),
        });
    }
    pages
        .get_mut(1..)
        .into_iter()
        .for_each(|rest| rest.sort_by(|a, b| a.file.cmp(&b.file)));
    Ok(pages)
}

#[cfg(test)]
mod tests {
    use clap_complete::Shell;

    use super::*;

    /// The whole names of all commands, `antiphon floor diff`, with the commands.
    fn tree() -> Vec<(String, Command)> {
        let mut found = Vec::new();
        let mut left = vec![(PROGRAM.to_owned(), Cli::command())];
        while let Some((name, command)) = left.pop() {
            for below in command.get_subcommands() {
                left.push((format!("{name} {}", below.get_name()), below.clone()));
            }
            found.push((name, command));
        }
        found
    }

    #[test]
    fn every_command_and_every_argument_says_what_it_is() {
        for (name, command) in tree() {
            assert!(command.get_about().is_some(), "{name} says nothing");
            for argument in command.get_arguments() {
                let said = argument.get_help().is_some();
                assert!(said, "{name}: {} says nothing", argument.get_id());
            }
        }
    }

    #[test]
    fn every_command_has_a_page_that_names_its_arguments() {
        let pages = pages(Cli::command()).unwrap();
        let tree = tree();
        assert_eq!(pages.len(), tree.len());
        assert_eq!(pages[0].file, "antiphon.1");
        for (name, command) in tree {
            let file = format!("{}.1", name.replace(' ', "-"));
            let page = pages.iter().find(|page| page.file == file);
            let text = page
                .map(|page| page.text.replace('\\', ""))
                .unwrap_or_default();
            assert!(text.contains(".SH SYNOPSIS"), "{file}: {text}");
            for argument in command.get_arguments().filter_map(clap::Arg::get_long) {
                assert!(
                    text.contains(&format!("--{argument}")),
                    "{file}: {argument}"
                );
            }
        }
    }

    fn script(shell: Shell) -> String {
        let mut script = Vec::new();
        clap_complete::generate(shell, &mut Cli::command(), PROGRAM, &mut script);
        String::from_utf8(script).unwrap()
    }

    #[test]
    fn every_shell_completes_every_command() {
        for shell in [
            Shell::Bash,
            Shell::Zsh,
            Shell::Fish,
            Shell::PowerShell,
            Shell::Elvish,
        ] {
            let script = script(shell);
            for (name, _) in tree() {
                let word = name.rsplit(' ').next().unwrap_or_default();
                assert!(script.contains(word), "{shell}: {name}");
            }
            assert!(script.contains("dry-run"), "{shell}");
        }
    }

    #[test]
    fn bash_offers_each_command_its_own_options_and_none_of_another() {
        // What bash does when somebody types the words, two dashes and the key for completion.
        let mut typed = script(Shell::Bash);
        typed.push_str(
            "\nask() { COMP_WORDS=(\"$@\" --); COMP_CWORD=$#; COMPREPLY=()\n\
             _antiphon antiphon -- \"${!#}\"; echo \"$*|${COMPREPLY[*]}|\"; }\n",
        );
        for (name, _) in tree() {
            typed.push_str(&format!("ask {name}\n"));
        }
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), typed).unwrap();
        let bash = std::process::Command::new("bash")
            .arg("--norc")
            .arg(file.path())
            .output()
            .unwrap();
        let offered = String::from_utf8(bash.stdout).unwrap();
        for (name, command) in tree() {
            let line = offered
                .lines()
                .find_map(|line| line.strip_prefix(&format!("{name}|")));
            let words: Vec<&str> = line.unwrap_or_default().split([' ', '|']).collect();
            for argument in command.get_arguments().filter_map(clap::Arg::get_long) {
                let option = format!("--{argument}");
                assert!(
                    words.contains(&option.as_str()),
                    "{name} {option}: {words:?}"
                );
            }
            let has = |long: &str| {
                command
                    .get_arguments()
                    .any(|one| one.get_long() == Some(long))
            };
            assert_eq!(words.contains(&"--dry-run"), has("dry-run"), "{name}");
        }
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_named() {
        let args = ManArgs {
            dir: Some("/dev/null/man".into()),
        };
        let failure = man(&args).unwrap_err();
        assert!(
            failure
                .sentence
                .starts_with("/dev/null/man cannot be written")
        );
        assert_eq!(failure.next.as_deref(), Some("ls -ld /dev/null"));
    }
}
