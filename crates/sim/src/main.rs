//! `sim`: the cluster of one seed, with everything that goes wrong in it.
//! Promise: the last line names seed, hours, violations and the hash of the trace; the exit code is 1 on a violation.
//! Not here: what is run (`sim::run`).

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Parser;
use mutants::Mutant;
use rand::SeedableRng as _;
use sim::faults::{self, Fault, KINDS, Kind};
use sim::judge::conversation::{self, Extent, Judgement};
use sim::judge::history::History;
use sim::params::{Options, Params};
use sim::run::{Report, Run};
use sim::shrink::shrink;
use sim::trace::Trace;

/// A cluster that formed and served anybody has applied more.
const ENTRIES_MIN: u64 = 10;

/// Runs the production cluster of one seed under faults and judges what clients saw.
#[derive(Debug, Parser)]
struct Args {
    /// The seed: everything is drawn from it.
    #[arg(long, required_unless_present_any = ["mutants", "check"])]
    seed: Option<u64>,
    /// Simulated hours of faults.
    #[arg(long, default_value_t = 0.1)]
    hours: f64,
    /// Faults that may come, by name and comma; `all`, or `none`.
    #[arg(long, default_value = "all")]
    faults: String,
    /// Plays these faults of the seed's plan alone, by number.
    #[arg(long, value_delimiter = ',')]
    only: Option<Vec<usize>>,
    /// Looks for the fewest faults that still fail, each attempt in a process of its own.
    #[arg(long)]
    shrink: bool,
    /// Writes everything that happens to a file.
    #[arg(long)]
    trace: Option<PathBuf>,
    /// What the nodes log, as in `info,raft=trace`: its hash is told, and it stands in the file of `--trace`.
    #[arg(long)]
    log: Option<String>,
    /// Writes what clients did to a file, one call a line.
    #[arg(long)]
    history: Option<PathBuf>,
    /// Plants a bug, in a build with the feature `mutants`.
    #[arg(long)]
    mutant: Option<Mutant>,
    /// Lists the bugs that can be planted: the name, the minutes of faults that it needs, the promise that it breaks.
    #[arg(long)]
    mutants: bool,
    /// Runs nothing, and judges the order of the calls in a file of this form.
    #[arg(long, conflicts_with_all = ["seed", "shrink", "trace", "history"])]
    check: Option<PathBuf>,
}

fn main() -> anyhow::Result<ExitCode> {
    let args = Args::parse();
    if let Some(path) = &args.check {
        return check(path);
    }
    let Some(seed) = args.seed.filter(|_| !args.mutants) else {
        list_mutants();
        return Ok(ExitCode::SUCCESS);
    };
    // Hash maps and the like take their seeds from the system: here they take them from ours.
    mad_turmoil::rand::set_rng(rand::rngs::StdRng::seed_from_u64(seed));
    if let Some(mutant) = args.mutant {
        plant(mutant)?;
    }
    let trace = match &args.trace {
        None => Trace::default(),
        Some(path) => {
            Trace::to_file(path).with_context(|| format!("cannot write {}", path.display()))?
        }
    };
    if let Some(filter) = args.log.as_deref().or(args.trace.as_ref().map(|_| "info")) {
        log_to(&trace, filter)?;
    }
    let options = Options {
        seed,
        hours: args.hours,
    };
    let params = Params::draw(&options);
    println!("{params}");
    let plan = faults::plan(&params, &kinds(&args.faults)?);
    let plan: Vec<_> = plan
        .into_iter()
        .filter(|fault| {
            args.only
                .as_ref()
                .is_none_or(|only| only.contains(&fault.number))
        })
        .collect();
    if args.shrink {
        return fewest(&args, seed, &plan);
    }
    let run = Run::new(&params, trace.clone());
    let judge = run.judge();
    let began = uptime_s();
    let report = run.play(&plan);
    let took = uptime_s() - began;
    trace.flush()?;
    if let Some(path) = &args.history {
        let mut file = std::io::BufWriter::new(std::fs::File::create(path)?);
        judge.history(|history| history.write(&mut file))?;
        file.flush()?;
    }
    tell(&report, took);
    if args.log.is_some() {
        println!("logged {}", trace.logged_hash());
    }
    Ok(conclude((&args, seed), &report, &trace.hash()))
}

fn list_mutants() {
    for bug in mutants::ALL {
        println!("{}\t{}\t{}", bug.name, bug.minutes(), bug.breaks);
    }
}

#[cfg(feature = "mutants")]
fn plant(mutant: Mutant) -> anyhow::Result<()> {
    Ok(mutants::plant(mutant)?)
}

#[cfg(not(feature = "mutants"))]
fn plant(mutant: Mutant) -> anyhow::Result<()> {
    anyhow::bail!("{mutant} cannot be planted in this build: build it with `--features mutants`")
}

/// Judges the calls that a file tells of.
fn check(path: &Path) -> anyhow::Result<ExitCode> {
    let file = std::fs::File::open(path);
    let read = file.and_then(|file| History::read(std::io::BufReader::new(file)));
    let history = read.with_context(|| format!("cannot read {}", path.display()))?;
    let judged = conversation::judge(history.calls(), Extent::Whole);
    for violation in &judged.violations {
        print!("{violation}");
    }
    tell_order(&judged);
    println!(
        "history {} calls {} violations {}",
        path.display(),
        history.calls().len(),
        judged.violations.len()
    );
    match judged.violations.len() {
        0 => Ok(ExitCode::SUCCESS),
        _ => Ok(ExitCode::FAILURE),
    }
}

