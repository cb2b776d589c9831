//! An operator's commands against real processes: what they print, how they end, what they change.
//! Promise: every exit code of the table is shown by the real program.
//! Not here: the rules of a floor plan (`wire`, `domain`), the forms of single answers (`cli`).

use anyhow::{Context as _, ensure};

use crate::support::{TestCluster, folder, run, until};

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

/// Kills all nodes and starts them again.
async fn restart(cluster: &mut TestCluster) -> anyhow::Result<()> {
    for at in 0..3 {
        cluster.kill(at).await?;
    }
    for at in 0..3 {
        cluster.serve(at)?;
    }
    let addr = cluster.addresses().join(",");
    until("the cluster after a restart", || async {
        let listed = run(&["floor", "history", "--addr", &addr]).await;
        listed.is_ok_and(|listed| listed.code == Some(0))
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_content_of_an_earlier_version_comes_back_as_a_new_version() -> anyhow::Result<()> {
    let mut cluster = TestCluster::start().await?;
    let addr = cluster.addresses().join(",");
    let floor = async |words: &[&str]| {
        run(&[&["floor"][..], words, &["--addr", addr.as_str()]].concat()).await
    };
    let alone = floor(&["revert", "--yes"]).await?;
    ensure!(alone.code == Some(5), "{alone:?}");
    ensure!(
        alone.stderr.contains("reason: NO_EARLIER_VERSION\ntry: "),
        "{alone:?}"
    );

    let before = plan_in_force(&addr).await?;
    let dir = folder()?;
    let file = dir.path().join("floor.toml");
    let path = file.to_str().context("a path")?;
    std::fs::write(
        &file,
        before.replacen("heartbeat = \"5s\"", "heartbeat = \"4s\"", 1),
    )?;
    ensure!(floor(&["apply", path, "--yes"]).await?.code == Some(0));
    ensure!(plan_in_force(&addr).await? != before);

    // Nobody is there to ask.
    let asked = floor(&["revert"]).await?;
    ensure!(asked.code == Some(2), "{asked:?}");
    ensure!(
        asked.stderr.contains("~ heartbeat = \"4s\" -> \"5s\""),
        "{asked:?}"
    );
    let shown = floor(&["revert", "--dry-run"]).await?;
    ensure!(shown.code == Some(0), "{shown:?}");
    ensure!(
        shown.stdout.contains("~ heartbeat = \"4s\" -> \"5s\""),
        "{shown:?}"
    );
    let stale = floor(&["revert", "--to", "1", "--expect", "1", "--yes"]).await?;
    ensure!(stale.code == Some(5), "{stale:?}");
    ensure!(
        stale.stderr.contains("reason: PLAN_VERSION_STALE"),
        "{stale:?}"
    );

    let reverted = floor(&["revert", "--to", "1", "--yes"]).await?;
    ensure!(reverted.code == Some(0), "{reverted:?}");
    ensure!(
        reverted
            .stderr
            .contains("version 3 is in force, with the content of version 1"),
        "{reverted:?}"
    );
    ensure!(plan_in_force(&addr).await? == before);

    // What is kept outlives the processes.
    restart(&mut cluster).await?;
    let listed = floor(&["history", "--output", "json"]).await?;
    let history: serde_json::Value = serde_json::from_str(&listed.stdout)?;
    let versions = history["versions"].as_array().context("versions")?;
    let numbers = versions.iter().filter_map(|one| one["version"].as_str());
    ensure!(numbers.eq(["3", "2", "1"]), "{history}");
    let changes = &versions[1]["changes"];
    ensure!(
        changes[0] == "policy: heartbeat \"5s\" -> \"4s\"",
        "{history}"
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

#[tokio::test]
async fn a_configuration_is_shown_with_the_place_of_each_value() -> anyhow::Result<()> {
    let dir = folder()?;
    let file = dir.path().join("antiphon.toml");
    let path = file.to_str().context("a path")?;
    std::fs::write(
        &file,
        "[site]\nname = \"fra\"\n\n[limits]\nconnections = 7\n",
    )?;
    let shown = run(&["config", "show", "--config", path, "--output", "json"]).await?;
    let keys: serde_json::Value = serde_json::from_str(&shown.stdout)?;
    let key = &keys["limits.connections"];
    ensure!(key["value"] == "7" && key["live"] == true, "{key}");
    ensure!(key["origin"] == format!("{path}:5"), "{key}");
    ensure!(keys["log.level"]["origin"] == "default", "{keys}");
    let schema = run(&["config", "schema"]).await?;
    let schema: serde_json::Value = serde_json::from_str(&schema.stdout)?;
    ensure!(schema["properties"]["limits"]["properties"]["connections"]["default"] == 4_096);
    std::fs::write(&file, "[site]\nnmae = \"fra\"\n")?;
    let wrong = run(&["config", "check", "--config", path]).await?;
    ensure!(wrong.code == Some(1), "{wrong:?}");
    ensure!(
        wrong
            .stderr
            .contains(&format!("{path}:2:1: unknown key nmae")),
        "{wrong:?}"
    );
    ensure!(
        wrong.stderr.contains("reason: CONFIG_INVALID\ntry: "),
        "{wrong:?}"
    );
    Ok(())
}

/// Whether talk ends with the three lines of a failure.
fn has_three_lines(talk: &str) -> bool {
    let last: Vec<&str> = talk.lines().rev().take(3).collect();
    let begins = ["try: ", "reason: ", "error: "];
    last.len() == 3
        && last
            .iter()
            .zip(begins)
            .all(|(line, begin)| line.starts_with(begin))
}

/// Runs a command that ends with this code, and with three lines where that is a failure.
async fn ends(code: i32, words: &[&str]) -> anyhow::Result<()> {
    let ended = run(words).await?;
    ensure!(ended.code == Some(code), "{words:?}: {ended:?}");
    let failed = !matches!(code, 0 | 3);
    ensure!(
        has_three_lines(&ended.stderr) == failed,
        "{words:?}: {ended:?}"
    );
    Ok(())
}

#[tokio::test]
async fn a_command_that_cannot_be_done_here_ends_with_1_2_or_4_and_says_what_to_try()
-> anyhow::Result<()> {
    ends(0, &["version"]).await?;
    // An error of this machine.
    ends(1, &["floor", "diff", "/nonexistent/floor.toml"]).await?;
    ends(1, &["config", "check", "--set", "limits.connections=x"]).await?;
    // A command line that makes no sense: to clap, to us.
    for words in [
        &["floor", "show", "--verson", "3"][..],
        &["floor", "dif", "x"],
        &["floor", "diff"],
        &["log", "level", "debug", "--for", "1d"],
        &["floor", "diff", "/dev/null"],
        &["conversation", "list", "--limit", "0"],
    ] {
        ends(2, words).await?;
    }
    // Nobody is there.
    for words in [
        &["status"][..],
        &["queue", "list"],
        &["floor", "history"],
        &["log", "level"],
        &["report", "save"],
    ] {
        ends(4, &[words, &["--addr", "127.0.0.1:1"]].concat()).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_that_refuses_lacks_a_site_or_says_nothing_ends_a_command_with_5_3_and_6()
-> anyhow::Result<()> {
    let mut cluster = TestCluster::start().await?;
    let addr = cluster.addresses()[0].clone();
    let at = |words: &[&str]| {
        let words = words.iter().copied().chain(["--addr", &addr]);
        words.map(str::to_owned).collect::<Vec<String>>()
    };
    let ask = async |code: i32, words: &[&str]| {
        let words = at(words);
        ends(code, &words.iter().map(String::as_str).collect::<Vec<_>>()).await
    };
    let dir = folder()?;
    let plan = dir.path().join("floor.toml");
    std::fs::write(&plan, plan_in_force(&addr).await?)?;
    let plan = plan.to_str().context("a path")?;
    ask(0, &["status"]).await?;
    // Nobody is there to say yes.
    ask(2, &["floor", "apply", plan]).await?;
    // Refused: a precondition does not hold.
    ask(5, &["floor", "apply", plan, "--expect", "7", "--yes"]).await?;
    ask(5, &["conversation", "show", "c1-zzz"]).await?;
    ask(5, &["floor", "show", "--version", "99"]).await?;
    // The cluster answers, and a site is gone.
    cluster.kill(2).await?;
    until("a status that says so", || async {
        let status = run(&["status", "--addr", &addr]).await;
        status.is_ok_and(|status| status.code == Some(3))
    })
    .await?;
    ask(3, &["status"]).await?;
    // Somebody is there and says nothing.
    cluster.freeze(0).await?;
    ask(6, &["status"]).await?;
    cluster.thaw(0).await
}
