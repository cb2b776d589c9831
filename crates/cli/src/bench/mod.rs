//! Benchmarks of a whole cluster: processes of this program on this machine.
//! Promise: what is measured is what a figure is defined by; the generator's own share of the
//! processor is part of the result.
//! Not here: benchmarks of one crate (`benches` of that crate).

mod archive;
#[allow(
    dead_code,
    reason = "shared with the black-box tests, which use another part of it"
)]
pub mod cluster;
mod ground;
mod idle;
mod lines;
mod load;
mod messages;
mod streams;
mod usage;

use runtime::Lane;
use serde::Serialize;

use crate::args::{BenchArgs, BenchCommand, Output};
use crate::failure::{Exit, Failure};
use crate::replay::dialogue;
use crate::replay::figures::Spread;
use crate::terminal::Terminal;

/// Runs a benchmark.
pub async fn run(args: BenchArgs, _terminal: Terminal) -> Result<Exit, Failure> {
    match args.command {
        BenchCommand::Messages(args) => {
            let report = on_one_thread(async |lane| messages::run(&args, &lane).await)?;
            print(&report, args.output, messages_lines)?;
        }
        BenchCommand::Streams(args) => {
            let report = on_one_thread(async |lane| streams::run(&args, &lane).await)?;
            print(&report, args.output, streams_lines)?;
        }
        BenchCommand::Archive(args) => {
            let said = dialogue::read(&args.texts)?;
            let report = on_one_thread(async |_| archive::run(&args, &said).await)?;
            print(&report, args.output, archive_lines)?;
        }
        BenchCommand::Idle(args) => {
            let report = on_one_thread(async |_| idle::run(&args).await)?;
            print(&report, args.output, |report| vec![report.told()])?;
        }
    }
    Ok(Exit::Ok)
}

/// The generator runs on one thread: threads of it that hand work to each other would cost the
/// servers more than they give.
#[allow(
    clippy::disallowed_methods,
    reason = "the generator has a runtime of its own; this thread has nothing else to do"
)]
fn on_one_thread<T>(run: impl AsyncFnOnce(Lane) -> anyhow::Result<T>) -> anyhow::Result<T> {
    tokio::task::block_in_place(|| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let lane = Lane::new("bench", runtime.handle().clone());
        runtime.block_on(run(lane))
    })
}

fn print<T: Serialize>(
    report: &T,
    output: Output,
    lines: impl FnOnce(&T) -> Vec<String>,
) -> anyhow::Result<()> {
    match output {
        Output::Json => outln!("{}", serde_json::to_string(report)?),
        Output::Table => lines(report).iter().for_each(|line| outln!("{line}")),
    }
    Ok(())
}

fn messages_lines(report: &messages::Report) -> Vec<String> {
    let sides = [
        ("leader's node", &report.leader_node),
        ("another node", &report.other_node),
    ];
    let lines = sides.map(|(name, figures)| {
        [
            format!("{name}: {:.0} acknowledged messages/s", figures.acked_per_s),
            format!("  acknowledged  {}", line(&figures.ack_ms)),
            format!("  delivered     {}", line(&figures.delivery_ms)),
            format!(
                "  servers       {:.4} CPU s per 1,000 messages, at most {:.0} MiB; generator {:.2} CPUs",
                figures.server_cpu_s_per_1000, figures.peak_rss_mib, figures.generator_cpus
            ),
        ]
    });
    lines.into_iter().flatten().collect()
}

fn streams_lines(report: &streams::Report) -> Vec<String> {
    let of = |name: &str, beside: &streams::Beside, more: String| {
        [
            format!(
                "{name}: servers' memory grew by {:.1} MiB{more}",
                beside.grown_mib
            ),
            format!(
                "  writers beside  {:.0}/s   {}",
                beside.acked_per_s,
                line(&beside.ack_ms)
            ),
        ]
    };
    let idle = |idle: &streams::Idle| format!(", {:.0} bytes a stream", idle.bytes_each);
    let unread = &report.unread;
    let flood = &report.flood;
    let lines = [
        of("writers alone", &report.alone, String::new()),
        of(
            &format!("{} idle streams at the leader's node", report.streams),
            &report.idle_at_leader.beside,
            idle(&report.idle_at_leader),
        ),
        of(
            &format!("{} idle streams at another node", report.streams),
            &report.idle_elsewhere.beside,
            idle(&report.idle_elsewhere),
        ),
        of(
            &format!(
                "{} streams that nobody reads, {} bytes of text each",
                unread.streams, unread.text_bytes_each
            ),
            &unread.beside,
            format!(", {} ended as too slow", unread.ended_slow),
        ),
        of(
            "writers alone, customers held back as by default",
            &report.alone_limited,
            String::new(),
        ),
        of(
            &format!("{} streams that flood", flood.streams),
            &flood.beside,
            format!(", {} taken, {} refused", flood.acked, flood.refused),
        ),
    ];
    lines.into_iter().flatten().collect()
}

fn archive_lines(report: &archive::Report) -> Vec<String> {
    let mut lines = vec![format!(
        "{} conversations, {} messages and {} bytes of text each: {:.0} ended in a second, {} calls \
         made again",
        report.conversations,
        report.messages_each,
        report.text_bytes_each,
        report.ended_per_s,
        report.made_again
    )];
    let looks = report.memory.iter();
    lines.extend(looks.map(|look| format!("  {}", look.told())));
    lines.push(format!(
        "all had left {:.0} s after the last end; {:.0} bytes of disk each",
        report.left_after_s, report.disk_bytes_each
    ));
    for (name, lookups) in [
        ("leader's node", &report.leader_node),
        ("another node", &report.other_node),
    ] {
        lines.push(format!("{name}: by id        {}", line(&lookups.by_id_ms)));
        lines.push(format!("  by customer  {}", line(&lookups.by_customer_ms)));
    }
    lines
}

fn line(spread: &Spread) -> String {
    let Spread { p50, p99, max } = spread;
    format!("p50 {p50:.2} ms   p99 {p99:.2} ms   max {max:.2} ms")
}
