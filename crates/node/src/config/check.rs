//! What is wrong with a configuration beyond the form of its values.
//! Promise: every problem of one configuration is listed, each with its key and what to do.
//! Not here: unknown keys and wrong kinds (`layers`), what only the start can tell (`run`).

use std::fmt;
use std::net::SocketAddr;
use std::ops::RangeInclusive;

use domain::control::command::Profile;
use domain::ids::{NodeName, SiteId};

use super::Config;

/// One thing that keeps a node from starting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigProblem {
    /// The key, `section.key`.
    pub key: String,
    /// What is wrong and what to do, one sentence without a full stop.
    pub message: String,
}

impl fmt::Display for ConfigProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.key, self.message)
    }
}

pub(super) fn problems(config: &Config) -> Vec<ConfigProblem> {
    let mut found = Vec::new();
    names(config, &mut found);
    addresses(config, &mut found);
    collector(config, &mut found);
    bounds(config, &mut found);
    if let Err(error) = crate::log::level::read(&config.log.level) {
        push(&mut found, "log.level", error.reason);
    }
    found
}

fn push(found: &mut Vec<ConfigProblem>, key: &str, message: impl Into<String>) {
    found.push(ConfigProblem {
        key: key.to_owned(),
        message: message.into(),
    });
}

fn names(config: &Config, found: &mut Vec<ConfigProblem>) {
    if config.site.name.is_empty() {
        push(
            found,
            "site.name",
            "is required: set it in the file, by --site or by ANTIPHON_SITE_NAME",
        );
    } else if let Err(error) = SiteId::new(&config.site.name) {
        push(found, "site.name", error.to_string());
    } else if let Err(error) = NodeName::new(&config.node_name()) {
        push(found, "node.name", error.to_string());
    }
    if config.cluster.name.is_empty() {
        push(found, "cluster.name", "is empty");
    }
    if config.node.data_dir.is_empty() {
        push(found, "node.data_dir", "is empty");
    }
    let profile = &config.cluster.profile;
    if !profile.is_empty() && Profile::from_word(profile).is_none() {
        push(
            found,
            "cluster.profile",
            format!("\"{profile}\" is none of lan, regional, global"),
        );
    }
    for address in &config.cluster.join {
        if !is_host_and_port(address) {
            push(
                found,
                "cluster.join",
                format!("\"{address}\" is not of the form host:port"),
            );
        }
    }
}

fn addresses(config: &Config, found: &mut Vec<ConfigProblem>) {
    let listen = &config.listen;
    let each = [
        ("api", listen.api, &listen.advertise_api),
        ("peer", listen.peer, &listen.advertise_peer),
    ];
    for (name, address, advertised) in each {
        if !address.ip().is_loopback() && !listen.allow_non_loopback {
            let message = format!(
                "{address} can be reached from other machines and there are no credentials yet; use a loopback \
                 address, or set listen.allow_non_loopback = true if the network is closed to others"
            );
            push(found, &format!("listen.{name}"), message);
        }
        let key = format!("listen.advertise_{name}");
        if advertised.is_empty() && address.ip().is_unspecified() {
            push(
                found,
                &key,
                format!("is needed, because {address} is not an address that others can dial"),
            );
        }
        if !advertised.is_empty() && !is_host_and_port(advertised) {
            push(
                found,
                &key,
                format!("\"{advertised}\" is not of the form host:port"),
            );
        }
    }
    match listen.admin() {
        Ok(Some(admin)) => {
            for (name, taken) in [("api", listen.api), ("peer", listen.peer)] {
                if same_port(admin, taken) {
                    let message = format!("{admin} is taken by listen.{name}");
                    push(found, "listen.admin", message);
                }
            }
        }
        Ok(None) => {}
        Err(_) => {
            let message = format!("\"{}\" is not of the form address:port", listen.admin);
            push(found, "listen.admin", message);
        }
    }
    if same_port(listen.api, listen.peer) {
        push(
            found,
            "listen.peer",
            format!("{} is taken by listen.api", listen.peer),
        );
    }
}

fn collector(config: &Config, found: &mut Vec<ConfigProblem>) {
    let otlp = &config.telemetry.otlp;
    let is_http = otlp.strip_prefix("http://").is_some_and(is_host_and_port);
    if otlp.is_empty() || is_http {
        return;
    }
    // What stands before an `@` may be a secret: it is shown to nobody, and taken nowhere.
    let message = match otlp.contains('@') {
        true => {
            "holds a name or a password, and is shown to operators: name http://host:port alone"
                .to_owned()
        }
        false => format!("\"{otlp}\" is not of the form http://host:port"),
    };
    push(found, "telemetry.otlp", message);
}

fn bounds(config: &Config, found: &mut Vec<ConfigProblem>) {
    let limits = &config.limits;
    let storage = &config.storage;
    let each: [(&str, u64, RangeInclusive<u64>); 10] = [
        (
            "limits.connections",
            u64::from(limits.connections),
            1..=65_536,
        ),
        (
            "limits.connection_age_s",
            limits.connection_age_s,
            60..=86_400,
        ),
        (
            "limits.log_segment_mib",
            u64::from(limits.log_segment_mib),
            1..=1_024,
        ),
        (
            "limits.snapshot_log_mib",
            u64::from(limits.snapshot_log_mib),
            0..=65_536,
        ),
        (
            "limits.keep_entries",
            u64::from(limits.keep_entries),
            0..=1_000_000,
        ),
        (
            "storage.archive_days",
            u64::from(storage.archive_days),
            1..=3_650,
        ),
        (
            "storage.archive_max_gib",
            u64::from(storage.archive_max_gib),
            1..=65_536,
        ),
        (
            "storage.journal_days",
            u64::from(storage.journal_days),
            0..=3_650,
        ),
        (
            "storage.journal_max_gib",
            u64::from(storage.journal_max_gib),
            1..=65_536,
        ),
        ("drain.deadline_ms", config.drain.deadline_ms, 100..=9_000),
    ];
    for (key, value, range) in each {
        if !range.contains(&value) {
            push(
                found,
                key,
                format!("{value} lies outside {} to {}", range.start(), range.end()),
            );
        }
    }
}

fn same_port(a: SocketAddr, b: SocketAddr) -> bool {
    a == b && a.port() != 0
}

fn is_host_and_port(text: &str) -> bool {
    // Anything else could carry a path or credentials.
    let is_of_host = |letter: char| letter.is_ascii_alphanumeric() || ".-_:[]".contains(letter);
    let is_number = |port: &str| port.bytes().all(|byte| byte.is_ascii_digit());
    text.rsplit_once(':').is_some_and(|(host, port)| {
        !host.is_empty()
            && host.chars().all(is_of_host)
            && is_number(port)
            && port.parse::<u16>().is_ok()
    })
}
