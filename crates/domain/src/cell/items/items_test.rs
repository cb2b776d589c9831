//! Packed transcripts: what is put in comes back, whatever it is.

use std::sync::Arc;

use proptest::prelude::*;

use super::Items;
use super::pack::{self, Common};
use crate::cell::command::Instance;
use crate::cell::transcript::{
    Author, HoldReason, Item, ItemKind, Message, NoticeKind, RequeueReason,
};
use crate::ids::*;

fn name<T: std::str::FromStr<Err = IdError>>(text: &str) -> T {
    text.parse().expect("a name")
}

/// A name of a few that repeat, or one that does not.
fn names() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("ana".to_owned()),
        Just("bo".to_owned()),
        "[a-zäß]{1,40}"
    ]
}

fn numbers() -> impl Strategy<Value = u64> {
    prop_oneof![
        0..200_u64,
        1_700_000_000_000..1_800_000_000_000_u64,
        any::<u64>()
    ]
}

fn ids() -> impl Strategy<Value = RequestId> {
    prop_oneof![
        any::<[u8; 16]>().prop_map(RequestId::from_uuid),
        "[!-~]{1,36}".prop_map(|text| RequestId::new(&text).expect("an id")),
    ]
}

fn authors() -> impl Strategy<Value = Author> {
    prop_oneof![
        Just(Author::Customer),
        names().prop_map(|text| Author::Agent(name(&text))),
        Just(Author::Bot),
        names().prop_map(|text| Author::Staff(name(&text))),
        Just(Author::Machine),
    ]
}

fn instances() -> impl Strategy<Value = Option<Box<Instance>>> {
    let made = (names(), numbers()).prop_map(|(device, counter)| {
        Box::new(Instance {
            device: name(&device),
            counter,
        })
    });
    proptest::option::of(made)
}

fn messages() -> impl Strategy<Value = ItemKind> {
    let body = proptest::collection::vec(any::<u8>(), 0..400);
    (ids(), authors(), any::<u32>(), body, numbers(), instances()).prop_map(
        |(id, author, key_id, bytes, sent_ms, instance)| {
            ItemKind::Message(Message {
                id,
                author,
                body: Body {
                    key_id,
                    bytes: bytes.into(),
                },
                sent_ms,
                instance,
            })
        },
    )
}

/// Every kind of item that is no message, with every reason that one may have.
fn events() -> impl Strategy<Value = ItemKind> {
    let requeue = proptest::sample::select(vec![
        RequeueReason::AgentLost,
        RequeueReason::AgentLeft,
        RequeueReason::NoFirstReply,
        RequeueReason::AgentBusy,
        RequeueReason::Quarantined,
        RequeueReason::BySupervisor,
    ]);
    let hold = proptest::sample::select(vec![
        HoldReason::ByAgent,
        HoldReason::CustomerSilent,
        HoldReason::AgentLost,
    ]);
    let notice = proptest::sample::select(vec![NoticeKind::Greeting, NoticeKind::NobodyStaffed]);
    prop_oneof![
        (names(), ".{0,30}").prop_map(|(agent, shown)| ItemKind::Joined {
            agent: name(&agent),
            display_name: shown.into(),
        }),
        requeue.prop_map(|reason| ItemKind::Requeued { reason }),
        hold.prop_map(|reason| ItemKind::Held { reason }),
        Just(ItemKind::Resumed),
        names().prop_map(|queue| ItemKind::TransferredToQueue {
            queue: name(&queue)
        }),
        names().prop_map(|agent| ItemKind::TransferredToAgent {
            agent: name(&agent)
        }),
        (any::<u32>(), any::<u64>()).prop_map(|(cell, index)| ItemKind::Continued {
            to: ConversationId {
                cell: CellId(cell),
                index: LogIndex(index),
            },
        }),
        (notice, ".{0,200}").prop_map(|(kind, text)| ItemKind::Notice {
            kind,
            text: text.into(),
        }),
        (authors(), proptest::option::of(".{0,60}")).prop_map(|(by, reason)| ItemKind::Closed {
            by,
            reason: reason.map(Box::from),
        }),
    ]
}

fn items() -> impl Strategy<Value = Item> {
    let kinds = prop_oneof![messages(), events()];
    (numbers(), numbers(), numbers(), kinds).prop_map(|(sequence, at, wall_ms, kind)| Item {
        sequence: Sequence(sequence),
        at: CellTime(at),
        wall_ms,
        kind,
    })
}

