//! The packed form of one item: how it lies in memory, never on a disk or a wire.
//! Promise: what was packed comes back equal; bytes that are wrong give nothing, and never a panic.
//! Not here: where packed items are kept (`items`), the stored form (`wire`).
//!
//! An item is a head, that is the kind with four flags, then sequence, times and what the kind says. Numbers are
//! varints of seven bits a byte. Texts of the floor plan and long names are kept in a table of the transcript and
//! named by their place. What somebody wrote comes last.

use std::sync::Arc;

use crate::cell::command::Instance;
use crate::cell::transcript::{
    Author, HoldReason, Item, ItemKind, Message, NoticeKind, RequeueReason,
};
use crate::ids::{
    AgentId, Body, CellId, CellTime, ConversationId, DeviceId, LogIndex, QueueId, RequestId,
    Sequence, StaffId,
};

/// A table entry is looked for among so many of the latest: a transcript has few names, and a client
/// that gives itself another with each message must not make each message dearer.
const LOOKED_THROUGH_MAX: usize = 16;

/// A name of up to so many bytes is written out: it takes little more than its place in the table
/// would, and nothing but the open block is touched to write it.
const NAME_WRITTEN_MAX: usize = 24;

/// Room for the longest head, a message's: kind and author 1 each, an id of up to 37, a key of up to 5,
/// two names of up to 25 and five more numbers of up to 10 make 144.
const HEAD_BYTES: usize = 144;

/// A text up to so many bytes is put behind the head before both are stored: most messages.
const TAIL_BYTES: usize = 256;

const KIND: u8 = 0x0f;
const MESSAGE: u8 = 0;
const JOINED: u8 = 1;
const REQUEUED: u8 = 2;
const HELD: u8 = 3;
const RESUMED: u8 = 4;
const TO_QUEUE: u8 = 5;
const TO_AGENT: u8 = 6;
const CONTINUED: u8 = 7;
const NOTICE: u8 = 8;
const CLOSED: u8 = 9;
/// The message's id is a UUID.
const BY_UUID: u8 = 0x10;
/// The message says which client made it.
const WITH_INSTANCE: u8 = 0x20;
/// A reason was given to close.
const WITH_REASON: u8 = 0x10;

/// What the items of a transcript have in common.
#[derive(Clone, PartialEq, Eq, Default)]
pub(super) struct Common {
    /// When the first item was stored: times are written as what has gone by since then.
    began: CellTime,
    /// How far the wall clock was ahead of cell time then: it hardly moves, and takes a byte.
    wall_ahead_ms: u64,
    /// Texts that the items name: each is kept once, and is often the plan's own.
    texts: Vec<Arc<str>>,
}

impl Common {
    /// What is known before the first item is packed.
    pub(super) fn of_first(item: &Item) -> Self {
        Self {
            began: item.at,
            wall_ahead_ms: item.wall_ms.wrapping_sub(item.at.0),
            texts: Vec::new(),
        }
    }

    /// The place of a text, which is added if it is not there.
    fn place(&mut self, text: &Arc<str>) -> u64 {
        let latest = self.texts.iter().enumerate().rev();
        let mut latest = latest.take(LOOKED_THROUGH_MAX);
        if let Some((place, _)) = latest.find(|(_, have)| *have == text) {
            return place as u64;
        }
        if self.texts.len() == self.texts.capacity() && self.texts.len() < LOOKED_THROUGH_MAX {
            // Most transcripts name two or three: doubling would leave half of each table empty.
            self.texts.reserve_exact(1);
        }
        self.texts.push(text.clone());
        self.texts.len() as u64 - 1
    }

    fn text(&self, place: u64) -> Option<Arc<str>> {
        self.texts.get(usize::try_from(place).ok()?).cloned()
    }

    /// Whether the items that had those in common can be the first ones of these.
    pub(super) fn begin_with(&self, those: &Self) -> bool {
        self.began == those.began
            && self.wall_ahead_ms == those.wall_ahead_ms
            && self.texts.starts_with(&those.texts)
    }

