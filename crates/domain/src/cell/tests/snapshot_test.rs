//! Freezing, exporting and loading.

use super::support::*;
use crate::cell::{Cell, LoadError, Part};
use crate::ids::*;

#[test]
fn a_frozen_cell_does_not_change_with_the_living_one() {
    let mut floor = Floor::new();
    floor.log_in("ana");
    let id = floor.active("zoe");
    let frozen = floor.cell.freeze();
    let before: Vec<Part> = frozen.parts().collect();
    floor.customer_says(id, "later");
    floor.open("yan");
    let after: Vec<Part> = frozen.parts().collect();
    assert!(before == after);
}

#[test]
fn parts_come_in_a_fixed_order_and_load_to_the_same_state() {
    let mut floor = Floor::new();
    floor.log_in("ana");
    for n in 0..20 {
        floor.open(&format!("c{n}"));
    }
    let parts: Vec<Part> = floor.cell.freeze().parts().collect();
    let again: Vec<Part> = floor.cell.freeze().parts().collect();
    assert!(parts == again);
    let mut loaded = Cell::from_parts(parts).unwrap();
    assert!(loaded == floor.cell);
    crate::cell::invariants::check_invariants(loaded.state()).unwrap();
    let entry = crate::cell::command::Entry {
        at: CellTime(floor.at + 30_000),
        wall_ms: 0,
        command: crate::cell::command::Command::tick(),
    };
    let index = LogIndex(floor.index + 1);
    assert_eq!(loaded.apply(index, &entry), floor.cell.apply(index, &entry));
}

#[test]
fn parts_without_the_cells_numbers_or_the_plan_are_refused() {
    let floor = Floor::new();
    let parts: Vec<Part> = floor.cell.freeze().parts().collect();
    assert_eq!(
        Cell::from_parts(parts[1..].to_vec()),
        Err(LoadError::NoMeta)
    );
    let without = parts
        .iter()
        .filter(|part| !matches!(part, Part::Plan(_)))
        .cloned();
    assert_eq!(
        Cell::from_parts(without),
        Err(LoadError::PlanMissing {
            version: PlanVersion(1)
        })
    );
    let twice = [parts[0].clone(), parts[0].clone()];
    assert_eq!(Cell::from_parts(twice), Err(LoadError::SecondMeta));
}

#[test]
fn a_restored_replica_quarantines_in_the_same_order_as_the_one_that_lived_on() {
    let mut floor = Floor::with(|plan| {
        let law = crate::plan::Requirement::Skill(skill("law"), crate::plan::Level(1));
        plan.queues.get_mut(&queue("billing")).unwrap().requires = vec![law];
        let ana = plan.agents.get_mut(&agent("ana")).unwrap();
        ana.skills.insert(skill("law"), crate::plan::Level(1));
    });
    // The class of billing is known first here, and after a restore that of sales.
    let first = floor.open_in("first", "billing");
    floor.close_by(first, supervisor()).unwrap();
    for (customer, name) in [("a", "sales"), ("b", "billing"), ("c", "sales")] {
        let mut open = floor.open_command(customer);
        open.queue = Some(queue(name));
        open.display_name = crate::cell::defects::IN_MATCHING.into();
        floor.opened(open);
    }
    let mut restored = Cell::from_parts(floor.cell.freeze().parts()).unwrap();
    let request_id = floor.fresh();
    let command = crate::cell::command::Command::LogIn(crate::cell::command::LogIn {
        agent: agent("ana"),
        request_id,
        device: device("desk"),
        session: None,
        intent: crate::cell::command::Intent::Ready,
        site: site("fra"),
    });
    let entry = crate::cell::command::Entry {
        at: CellTime(floor.at),
        wall_ms: 1_700_000_000_000 + floor.at,
        command: command.clone(),
    };
    let again = restored.apply(LogIndex(floor.index + 1), &entry);
    let lived = floor.apply(command);
    let set_aside = |event: &&crate::cell::event::Event| {
        matches!(event, crate::cell::event::Event::Quarantined { .. })
    };
    assert_eq!(lived.events.iter().filter(set_aside).count(), 3);
    assert_eq!(again, lived);
    assert!(restored == floor.cell);
}
