//! Timing profiles: how fast a group notices that its leader is gone.
//! Promise: three fixed sets; every node of a cluster runs the same one, and a connection from a
//! node with another one is refused.
//! Not here: which profile a cluster has (the control group says).

use std::time::Duration;

use openraft::{Config, SnapshotPolicy};

/// A set of time-outs, chosen when the cluster is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Profile {
    /// One building.
    Lan,
    /// Round trips up to 60 ms.
    Regional,
    /// Round trips up to 250 ms.
    Global,
}

/// The time-outs of a profile, in milliseconds.
struct Timing {
    heartbeat: u64,
    election_min: u64,
    election_max: u64,
}

/// Entries in one append: at 300 bytes, half of what an append may weigh.
const APPEND_ENTRIES_MAX: u64 = 4_096;
/// Distance in entries below which a new learner counts as caught up.
const LEARNER_LAG_MAX: u64 = 1_024;

impl Profile {
    /// Its name, as in the configuration and in `Hello`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Lan => "lan",
            Self::Regional => "regional",
            Self::Global => "global",
        }
    }

    /// The profile of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Lan, Self::Regional, Self::Global]
            .into_iter()
            .find(|profile| profile.name() == name)
    }

    fn timing(self) -> Timing {
        match self {
            Self::Lan => Timing {
                heartbeat: 50,
                election_min: 150,
                election_max: 300,
            },
            Self::Regional => Timing {
                heartbeat: 150,
                election_min: 450,
                election_max: 650,
            },
            Self::Global => Timing {
                heartbeat: 400,
                election_min: 1_200,
                election_max: 1_600,
            },
        }
    }

    /// How often a leader is heard.
    #[must_use]
    pub fn heartbeat(self) -> Duration {
        Duration::from_millis(self.timing().heartbeat)
    }

    /// The longest election time-out, which is also the leader's lease.
    #[must_use]
    pub fn election_max(self) -> Duration {
        Duration::from_millis(self.timing().election_max)
    }

    /// How long an append may go unanswered before its stream is failed: two heartbeats.
    pub(crate) fn append_deadline(self) -> Duration {
        self.heartbeat() * 2
    }

    /// How long one attempt to connect may take. TCP, HTTP/2 and `Hello` need three round trips;
    /// two election time-outs hold them, and a lost SYN is tried again soon after.
    pub(crate) fn dial_deadline(self) -> Duration {
        self.election_max() * 2
    }

    /// openraft's configuration for this profile.
    pub(crate) fn config(self, cluster: &str, keep_entries: u64) -> Config {
        let timing = self.timing();
        Config {
            cluster_name: cluster.to_owned(),
            heartbeat_interval: timing.heartbeat,
            election_timeout_min: timing.election_min,
            election_timeout_max: timing.election_max,
            enable_pre_vote: Some(true),
            quorum_loss_probe_interval: Some(2 * timing.election_max),
            enable_leader_restore: Some(false),
            snapshot_policy: SnapshotPolicy::Never,
            max_in_snapshot_log_to_keep: keep_entries,
            max_payload_entries: APPEND_ENTRIES_MAX,
            replication_lag_threshold: LEARNER_LAG_MAX,
            ..Config::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_profile_is_one_that_openraft_accepts() {
        for profile in [Profile::Lan, Profile::Regional, Profile::Global] {
            assert!(profile.config("c", 0).validate().is_ok());
            assert_eq!(Profile::from_name(profile.name()), Some(profile));
        }
    }
}
