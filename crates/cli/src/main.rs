//! The `antiphon` command.
//! Promise: data goes to stdout, talk to stderr; the exit code says how it ended (`failure`).
//! Not here: what a command does (a module each).

#[macro_use]
mod terminal;

mod agent;
mod archive;
mod args;
mod bench;
mod cell;
mod conversation;
mod failure;
mod floor;
mod json;
mod local;
mod log;
mod pages;
mod prefix;
mod queue;
mod reach;
mod replay;
mod report;
mod status;
mod table;
mod verify;

use std::process::ExitCode;

use clap::Parser as _;

use crate::args::{Cli, Command, ConfigCommand};
use crate::failure::{Exit, Failure};
use crate::reach::Reach;
use crate::terminal::Terminal;

/// A program that operators get has no planted bug, and cannot have one.
const _: () = assert!(
    !mutants::CAN_BE_PLANTED,
    "`antiphon` is never built with planted bugs: build `cargo build -p sim --features mutants` alone, and this \
     program without that feature"
);

/// glibc gives memory back to the system after each batch and faults it in again with the next.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let terminal = Terminal::of_process();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return unparsed(error, terminal).into(),
    };
    let code = match run(cli, terminal) {
        Ok(exit) => exit,
        Err(failure) => {
            eprint!("{}", failure.render(terminal.talk()));
            failure.exit
        }
    };
    code.into()
}

/// Help and version are answers; a command without its subcommand gets help in place of one.
fn unparsed(error: clap::Error, terminal: Terminal) -> Exit {
    use clap::error::ErrorKind;
    if !error.use_stderr() {
        error.print().ok();
        return Exit::Ok;
    }
    if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        error.print().ok();
        return Exit::Usage;
    }
    let failure = Failure::from(error);
    eprint!("{}", failure.render(terminal.talk()));
    failure.exit
}

/// Commands that start a node build its runtimes themselves; all others are clients.
fn run(cli: Cli, terminal: Terminal) -> Result<Exit, Failure> {
    match cli.command {
        Command::Dev(args) => local::dev(args, terminal),
        Command::Init(args) => local::init(args),
        Command::Serve(args) => local::serve(args),
        Command::Join(args) => local::join(args),
        Command::Check(args) => local::check(args, terminal),
        Command::Verify(args) if args.data.is_some() => verify::directory(&args, terminal),
        Command::Config(args) => match args.command {
            ConfigCommand::Reload { node, reach } => {
                client_runtime()?.block_on(log::reload(&Reach::of(&reach)?, node))
            }
            command => local::config(command),
        },
        Command::Completion(args) => Ok(pages::completion(&args)),
        Command::Man(args) => pages::man(&args),
        command => client_runtime()?.block_on(ask(command, terminal)),
    }
}

fn client_runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::plain(format!("the runtime does not start: {error}")))
}

async fn ask(command: Command, terminal: Terminal) -> Result<Exit, Failure> {
    match command {
        Command::Status(args) => {
            let reach = Reach::of(&args.reach)?;
            status::run(&reach, &args, terminal).await
        }
        Command::Floor(args) => floor::run(args, terminal).await,
        Command::Verify(args) => verify::run(&args, terminal).await,
        Command::Queue(args) => queue::run(args, terminal).await,
        Command::Agent(args) => agent::run(args, terminal).await,
        Command::Conversation(args) => conversation::run(args, terminal).await,
        Command::Cell(args) => cell::run(args, terminal).await,
        Command::Replay(args) => replay::run(args, terminal).await,
        Command::Bench(args) => bench::run(args, terminal).await,
        Command::Log(args) => log::run(args).await,
        Command::Report(args) => report::run(args).await,
        Command::Version(args) => version(&args),
        Command::Dev(_)
        | Command::Init(_)
        | Command::Serve(_)
        | Command::Join(_)
        | Command::Check(_)
        | Command::Config(_)
        | Command::Completion(_)
        | Command::Man(_) => Err(Failure::plain("this command asks no cluster")),
    }
}

fn version(args: &args::VersionArgs) -> Result<Exit, Failure> {
    let version = env!("CARGO_PKG_VERSION");
    match args.output {
        args::Output::Table => outln!("antiphon {version}   api antiphon.api.v1"),
        args::Output::Json => {
            outln!(
                "{}",
                serde_json::json!({"version": version, "api": "antiphon.api.v1"})
            );
        }
    }
    Ok(Exit::Ok)
}
