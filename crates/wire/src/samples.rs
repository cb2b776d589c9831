//! Made-up values of every stored type, for the tests of this crate.
//! Promise: each command variant and each optional field is drawn.
//! Not here: floor plans (`plans`), claims.

mod plans;

use std::fmt::Debug;
use std::str::FromStr;
use std::sync::Arc;

use domain::cell::archive::ArchivedUpto;
use domain::cell::checkpoint::{Digest, Mark};
use domain::cell::command::{
    Accept, Actor, Assign, Close, Command, CustomerPresence, Decline, Entry, HandOff, Instance,
    Intent, LeaderStarted, Lease, LeaseState, LogIn, LogOut, Note, OfferRef, Open, OwnerAct,
    QueueAct, Rate, Release, Requeue, Send, SetIntent, Target, Tick, Transfer,
};
use domain::cell::homes::{BucketSet, HeldBuckets, SET_BYTES};
use domain::cell::version::NEWEST_VERSION;
use domain::ids::{
    Body, CellId, CellTime, ConversationId, IdError, LogIndex, OfferId, OwnerEpoch, PlanVersion,
    RequestId, Session,
};
use domain::plan::VersionedPlan;
use proptest::collection::vec;
use proptest::prelude::*;

pub(crate) use plans::{empty_plan, plans};

/// Names as people write them: other scripts, dots, spaces and quotes.
pub(crate) fn names<T: FromStr<Err = IdError> + Debug>() -> impl Strategy<Value = T> {
    let parse = |text: String| text.parse().expect("well formed");
    prop_oneof![
        "[a-z]{1,8}(-[a-z0-9]{1,4})?",
        "[a-zäöü客服\"'. #=\\[\\]]{1,8}",
        "[0-9]{1,4}"
    ]
    .prop_map(parse)
}

pub(crate) fn texts() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z ]{0,12}",
        "\\PC{0,12}",
        Just("two\nlines \"and\" 引号".to_owned())
    ]
}

fn request_ids() -> impl Strategy<Value = RequestId> {
    let uuid = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}";
    prop_oneof![uuid, "[!-~]{1,36}"].prop_map(|text| RequestId::new(&text).expect("well formed"))
}

fn conversations() -> impl Strategy<Value = ConversationId> {
    (any::<u32>(), any::<u64>()).prop_map(|(cell, index)| ConversationId {
        cell: CellId(cell),
        index: LogIndex(index),
    })
}

fn bodies() -> impl Strategy<Value = Body> {
    (0_u32..3, vec(any::<u8>(), 0..64)).prop_map(|(key_id, bytes)| Body {
        key_id,
        bytes: Arc::from(bytes),
    })
}

fn actors() -> impl Strategy<Value = Actor> {
    prop_oneof![
        Just(Actor::Customer),
        (names(), any::<u64>(), any::<u64>()).prop_map(|(agent, session, owner_epoch)| {
            Actor::Agent {
                agent,
                session: Session(session),
                owner_epoch: OwnerEpoch(owner_epoch),
            }
        }),
        any::<u64>().prop_map(|owner_epoch| Actor::Bot {
            owner_epoch: OwnerEpoch(owner_epoch)
        }),
        names().prop_map(|staff| Actor::Staff { staff }),
    ]
}

fn instances() -> impl Strategy<Value = Option<Instance>> {
    proptest::option::of(
        (names(), any::<u64>()).prop_map(|(device, counter)| Instance { device, counter }),
    )
}

fn intents() -> impl Strategy<Value = Intent> {
    prop_oneof![
        Just(Intent::Ready),
        texts().prop_map(|reason| Intent::NotReady { reason })
    ]
}

fn offers() -> impl Strategy<Value = OfferRef> {
    (
        any::<u32>(),
        any::<u32>(),
        any::<u64>(),
        names(),
        any::<u64>(),
    )
        .prop_map(|(cell, agent_cell, n, agent, session)| OfferRef {
            offer: OfferId {
                cell: CellId(cell),
                agent_cell: CellId(agent_cell),
                n,
            },
            agent,
            session: Session(session),
        })
}

