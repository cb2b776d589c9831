//! Intake: a customer's first message finds the open conversation or makes one; bots hand over.
//! Promise: one open conversation of a customer on an account, however many openings meet here.
//! Not here: which agent gets it (`matching`).

use std::sync::Arc;

use mutants::{Mutant, planted};

use super::send::store;
use super::{
    RETRY_MS, check_body, check_length, check_sound, check_voice, copy_of, find_last, request,
    wrong_state,
};
use crate::cell::command::{Actor, HandOff, Instance, Open};
use crate::cell::conversation::{Conversation, Held, Phase, Waiting};
use crate::cell::defects;
use crate::cell::draft::{Draft, Request, next_epoch};
use crate::cell::event::{Event, Object, Tally};
use crate::cell::fingerprint::{Fingerprint, of_open};
use crate::cell::floor::CustomerRecord;
use crate::cell::items::Items;
use crate::cell::left::opened_before;
use crate::cell::refusal::Refusal;
use crate::cell::reply::{Done, Opened};
use crate::cell::requests::{Principal, recall};
use crate::cell::state::{CONVERSATIONS_MAX, State};
use crate::cell::transcript::{Author, ItemKind, Message, NoticeKind};
use crate::control::buckets::Bucket;
use crate::ids::{
    AccountId, Body, CellTime, ConversationId, CustomerKey, LanguageId, OwnerEpoch, QueueId, SiteId,
};
use crate::plan::{AccountPlan, FloorPlan, IntakeRule, QueuePlan};

/// Topics of one conversation.
const TOPICS_MAX: usize = 16;
/// Bytes of a topic or a customer's name.
const TEXT_BYTES_MAX: usize = 256;
/// Episodes of a customer in which the id of an `open` is looked for: one a day for most of a year.
const EPISODES_MAX: usize = 256;
/// A full line is tried again after this long.
const FULL_RETRY_MS: u64 = 5_000;

pub(super) fn open(draft: &mut Draft<'_>, open: &Open) -> Result<Done, Refusal> {
    let state = draft.state;
    defects::trip(defects::Spot::Decide, open.display_name.as_bytes());
    let record = state.customer(&open.account, &open.customer);
    let rows = record.map_or(&[][..], |record| &record.requests);
    let hash = of_open(open);
    if let Some(done) = recall(rows, &Principal::Customer, &open.request_id, hash)? {
        return Ok(done);
    }
    if let Some(done) = known_message(state, record.map(|record| &**record), open)? {
        return Ok(done);
    }
    check_fields(open)?;
    let opened = match record
        .and_then(|record| record.open)
        .and_then(|id| state.conversation(id))
        .filter(|_| !planted(Mutant::OpenTwice))
    {
        Some(conversation) => join(draft, conversation, open)?,
        None => begin(draft, record.map(|record| &**record), open)?,
    };
    let done = Done::Opened(opened);
    let remembered = Request {
        object: Object::Customer(open.account.clone(), open.customer.clone()),
        rows,
        principal: Principal::Customer,
        id: &open.request_id,
        payload_hash: hash,
    };
    draft.remember(remembered, &done)?;
    Ok(done)
}

fn check_fields(open: &Open) -> Result<(), Refusal> {
    check_length("display_name", open.display_name.len(), TEXT_BYTES_MAX)?;
    check_length("topics", open.topics.len(), TOPICS_MAX)?;
    for topic in &open.topics {
        check_length("topic", topic.len(), TEXT_BYTES_MAX)?;
    }
    open.body.as_ref().map_or(Ok(()), check_body)
}

/// The first answer to a message that an earlier `open` has stored; it lives as long as its conversation.
fn known_message(
    state: &State,
    record: Option<&CustomerRecord>,
    open: &Open,
) -> Result<Option<Done>, Refusal> {
    let mut next = record.and_then(|record| record.last);
    for _ in 0..EPISODES_MAX {
        let Some(conversation) = next.and_then(|id| state.conversation(id)) else {
            break;
        };
        next = conversation.previous;
        if let Some(done) = opened_before(conversation, open)? {
            return Ok(Some(done));
        }
    }
    Ok(None)
}

