//! Configuration of a node: one TOML file, each key with a default, a unit and a bound.
//! Promise: a key that is accepted does something today; every key can also be set by
//! `ANTIPHON_SECTION_KEY` and by a flag, and it can be told where each value came from.
//! Not here: reading files and the environment (`cli`), the floor plan (`wire`).

mod check;
mod keys;
mod layers;
mod live;
mod schema;
mod text;

#[cfg(test)]
mod config_test;

use std::net::{AddrParseError, SocketAddr};

use serde::{Deserialize, Serialize};

pub use check::ConfigProblem;
pub use layers::{ConfigFault, KeyChange, Layered, Origin, Sources};
pub(crate) use live::Live;
pub use live::{Reloaded, Settings};

/// The port of the first node's API listener.
pub const API_PORT: u16 = 7400;
/// The port of the first node's peer listener.
pub const PEER_PORT: u16 = 7401;

/// The port of the first node's admin listener.
pub const ADMIN_PORT: u16 = 7402;

/// All that can be set.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The cluster that the node belongs to.
    pub cluster: ClusterConfig,
    /// The site that the node stands in.
    pub site: SiteConfig,
    /// The node itself.
    pub node: NodeConfig,
    /// Where it listens.
    pub listen: ListenConfig,
    /// Bounds.
    pub limits: LimitsConfig,
    /// What is kept, and for how long.
    pub storage: StorageConfig,
    /// Going away.
    pub drain: DrainConfig,
    /// The node's log for people.
    pub log: LogConfig,
    /// Traces for a collector.
    pub telemetry: TelemetryConfig,
}

/// The cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ClusterConfig {
    /// Its name for people, used by `antiphon init`.
    pub name: String,
    /// Peer addresses, `host:port`, of nodes to join through when the data directory is empty.
    pub join: Vec<String>,
    /// The timing profile that is expected: `lan`, `regional`, `global`; empty takes the cluster's.
    pub profile: String,
}

impl Default for ClusterConfig {
    fn default() -> Self {
        Self {
            name: "default".to_owned(),
            join: Vec::new(),
            profile: String::new(),
        }
    }
}

/// The site.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SiteConfig {
    /// Its name. The one key without a default.
    pub name: String,
    /// Its region, free text for people.
    pub region: String,
}

/// The node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NodeConfig {
    /// Its name, once in the cluster; empty means the site's name and `-n1`.
    pub name: String,
    /// Where it keeps log, votes and snapshots.
    pub data_dir: String,
}

impl Default for NodeConfig {
    fn default() -> Self {
        Self {
            name: String::new(),
            data_dir: "/var/lib/antiphon".to_owned(),
        }
    }
}

/// Where the node listens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ListenConfig {
    /// For clients.
    pub api: SocketAddr,
    /// For other nodes.
    pub peer: SocketAddr,
    /// For whoever looks after the node: metrics and health; empty means that nobody does.
    pub admin: String,
    /// Allows addresses that other machines reach. There are no credentials yet.
    pub allow_non_loopback: bool,
    /// `host:port` by which clients reach `api`; empty means the address itself.
    pub advertise_api: String,
    /// `host:port` by which nodes reach `peer`; empty means the address itself.
    pub advertise_peer: String,
}

impl Default for ListenConfig {
    fn default() -> Self {
        Self {
            api: SocketAddr::from(([127, 0, 0, 1], API_PORT)),
            peer: SocketAddr::from(([127, 0, 0, 1], PEER_PORT)),
            admin: SocketAddr::from(([127, 0, 0, 1], ADMIN_PORT)).to_string(),
            allow_non_loopback: false,
            advertise_api: String::new(),
            advertise_peer: String::new(),
        }
    }
}

/// Bounds of a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LimitsConfig {
    /// Connections of clients at a time; further ones are closed at once.
    pub connections: u32,
    /// Seconds after which a connection is asked to be made anew.
    pub connection_age_s: u64,
    /// MiB of one segment of the log.
    pub log_segment_mib: u32,
    /// MiB of a group's log since its last snapshot that make a new one due, if they are also twice that snapshot.
    pub snapshot_log_mib: u32,
    /// Entries of a group that are kept behind a snapshot for members that are a little late.
    pub keep_entries: u32,
}

impl Default for LimitsConfig {
    fn default() -> Self {
        Self {
            connections: 4_096,
            connection_age_s: 3_600,
            log_segment_mib: 64,
            snapshot_log_mib: 256,
            keep_entries: 10_000,
        }
    }
}