fn opens() -> impl Strategy<Value = Open> {
    let of_customer = (request_ids(), names(), names(), texts(), names());
    let of_work = (
        proptest::option::of(names()),
        proptest::option::of(names()),
        vec(texts(), 0..3),
        any::<u64>(),
    );
    let of_message = (
        any::<bool>(),
        proptest::option::of(bodies()),
        any::<u64>(),
        instances(),
    );
    (of_customer, of_work, of_message).prop_map(|(customer, work, message)| Open {
        request_id: customer.0,
        account: customer.1,
        customer: customer.2,
        display_name: customer.3,
        site: customer.4,
        queue: work.0,
        language: work.1,
        topics: work.2,
        boost_ms: work.3,
        bot_first: message.0,
        body: message.1,
        sent_ms: message.2,
        instance: message.3,
        previous: None,
    })
}

fn sends() -> impl Strategy<Value = Send> {
    (
        conversations(),
        request_ids(),
        actors(),
        bodies(),
        any::<u64>(),
        instances(),
    )
        .prop_map(
            |(conversation, request_id, author, body, sent_ms, instance)| Send {
                conversation,
                request_id,
                author,
                body,
                sent_ms,
                instance,
            },
        )
}

fn owner_acts() -> impl Strategy<Value = OwnerAct> {
    (conversations(), request_ids(), actors()).prop_map(|(conversation, request_id, by)| OwnerAct {
        conversation,
        request_id,
        by,
    })
}

fn set_intents() -> impl Strategy<Value = SetIntent> {
    let staff = proptest::option::of(names());
    (
        names(),
        request_ids(),
        any::<Option<u64>>(),
        staff,
        intents(),
        texts(),
    )
        .prop_map(
            |(agent, request_id, session, staff, intent, why)| SetIntent {
                agent,
                request_id,
                session: session.map(Session),
                staff,
                intent,
                why,
            },
        )
}

fn transfers() -> impl Strategy<Value = Transfer> {
    let target = prop_oneof![
        (names(), any::<bool>()).prop_map(|(agent, wait)| Target::Agent { agent, wait }),
        names().prop_map(Target::Queue),
    ];
    (owner_acts(), target, proptest::option::of(bodies())).prop_map(|(act, target, note)| {
        Transfer {
            conversation: act.conversation,
            request_id: act.request_id,
            by: act.by,
            target,
            note,
        }
    })
}

fn conversation_commands() -> impl Strategy<Value = Command> {
    prop_oneof![
        opens().prop_map(Command::Open),
        sends().prop_map(Command::Send),
        (conversations(), any::<bool>(), any::<bool>()).prop_map(
            |(conversation, attached, our_fault)| {
                Command::CustomerPresence(CustomerPresence {
                    conversation,
                    attached,
                    our_fault,
                })
            }
        ),
        (owner_acts(), texts(), any::<bool>()).prop_map(|(act, reason, wrap_up)| Command::Close(
            Close {
                conversation: act.conversation,
                request_id: act.request_id,
                by: act.by,
                reason,
                wrap_up,
            }
        )),
        (conversations(), request_ids(), any::<u32>(), texts()).prop_map(
            |(conversation, request_id, score, comment)| Command::Rate(Rate {
                conversation,
                request_id,
                score,
                comment
            })
        ),
        (conversations(), request_ids(), any::<u64>()).prop_map(
            |(conversation, request_id, epoch)| {
                Command::HandOff(HandOff {
                    conversation,
                    request_id,
                    owner_epoch: OwnerEpoch(epoch),
                })
            }
        ),
        (owner_acts(), bodies()).prop_map(|(act, body)| Command::Note(Note {
            conversation: act.conversation,
            request_id: act.request_id,
            author: act.by,
            body,
        })),
        owner_acts().prop_map(Command::Hold),
        owner_acts().prop_map(Command::Resume),
        owner_acts().prop_map(Command::FinishWrapUp),
        transfers().prop_map(Command::Transfer),
        (any::<(u64, u64, u32, u32)>(), any::<[u8; 16]>()).prop_map(|(numbers, digest)| {
            Command::ArchivedUpto(ArchivedUpto {
                upto: LogIndex(numbers.0),
                count: numbers.1,
                day: numbers.2,
                keep_from_day: numbers.3,
                digest: Digest(digest),
            })
        }),
        (any::<u64>(), any::<[u8; 16]>(), any::<[u8; 16]>()).prop_map(|(index, log, machine)| {
            Command::Checkpoint(Mark {
                index: LogIndex(index),
                log: Digest(log),
                machine: Digest(machine),
            })
        }),
    ]
}

