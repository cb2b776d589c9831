//! Benchmarks of a whole cluster: three processes of this program on this machine.
//! Promise: what is measured is what a figure is defined by; the generator's own share of the
//! processor is part of the result.
//! Not here: benchmarks of one crate (`benches` of that crate).

#[allow(
    dead_code,
    reason = "shared with the black-box tests, which use another part of it"
)]
pub mod cluster;
mod lines;
mod load;
mod messages;
mod usage;

use runtime::Lane;

use crate::args::{BenchArgs, BenchCommand, MessagesArgs, Output};
use crate::failure::{Exit, Failure};
use crate::replay::figures::Spread;
use crate::terminal::Terminal;

/// Runs a benchmark.
pub async fn run(args: BenchArgs, _terminal: Terminal) -> Result<Exit, Failure> {
    match args.command {
        BenchCommand::Messages(args) => {
            let report = on_one_thread(&args)?;
            print(&report, args.output)?;
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
fn on_one_thread(args: &MessagesArgs) -> anyhow::Result<messages::Report> {
    tokio::task::block_in_place(|| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let lane = Lane::new("bench", runtime.handle().clone());
        runtime.block_on(messages::run(args, &lane))
    })
}

fn print(report: &messages::Report, output: Output) -> anyhow::Result<()> {
    if output == Output::Json {
        outln!("{}", serde_json::to_string(report)?);
        return Ok(());
    }
    let sides = [
        ("leader's node", &report.leader_node),
        ("another node", &report.other_node),
    ];
    for (name, figures) in sides {
        outln!("{name}: {:.0} acknowledged messages/s", figures.acked_per_s);
        outln!("  acknowledged  {}", line(&figures.ack_ms));
        outln!("  delivered     {}", line(&figures.delivery_ms));
        outln!(
            "  servers       {:.4} CPU s per 1,000 messages, at most {:.0} MiB; generator {:.2} CPUs",
            figures.server_cpu_s_per_1000,
            figures.peak_rss_mib,
            figures.generator_cpus
        );
    }
    Ok(())
}

fn line(spread: &Spread) -> String {
    let Spread { p50, p99, max } = spread;
    format!("p50 {p50:.2} ms   p99 {p99:.2} ms   max {max:.2} ms")
}