/// Adds the message to the conversation that is open.
fn join(
    draft: &mut Draft<'_>,
    conversation: &Conversation,
    open: &Open,
) -> Result<Opened, Refusal> {
    check_sound(conversation)?;
    let sent = open
        .body
        .as_ref()
        .map(|body| store(draft, conversation, first_message(open, body)));
    Ok(Opened {
        conversation: sent.map_or(conversation.id, |sent| sent.conversation),
        queue: conversation.queue.clone(),
        sequence: sent.map(|sent| sent.sequence),
        existing: true,
        text: Arc::default(),
    })
}

fn first_message(open: &Open, body: &Body) -> Message {
    let instance = open.instance.as_ref().map(|given| {
        Box::new(Instance {
            device: given.device.clone(),
            counter: given.counter,
        })
    });
    let id = open.request_id.clone();
    Message {
        id,
        author: Author::Customer,
        body: body.clone(),
        sent_ms: open.sent_ms,
        instance,
    }
}

/// Makes a conversation.
fn begin(
    draft: &mut Draft<'_>,
    record: Option<&CustomerRecord>,
    open: &Open,
) -> Result<Opened, Refusal> {
    let state = draft.state;
    if state.meta.conversations >= CONVERSATIONS_MAX {
        return Err(Refusal::CellFull {
            limit: CONVERSATIONS_MAX,
            retry_after_ms: RETRY_MS,
        });
    }
    state.check_room_for_ended()?;
    let plan = state.plan().ok_or(Refusal::PlanBehind {
        version: state.meta.plan.0,
        retry_after_ms: RETRY_MS,
    })?;
    let account = plan
        .accounts
        .get(&open.account)
        .ok_or_else(|| Refusal::AccountNotFound {
            account: open.account.to_string(),
        })?;
    check_home(state, plan, &account.site, open)?;
    let place = place_of(plan, account, open);
    let queue = place.queue.clone();
    let rules = check_queue(state, plan, &queue)?;
    let conversation =
        new_conversation(draft, record, open, plan, &account.channel, (&place, rules));
    let conversation = Arc::new(conversation);
    draft.push(Event::Opened {
        conversation: conversation.clone(),
    });
    let sent = open
        .body
        .as_ref()
        .map(|body| store(draft, &conversation, first_message(open, body)));
    let mut text = Arc::default();
    if !open.bot_first {
        draft.count(&conversation, Tally::Entered);
        text = welcome(draft, &conversation, rules);
    }
    let sequence = sent.map(|sent| sent.sequence);
    Ok(Opened {
        conversation: conversation.id,
        queue,
        sequence,
        existing: false,
        text,
    })
}

/// Refuses a customer whose bucket another cell holds, where this one knows its own.
fn check_home(
    state: &State,
    plan: &FloorPlan,
    region: &SiteId,
    open: &Open,
) -> Result<(), Refusal> {
    let bucket = Bucket::of(&plan.tenant, &open.account, &open.customer);
    match &state.meta.buckets {
        Some(held) if !held.holds(region, bucket) => Err(Refusal::BucketElsewhere {
            retry_after_ms: RETRY_MS,
        }),
        _ => Ok(()),
    }
}

/// Where a new conversation goes, and the boost that is asked for it.
struct Place<'p> {
    queue: &'p QueueId,
    boost_asked_ms: u64,
}

