//! Customers: they open, write, vanish, come back, say things twice, and end what they began.
//! Not here: who answers them (`agents`).

use client::api::item::Content;
use client::api::{CloseRequest, OpenRequest, OpenResponse, SendResponse};
use client::{CallError, Conversation, Event, Kind, Unsent};
use serde_json::{Value, json};

use super::{Ctx, outcome_of, readers};
use crate::invariants::answered_once;
use crate::judge::history::Outcome;

/// Messages of one visit.
const MESSAGES_MAX: u64 = 8;

/// Comes again and again.
pub(super) async fn run(ctx: Ctx, site: String) {
    loop {
        ctx.pause().await;
        if ctx.closing() {
            ctx.pause().await;
            continue;
        }
        if let Some(opened) = open(&ctx, &site).await {
            visit(&ctx, &opened).await;
        }
    }
}

async fn open(ctx: &Ctx, site: &str) -> Option<OpenResponse> {
    let _storing = ctx.storing();
    let request_id = ctx.client.request_id();
    let text = format!("hello of {}", ctx.name);
    let request = OpenRequest {
        request_id: request_id.clone(),
        account: format!("web-{site}"),
        customer: ctx.name.clone(),
        display_name: ctx.name.clone(),
        language: "de".to_owned(),
        text,
        ..OpenRequest::default()
    };
    let called_us = ctx.now_us();
    let args = json!({ "id": request_id });
    for attempt in 1..=ctx.attempts_max {
        match ctx.client.customer().open(request.clone()).await {
            Ok(opened) => {
                let id = &opened.conversation_id;
                if opened.sequence > 0 {
                    ctx.acknowledged(id, opened.sequence, &request_id);
                }
                let value = json!({ "sequence": opened.sequence, "existing": opened.existing });
                ctx.ended("open", id, args, called_us, (Outcome::Ok, value));
                return Some(opened);
            }
            Err(error) if may_ask_again(&error) && attempt < ctx.attempts_max => ctx.pause().await,
            Err(error) => {
                ctx.ended(
                    "open",
                    "",
                    args,
                    called_us,
                    (outcome_of(&error), why(&error)),
                );
                return None;
            }
        }
    }
    None
}

async fn visit(ctx: &Ctx, opened: &OpenResponse) {
    let id = opened.conversation_id.clone();
    let mut cursor = 0;
    let mut conversation = ctx.client.customer().attach(&id, cursor);
    for _ in 0..ctx.random.below(MESSAGES_MAX) + 1 {
        cursor = listen(ctx, &mut conversation, &id, cursor).await;
        match send(ctx, &mut conversation, &id, &mut cursor).await {
            Sent::Done => {}
            Sent::Ended => return,
            Sent::GivenUp => break,
        }
        if ctx.once_in(8) {
            // The window is closed and opened again, from what was seen.
            drop(conversation);
            ctx.pause().await;
            conversation = ctx.client.customer().attach(&id, cursor);
        }
        if ctx.once_in(6) {
            readers::read(ctx, &id).await;
        }
    }
    cursor = listen(ctx, &mut conversation, &id, cursor).await;
    match ctx.random.below(4) {
        // Gone without a word.
        0 => {}
        1 => {
            listen(ctx, &mut conversation, &id, cursor).await;
        }
        _ => close(ctx, &id).await,
    }
}

/// Reads what comes for a while; the last place that was seen.
async fn listen(ctx: &Ctx, conversation: &mut Conversation, id: &str, mut cursor: u64) -> u64 {
    let pause = ctx.pause();
    tokio::pin!(pause);
    loop {
        let event = tokio::select! {
            biased;
            () = &mut pause => return cursor,
            event = conversation.next() => event,
        };
        match event {
            Some(Event::Item(item)) => {
                cursor = readers::item(ctx, id, cursor, &item);
            }
            Some(Event::Continued { .. }) => return 0,
            Some(_) => {}
            None => {
                pause.await;
                return cursor;
            }
        }
    }
}

/// How a message fared.
enum Sent {
    Done,
    /// The conversation takes no more.
    Ended,
    /// Nobody knows.
    GivenUp,
}

