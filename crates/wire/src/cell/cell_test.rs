//! Claims about the stored form of a cell's entries.

use domain::cell::command::{Command, Entry};
use domain::cell::version::NEWEST_VERSION;
use domain::ids::{CellTime, MachineVersion};
use proptest::prelude::*;

use super::{decode_entry, decode_traced, encode_entry, encode_traced};
use crate::error::WireError;
use crate::samples::entries;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn every_entry_comes_back_as_it_was(entry in entries()) {
        prop_assert_eq!(decode_entry(&encode_entry(&entry)), Ok(entry));
    }

    #[test]
    fn a_trace_is_kept_beside_an_entry_and_changes_nothing_in_it(entry in entries()) {
        let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let traced = encode_traced(&entry, trace.to_owned());
        prop_assert_eq!(decode_entry(&traced), Ok(entry.clone()));
        prop_assert_eq!(decode_traced(&traced), Ok((entry.clone(), trace.to_owned())));
        // One that nobody traces holds no byte of it.
        prop_assert_eq!(encode_traced(&entry, String::new()), encode_entry(&entry));
        prop_assert_eq!(traced.len(), encode_entry(&entry).len() + 2 + trace.len());
    }

    #[test]
    fn bytes_from_outside_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..256)) {
        let _ = decode_entry(&bytes);
    }

    #[test]
    fn a_damaged_entry_never_panics(entry in entries(), at in any::<prop::sample::Index>(), bit in 0_u8..8) {
        let mut bytes = encode_entry(&entry);
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        let _ = decode_entry(&bytes);
        let _ = decode_entry(&bytes[..at]);
    }
}

#[test]
fn an_entry_of_a_newer_format_is_refused() {
    let mut bytes = encode_entry(&Entry {
        at: CellTime(5),
        wall_ms: 6,
        command: Command::tick(),
    });
    // Field 1 comes first: its tag, then the format.
    assert_eq!(bytes[..2], [8, 1]);
    bytes[1] = 9;
    assert_eq!(
        decode_entry(&bytes),
        Err(WireError::NewerFormat { found: 9, known: 1 })
    );
}

#[test]
fn an_entry_of_a_newer_machine_is_refused_before_its_command_is_looked_at() {
    let newer = MachineVersion(NEWEST_VERSION.0 + 1);
    let refused = Err(WireError::NewerMachine {
        found: newer,
        known: NEWEST_VERSION,
    });
    let raise = encode_entry(&Entry {
        at: CellTime(5),
        wall_ms: 6,
        command: Command::RaiseVersion(newer),
    });
    assert_eq!(decode_entry(&raise), refused);
    // A command that this program lacks reads as no command at all: the version says why.
    let unheard_of = [8, 1, 32, newer.0 as u8];
    assert_eq!(decode_entry(&unheard_of), refused);
}

#[test]
fn a_raise_to_a_newer_machine_is_refused_whatever_its_entry_says_of_itself() {
    let newer = MachineVersion(NEWEST_VERSION.0 + 1);
    let mut bytes = encode_entry(&Entry {
        at: CellTime(5),
        wall_ms: 6,
        command: Command::RaiseVersion(NEWEST_VERSION),
    });
    // The version stands last, as the only field of the command.
    assert_eq!(bytes.last(), Some(&(NEWEST_VERSION.0 as u8)));
    bytes.pop();
    bytes.push(newer.0 as u8);
    assert_eq!(
        decode_entry(&bytes),
        Err(WireError::NewerMachine {
            found: newer,
            known: NEWEST_VERSION,
        })
    );
}

#[test]
fn an_entry_without_a_format_or_a_command_is_refused() {
    assert_eq!(decode_entry(&[]), Err(WireError::NoFormat));
    assert_eq!(
        decode_entry(&[8, 1]),
        Err(WireError::Missing { field: "command" })
    );
}

#[test]
fn the_stored_bytes_of_a_tick_do_not_change() {
    // Golden: logs of earlier versions hold these bytes.
    let bytes = encode_entry(&Entry {
        at: CellTime(5),
        wall_ms: 6,
        command: Command::tick(),
    });
    assert_eq!(bytes, [8, 1, 16, 5, 24, 6, 90, 0]);
}
