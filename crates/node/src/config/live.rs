//! The configuration of a running node: the values in force, and reading them again.
//! Promise: a configuration with a fault changes nothing; of a sound one exactly the keys marked live are
//! taken over, and every other one that differs is named.
//! Not here: reading files and the environment (`cli`), what the values do (their users follow them).

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::watch;

use super::keys::is_live;
use super::{Config, ConfigFault, KeyChange, Layered};

/// What reads the layers of a process again.
pub trait Settings: Send + Sync + 'static {
    /// The configuration as the layers have it now.
    ///
    /// # Errors
    /// Every fault of every layer; never an empty list.
    fn read(&self) -> Result<Layered, Vec<ConfigFault>>;
}

/// What reading again has changed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Reloaded {
    /// Keys that were taken over.
    pub taken: Vec<KeyChange>,
    /// Keys that differ and hold from the next start on; the earlier value is the one in force.
    pub waiting: Vec<KeyChange>,
}

/// The values in force. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Live {
    in_force: Arc<Mutex<Layered>>,
    config: Arc<watch::Sender<Config>>,
    settings: Option<Arc<dyn Settings>>,
    /// Held from reading the layers until they are in force: what was read later is in force later.
    reading: Arc<Mutex<()>>,
}

impl Live {
    pub(crate) fn new(layered: Layered, settings: Option<Arc<dyn Settings>>) -> Self {
        let config = watch::Sender::new(layered.config.clone());
        Self {
            in_force: Arc::new(Mutex::new(layered)),
            config: Arc::new(config),
            settings,
            reading: Arc::default(),
        }
    }

    /// The values in force with where each came from.
    pub(crate) fn layered(&self) -> Layered {
        self.in_force.lock().clone()
    }

    /// Follows the values in force.
    pub(crate) fn follow(&self) -> watch::Receiver<Config> {
        self.config.subscribe()
    }

    /// Whether there is anything to read again.
    pub(crate) fn can_reload(&self) -> bool {
        self.settings.is_some()
    }

