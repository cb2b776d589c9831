//! Ground: where the nodes' data lies, and the floor plan under which load is made.
//! Promise: data lies on a disk; the plan is the cluster's own, with other limits alone.
//! Not here: the processes (`cluster`), the load (`load`).

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use client::api;

use super::cluster::{LocalCluster, Setup};
use super::usage;

/// Which limits the plan has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limits {
    /// Neither customers nor lines are held back: what is measured is the machine.
    Lifted,
    /// Customers are held back as in a plan that says nothing of it; lines are not.
    Customers,
}

/// A folder that is removed at the end, or the one that was asked for.
pub enum Dir {
    /// Asked for, and kept.
    Kept(PathBuf),
    /// Made here, and removed.
    Removed(tempfile::TempDir),
}

impl Dir {
    /// Where it is.
    pub fn path(&self) -> &Path {
        match self {
            Self::Kept(path) => path,
            Self::Removed(dir) => dir.path(),
        }
    }
}

/// The folder that was asked for, or a new one on a disk.
pub fn data_dir(asked: Option<&Path>) -> anyhow::Result<Dir> {
    if let Some(path) = asked {
        std::fs::create_dir_all(path).with_context(|| format!("cannot use {}", path.display()))?;
        if !usage::is_on_disk(path) {
            bail!(
                "{} is in memory: fsync there measures nothing",
                path.display()
            );
        }
        return Ok(Dir::Kept(path.to_owned()));
    }
    let candidates = [std::env::temp_dir(), std::env::current_dir()?];
    let on_disk = candidates.iter().find(|dir| usage::is_on_disk(dir));
    let on_disk = on_disk.context("no folder on a disk was found: name one with --data")?;
    let made = tempfile::Builder::new()
        .prefix("antiphon-bench-")
        .tempdir_in(on_disk);
    Ok(Dir::Removed(made.context("cannot make a folder")?))
}

/// Measures on a cluster of this program whose data lies in `dir`; a failure shows what the nodes said.
pub async fn on_cluster<T>(
    dir: &Path,
    measure: impl AsyncFnOnce(&LocalCluster) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let binary = std::env::current_exe().context("cannot find this program")?;
    eprintln!("starting three nodes in {}", dir.display());
    let cluster = LocalCluster::start(&binary, dir, &Setup::default()).await?;
    let measured = measure(&cluster).await;
    measured.with_context(|| format!("the nodes said:\n{}", cluster.logs()))
}

/// Applies the plan with these limits; the account to write in on.
pub async fn limit(cluster: &LocalCluster, limits: Limits) -> anyhow::Result<String> {
    let client = client::Client::connect(cluster.addresses(), client::Options::default())?;
    let operator = client.operator();
    let plan = operator
        .get_floor_plan(api::GetFloorPlanRequest { version: 0 })
        .await?;
    let (toml, account) = limited(&plan.toml, limits)?;
    let request = api::ApplyFloorPlanRequest {
        toml,
        expected_version: plan.version,
        staff: "bench".to_owned(),
        ..Default::default()
    };
    let applied = operator.apply_floor_plan(request).await?;
    if let Some(fault) = applied.faults.first() {
        bail!("the plan with other limits was refused: {}", fault.message);
    }
    Ok(account)
}

fn limited(text: &str, limits: Limits) -> anyhow::Result<(String, String)> {
    let mut plan: toml::Table = text.parse().context("the floor plan is not TOML")?;
    let policy = plan
        .entry("policy")
        .or_insert_with(|| toml::Value::Table(toml::Table::new()));
    if let Some(policy) = policy.as_table_mut() {
        match limits {
            Limits::Lifted => policy.insert("customer_commands_max".to_owned(), 0.into()),
            Limits::Customers => policy.remove("customer_commands_max"),
        };
    }
    let queues = plan.get_mut("queue").and_then(toml::Value::as_table_mut);
    for (_, queue) in queues.into_iter().flatten() {
        if let Some(queue) = queue.as_table_mut() {
            queue.insert("waiting_max".to_owned(), 1_000_000.into());
        }
    }
    let accounts = plan.get("account").and_then(toml::Value::as_table);
    let account = accounts.and_then(|accounts| accounts.keys().next().cloned());
    let account = account.context("the floor plan has no channel account")?;
    Ok((toml::to_string(&plan)?, account))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_of_customers_and_lines_are_lifted() {
        let text = "[account.web]\nqueue = \"a\"\n[queue.a]\nwaiting_max = 5\n";
        let (lifted, account) = limited(text, Limits::Lifted).unwrap();
        let plan: toml::Table = lifted.parse().unwrap();
        assert_eq!(account, "web");
        assert_eq!(
            plan["policy"]["customer_commands_max"].as_integer(),
            Some(0)
        );
        assert_eq!(
            plan["queue"]["a"]["waiting_max"].as_integer(),
            Some(1_000_000)
        );
    }
}
