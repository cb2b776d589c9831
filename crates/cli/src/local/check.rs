//! `antiphon check`: what would keep this node from starting, found before it starts.
//! Promise: every check is made and told, also when an earlier one failed; nothing is changed.
//! Not here: the form of the configuration (`settings`), faults of a running node (`status`).

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use node::Config;
use runtime::Env;
use runtime::real::Threads;
use tokio::time::{Instant, timeout};

use crate::args::{CheckArgs, Output};
use crate::failure::{Exit, Failure};
use crate::local::{process, settings};
use crate::table::{columns, indented};
use crate::terminal::Terminal;

/// A peer on another continent answers a SYN within this time.
const DIAL_WAIT: Duration = Duration::from_secs(2);
/// Above this an acknowledgement takes longer than people notice nothing of.
const SYNC_SLOW: Duration = Duration::from_millis(20);
/// Syncs that are timed; the median counts.
const SYNCS: usize = 5;
/// Bytes of the file that is synced.
const PROBE_BYTES: usize = 4_096;
/// Ten thousand clients, peers and files.
const OPEN_FILES_WANTED: u64 = 12_000;

/// How one check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Ok,
    Warning,
    Failed,
}

struct Finding {
    what: String,
    verdict: Verdict,
    said: String,
}

impl Finding {
    fn new(what: &str, verdict: Verdict, said: impl Into<String>) -> Self {
        Self {
            what: what.to_owned(),
            verdict,
            said: said.into(),
        }
    }
}

pub fn check(args: CheckArgs, terminal: Terminal) -> Result<Exit, Failure> {
    let layered = settings::load(&args.node, &[])?;
    let production = Env::production(Threads::default())?;
    let findings = production.block_on(look(&layered.config, &production.env()));
    process::end(production);
    print(&findings, args.output, terminal);
    let failed = findings
        .iter()
        .filter(|finding| finding.verdict == Verdict::Failed)
        .count();
    let sentence = match failed {
        0 => return Ok(Exit::Ok),
        1 => "one check failed, so this node would not start".to_owned(),
        many => format!("{many} checks failed, so this node would not start"),
    };
    Err(Failure::plain(sentence)
        .with_reason("CHECK_FAILED")
        .with_next("mend what the list above calls failed, then antiphon check"))
}

async fn look(config: &Config, env: &Env) -> Vec<Finding> {
    let mut findings = vec![configuration(config)];
    findings.push(port(env, "listen.api", config.listen.api).await);
    findings.push(port(env, "listen.peer", config.listen.peer).await);
    // One that cannot be read is a finding of the configuration.
    if let Ok(Some(admin)) = config.listen.admin() {
        findings.push(port(env, "listen.admin", admin).await);
    }
    findings.push(disk(Path::new(&config.node.data_dir)));
    for member in &config.cluster.join {
        findings.push(peer(env, member).await);
    }
    findings.push(open_files());
    findings
}

fn configuration(config: &Config) -> Finding {
    let problems: Vec<String> = config.problems().iter().map(ToString::to_string).collect();
    match problems.is_empty() {
        true => Finding::new(
            "configuration",
            Verdict::Ok,
            "every value is within its bounds",
        ),
        false => Finding::new("configuration", Verdict::Failed, problems.join("; ")),
    }
}

async fn port(env: &Env, key: &str, address: SocketAddr) -> Finding {
    match env.network.listen(address).await {
        Ok(_) => Finding::new(key, Verdict::Ok, format!("{address} is free")),
        Err(error) => Finding::new(
            key,
            Verdict::Failed,
            format!("{address} cannot be listened on: {error}"),
        ),
    }
}

async fn peer(env: &Env, member: &str) -> Finding {
    let begun = Instant::now();
    match timeout(DIAL_WAIT, env.network.dial(member)).await {
        Ok(Ok(_)) => {
            let said = format!("{member} answers within {} ms", begun.elapsed().as_millis());
            Finding::new("cluster.join", Verdict::Ok, said)
        }
        Ok(Err(error)) => Finding::new(
            "cluster.join",
            Verdict::Failed,
            format!("{member}: {error}"),
        ),
        Err(_) => {
            let said = format!("{member} does not answer within {DIAL_WAIT:?}");
            Finding::new("cluster.join", Verdict::Failed, said)
        }
    }
}