    /// Reads the layers again and takes over what can be taken over.
    pub(crate) fn reload(&self) -> Result<Reloaded, Vec<ConfigFault>> {
        let Some(settings) = &self.settings else {
            return Ok(Reloaded::default());
        };
        let _one_at_a_time = self.reading.lock();
        let later = settings.read()?;
        let problems = later.config.problems();
        if !problems.is_empty() {
            return Err(problems.into_iter().map(ConfigFault::from).collect());
        }
        let mut in_force = self.in_force.lock();
        let changes = in_force.changes(&later.config);
        let (taken, waiting): (Vec<_>, Vec<_>) =
            changes.into_iter().partition(|change| is_live(&change.key));
        *in_force = in_force.taking(&later, super::keys::LIVE);
        let config = in_force.config.clone();
        self.config.send_if_modified(|before| {
            let differs = *before != config;
            *before = config;
            differs
        });
        Ok(Reloaded { taken, waiting })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::super::Sources;
    use super::*;

    /// A file that a test writes.
    #[derive(Default)]
    struct File(Mutex<String>);

    impl Settings for File {
        fn read(&self) -> Result<Layered, Vec<ConfigFault>> {
            Layered::load(&Sources {
                file: Some(("antiphon.toml".to_owned(), self.0.lock().clone())),
                ..Sources::default()
            })
        }
    }

    fn running(text: &str) -> (Arc<File>, Live) {
        let file = Arc::new(File(Mutex::new(text.to_owned())));
        let live = Live::new(file.read().unwrap(), Some(file.clone()));
        (file, live)
    }

    fn keys(changes: &[KeyChange]) -> Vec<&str> {
        changes.iter().map(|change| change.key.as_str()).collect()
    }

    const BEFORE: &str = "[site]\nname = \"fra\"\n[limits]\nconnections = 10\n";

    #[test]
    fn keys_marked_live_are_taken_over_and_the_others_are_named() {
        let (file, live) = running(BEFORE);
        let mut follower = live.follow();
        *file.0.lock() = "[site]\nname = \"fra\"\nregion = \"eu\"\n\n[limits]\nconnections = 20\n\
                          log_segment_mib = 8\n[log]\nlevel = \"debug\"\n"
            .to_owned();
        let reloaded = live.reload().unwrap();
        assert_eq!(keys(&reloaded.taken), ["limits.connections", "log.level"]);
        assert_eq!(
            keys(&reloaded.waiting),
            ["site.region", "limits.log_segment_mib"]
        );
        assert_eq!(
            (
                reloaded.taken[0].old.as_str(),
                reloaded.taken[0].new.as_str()
            ),
            ("10", "20")
        );
        assert!(follower.has_changed().unwrap());
        let config = follower.borrow_and_update().clone();
        assert_eq!(
            (config.limits.connections, config.limits.log_segment_mib),
            (20, 64)
        );
        let shown = live.layered();
        assert_eq!(
            shown.origin("limits.connections").unwrap().to_string(),
            "antiphon.toml:6"
        );
        assert_eq!(
            shown.origin("site.region"),
            Some(&super::super::Origin::Default)
        );
        // What waits is named each time, what was taken over once.
        let again = live.reload().unwrap();
        assert_eq!(keys(&again.taken), [""; 0]);
        assert_eq!(
            keys(&again.waiting),
            ["site.region", "limits.log_segment_mib"]
        );
        assert!(!follower.has_changed().unwrap());
    }

    /// Layers that note whether they are read twice at a time.
    #[derive(Default)]
    struct Watched {
        reads: AtomicU64,
        overlaps: AtomicU64,
    }

    impl Settings for Watched {
        fn read(&self) -> Result<Layered, Vec<ConfigFault>> {
            if self.reads.fetch_add(1, Ordering::SeqCst) > 0 {
                self.overlaps.fetch_add(1, Ordering::SeqCst);
            }
            for _ in 0..100 {
                std::thread::yield_now();
            }
            self.reads.fetch_sub(1, Ordering::SeqCst);
            File(Mutex::new(BEFORE.to_owned())).read()
        }
    }

    #[test]
    fn what_is_read_first_is_in_force_before_anything_is_read_again() {
        let watched = Arc::new(Watched::default());
        let live = Live::new(watched.read().unwrap(), Some(watched.clone()));
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| (0..50).for_each(|_| drop(live.reload())));
            }
        });
        assert_eq!(watched.overlaps.load(Ordering::SeqCst), 0);
    }

    #[test]
    fn a_fault_anywhere_changes_nothing() {
        let (file, live) = running(BEFORE);
        for (text, place) in [
            (
                "[site]\nname = \"fra\"\n[limits]\nconnections = 20\nconections = 1\n",
                "antiphon.toml:5:1",
            ),
            (
                "[site]\nname = \"fra\"\n[limits]\nconnections = 20\nconnection_age_s = 1\n",
                "limits.connection_age_s",
            ),
            (
                "[site]\nname = \"fra\"\n[limits]\nconnections = 20\n[log]\nlevel = \"lod\"\n",
                "log.level",
            ),
        ] {
            *file.0.lock() = text.to_owned();
            let faults = live.reload().unwrap_err();
            assert_eq!(faults[0].place, place);
            assert_eq!(live.layered().config.limits.connections, 10);
        }
    }

    #[test]
    fn a_key_that_was_taken_out_goes_back_to_its_default() {
        let (file, live) = running(BEFORE);
        *file.0.lock() = "[site]\nname = \"fra\"\n".to_owned();
        assert_eq!(keys(&live.reload().unwrap().taken), ["limits.connections"]);
        assert_eq!(live.layered().config.limits.connections, 4_096);
        assert_eq!(
            live.layered().origin("limits.connections"),
            Some(&super::super::Origin::Default)
        );
    }
}