/// The queue that was named, that of the intake table or the account's own. A rule gives its boost
/// where it gives the queue; the account gives its own everywhere.
fn place_of<'p>(plan: &'p FloorPlan, account: &'p AccountPlan, open: &'p Open) -> Place<'p> {
    let rule = if open.queue.is_none() {
        by_intake(plan, open)
    } else {
        None
    };
    let found = open.queue.as_ref().or(rule.map(|rule| &rule.queue));
    let boosts = [
        open.boost_ms,
        account.boost_ms,
        rule.map_or(0, |rule| rule.boost_ms),
    ];
    Place {
        queue: found.unwrap_or(&account.queue),
        boost_asked_ms: boosts.into_iter().fold(0, u64::saturating_add),
    }
}

/// The rule of the plan's intake table that fits first.
fn by_intake<'p>(plan: &'p FloorPlan, open: &Open) -> Option<&'p IntakeRule> {
    let fits = |rule: &&IntakeRule| {
        let language = rule.language.is_none() || rule.language == open.language;
        language
            && rule
                .topic
                .as_ref()
                .is_none_or(|topic| open.topics.contains(topic))
    };
    plan.intake.iter().find(fits)
}

/// The rules of a queue in force, those of a retired one included.
pub(super) fn rules_in_force<'s>(
    state: &'s State,
    queue: &QueueId,
) -> Result<&'s QueuePlan, Refusal> {
    let rules = state.queue_plan(state.meta.plan, queue);
    rules.ok_or_else(|| Refusal::QueueNotFound {
        queue: queue.clone(),
    })
}

/// Whether a queue takes one more conversation; typed states with text, not errors.
pub(super) fn check_queue<'p>(
    state: &State,
    plan: &'p FloorPlan,
    queue: &QueueId,
) -> Result<&'p QueuePlan, Refusal> {
    let rules = plan
        .queues
        .get(queue)
        .ok_or_else(|| Refusal::QueueNotFound {
            queue: queue.clone(),
        })?;
    if state.is_paused(queue) {
        return Err(Refusal::QueuePaused {
            queue: queue.clone(),
            text: rules.texts.paused.to_string(),
            by_plan: state.is_paused_by_plan_alone(queue),
        });
    }
    check_not_full(state, queue, rules)?;
    Ok(rules)
}

/// Refuses one more in a queue whose line is full.
pub(super) fn check_not_full(
    state: &State,
    queue: &QueueId,
    rules: &QueuePlan,
) -> Result<(), Refusal> {
    if state.waiting(queue) < u64::from(rules.waiting_max) {
        return Ok(());
    }
    Err(Refusal::QueueFull {
        queue: queue.clone(),
        limit: rules.waiting_max,
        text: rules.texts.full.to_string(),
        retry_after_ms: FULL_RETRY_MS,
    })
}

/// The names of a conversation, shared with the plan and the customer's entry: each is kept once.
struct Names {
    account: AccountId,
    customer: CustomerKey,
    site: SiteId,
    language: Option<LanguageId>,
    queue: QueueId,
}

fn shared_names(
    record: Option<&CustomerRecord>,
    open: &Open,
    plan: &FloorPlan,
    queue: &QueueId,
) -> Names {
    let language = open.language.as_ref();
    let language = language.map(|tag| {
        plan.languages
            .get_key_value(tag)
            .map_or(tag, |(known, _)| known)
    });
    Names {
        account: plan
            .accounts
            .get_key_value(&open.account)
            .map_or(&open.account, |(known, _)| known)
            .clone(),
        customer: record
            .map_or(&open.customer, |record| &record.customer)
            .clone(),
        site: plan
            .sites
            .get_key_value(&open.site)
            .map_or(&open.site, |(known, _)| known)
            .clone(),
        language: language.cloned(),
        queue: plan
            .queues
            .get_key_value(queue)
            .map_or(queue, |(known, _)| known)
            .clone(),
    }
}