fn tell_order(judged: &Judgement) {
    println!(
        "order: {} calls to {} conversations judged, {} calls beside others, {} conversations not decided",
        judged.calls,
        judged.conversations,
        judged.side_by_side,
        judged.not_decided.len()
    );
    for id in &judged.not_decided {
        println!("not decided: the order of calls to conversation {id}");
    }
}

/// Says what does not hold and how to see it again; the last line.
fn conclude((args, seed): (&Args, u64), report: &Report, hash: &str) -> ExitCode {
    let hours = report.ran_ms as f64 / 3_600_000.0;
    let mut violations = report.violations.len();
    let idle = report.entries < ENTRIES_MIN || report.conversations == 0;
    if idle && violations == 0 {
        println!("violation: nothing happened in this seed");
        violations += 1;
    }
    for violation in &report.violations {
        print!("{violation}");
    }
    if violations > 0 {
        let only = args.only.as_ref().map(|only| {
            let only: Vec<String> = only.iter().map(ToString::to_string).collect();
            format!(" --only {}", only.join(","))
        });
        let planted = args
            .mutant
            .map(|mutant| (" --features mutants", format!(" --mutant {mutant}")));
        let (features, mutant) = planted.unwrap_or_default();
        println!(
            "replay: cargo run --release -p sim{features} -- --seed {seed} --hours {} --faults {}{}{mutant}",
            args.hours,
            args.faults,
            only.unwrap_or_default()
        );
    }
    println!("seed {seed} hours {hours:.3} violations {violations} trace {hash}");
    match violations {
        0 => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}

/// Shrinks the plan and plays what is left.
fn fewest(args: &Args, seed: u64, plan: &[Fault]) -> anyhow::Result<ExitCode> {
    let program = std::env::current_exe()?;
    let play = |numbers: &[usize]| {
        let only: Vec<String> = numbers.iter().map(ToString::to_string).collect();
        let mut command = std::process::Command::new(&program);
        command.args([
            "--seed",
            &seed.to_string(),
            "--hours",
            &args.hours.to_string(),
        ]);
        if let Some(mutant) = args.mutant {
            command.args(["--mutant", &mutant.to_string()]);
        }
        match only.is_empty() {
            true => command.args(["--faults", "none"]),
            false => command.args(["--faults", &args.faults, "--only", &only.join(",")]),
        };
        command
    };
    let all: Vec<usize> = plan.iter().map(|fault| fault.number).collect();
    let fails = |numbers: &[usize]| {
        let ended = play(numbers).stdout(std::process::Stdio::null()).status();
        let fails = ended.is_ok_and(|status| status.code() == Some(1));
        println!(
            "{} of {} faults: {}",
            numbers.len(),
            all.len(),
            if fails { "fails" } else { "holds" }
        );
        fails
    };
    let needed = shrink(&all, fails);
    for fault in plan.iter().filter(|fault| needed.contains(&fault.number)) {
        println!("{fault}");
    }
    let ended = play(&needed).status()?;
    Ok(if ended.success() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn kinds(asked: &str) -> anyhow::Result<Vec<Kind>> {
    match asked {
        "all" => Ok(KINDS.iter().map(|(kind, _)| *kind).collect()),
        "none" => Ok(Vec::new()),
        names => names
            .split(',')
            .map(|name| name.parse().map_err(anyhow::Error::msg))
            .collect(),
    }
}

fn tell(report: &Report, took_s: f64) {
    let s = report.ran_ms as f64 / 1_000.0;
    println!(
        "ran {s:.0} s at {:.0} x real time: {} entries ({:.1}/s), {} elections, {} conversations, {} messages",
        s / took_s.max(0.01),
        report.entries,
        report.entries as f64 / s.max(0.001),
        report.elections,
        report.conversations,
        report.messages
    );
    let [done, refused, unknown] = report.calls;
    println!("calls: {done} done, {refused} refused, {unknown} unknown");
    tell_order(&report.judged);
    let carried = report.carried;
    println!(
        "network: {} pieces, {} MiB, {} sent again, {} connections",
        carried.pieces,
        carried.bytes >> 20,
        carried.again,
        carried.connections
    );
    let faults: Vec<String> = report
        .faults
        .iter()
        .map(|(kind, count)| format!("{count} {kind}"))
        .collect();
    println!("faults: {}", faults.join(", "));
    for (why, count) in &report.failures {
        println!("{count} processes ended: {why}");
    }
}

/// What nodes and libraries log goes beside the trace.
fn log_to(trace: &Trace, filter: &str) -> anyhow::Result<()> {
    use tracing_subscriber::prelude::*;
    let trace = trace.clone();
    let lines = tracing_subscriber::fmt::layer()
        .without_time()
        .with_ansi(false)
        .with_writer(move || Lines(trace.clone()));
    let filter = tracing_subscriber::EnvFilter::try_new(filter)?;
    tracing_subscriber::registry()
        .with(filter)
        .with(lines)
        .init();
    Ok(())
}

struct Lines(Trace);

impl Write for Lines {
    fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
        self.0.logged(line)?;
        Ok(line.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Seconds since the machine started: the process's own clocks are simulated.
fn uptime_s() -> f64 {
    let text = std::fs::read_to_string("/proc/uptime").unwrap_or_default();
    text.split(' ')
        .next()
        .and_then(|first| first.parse().ok())
        .unwrap_or(0.0)
}
