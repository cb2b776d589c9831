//! Reading: whole transcripts, and items of a stream as they come.
//! Not here: what a read must contain (`judge::promises`).

use client::Transcript;
use client::api::item::Content;
use client::api::{ConversationState, Item, change};
use runtime::Env;
use serde_json::{Value, json};

use super::customers::{messages, why};
use super::{Ctx, Shared, Temper, outcome_of};
use crate::invariants::{acknowledged_present, said_once, stream_whole};
use crate::judge::history::Outcome;

/// Attempts at a last read.
const ATTEMPTS_MAX: usize = 6;

/// Reads conversations that others write to, at the reader's own site.
pub(super) async fn run(ctx: Ctx) {
    loop {
        ctx.pause().await;
        if ctx.closing() {
            continue;
        }
        let draw = ctx.random.next_u64();
        if let Some(id) = ctx.judge().promises(|promises| promises.recent(draw)) {
            read(&ctx, &id).await;
        }
    }
}

/// What a transcript says of its conversation, for the history.
fn value_of(transcript: &Transcript, last: u64, found: &[(u64, String)]) -> Value {
    let summary = &transcript.conversation;
    let ended = matches!(
        summary.state(),
        ConversationState::WrapUp | ConversationState::Closed | ConversationState::Abandoned
    );
    let goes_on = transcript.items.iter().any(|item| {
        let Some(Content::Change(changed)) = &item.content else {
            return false;
        };
        changed.kind() == change::Kind::Continued
    });
    json!({ "last": last, "messages": found, "ended": ended, "goes_on": goes_on, "epoch": summary.owner_epoch })
}

/// Reads a whole transcript and has it judged; whether it was read.
pub(super) async fn read(ctx: &Ctx, id: &str) -> bool {
    let called_us = ctx.now_us();
    match ctx.client.customer().transcript(id).await {
        Ok(transcript) => {
            let last = transcript.items.last().map_or(0, |item| item.sequence);
            let found = messages(&transcript.items);
            let now_us = ctx.now_us();
            let judged = ctx
                .judge()
                .promises(|promises| promises.read((called_us, now_us), id, last, &found));
            ctx.judge().check(judged);
            said_once(ctx, id, &transcript.items);
            let value = value_of(&transcript, last, &found);
            ctx.ended("read", id, Value::Null, called_us, (Outcome::Ok, value));
            true
        }
        Err(error) => {
            let end = (outcome_of(&error), why(&error));
            ctx.ended("read", id, Value::Null, called_us, end);
            false
        }
    }
}

/// What anybody says has the moment in it: two messages with one text are one that was said once.
fn said_once(ctx: &Ctx, id: &str, items: &[Item]) {
    let said = items.iter().filter_map(|item| match &item.content {
        Some(Content::Message(message)) if message.text.contains(" at ") => Some(&*message.text),
        _ => None,
    });
    ctx.judged(id, said_once::check(said));
}

/// An item of a stream that was seen up to `cursor`; the new cursor.
pub(super) fn item(ctx: &Ctx, id: &str, cursor: u64, item: &Item) -> u64 {
    ctx.judged(id, stream_whole::check(&ctx.name, cursor, item.sequence));
    seen(ctx, id, std::slice::from_ref(item));
    item.sequence
}

/// Items that somebody was shown.
pub(super) fn seen(ctx: &Ctx, id: &str, items: &[Item]) {
    for (place, message) in messages(items) {
        let judged = ctx
            .judge()
            .promises(|promises| promises.seen(id, (place, &message)));
        ctx.judge().check(judged);
    }
}

/// Reads every conversation that anybody was told of at one node, and tells when it has.
pub async fn read_everything(env: Env, shared: Shared, address: String, done: impl FnOnce()) {
    let ctx = Ctx::new(&env, &[address], &shared, ("reader", Temper::Plain));
    for id in ctx.judge().promises(|promises| promises.conversations()) {
        let mut found = false;
        for _ in 0..ATTEMPTS_MAX {
            found = read(&ctx, &id).await;
            if found {
                break;
            }
            ctx.pause().await;
        }
        if !found {
            let seen = "it cannot be read although all faults are mended".to_owned();
            ctx.judged(&id, Err((acknowledged_present::RULE, seen)));
        }
    }
    done();
}