proptest! {
    #[test]
    fn what_is_put_in_comes_back_in_order_and_from_every_place(
        all in proptest::collection::vec(items(), 0..80),
    ) {
        let packed: Items = all.iter().cloned().collect();
        prop_assert_eq!(packed.len(), all.len());
        prop_assert_eq!(packed.iter().len(), all.len());
        prop_assert!(packed.iter().eq(all.iter().cloned()));
        prop_assert!(packed.iter().rev().eq(all.iter().rev().cloned()));
        for place in 0..=all.len() {
            prop_assert_eq!(packed.get(place), all.get(place).cloned());
            let after = packed.after(place);
            prop_assert_eq!(after.len(), all.len() - place);
            prop_assert!(after.eq(all[place..].iter().cloned()));
        }
        prop_assert_eq!(packed.last(), all.last().cloned());
        prop_assert!(packed.iter().skip(3).eq(all.iter().skip(3).cloned()));
    }

    #[test]
    fn every_message_is_found_by_its_id(all in proptest::collection::vec(items(), 0..60)) {
        let packed: Items = all.iter().cloned().collect();
        for message in all.iter().filter_map(Item::message) {
            let found = packed.messages_with(&message.id).any(|item| item.message() == Some(message));
            prop_assert!(found);
        }
    }

    #[test]
    fn a_transcript_begins_with_what_it_was_and_with_nothing_else(
        all in proptest::collection::vec(items(), 1..60),
        cut in 0_usize..60,
    ) {
        let cut = cut.min(all.len() - 1);
        let was: Items = all[..cut].iter().cloned().collect();
        let mut is = was.clone();
        all[cut..].iter().for_each(|item| is.push(item));
        let at_once: Items = all.iter().cloned().collect();
        prop_assert!(is == at_once);
        prop_assert!(is.begin_with(&was));
        prop_assert!(!was.begin_with(&is));
        let mut other = all.clone();
        other[cut].at = CellTime(other[cut].at.0 ^ 1);
        let other: Items = other.into_iter().collect();
        prop_assert!(other != is);
        prop_assert!(!is.begin_with(&other));
        prop_assert!(other.begin_with(&was));
    }

    #[test]
    fn bytes_that_are_wrong_give_nothing_or_another_item_and_never_a_panic(
        item in items(),
        damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut common = Common::of_first(&item);
        let packed = pack::pack(&item, &mut common);
        prop_assert_eq!(pack::unpack(&packed, &common), Some(item));
        let mut bytes = packed.to_vec();
        let _ = pack::unpack(&bytes[..cut.index(bytes.len())], &common);
        for (place, byte) in damage {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        let _ = pack::unpack(&bytes, &common);
        let _ = pack::unpack(&bytes, &Common::default());
    }

    #[test]
    fn noise_is_no_item_and_never_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = pack::unpack(&bytes, &Common::default());
    }
}

/// Too long to be written out in each item.
const LONG_NAME: &str = "anastasia.of-the-second-floor@example.org";

fn said(sequence: u64, text: &str) -> Item {
    Item {
        sequence: Sequence(sequence),
        at: CellTime(2_592_000_000 + sequence),
        wall_ms: 1_790_000_000_000 + sequence,
        kind: ItemKind::Message(Message {
            id: RequestId::from_uuid([7; 16]),
            author: Author::Agent(name(LONG_NAME)),
            body: Body::clear(text),
            sent_ms: 1_790_000_000_000,
            instance: Some(Box::new(Instance {
                device: name("6f1c2d3e-0000-4abc-8def-0123456789ab"),
                counter: sequence,
            })),
        }),
    }
}

#[test]
fn a_message_takes_its_text_its_id_and_thirty_bytes() {
    let mut items = Items::default();
    items.push(&said(1, "x"));
    items.push(&said(2, &"x".repeat(100)));
    let bytes = items.packed[1].len();
    assert!(bytes <= 100 + 16 + 30, "{bytes}");
}

#[test]
fn a_long_text_comes_back_too() {
    for length in [255, 256, 257, 65_536] {
        let item = said(1, &"x".repeat(length));
        let items: Items = [item.clone()].into_iter().collect();
        assert_eq!(items.last(), Some(item));
    }
}

#[test]
fn long_names_that_repeat_are_kept_once() {
    let mut items = Items::default();
    (1..=50).for_each(|n| items.push(&said(n, "hello")));
    let mut kept = 0;
    items.share(|_| {
        kept += 1;
        None
    });
    assert_eq!(kept, 2);
    // As many names as messages come back all the same.
    let mut all: Vec<Item> = (1..=300).map(|n| said(n, "hello")).collect();
    for (n, item) in all.iter_mut().enumerate() {
        if let ItemKind::Message(message) = &mut item.kind {
            message.author = Author::Agent(name(&format!("{LONG_NAME}-{n}")));
        }
    }
    let packed: Items = all.iter().cloned().collect();
    assert!(packed.iter().eq(all));
}

#[test]
fn a_copy_shares_every_item() {
    let items: Items = (1..=100).map(|n| said(n, "hello")).collect();
    let copy = items.clone();
    let mut pairs = items.packed.iter().zip(&copy.packed);
    assert!(pairs.all(|(one, other)| Arc::ptr_eq(one, other)));
}

#[test]
fn only_equal_texts_are_shared() {
    let mut items: Items = [said(1, "hello")].into_iter().collect();
    let before = items.clone();
    items.share(|_| Some(Arc::from("zoe")));
    assert!(items == before);
    let same: Arc<str> = Arc::from(LONG_NAME);
    items.share(|_| Some(same.clone()));
    let item = items.last().expect("it was put in");
    let Some(Author::Agent(agent)) = item.message().map(|message| &message.author) else {
        panic!("{item:?}")
    };
    assert!(Arc::ptr_eq(agent.text(), &same));
}

#[test]
fn a_transcript_never_prints_what_somebody_wrote() {
    let items: Items = [said(1, "secret")].into_iter().collect();
    let shown = format!("{items:?}");
    assert!(
        shown.contains("6 bytes") && !shown.contains("secret"),
        "{shown}"
    );
}