    pub(super) fn shrink(&mut self) {
        self.texts.shrink_to_fit();
    }

    pub(super) fn share(&mut self, mut known: impl FnMut(&Arc<str>) -> Option<Arc<str>>) {
        for text in &mut self.texts {
            if let Some(same) = known(text).filter(|same| same == text) {
                *text = same;
            }
        }
    }
}

/// Packs an item; what it names is entered in the table.
pub(super) fn pack(item: &Item, common: &mut Common) -> Arc<[u8]> {
    let mut head = Head::new();
    head.byte(kind_byte(&item.kind));
    head.number(item.sequence.0);
    head.difference(item.at.0, common.began.0);
    head.difference(item.wall_ms, item.at.0.wrapping_add(common.wall_ahead_ms));
    let mut tail: &[u8] = &[];
    match &item.kind {
        ItemKind::Message(message) => {
            head.message(message, item.wall_ms, common);
            tail = &message.body.bytes;
        }
        ItemKind::Joined {
            agent,
            display_name,
        } => {
            head.name(agent.text(), common);
            head.number(common.place(display_name));
        }
        ItemKind::Requeued { reason } => head.byte(requeue_byte(*reason)),
        ItemKind::Held { reason } => head.byte(hold_byte(*reason)),
        ItemKind::Resumed => {}
        ItemKind::TransferredToQueue { queue } => head.name(queue.text(), common),
        ItemKind::TransferredToAgent { agent } => head.name(agent.text(), common),
        ItemKind::Continued { to } => {
            head.number(u64::from(to.cell.0));
            head.number(to.index.0);
        }
        ItemKind::Notice { kind, text } => {
            head.byte(notice_byte(*kind));
            head.number(common.place(text));
        }
        ItemKind::Closed { by, reason } => {
            head.author(by, common);
            tail = reason.as_deref().unwrap_or_default().as_bytes();
        }
    }
    head.with(tail)
}

/// The item that these bytes are; `None` where they are none.
pub(super) fn unpack(packed: &[u8], common: &Common) -> Option<Item> {
    let mut reader = Reader(packed);
    let first = reader.byte()?;
    let sequence = Sequence(reader.number()?);
    let at = CellTime(reader.difference(common.began.0)?);
    let wall_ms = reader.difference(at.0.wrapping_add(common.wall_ahead_ms))?;
    let kind = match first & KIND {
        MESSAGE => ItemKind::Message(reader.message(first, wall_ms, common)?),
        JOINED => ItemKind::Joined {
            agent: AgentId::of_text(reader.name(common)?),
            display_name: reader.text(common)?,
        },
        REQUEUED => ItemKind::Requeued {
            reason: requeue_reason(reader.byte()?)?,
        },
        HELD => ItemKind::Held {
            reason: hold_reason(reader.byte()?)?,
        },
        RESUMED => ItemKind::Resumed,
        TO_QUEUE => ItemKind::TransferredToQueue {
            queue: QueueId::of_text(reader.name(common)?),
        },
        TO_AGENT => ItemKind::TransferredToAgent {
            agent: AgentId::of_text(reader.name(common)?),
        },
        CONTINUED => ItemKind::Continued {
            to: ConversationId {
                cell: CellId(u32::try_from(reader.number()?).ok()?),
                index: LogIndex(reader.number()?),
            },
        },
        NOTICE => ItemKind::Notice {
            kind: notice_kind(reader.byte()?)?,
            text: reader.text(common)?,
        },
        CLOSED => ItemKind::Closed {
            by: reader.author(common)?,
            reason: reader.reason(first)?,
        },
        _ => return None,
    };
    reader.0.is_empty().then_some(Item {
        sequence,
        at,
        wall_ms,
        kind,
    })
}