async fn send(ctx: &Ctx, conversation: &mut Conversation, id: &str, cursor: &mut u64) -> Sent {
    let _storing = ctx.storing();
    let writer = conversation.writer();
    let called_us = ctx.now_us();
    let text = format!("{} at {called_us}", ctx.name);
    let mut sending: futures::future::BoxFuture<'_, Result<SendResponse, Unsent>> =
        Box::pin(writer.send(&text));
    for attempt in 1..=ctx.attempts_max {
        // Its events must be read, or nothing is acknowledged.
        let sent = loop {
            tokio::select! {
                biased;
                sent = &mut sending => break sent,
                event = conversation.next() => match event {
                    Some(Event::Item(item)) => *cursor = readers::item(ctx, id, *cursor, &item),
                    Some(_) => {}
                    None => break sending.await,
                },
            }
        };
        match sent {
            Ok(sent) => {
                acknowledged(ctx, id, called_us, &sent);
                if ctx.once_in(5) {
                    twice(ctx, id, &sent, &text).await;
                }
                return Sent::Done;
            }
            Err(unsent) if may_ask_again(&unsent.error) && attempt < ctx.attempts_max => {
                ctx.pause().await;
                sending = Box::pin(writer.send_again(unsent.draft));
            }
            Err(unsent) => return refused(ctx, id, called_us, &unsent),
        }
    }
    Sent::GivenUp
}

fn acknowledged(ctx: &Ctx, id: &str, called_us: u64, sent: &SendResponse) {
    ctx.acknowledged(&sent.conversation_id, sent.sequence, &sent.request_id);
    let args = json!({ "id": sent.request_id, "to": id });
    let value = json!({ "sequence": sent.sequence });
    let end = (Outcome::Ok, value);
    ctx.ended("send", &sent.conversation_id, args, called_us, end);
}

fn refused(ctx: &Ctx, id: &str, called_us: u64, unsent: &Unsent) -> Sent {
    let (outcome, request_id) = (outcome_of(&unsent.error), unsent.draft.request_id.clone());
    ctx.not_stored(id, &request_id, &unsent.error);
    let args = json!({ "id": request_id });
    ctx.ended("send", id, args, called_us, (outcome, why(&unsent.error)));
    match outcome {
        Outcome::Refused => Sent::Ended,
        Outcome::Ok | Outcome::Unknown => Sent::GivenUp,
    }
}

/// Says the same again, as a client does that lost the answer: it must have the same place.
async fn twice(ctx: &Ctx, id: &str, sent: &SendResponse, text: &str) {
    let request = client::api::SendRequest {
        conversation_id: id.to_owned(),
        request_id: sent.request_id.clone(),
        text: text.to_owned(),
        ..Default::default()
    };
    let called_us = ctx.now_us();
    match ctx.client.customer().send(request).await {
        Ok(again) => acknowledged(ctx, id, called_us, &again),
        Err(error) => {
            let args = json!({ "id": sent.request_id });
            // A refusal of the copy says nothing about the first one.
            ctx.ended("send", id, args, called_us, (Outcome::Unknown, why(&error)));
        }
    }
}

async fn close(ctx: &Ctx, id: &str) {
    let request = CloseRequest {
        conversation_id: id.to_owned(),
        request_id: ctx.client.request_id(),
        ..CloseRequest::default()
    };
    let called_us = ctx.now_us();
    for attempt in 1..=ctx.attempts_max {
        match ctx.client.customer().close(request.clone()).await {
            Ok(_) => {
                ctx.closed(id);
                ctx.ended(
                    "close",
                    id,
                    Value::Null,
                    called_us,
                    (Outcome::Ok, Value::Null),
                );
                if ctx.once_in(3) {
                    close_again(ctx, request).await;
                }
                return;
            }
            Err(error) if may_ask_again(&error) && attempt < ctx.attempts_max => ctx.pause().await,
            Err(error) => {
                let end = (outcome_of(&error), why(&error));
                return ctx.ended("close", id, Value::Null, called_us, end);
            }
        }
    }
}

/// Asks the same again under the same id, as a client does that lost the answer: it must be told the same.
async fn close_again(ctx: &Ctx, request: CloseRequest) {
    let id = request.conversation_id.clone();
    let called_us = ctx.now_us();
    let again = ctx.client.customer().close(request).await;
    let Err(error) = again else { return };
    if outcome_of(&error) == Outcome::Refused {
        let seen = format!(
            "a close was done, and its copy was refused: {}",
            error.message
        );
        ctx.judged(&id, Err((answered_once::RULE, seen)));
    }
    // A refusal of the copy says nothing about the first one.
    let end = (Outcome::Unknown, why(&error));
    ctx.ended("close", &id, Value::Null, called_us, end);
}

fn may_ask_again(error: &CallError) -> bool {
    error.kind != Kind::Refused
}

/// Why a call failed, for the history.
pub(super) fn why(error: &CallError) -> Value {
    json!({ "reason": error.reason_name(), "message": error.message })
}

/// The messages of a transcript.
pub(super) fn messages(items: &[client::api::Item]) -> Vec<(u64, String)> {
    let message = |item: &client::api::Item| match &item.content {
        Some(Content::Message(message)) if !message.request_id.is_empty() => {
            Some((item.sequence, message.request_id.clone()))
        }
        _ => None,
    };
    items.iter().filter_map(message).collect()
}