/// Writes and syncs a small file beside the data; an acknowledgement waits for as much.
fn disk(folder: &Path) -> Finding {
    let probed = existing(folder).and_then(|folder| Ok((probe(&folder)?, folder)));
    match probed {
        Ok((median, folder)) => {
            let said = format!(
                "{} is writable, a sync takes {:.1} ms",
                folder.display(),
                median.as_secs_f64() * 1e3
            );
            let verdict = if median > SYNC_SLOW {
                Verdict::Warning
            } else {
                Verdict::Ok
            };
            Finding::new("node.data_dir", verdict, said)
        }
        Err(error) => {
            let said = format!("{} cannot be written: {error}", folder.display());
            Finding::new("node.data_dir", Verdict::Failed, said)
        }
    }
}

/// The folder, or the nearest thing above it that exists, which must be a folder then.
fn existing(folder: &Path) -> std::io::Result<PathBuf> {
    let absolute = std::path::absolute(folder)?;
    let found = absolute.ancestors().find(|above| above.exists());
    match found {
        Some(found) if found.is_dir() => Ok(found.to_owned()),
        Some(_) => Err(std::io::ErrorKind::NotADirectory.into()),
        None => Err(std::io::ErrorKind::NotFound.into()),
    }
}

fn probe(folder: &Path) -> std::io::Result<Duration> {
    use std::io::Write as _;
    let mut file = tempfile::tempfile_in(folder)?;
    let mut times = Vec::with_capacity(SYNCS);
    for _ in 0..SYNCS {
        file.write_all(&[0; PROBE_BYTES])?;
        let begun = Instant::now();
        file.sync_data()?;
        times.push(begun.elapsed());
    }
    times.sort();
    Ok(times[SYNCS / 2])
}

fn open_files() -> Finding {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let line = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"));
    let soft = line
        .and_then(|line| line.split_whitespace().next())
        .and_then(|word| word.parse::<u64>().ok());
    match soft {
        Some(files) if files < OPEN_FILES_WANTED => {
            let said = format!(
                "{files} may be open, {OPEN_FILES_WANTED} are wanted: ulimit -n {OPEN_FILES_WANTED}"
            );
            Finding::new("open files", Verdict::Warning, said)
        }
        Some(files) => Finding::new("open files", Verdict::Ok, format!("{files} may be open")),
        None => Finding::new("open files", Verdict::Ok, "no limit is known"),
    }
}

fn print(findings: &[Finding], output: Output, terminal: Terminal) {
    let word = |verdict| match verdict {
        Verdict::Ok => "ok",
        Verdict::Warning => "warning",
        Verdict::Failed => "failed",
    };
    if output == Output::Json {
        let list: Vec<serde_json::Value> = findings
            .iter()
            .map(|finding| {
                let (check, said) = (&finding.what, &finding.said);
                serde_json::json!({"check": check, "verdict": word(finding.verdict), "said": said})
            })
            .collect();
        outln!("{:#}", serde_json::Value::Array(list));
        return;
    }
    let mut table = columns(&["CHECK", "VERDICT", "SAID"]);
    for finding in findings {
        let verdict = match finding.verdict {
            Verdict::Ok => terminal.good("o ok"),
            Verdict::Warning => terminal.warn("! warning"),
            Verdict::Failed => terminal.bad("x failed"),
        };
        table.add_row([finding.what.clone(), verdict, finding.said.clone()]);
    }
    out!("{}", indented(&table));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_does_not_exist_yet_is_probed_where_it_would_be_made() {
        let above = tempfile::tempdir().unwrap();
        let finding = disk(&above.path().join("a/b/c"));
        assert_ne!(finding.verdict, Verdict::Failed, "{}", finding.said);
        assert_eq!(std::fs::read_dir(above.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_folder_below_a_file_is_named() {
        let finding = disk(Path::new("/dev/null/data"));
        assert_eq!(finding.verdict, Verdict::Failed);
        assert!(finding.said.starts_with("/dev/null/data cannot be written"));
    }

    #[tokio::test]
    async fn a_taken_port_and_a_silent_member_are_named() {
        let production = Env::production(Threads::default()).unwrap();
        let env = production.env();
        let taken = env
            .network
            .listen(([127, 0, 0, 1], 0).into())
            .await
            .unwrap();
        let address = taken.local_addr().unwrap();
        assert_eq!(
            port(&env, "listen.api", address).await.verdict,
            Verdict::Failed
        );
        assert_eq!(peer(&env, &address.to_string()).await.verdict, Verdict::Ok);
        assert_eq!(peer(&env, "127.0.0.1:1").await.verdict, Verdict::Failed);
        // A runtime must not be dropped inside another one.
        std::mem::forget(production);
    }
}
