//! The terminal: colours, questions, whether anybody looks.
//! Promise: colour adds to words and shapes and never stands alone; `NO_COLOR` and pipes get none,
//! each stream by itself.
//! Not here: tables (`table`).

use std::io::{IsTerminal as _, Write as _};

use crate::failure::{Exit, Failure};

/// Writes data to stdout. A reader that has gone (`| head`) ends the process in peace.
pub fn put(text: std::fmt::Arguments<'_>) {
    let mut stdout = std::io::stdout().lock();
    let written = stdout.write_fmt(text).and_then(|()| stdout.flush());
    match written {
        Ok(()) => {}
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => std::process::exit(0),
        Err(error) => {
            eprintln!("error: the output cannot be written: {error}");
            std::process::exit(Exit::Error as i32);
        }
    }
}

/// Writes to stdout without a line's end.
macro_rules! out {
    ($($text:tt)*) => { $crate::terminal::put(format_args!($($text)*)) };
}

/// Writes a line to stdout.
macro_rules! outln {
    ($($text:tt)*) => { $crate::terminal::put(format_args!("{}\n", format_args!($($text)*))) };
}

/// Which streams are screens.
#[derive(Clone, Copy, Default)]
struct Screens {
    stdin: bool,
    stdout: bool,
    stderr: bool,
}

/// What stdout and stderr are connected to.
#[derive(Clone, Copy, Debug)]
pub struct Terminal {
    coloured: bool,
    coloured_talk: bool,
    /// Somebody can answer a question.
    pub interactive: bool,
    /// Stdout is a screen that can be cleared.
    pub screen: bool,
}

impl Terminal {
    /// As this process finds it.
    #[allow(
        clippy::disallowed_methods,
        reason = "the command line reads the environment"
    )]
    pub fn of_process() -> Self {
        let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let screens = Screens {
            stdin: std::io::stdin().is_terminal(),
            stdout: std::io::stdout().is_terminal(),
            stderr: std::io::stderr().is_terminal(),
        };
        Self::of(screens, plain)
    }

    fn of(screens: Screens, plain: bool) -> Self {
        let Screens {
            stdin,
            stdout,
            stderr,
        } = screens;
        Self {
            coloured: stdout && !plain,
            coloured_talk: stderr && !plain,
            interactive: stdin && stderr,
            screen: stdout,
        }
    }

    /// The same for what goes to stderr.
    pub fn talk(self) -> Self {
        Self {
            coloured: self.coloured_talk,
            ..self
        }
    }

    /// Neither colour nor anybody there.
    #[cfg(test)]
    pub fn plain() -> Self {
        Self::of(Screens::default(), false)
    }

    fn paint(self, code: &str, text: &str) -> String {
        match self.coloured {
            true => format!("\x1b[{code}m{text}\x1b[0m"),
            false => text.to_owned(),
        }
    }

    pub fn good(self, text: &str) -> String {
        self.paint("32", text)
    }

    pub fn warn(self, text: &str) -> String {
        self.paint("33", text)
    }

    pub fn bad(self, text: &str) -> String {
        self.paint("31;1", text)
    }

    pub fn heading(self, text: &str) -> String {
        self.paint("1", text)
    }

    /// Asks for a yes before something is changed; `given` is `--yes`.
    pub fn confirm(self, question: &str, given: bool) -> Result<(), Failure> {
        if given {
            return Ok(());
        }
        if !self.interactive {
            let failure = Failure::usage("this changes the cluster and nobody is there to ask");
            return Err(failure
                .with_reason("NOT_CONFIRMED")
                .with_next("the same command with --yes"));
        }
        eprint!("{question} [y/N] ");
        std::io::stderr().flush().ok();
        let mut answer = String::new();
        std::io::stdin().read_line(&mut answer)?;
        match answer.trim().to_ascii_lowercase().as_str() {
            "y" | "yes" => Ok(()),
            _ => Err(Failure::plain("nothing was changed")
                .with_reason("NOT_CONFIRMED")
                .with_next("the same command, and y")),
        }
    }

    /// Clears the screen before a repeated view.
    pub fn clear(self) {
        if self.screen {
            out!("\x1b[H\x1b[2J");
        }
    }
}

/// Who sits here, for the record of a change.
#[allow(
    clippy::disallowed_methods,
    reason = "the command line reads the environment"
)]
pub fn staff() -> String {
    std::env::var("USER").unwrap_or_else(|_| "operator".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_colour_the_words_are_the_same() {
        assert_eq!(Terminal::plain().bad("DOWN"), "DOWN");
        let coloured = Terminal {
            coloured: true,
            ..Terminal::plain()
        };
        assert_eq!(coloured.bad("DOWN"), "\x1b[31;1mDOWN\x1b[0m");
    }

    #[test]
    fn each_stream_has_colour_by_itself_and_no_color_takes_it_from_both() {
        let coloured = |stdout, stderr, plain| {
            let screens = Screens {
                stdin: true,
                stdout,
                stderr,
            };
            let terminal = Terminal::of(screens, plain);
            [terminal, terminal.talk()].map(|terminal| terminal.bad("x") != "x")
        };
        assert_eq!(coloured(true, true, false), [true, true]);
        assert_eq!(coloured(true, false, false), [true, false], "2> errors");
        assert_eq!(coloured(false, true, false), [false, true], "| less");
        assert_eq!(coloured(true, true, true), [false, false], "NO_COLOR");
    }

    #[test]
    fn without_a_terminal_a_change_needs_yes() {
        let refused = Terminal::plain().confirm("Sure?", false).unwrap_err();
        assert_eq!(refused.exit, Exit::Usage);
        assert!(Terminal::plain().confirm("Sure?", true).is_ok());
    }
}