/// What a node keeps.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StorageConfig {
    /// Days for which ended conversations are kept in the archive, counted from the day on which they left
    /// memory. The same on every node: that of a cell's leader counts for all its replicas.
    pub archive_days: u32,
    /// GiB of the archive above which its oldest days are dropped, sooner than `archive_days` says.
    pub archive_max_gib: u32,
    /// Bytes instead, for tests of what a few conversations exceed.
    #[cfg(test)]
    #[serde(skip)]
    pub(crate) archive_max_bytes: Option<u64>,
    /// Days for which segments that the log needs no more are kept as the audit journal, counted from the day
    /// on which they left the log; 0 keeps none.
    pub journal_days: u32,
    /// GiB of the audit journal above which its oldest segments are dropped, sooner than `journal_days` says.
    pub journal_max_gib: u32,
}

impl Default for StorageConfig {
    fn default() -> Self {
        Self {
            archive_days: 90,
            archive_max_gib: 64,
            #[cfg(test)]
            archive_max_bytes: None,
            journal_days: 30,
            journal_max_gib: 16,
        }
    }
}

/// How a node goes away.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DrainConfig {
    /// Milliseconds from the signal until open connections are cut.
    pub deadline_ms: u64,
}

impl Default for DrainConfig {
    fn default() -> Self {
        Self { deadline_ms: 8_000 }
    }
}

/// The node's log for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LogConfig {
    /// `error`, `warn`, `info`, `debug`, `trace`, or per module as in `info,raft=debug`.
    pub level: String,
    /// Its form.
    pub format: LogFormat,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self {
            level: "info".to_owned(),
            format: LogFormat::Auto,
        }
    }
}

/// Traces for a collector.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TelemetryConfig {
    /// Where a collector takes OTLP over gRPC, `http://host:port`; empty means that nothing is traced.
    pub otlp: String,
    /// The share of requests that are traced without being asked for.
    pub sample: Share,
}

/// A share of one, kept exactly to a millionth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct Share {
    millionths: u32,
}

/// Millionths of one.
const ONE: f64 = 1_000_000.0;

impl Share {
    /// In millionths, 0 to 1,000,000.
    #[must_use]
    pub fn millionths(self) -> u32 {
        self.millionths
    }
}

impl Default for Share {
    /// One in twenty.
    fn default() -> Self {
        Self { millionths: 50_000 }
    }
}

/// The number is no share.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
#[error("{0} is not a share from 0 to 1")]
pub struct NoShare(f64);

impl TryFrom<f64> for Share {
    type Error = NoShare;

    fn try_from(share: f64) -> Result<Self, NoShare> {
        match (0.0..=1.0).contains(&share) {
            // Within the range of millionths, as the share is within that of one.
            true => Ok(Self {
                millionths: (share * ONE).round() as u32,
            }),
            false => Err(NoShare(share)),
        }
    }
}

impl From<Share> for f64 {
    fn from(share: Share) -> Self {
        Self::from(share.millionths) / ONE
    }
}

/// The form of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Text on a terminal, else JSON.
    Auto,
    /// Lines for people.
    Text,
    /// One JSON object a line.
    Json,
}

impl ListenConfig {
    /// The address of the admin listener; `None` where there is none.
    ///
    /// # Errors
    /// When the key holds something else.
    pub fn admin(&self) -> Result<Option<SocketAddr>, AddrParseError> {
        match self.admin.as_str() {
            "" => Ok(None),
            address => address.parse().map(Some),
        }
    }
}

impl Config {
    /// The node's name: the one that is set, else the site's with `-n1`.
    #[must_use]
    pub fn node_name(&self) -> String {
        if self.node.name.is_empty() {
            return format!("{}-n1", self.site.name);
        }
        self.node.name.clone()
    }

    /// Every key with its default and a comment; what `antiphon config default` prints.
    #[must_use]
    pub fn default_toml() -> &'static str {
        text::DEFAULT_TOML
    }

    /// The JSON Schema of the file; what `antiphon config schema` prints.
    #[must_use]
    pub fn schema() -> serde_json::Value {
        schema::schema()
    }

    /// Whether a running node takes `section.key` over when its configuration is read again.
    #[must_use]
    pub fn is_live(key: &str) -> bool {
        keys::is_live(key)
    }

    /// What is wrong with the values taken together; empty means that a node can start.
    #[must_use]
    pub fn problems(&self) -> Vec<ConfigProblem> {
        check::problems(self)
    }
}
