//! A hash of what a command asks, so that a request id cannot come back with another content.
//! Promise: the same on every replica and in every build; epochs and sessions are left out.
//! Not here: messages, whose content is compared itself.

use xxhash_rust::xxh3::Xxh3;

use super::command::{Assign, Close, Intent, Open, Rate, Target, Transfer};
use crate::ids::Body;

/// Collects the fields of a command in order.
pub(crate) struct Fingerprint(Xxh3);

impl Fingerprint {
    /// Begins with the kind of the command.
    pub(crate) fn of(kind: &str) -> Self {
        Self(Xxh3::new()).text(kind)
    }

    pub(crate) fn text(mut self, text: &str) -> Self {
        self.0.update(&(text.len() as u64).to_le_bytes());
        self.0.update(text.as_bytes());
        self
    }

    pub(crate) fn number(mut self, number: u64) -> Self {
        self.0.update(&number.to_le_bytes());
        self
    }

    pub(crate) fn maybe(self, text: Option<&str>) -> Self {
        match text {
            Some(text) => self.number(1).text(text),
            None => self.number(0),
        }
    }

    pub(crate) fn body(mut self, body: Option<&Body>) -> Self {
        let Some(body) = body else {
            return self.number(0);
        };
        self.0.update(&u64::from(body.key_id).to_le_bytes());
        self.0.update(&(body.bytes.len() as u64).to_le_bytes());
        self.0.update(&body.bytes);
        self
    }

    pub(crate) fn intent(self, intent: &Intent) -> Self {
        match intent {
            Intent::Ready => self.number(1),
            Intent::NotReady { reason } => self.number(2).text(reason),
        }
    }

    pub(crate) fn hash(self) -> u64 {
        self.0.digest()
    }
}

pub(crate) fn of_open(open: &Open) -> u64 {
    let mut print = Fingerprint::of("open")
        .text(open.account.as_str())
        .text(open.customer.as_str())
        .text(&open.display_name)
        .maybe(open.queue.as_ref().map(|queue| queue.as_str()))
        .maybe(open.language.as_ref().map(|language| language.as_str()))
        .number(open.boost_ms)
        .number(u64::from(open.bot_first))
        .number(open.topics.len() as u64);
    for topic in &open.topics {
        print = print.text(topic);
    }
    print.body(open.body.as_ref()).hash()
}

pub(crate) fn of_close(close: &Close) -> u64 {
    Fingerprint::of("close")
        .text(&close.reason)
        .number(u64::from(close.wrap_up))
        .hash()
}

pub(crate) fn of_rate(rate: &Rate) -> u64 {
    Fingerprint::of("rate")
        .number(u64::from(rate.score))
        .text(&rate.comment)
        .hash()
}

pub(crate) fn of_transfer(transfer: &Transfer) -> u64 {
    let print = Fingerprint::of("transfer");
    let print = match &transfer.target {
        Target::Agent { agent, wait } => print
            .number(1)
            .text(agent.as_str())
            .number(u64::from(*wait)),
        Target::Queue(queue) => print.number(2).text(queue.as_str()),
    };
    print.body(transfer.note.as_ref()).hash()
}

pub(crate) fn of_assign(assign: &Assign) -> u64 {
    Fingerprint::of("assign")
        .text(assign.agent.as_str())
        .number(u64::from(assign.wait))
        .text(&assign.reason)
        .hash()
}