fn new_conversation(
    draft: &Draft<'_>,
    record: Option<&CustomerRecord>,
    open: &Open,
    plan: &FloorPlan,
    channel: &crate::ids::ChannelId,
    (place, rules): (&Place<'_>, &QueuePlan),
) -> Conversation {
    let meta = &draft.state.meta;
    let names = shared_names(record, open, plan, place.queue);
    let waiting = Phase::Queued(Waiting {
        prefer: None,
        held: Held::No,
    });
    Conversation {
        id: ConversationId {
            cell: meta.cell,
            index: meta.applied,
        },
        tenant: plan.tenant.clone(),
        account: names.account,
        customer: names.customer,
        display_name: open.display_name.as_str().into(),
        channel: channel.clone(),
        site: names.site,
        language: names.language,
        topics: open
            .topics
            .iter()
            .map(|topic| topic.as_str().into())
            .collect(),
        previous: record.and_then(|record| record.last).or(open.previous),
        continued_to: None,
        created_at: meta.now,
        created_wall_ms: meta.wall_ms,
        aged_from: meta.now,
        entered_at: meta.now,
        queue: names.queue,
        pinned: meta.plan,
        classed_by: meta.plan,
        urgency: rules.urgency,
        boost_asked_ms: place.boost_asked_ms,
        boost_ms: place.boost_asked_ms.min(rules.boost_ms_max),
        phase: if open.bot_first { Phase::Bot } else { waiting },
        owner_epoch: OwnerEpoch(1),
        quarantined: None,
        gone: None,
        returned_at: CellTime(0),
        attached_once: false,
        answered: false,
        first_response_at: None,
        handled_ms: 0,
        passed_over: Vec::new(),
        items: Items::default(),
        remarks: Vec::new(),
        messages: 0,
        message_bytes: 0,
        requests: Vec::new(),
        receipts: Vec::new(),
        rating: None,
        deadline: None,
    }
}

/// Greets a customer who enters a line, or says that nobody is there; the text.
fn welcome(draft: &mut Draft<'_>, conversation: &Conversation, rules: &QueuePlan) -> Arc<str> {
    let staffed = draft.state.is_staffed(&rules.requires);
    let (kind, text) = if staffed {
        (NoticeKind::Greeting, &rules.texts.greeting)
    } else {
        (NoticeKind::NobodyStaffed, &rules.texts.nobody_staffed)
    };
    if !text.is_empty() {
        draft.item(
            conversation,
            ItemKind::Notice {
                kind,
                text: text.clone(),
            },
        );
    }
    text.clone()
}

pub(super) fn hand_off(draft: &mut Draft<'_>, hand_off: &HandOff) -> Result<Done, Refusal> {
    let conversation = find_last(draft.state, hand_off.conversation)?;
    let bot = Actor::Bot {
        owner_epoch: hand_off.owner_epoch,
    };
    let hash = Fingerprint::of("hand-off").hash();
    if let Some(done) = copy_of(conversation, &bot, &hand_off.request_id, hash)? {
        return Ok(done);
    }
    check_sound(conversation)?;
    if conversation.phase.is_over() {
        return Err(wrong_state(conversation));
    }
    check_voice(draft.state, conversation, &bot)?;
    let rules = rules_in_force(draft.state, &conversation.queue)?;
    let epoch = next_epoch(conversation.owner_epoch);
    draft.push(Event::QueueEntered {
        conversation: conversation.id,
        queue: conversation.queue.clone(),
        pinned: draft.state.meta.plan,
        urgency: rules.urgency,
        boost_ms: conversation.boost_asked_ms.min(rules.boost_ms_max),
        first: true,
        at: draft.now(),
    });
    draft.phase(
        conversation,
        Phase::Queued(Waiting {
            prefer: None,
            held: Held::No,
        }),
        epoch,
    );
    draft.owner(conversation, None, epoch);
    draft.count(conversation, Tally::Entered);
    welcome(draft, conversation, rules);
    let done = Done::Nothing;
    draft.remember(
        request(conversation, &bot, &hand_off.request_id, hash),
        &done,
    )?;
    Ok(done)
}
