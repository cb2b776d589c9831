//! A machine version is raised by an entry; nothing newer than it is proposed or applied.

use std::sync::Arc;

use super::support::*;
use crate::cell::Cell;
use crate::cell::command::*;
use crate::cell::event::Event;
use crate::cell::version::{FIRST_VERSION, NEWEST_VERSION, TooNew};
use crate::ids::*;

fn newer() -> Command {
    Command::HoldBuckets(Arc::default())
}

#[test]
fn a_version_is_raised_once_and_never_lowered() {
    let mut floor = Floor::new();
    assert_eq!(floor.cell.version(), FIRST_VERSION);
    let raised = floor.apply(Command::RaiseVersion(MachineVersion(2)));
    assert_eq!(
        raised.events,
        [Event::VersionRaised {
            version: MachineVersion(2)
        }]
    );
    for repeated in [2, 1] {
        let again = floor.apply(Command::RaiseVersion(MachineVersion(repeated)));
        assert!(again.events.is_empty());
        assert_eq!(floor.cell.version(), MachineVersion(2));
    }
}

#[test]
fn a_command_is_too_new_until_its_version_is_in_force() {
    let mut floor = Floor::new();
    assert_eq!(
        floor.cell.check_version(&newer()),
        Err(TooNew {
            needs: MachineVersion(2),
            in_force: FIRST_VERSION
        })
    );
    assert_eq!(floor.cell.check_version(&Command::MatchMore), Ok(()));
    floor.apply(Command::RaiseVersion(NEWEST_VERSION));
    assert_eq!(floor.cell.check_version(&newer()), Ok(()));
}

#[test]
fn a_raise_may_be_proposed_under_any_version_and_is_read_only_by_who_knows_the_new_one() {
    let raise = Command::RaiseVersion(MachineVersion(7));
    assert_eq!(raise.since(), FIRST_VERSION);
    assert_eq!(raise.readable_since(), MachineVersion(7));
    assert_eq!(newer().readable_since(), newer().since());
}

#[test]
fn the_version_and_the_buckets_are_part_of_the_state() {
    let mut floor = Floor::new();
    let first = floor.cell.clone();
    floor.apply(Command::RaiseVersion(MachineVersion(2)));
    floor.apply(newer());
    let restored = Cell::from_parts(floor.cell.freeze().parts()).unwrap();
    assert_eq!(restored.version(), MachineVersion(2));
    assert_eq!(restored, floor.cell);
    assert_ne!(restored, first);
}
