//! Claims about whole runs, each in a process of its own.

use std::process::Command;

/// What a run printed, and whether it held.
fn run(seed: u64, more: &[&str]) -> (bool, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sim"));
    command.args(["--seed", &seed.to_string()]).args(more);
    let output = command
        .output()
        .expect("the program was built with its tests");
    (
        output.status.success(),
        String::from_utf8_lossy(&output.stdout).into_owned(),
    )
}

fn last_line(printed: &str) -> &str {
    printed.lines().last().unwrap_or_default()
}

#[test]
fn a_seed_gives_the_same_run_in_every_process_byte_for_byte() {
    // Everything that every library logs at TRACE is a gigabyte: it is compared by its hash.
    let traced = |seed: u64| {
        let (held, printed) = run(seed, &["--hours", "0.002", "--log", "trace"]);
        assert!(held, "{printed}");
        let lines = printed.lines().filter(|line| !line.starts_with("ran "));
        let told: Vec<String> = lines.map(str::to_owned).collect();
        assert!(
            told.iter().any(|line| line.starts_with("logged ")),
            "{printed}"
        );
        told
    };
    for seed in 1..=5 {
        let (first, again) = std::thread::scope(|scope| {
            let first = scope.spawn(|| traced(seed));
            let again = traced(seed);
            (first.join(), again)
        });
        assert_eq!(first.unwrap(), again);
    }
}

#[test]
fn another_seed_gives_another_run() {
    let hash = |seed| {
        let (_, printed) = run(seed, &["--hours", "0.002", "--faults", "none"]);
        last_line(&printed).rsplit(' ').next().unwrap().to_owned()
    };
    assert_ne!(hash(1), hash(2));
}

#[test]
fn what_was_promised_holds_under_faults() {
    for seed in 1..=12 {
        let (held, printed) = run(seed, &["--hours", "0.03"]);
        assert!(held, "{printed}");
        assert!(printed.contains("faults: "), "{printed}");
    }
}
