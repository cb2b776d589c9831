//! An operator's commands against real processes: what they print, how they end, what they change.
//! Promise: every exit code of the table is shown by the real program.
//! Not here: the rules of a floor plan (`wire`, `domain`), the forms of single answers (`cli`).

use anyhow::{Context as _, ensure};

use crate::support::{TestCluster, folder, run};

/// The plan in force, with which no difference is told.
async fn plan_in_force(addr: &str) -> anyhow::Result<String> {
    let shown = run(&["floor", "show", "--addr", addr]).await?;
    ensure!(shown.code == Some(0), "{shown:?}");
    Ok(shown.stdout)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_is_compared_with_the_one_in_force_and_applied_by_the_command_that_is_named()
-> anyhow::Result<()> {
    let cluster = TestCluster::start().await?;
    let addr = cluster.addresses().join(",");
    let dir = folder()?;
    let file = dir.path().join("floor.toml");
    let path = file.to_str().context("a path")?;
    let before = plan_in_force(&addr).await?;
    std::fs::write(&file, &before)?;
    let same = run(&["floor", "diff", path, "--addr", &addr]).await?;
    ensure!(
        (same.code, same.stdout.as_str()) == (Some(0), ""),
        "{same:?}"
    );

    ensure!(before.contains("heartbeat = \"5s\"\n"), "{before}");
    let after = before.replacen("heartbeat = \"5s\"\n", "heartbeat = \"4s\"\n", 1);
    std::fs::write(&file, after)?;
    let other = run(&["floor", "diff", path, "--addr", &addr]).await?;
    ensure!(other.code == Some(3), "{other:?}");
    let told = "~ [policy]\n  ~ heartbeat = \"5s\" -> \"4s\"\n";
    ensure!(other.stdout == told, "{other:?}");

    // The last line is the command that applies it.
    let next = other.stderr.lines().last().unwrap_or_default();
    let next = next
        .strip_prefix("try: antiphon ")
        .context("a command to try")?;
    let mut words: Vec<&str> = next.split(' ').collect();
    words.extend(["--yes", "--addr", &addr]);
    let applied = run(&words).await?;
    ensure!(applied.code == Some(0), "{applied:?}");
    let same = run(&["floor", "diff", path, "--addr", &addr]).await?;
    ensure!(same.code == Some(0), "{same:?}");

    // The same command again was made against a version that is no more.
    let stale = run(&words).await?;
    ensure!(stale.code == Some(5), "{stale:?}");
    ensure!(
        stale.stderr.contains("reason: PLAN_VERSION_STALE\ntry: "),
        "{stale:?}"
    );
    Ok(())
}

#[tokio::test]
async fn completion_and_manual_need_no_cluster() -> anyhow::Result<()> {
    let script = run(&["completion", "bash"]).await?;
    ensure!(
        script.code == Some(0) && script.stdout.contains("antiphon"),
        "{script:?}"
    );
    let unknown = run(&["completion", "tcl"]).await?;
    ensure!(unknown.code == Some(2), "{unknown:?}");
    let page = run(&["man"]).await?;
    ensure!(page.stdout.contains(".SH SYNOPSIS"), "{page:?}");
    let dir = folder()?;
    let path = dir.path().to_str().context("a path")?;
    let written = run(&["man", "--dir", path]).await?;
    ensure!(written.code == Some(0), "{written:?}");
    ensure!(
        dir.path().join("antiphon-floor-diff.1").exists(),
        "{written:?}"
    );
    Ok(())
}