/// An item's bytes on the stack, what somebody wrote included if it is short.
struct Head {
    bytes: [u8; HEAD_BYTES + TAIL_BYTES],
    length: usize,
}

impl Head {
    fn new() -> Self {
        Self {
            bytes: [0; HEAD_BYTES + TAIL_BYTES],
            length: 0,
        }
    }

    /// These bytes and what somebody wrote, in an allocation of their own.
    fn with(mut self, tail: &[u8]) -> Arc<[u8]> {
        if tail.len() <= TAIL_BYTES {
            self.slice(tail);
            return Arc::from(&self.bytes[..self.length]);
        }
        [&self.bytes[..self.length], tail].concat().into()
    }

    fn byte(&mut self, byte: u8) {
        self.bytes[self.length] = byte;
        self.length += 1;
    }

    fn slice(&mut self, bytes: &[u8]) {
        self.bytes[self.length..][..bytes.len()].copy_from_slice(bytes);
        self.length += bytes.len();
    }

    fn number(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.byte(number as u8 | 0x80);
            number >>= 7;
        }
        self.byte(number as u8);
    }

    /// A number that is near another: what lies between, with its sign in the lowest bit.
    fn difference(&mut self, number: u64, near: u64) {
        let ahead = number.wrapping_sub(near) as i64;
        self.number(((ahead << 1) ^ (ahead >> 63)) as u64);
    }

    fn name(&mut self, name: &Arc<str>, common: &mut Common) {
        if (1..=NAME_WRITTEN_MAX).contains(&name.len()) {
            self.byte(name.len() as u8);
            self.slice(name.as_bytes());
        } else {
            self.byte(0);
            self.number(common.place(name));
        }
    }

    fn message(&mut self, message: &Message, wall_ms: u64, common: &mut Common) {
        match message.id.as_uuid() {
            Some(bytes) => self.slice(bytes),
            None => {
                let text = message.id.to_string();
                self.number(text.len() as u64);
                self.slice(text.as_bytes());
            }
        }
        self.author(&message.author, common);
        self.difference(message.sent_ms, wall_ms);
        if let Some(instance) = &message.instance {
            self.name(instance.device.text(), common);
            self.number(instance.counter);
        }
        self.number(u64::from(message.body.key_id));
    }

    fn author(&mut self, author: &Author, common: &mut Common) {
        match author {
            Author::Customer => self.byte(0),
            Author::Agent(agent) => {
                self.byte(1);
                self.name(agent.text(), common);
            }
            Author::Bot => self.byte(2),
            Author::Staff(staff) => {
                self.byte(3);
                self.name(staff.text(), common);
            }
            Author::Machine => self.byte(4),
        }
    }
}

/// Bytes that are read from the front.
struct Reader<'b>(&'b [u8]);

impl<'b> Reader<'b> {
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    fn take(&mut self, length: usize) -> Option<&'b [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn rest(&mut self) -> &'b [u8] {
        std::mem::take(&mut self.0)
    }

