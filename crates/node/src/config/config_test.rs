//! Claims about configuration.

use super::keys::{KEYS, env_name};
use super::*;

fn file(text: &str) -> Sources {
    Sources {
        file: Some(("antiphon.toml".to_owned(), text.to_owned())),
        ..Sources::default()
    }
}

fn faults(sources: &Sources) -> Vec<String> {
    Layered::load(sources)
        .unwrap_err()
        .iter()
        .map(ToString::to_string)
        .collect()
}

#[test]
fn the_default_text_is_the_default_configuration_and_names_every_key() {
    let layered = Layered::load(&file(Config::default_toml())).unwrap();
    assert_eq!(layered.config, Config::default());
    let lines: Vec<&str> = Config::default_toml().lines().collect();
    for (section, key, _) in KEYS {
        let origin = layered.origin(&format!("{section}.{key}"));
        let Some(Origin::File { path, line }) = origin else {
            panic!("{section}.{key} comes from {origin:?}");
        };
        assert_eq!(path, "antiphon.toml");
        let said = lines[line - 1];
        assert!(said.starts_with(&format!("{key} = ")), "{line}: {said}");
    }
    assert_eq!(layered.values().len(), KEYS.len());
}

#[test]
fn a_flag_wins_over_the_environment_over_the_file_over_the_default() {
    let mut sources = file("[site]\nname = \"fra\"\nregion = \"eu\"\n[limits]\nconnections = 7\n");
    sources
        .env
        .push((env_name("site", "region"), "eu-west".to_owned()));
    sources
        .env
        .push((env_name("cluster", "join"), "a:1, b:2".to_owned()));
    sources.env.push((
        "ANTIPHON_ADDR".to_owned(),
        "not a key of the node".to_owned(),
    ));
    sources
        .flags
        .push(("site.name".to_owned(), "sha".to_owned()));
    let layered = Layered::load(&sources).unwrap();
    assert_eq!(layered.config.site.name, "sha");
    assert_eq!(layered.origin("site.name"), Some(&Origin::Flag));
    assert_eq!(layered.config.site.region, "eu-west");
    assert_eq!(
        layered.origin("site.region"),
        Some(&Origin::Env("ANTIPHON_SITE_REGION".to_owned()))
    );
    assert_eq!(layered.config.limits.connections, 7);
    assert_eq!(layered.config.cluster.join, ["a:1", "b:2"]);
    assert_eq!(layered.origin("log.level"), Some(&Origin::Default));
    assert_eq!(layered.origin("log.colour"), None);
}

#[test]
fn every_unknown_key_is_named_with_line_column_and_what_was_meant() {
    let text = "[site]\nnmae = \"fra\"\n\n[lisen]\napi = \"127.0.0.1:1\"\n[log]\nwidth = 80\n";
    assert_eq!(
        faults(&file(text)),
        [
            "antiphon.toml:2:1: unknown key nmae in [site]; did you mean name?",
            "antiphon.toml:4:2: unknown section [lisen]; did you mean [listen]?",
            "antiphon.toml:7:1: unknown key width in [log]",
        ]
    );
}

#[test]
fn a_value_of_the_wrong_kind_is_named_with_line_and_column() {
    let found = faults(&file("[limits]\nconnections = \"many\"\n"));
    assert_eq!(found.len(), 1);
    assert!(found[0].starts_with("antiphon.toml:2:15: "), "{found:?}");
    let found = faults(&file("[listen]\napi = \"localhost\"\n"));
    assert!(found[0].starts_with("antiphon.toml:2:7: "), "{found:?}");
    let found = faults(&file("[site\n"));
    assert!(found[0].starts_with("antiphon.toml:1:"), "{found:?}");
}

#[test]
fn a_misspelt_or_malformed_variable_is_named() {
    let sources = Sources {
        env: vec![
            ("ANTIPHON_SITE_NAEM".to_owned(), "fra".to_owned()),
            ("ANTIPHON_LIMITS_CONNECTIONS".to_owned(), "many".to_owned()),
        ],
        ..Sources::default()
    };
    assert_eq!(
        faults(&sources),
        [
            "ANTIPHON_SITE_NAEM: no such key; did you mean ANTIPHON_SITE_NAME?",
            "ANTIPHON_LIMITS_CONNECTIONS: \"many\" is not a whole number",
        ]
    );
}

#[test]
fn a_misspelt_section_of_a_variable_is_named_and_what_is_of_others_is_left_alone() {
    let named = |name: &str| Sources {
        env: vec![(name.to_owned(), "7".to_owned())],
        ..Sources::default()
    };
    assert_eq!(
        faults(&named("ANTIPHON_LIMTS_CONNECTIONS")),
        ["ANTIPHON_LIMTS_CONNECTIONS: no such key; did you mean ANTIPHON_LIMITS_CONNECTIONS?"]
    );
    // Of an orchestrator's service of our name, of the command line, of nobody.
    for name in [
        "ANTIPHON_SERVICE_HOST",
        "ANTIPHON_PORT_7400_TCP_ADDR",
        "ANTIPHON_ADDR",
        "ANTIPHON_CONFIG",
    ] {
        assert!(Layered::load(&named(name)).is_ok(), "{name}");
    }
}