fn staff_commands() -> impl Strategy<Value = Command> {
    let of_conversation = || (conversations(), request_ids(), names(), texts());
    let of_queue = || {
        (names(), request_ids(), names(), texts()).prop_map(|(queue, request_id, staff, reason)| {
            QueueAct {
                queue,
                request_id,
                staff,
                reason,
            }
        })
    };
    prop_oneof![
        of_conversation().prop_map(|(conversation, request_id, staff, reason)| {
            Command::Release(Release {
                conversation,
                request_id,
                staff,
                reason,
            })
        }),
        of_conversation().prop_map(|(conversation, request_id, staff, reason)| {
            Command::Requeue(Requeue {
                conversation,
                request_id,
                staff,
                reason,
            })
        }),
        (of_conversation(), names(), any::<bool>()).prop_map(|(of, agent, wait)| {
            Command::Assign(Assign {
                conversation: of.0,
                request_id: of.1,
                staff: of.2,
                agent,
                wait,
                reason: of.3,
            })
        }),
        of_queue().prop_map(Command::PauseQueue),
        of_queue().prop_map(Command::ResumeQueue),
    ]
}

fn agent_commands() -> impl Strategy<Value = Command> {
    let states = prop_oneof![
        Just(LeaseState::Alive),
        Just(LeaseState::Suspect),
        Just(LeaseState::Lost),
        Just(LeaseState::Gone),
    ];
    prop_oneof![
        (
            names(),
            request_ids(),
            names(),
            any::<Option<u64>>(),
            intents(),
            names()
        )
            .prop_map(
                |(agent, request_id, device, session, intent, site)| Command::LogIn(LogIn {
                    agent,
                    request_id,
                    device,
                    session: session.map(Session),
                    intent,
                    site,
                })
            ),
        (
            names(),
            request_ids(),
            any::<u64>(),
            proptest::option::of(names())
        )
            .prop_map(
                |(agent, request_id, session, device)| Command::LogOut(LogOut {
                    agent,
                    request_id,
                    session: Session(session),
                    device,
                })
            ),
        set_intents().prop_map(Command::SetIntent),
        set_intents().prop_map(Command::SetNextStatus),
        (names(), any::<u64>(), states, any::<bool>()).prop_map(
            |(agent, session, state, our_fault)| {
                Command::Lease(Lease {
                    agent,
                    session: Session(session),
                    state,
                    our_fault,
                })
            }
        ),
        offers().prop_map(Command::OfferShown),
        (request_ids(), offers(), any::<u64>()).prop_map(|(request_id, offer, epoch)| {
            Command::Accept(Accept {
                request_id,
                offer,
                owner_epoch: OwnerEpoch(epoch),
            })
        }),
        (request_ids(), offers(), texts()).prop_map(
            |(request_id, offer, reason)| Command::Decline(Decline {
                request_id,
                offer,
                reason
            })
        ),
    ]
}

fn held_buckets() -> impl Strategy<Value = HeldBuckets> {
    let sets = vec(any::<u8>(), SET_BYTES)
        .prop_map(|bytes| BucketSet::from_bytes(bytes.try_into().expect("of that length")));
    let regions = proptest::collection::btree_map(names(), sets, 0..3);
    (regions, any::<bool>()).prop_map(|(regions, others)| HeldBuckets { regions, others })
}

fn leader_commands() -> impl Strategy<Value = Command> {
    prop_oneof![
        vec(names(), 0..4).prop_map(|unreachable| Command::Tick(Tick { unreachable })),
        Just(Command::MatchMore),
        (any::<u64>(), any::<u64>(), any::<bool>()).prop_map(
            |(wall_ms, without_leader_ms, after_restart_of_all)| {
                Command::LeaderStarted(LeaderStarted {
                    wall_ms,
                    without_leader_ms,
                    after_restart_of_all,
                })
            }
        ),
        Just(Command::RaiseVersion(NEWEST_VERSION)),
        held_buckets().prop_map(|held| Command::HoldBuckets(Arc::new(held))),
        (any::<u64>(), plans()).prop_map(|(version, plan)| {
            Command::AdoptPlan(VersionedPlan {
                version: PlanVersion(version),
                plan: Arc::new(plan),
            })
        }),
    ]
}

/// Entries with any command.
pub(crate) fn entries() -> impl Strategy<Value = Entry> {
    let commands = prop_oneof![
        conversation_commands(),
        agent_commands(),
        staff_commands(),
        leader_commands()
    ];
    (any::<u64>(), any::<u64>(), commands).prop_map(|(at, wall_ms, command)| Entry {
        at: CellTime(at),
        wall_ms,
        command,
    })
}