    fn number(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..u64::BITS).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }

    fn difference(&mut self, near: u64) -> Option<u64> {
        let ahead = self.number()?;
        Some(near.wrapping_add((ahead >> 1) ^ (ahead & 1).wrapping_neg()))
    }

    fn text(&mut self, common: &Common) -> Option<Arc<str>> {
        common.text(self.number()?)
    }

    fn name(&mut self, common: &Common) -> Option<Arc<str>> {
        match self.byte()? {
            0 => self.text(common),
            length => {
                let name = self.take(usize::from(length))?;
                Some(Arc::from(std::str::from_utf8(name).ok()?))
            }
        }
    }

    fn message(&mut self, first: u8, wall_ms: u64, common: &Common) -> Option<Message> {
        let id = if first & BY_UUID != 0 {
            RequestId::from_uuid(self.take(16)?.try_into().ok()?)
        } else {
            let length = usize::try_from(self.number()?).ok()?;
            RequestId::new(std::str::from_utf8(self.take(length)?).ok()?).ok()?
        };
        let author = self.author(common)?;
        let sent_ms = self.difference(wall_ms)?;
        let instance = if first & WITH_INSTANCE != 0 {
            Some(Box::new(Instance {
                device: DeviceId::of_text(self.name(common)?),
                counter: self.number()?,
            }))
        } else {
            None
        };
        let key_id = u32::try_from(self.number()?).ok()?;
        Some(Message {
            id,
            author,
            body: Body {
                key_id,
                bytes: Arc::from(self.rest()),
            },
            sent_ms,
            instance,
        })
    }

    fn author(&mut self, common: &Common) -> Option<Author> {
        Some(match self.byte()? {
            0 => Author::Customer,
            1 => Author::Agent(AgentId::of_text(self.name(common)?)),
            2 => Author::Bot,
            3 => Author::Staff(StaffId::of_text(self.name(common)?)),
            4 => Author::Machine,
            _ => return None,
        })
    }

    fn reason(&mut self, first: u8) -> Option<Option<Box<str>>> {
        if first & WITH_REASON == 0 {
            return Some(None);
        }
        let reason = std::str::from_utf8(self.rest()).ok()?;
        Some(Some(reason.into()))
    }
}

fn kind_byte(kind: &ItemKind) -> u8 {
    let flag = |set: bool, flag: u8| if set { flag } else { 0 };
    match kind {
        ItemKind::Message(message) => {
            let by_uuid = flag(message.id.as_uuid().is_some(), BY_UUID);
            MESSAGE | by_uuid | flag(message.instance.is_some(), WITH_INSTANCE)
        }
        ItemKind::Joined { .. } => JOINED,
        ItemKind::Requeued { .. } => REQUEUED,
        ItemKind::Held { .. } => HELD,
        ItemKind::Resumed => RESUMED,
        ItemKind::TransferredToQueue { .. } => TO_QUEUE,
        ItemKind::TransferredToAgent { .. } => TO_AGENT,
        ItemKind::Continued { .. } => CONTINUED,
        ItemKind::Notice { .. } => NOTICE,
        ItemKind::Closed { reason, .. } => CLOSED | flag(reason.is_some(), WITH_REASON),
    }
}

fn requeue_byte(reason: RequeueReason) -> u8 {
    match reason {
        RequeueReason::AgentLost => 0,
        RequeueReason::AgentLeft => 1,
        RequeueReason::NoFirstReply => 2,
        RequeueReason::AgentBusy => 3,
        RequeueReason::Quarantined => 4,
        RequeueReason::BySupervisor => 5,
    }
}

fn requeue_reason(byte: u8) -> Option<RequeueReason> {
    Some(match byte {
        0 => RequeueReason::AgentLost,
        1 => RequeueReason::AgentLeft,
        2 => RequeueReason::NoFirstReply,
        3 => RequeueReason::AgentBusy,
        4 => RequeueReason::Quarantined,
        5 => RequeueReason::BySupervisor,
        _ => return None,
    })
}

fn hold_byte(reason: HoldReason) -> u8 {
    match reason {
        HoldReason::ByAgent => 0,
        HoldReason::CustomerSilent => 1,
        HoldReason::AgentLost => 2,
    }
}

fn hold_reason(byte: u8) -> Option<HoldReason> {
    Some(match byte {
        0 => HoldReason::ByAgent,
        1 => HoldReason::CustomerSilent,
        2 => HoldReason::AgentLost,
        _ => return None,
    })
}

fn notice_byte(kind: NoticeKind) -> u8 {
    match kind {
        NoticeKind::Greeting => 0,
        NoticeKind::NobodyStaffed => 1,
    }
}

fn notice_kind(byte: u8) -> Option<NoticeKind> {
    Some(match byte {
        0 => NoticeKind::Greeting,
        1 => NoticeKind::NobodyStaffed,
        _ => return None,
    })
}