#[test]
fn a_misspelt_flag_is_named_with_what_was_meant() {
    let sources = Sources {
        flags: vec![("log.levle".to_owned(), "debug".to_owned())],
        ..Sources::default()
    };
    assert_eq!(
        faults(&sources),
        ["flag log.levle: no such key; did you mean log.level?"]
    );
}

#[test]
fn the_keys_that_a_running_node_takes_over_are_marked_in_the_default_text() {
    let names: Vec<String> = keys::names().collect();
    assert!(
        keys::LIVE
            .iter()
            .all(|live| names.iter().any(|name| name == live))
    );
    let schema = Config::schema();
    for name in names {
        let (section, key) = name.split_once('.').unwrap();
        let property = &schema["properties"][section]["properties"][key];
        let said = property["description"].as_str().unwrap_or_default();
        assert_eq!(
            said.starts_with("(live)"),
            keys::is_live(&name),
            "{name}: {said}"
        );
    }
}

/// A secret's value would be printed by `config show` and stand in a support bundle.
#[test]
fn a_key_of_a_secret_names_a_file() {
    for name in keys::names() {
        let secret = ["secret", "token", "password", "passphrase", "credential"];
        if secret.iter().any(|word| name.contains(word)) {
            assert!(name.ends_with("_file"), "{name}");
        }
    }
}

#[test]
fn what_the_program_sets_itself_is_told_apart_from_defaults() {
    let mut config = Config::default();
    config.site.name = "fra".to_owned();
    let layered = Layered::of_program(config);
    assert_eq!(layered.origin("site.name"), Some(&Origin::Program));
    assert_eq!(layered.origin("log.level"), Some(&Origin::Default));
}

#[test]
fn a_listener_beyond_loopback_needs_to_be_allowed() {
    let mut config = Config::default();
    config.site.name = "fra".to_owned();
    assert_eq!(config.problems(), []);
    config.listen.api = "0.0.0.0:7400".parse().unwrap();
    let keys: Vec<String> = config
        .problems()
        .into_iter()
        .map(|problem| problem.key)
        .collect();
    assert_eq!(keys, ["listen.api", "listen.advertise_api"]);
    config.listen.allow_non_loopback = true;
    config.listen.advertise_api = "fra.example:7400".to_owned();
    assert_eq!(config.problems(), []);
}

#[test]
fn every_problem_is_listed_with_its_key() {
    let mut config = Config::default();
    config.cluster.profile = "moon".to_owned();
    config.cluster.join = vec!["nowhere".to_owned()];
    config.limits.connections = 0;
    config.listen.peer = config.listen.api;
    let keys: Vec<String> = config
        .problems()
        .into_iter()
        .map(|problem| problem.key)
        .collect();
    assert_eq!(
        keys,
        [
            "site.name",
            "cluster.profile",
            "cluster.join",
            "listen.peer",
            "limits.connections"
        ]
    );
}

#[test]
fn the_admin_port_may_be_off_and_must_be_a_free_address() {
    let mut config = Config::default();
    config.site.name = "fra".to_owned();
    let api = config.listen.api.to_string();
    for (admin, problems) in [("", 0), ("0.0.0.0:9000", 0), ("here", 1), (&api, 1)] {
        config.listen.admin = admin.to_owned();
        assert_eq!(config.problems().len(), problems, "{admin}");
    }
}

#[test]
fn a_share_is_kept_exactly_and_nothing_but_a_share_is_taken() {
    let of = |text: &str| {
        let set = format!("[site]\nname = \"fra\"\n[telemetry]\nsample = {text}\n");
        Layered::load(&file(&set)).map(|layered| layered.config.telemetry.sample.millionths())
    };
    assert_eq!(of("0.05"), Ok(50_000));
    assert_eq!(of("1"), Ok(1_000_000));
    assert_eq!(of("0.0"), Ok(0));
    for wrong in ["1.5", "-0.1", "nan", "\"half\""] {
        assert!(of(wrong).is_err(), "{wrong}");
    }
    let mut sources = Sources::default();
    sources
        .env
        .push((env_name("telemetry", "sample"), "0.5".to_owned()));
    let layered = Layered::load(&sources).unwrap();
    assert_eq!(layered.config.telemetry.sample.millionths(), 500_000);
}

#[test]
fn a_collector_is_named_by_an_address_without_credentials() {
    let mut config = Config::default();
    config.site.name = "fra".to_owned();
    for (otlp, problems) in [
        ("", 0),
        ("http://127.0.0.1:4317", 0),
        ("https://a:1", 1),
        ("a:1", 1),
        ("http://[::1]:4317", 0),
        ("http://otel-1.svc:4317", 0),
        ("http://me:s3cret@collector:4317", 1),
        ("http://s3cret@collector:4317", 1),
        ("http://collector/s3cret:4317", 1),
        ("http://collector:4317/s3cret", 1),
        ("http://collector?s3cret:4317", 1),
        ("http://collector:+4317", 1),
    ] {
        config.telemetry.otlp = otlp.to_owned();
        let found = config.problems();
        assert_eq!(found.len(), problems, "{otlp}");
        let told = found.iter().map(ToString::to_string).collect::<String>();
        assert!(!otlp.contains('@') || !told.contains("s3cret"), "{told}");
    }
}
