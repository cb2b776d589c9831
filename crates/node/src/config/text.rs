//! The commented text of the default configuration.
//! Promise: parsed, it is `Config::default()`; it names every key once.
//! Not here: the values' meaning in code (`mod`).

/// What `antiphon config default` prints.
pub(super) const DEFAULT_TOML: &str = r#"# Configuration of an Antiphon node.
# A flag wins over the environment (ANTIPHON_SITE_NAME is site.name), that over this file,
# that over the defaults below. A running node reads it again on SIGHUP and takes over the keys
# that are marked (live); all others hold from its next start on.

[cluster]
# The cluster's name for people; used by `antiphon init`.
name = "default"
# Peer addresses of nodes to join through while the data directory is empty: ["sha-1.example:7401"].
join = []
# The timing profile that is expected: lan, regional, global. Empty takes the cluster's.
profile = ""

[site]
# The site's name, for example "fra". Required.
name = ""
# The site's region, free text for people.
region = ""

[node]
# The node's name, once in the cluster. Empty means the site's name and "-n1".
name = ""
# Where log, votes and snapshots are kept.
data_dir = "/var/lib/antiphon"

[listen]
# For clients.
api = "127.0.0.1:7400"
# For other nodes.
peer = "127.0.0.1:7401"
# For whoever looks after the node: /metrics for Prometheus, /healthz, /readyz. Empty means that nobody does. It
# has no credentials: an address that other machines reach is allowed, with a warning.
admin = "127.0.0.1:7402"
# Allows addresses that other machines reach. There are no credentials yet: whoever reaches the
# port may do everything.
allow_non_loopback = false
# host:port by which others reach the two addresses above. Empty means the address itself.
advertise_api = ""
advertise_peer = ""

[limits]
# (live) Connections of clients at a time, 1 to 65536. Further ones are closed at once.
connections = 4096
# (live) Seconds after which a connection is asked to be made anew, 60 to 86400; of connections
# that are accepted from then on.
connection_age_s = 3600
# MiB of one segment of the log, 1 to 1024.
log_segment_mib = 64
# MiB of a group's log since its last snapshot that make a new one due, 0 to 65536, if they are also twice that
# snapshot.
snapshot_log_mib = 256
# Entries of a group that are kept behind a snapshot for members that are a little late, 0 to 1000000.
keep_entries = 10000

[storage]
# Days for which ended conversations are kept in the archive, counted from the day on which they left
# memory, 1 to 3650. The same on every node: that of a cell's leader counts for all its replicas.
archive_days = 90
# GiB of the archive above which its oldest days are dropped, 1 to 65536. The newest day is never dropped, however much
# it takes: `antiphon status` says by how much the archive is over this then.
archive_max_gib = 64
# Days for which segments that the log needs no more are kept as the audit journal, 0 to 3650, counted from the
# day on which they left the log; 0 keeps none. It holds every entry of this node's groups with all that was
# said, so it is as confidential as the log itself.
journal_days = 30
# GiB of the audit journal above which its oldest segments are dropped, 1 to 65536. It gives way sooner where the
# disk has less room than 64 segments of the log.
journal_max_gib = 16

[drain]
# (live) Milliseconds from the signal to go away until open connections are cut, 100 to 9000.
deadline_ms = 8000

[log]
# (live) off, error, warn, info, debug, trace; or per module: "info,raft=debug".
level = "info"
# auto (text on a terminal, else json), text, json.
format = "auto"

[telemetry]
# Where a collector takes OTLP over gRPC: "http://127.0.0.1:4317". Empty means that nothing is traced.
otlp = ""
# The share of calls and messages that are traced without being asked for, 0 to 1. What comes with a sampled
# traceparent always is, and so is a call that fails by our fault.
sample = 0.05
"#;
