//! The names and numbers by which everything is called.
//! Promise: an id that exists is well formed; text forms parse back to the same id.
//! Not here: who allots them.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// Longest name in bytes: a queue, an agent, a customer's key.
pub const NAME_BYTES_MAX: usize = 128;
/// Longest request id in bytes (AIP-155 advises a UUID, 36 characters).
pub const REQUEST_ID_BYTES_MAX: usize = 36;

/// Why a text is not an id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// Nothing was given.
    #[error("is empty")]
    Empty,
    /// More bytes than allowed.
    #[error("is longer than {limit} bytes")]
    TooLong {
        /// The limit in bytes.
        limit: usize,
    },
    /// A character that ids do not have.
    #[error("holds a control character or a character outside the allowed set")]
    BadCharacter,
    /// Not of the form that this id has.
    #[error("is not of the form {form}")]
    BadForm {
        /// The form, by example.
        form: &'static str,
    },
}

macro_rules! name_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Checks and wraps a name: 1 to 128 bytes, no control characters.
            ///
            /// # Errors
            /// Says which of the two does not hold.
            pub fn new(text: &str) -> Result<Self, IdError> {
                check_name(text)?;
                Ok(Self(Arc::from(text)))
            }

            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                Self::new(text)
            }
        }
    };
}

/// Ids whose names may stand in a log line.
macro_rules! shown {
    ($($name:ident),* $(,)?) => {
        $(impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        })*
    };
}

shown!(
    TenantId, SiteId, QueueId, AgentId, SkillId, LanguageId, ChannelId, AccountId, StaffId,
    DeviceId, NodeName,
);

/// Names that a packed transcript keeps in its table of texts.
macro_rules! kept {
    ($($name:ident),* $(,)?) => {
        $(impl $name {
            pub(crate) fn text(&self) -> &Arc<str> {
                &self.0
            }

            /// The name of which this was the text.
            pub(crate) fn of_text(text: Arc<str>) -> Self {
                Self(text)
            }
        })*
    };
}

kept!(QueueId, AgentId, StaffId, DeviceId);

/// A customer's key names a person, often by number or address: it never reaches a log line.
impl fmt::Debug for CustomerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CustomerKey({} bytes)", self.0.len())
    }
}

fn check_name(text: &str) -> Result<(), IdError> {
    if text.is_empty() {
        return Err(IdError::Empty);
    }
    if text.len() > NAME_BYTES_MAX {
        return Err(IdError::TooLong {
            limit: NAME_BYTES_MAX,
        });
    }
    if text.chars().any(char::is_control) {
        return Err(IdError::BadCharacter);
    }
    Ok(())
}

name_id!(
    /// A tenant; `default` until there are several.
    TenantId
);
name_id!(
    /// A regional contact center.
    SiteId
);
name_id!(
    /// A named line of work.
    QueueId
);
name_id!(
    /// An agent, by the name in the floor plan.
    AgentId
);
name_id!(
    /// A skill that an agent may have.
    SkillId
);
name_id!(
    /// A language, by its BCP 47 tag.
    LanguageId
);
name_id!(
    /// A kind of channel: `web`, `app`, `email`, `voice`.
    ChannelId
);
name_id!(
    /// One account of a channel, on which customers write in.
    AccountId
);
name_id!(
    /// A customer, as the channel account names them.
    CustomerKey
);
name_id!(
    /// A supervisor or operator, as their credential names them.
    StaffId
);
name_id!(
    /// A device or client instance: a random id made once per device and start.
    DeviceId
);
name_id!(
    /// The name of a node, `fra-n1`; a name is not an id.
    NodeName
);

macro_rules! number_id {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

number_id!(
    /// A cell: one Raft group that owns conversations. Never used again.
    CellId(u32)
);
number_id!(
    /// A node, counted by the control group at `join`. Never used again.
    NodeId(u64)
);
number_id!(
    /// Who may speak for our side in a conversation: raised by every entry that changes it.
    OwnerEpoch(u64)
);
number_id!(
    /// An agent's login: the log index of its entry in the agent's cell.
    Session(u64)
);
number_id!(
    /// A version of the floor plan.
    PlanVersion(u64)
);
number_id!(
    /// A version of the cell machine: which commands exist and how they are judged.
    MachineVersion(u32)
);
number_id!(
    /// Place of an item in a conversation's transcript, from 1, without gaps.
    Sequence(u64)
);
number_id!(
    /// A log index of the cell.
    LogIndex(u64)
);
number_id!(
    /// Milliseconds of cell time; moves only with log entries.
    CellTime(u64)
);

impl CellTime {
    /// This time plus `ms`, never beyond the end of the range.
    pub fn plus_ms(self, ms: u64) -> Self {
        Self(self.0.saturating_add(ms))
    }

    /// Milliseconds from `earlier` to here; 0 if `earlier` is later.
    pub fn since_ms(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// A conversation: its cell and the log index of its opening.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConversationId {
    /// The cell that owns it for its whole life.
    pub cell: CellId,
    /// The log index of the entry that opened it.
    pub index: LogIndex,
}

impl fmt::Display for ConversationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "c{}-{}", self.cell, self.index)
    }
}

impl FromStr for ConversationId {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        let [cell, index] = numbers(text, "c1-1234")?;
        let cell = u32::try_from(cell).map_err(|_| IdError::BadForm { form: "c1-1234" })?;
        Ok(Self {
            cell: CellId(cell),
            index: LogIndex(index),
        })
    }
}

/// An offer: the conversation's cell, the agent's cell, and a counter per agent's cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OfferId {
    /// The cell of the conversation.
    pub cell: CellId,
    /// The cell of the agent.
    pub agent_cell: CellId,
    /// Counted from 1 per agent's cell.
    pub n: u64,
}

impl fmt::Display for OfferId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "o{}-{}-{}", self.cell, self.agent_cell, self.n)
    }
}

impl FromStr for OfferId {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        let bad = IdError::BadForm { form: "o1-1-42" };
        let [cell, agent_cell, n] = numbers(text, "o1-1-42")?;
        let cell = u32::try_from(cell).map_err(|_| bad.clone())?;
        let agent_cell = u32::try_from(agent_cell).map_err(|_| bad)?;
        Ok(Self {
            cell: CellId(cell),
            agent_cell: CellId(agent_cell),
            n,
        })
    }
}

/// Reads `<letter>1-2-3` as its numbers; the letter is the first of `form`.
fn numbers<const N: usize>(text: &str, form: &'static str) -> Result<[u64; N], IdError> {
    let bad = || IdError::BadForm { form };
    let rest = text.strip_prefix(&form[..1]).ok_or_else(bad)?;
    let mut found = [0; N];
    let mut parts = rest.split('-');
    for slot in &mut found {
        let part = parts.next().ok_or_else(bad)?;
        if part.is_empty() || !part.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(bad());
        }
        *slot = part.parse().map_err(|_| bad())?;
    }
    if parts.next().is_some() {
        Err(bad())
    } else {
        Ok(found)
    }
}

/// A client-made id of one request: at most 36 printable ASCII characters, a UUID advised.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(RequestIdForm);

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum RequestIdForm {
    /// A UUID in lower case, kept as its 16 bytes: a message's id lives as long as its message.
    Uuid([u8; 16]),
    Text(Box<str>),
}

impl RequestId {
    /// Checks and wraps a request id.
    ///
    /// # Errors
    /// Says whether it is empty, too long or not printable ASCII.
    pub fn new(text: &str) -> Result<Self, IdError> {
        if text.is_empty() {
            return Err(IdError::Empty);
        }
        if text.len() > REQUEST_ID_BYTES_MAX {
            return Err(IdError::TooLong {
                limit: REQUEST_ID_BYTES_MAX,
            });
        }
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(IdError::BadCharacter);
        }
        Ok(Self(match uuid_bytes(text.as_bytes()) {
            Some(bytes) => RequestIdForm::Uuid(bytes),
            None => RequestIdForm::Text(Box::from(text)),
        }))
    }

    /// The 16 bytes of an id that is a UUID in lower case.
    pub fn as_uuid(&self) -> Option<&[u8; 16]> {
        match &self.0 {
            RequestIdForm::Uuid(bytes) => Some(bytes),
            RequestIdForm::Text(_) => None,
        }
    }

    /// The id that is this UUID.
    pub fn from_uuid(bytes: [u8; 16]) -> Self {
        Self(RequestIdForm::Uuid(bytes))
    }

    /// A short, never zero fingerprint, by which a message's id is looked for before it is compared.
    pub fn tag(&self) -> u32 {
        let tail = match &self.0 {
            RequestIdForm::Uuid(bytes) => {
                u32::from_le_bytes([bytes[12], bytes[13], bytes[14], bytes[15]])
            }
            RequestIdForm::Text(text) => (xxhash_rust::xxh3::xxh3_64(text.as_bytes()) >> 32) as u32,
        };
        tail.max(1)
    }
}

/// The 16 bytes of a lower-case UUID in its usual form, or `None` for any other text.
fn uuid_bytes(text: &[u8]) -> Option<[u8; 16]> {
    if text.len() != 36 {
        return None;
    }
    let mut bytes = [0_u8; 16];
    let mut nibble = 0;
    for (at, &character) in text.iter().enumerate() {
        if matches!(at, 8 | 13 | 18 | 23) {
            if character != b'-' {
                return None;
            }
            continue;
        }
        let value = match character {
            b'0'..=b'9' => character - b'0',
            b'a'..=b'f' => character - b'a' + 10,
            _ => return None,
        };
        bytes[nibble / 2] = (bytes[nibble / 2] << 4) | value;
        nibble += 1;
    }
    Some(bytes)
}

/// A UUID in its usual form, in lower case.
fn uuid_text(bytes: [u8; 16]) -> [u8; 36] {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let mut text = [b'-'; 36];
    let mut at = 0;
    for byte in bytes {
        if matches!(at, 8 | 13 | 18 | 23) {
            at += 1;
        }
        text[at] = HEX[usize::from(byte >> 4)];
        text[at + 1] = HEX[usize::from(byte & 15)];
        at += 2;
    }
    text
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            RequestIdForm::Text(text) => f.write_str(text),
            RequestIdForm::Uuid(bytes) => {
                let text = uuid_text(*bytes);
                f.write_str(std::str::from_utf8(&text).unwrap_or_default())
            }
        }
    }
}

impl fmt::Debug for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A message's bytes and the key that they are sealed with; key 0 means clear text.
#[derive(Clone, PartialEq, Eq)]
pub struct Body {
    /// The key, 0 for clear.
    pub key_id: u32,
    /// The bytes; UTF-8 text when clear.
    pub bytes: Arc<[u8]>,
}

impl Body {
    /// A clear text.
    pub fn clear(text: &str) -> Self {
        Self {
            key_id: 0,
            bytes: Arc::from(text.as_bytes()),
        }
    }
}

/// Shows the length alone: a message's text never reaches a log line.
impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Body(key {}, {} bytes)", self.key_id, self.bytes.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_forms_parse_back_to_the_same_id() {
        let conversation = ConversationId {
            cell: CellId(7),
            index: LogIndex(1_234),
        };
        assert_eq!(conversation.to_string(), "c7-1234");
        assert_eq!("c7-1234".parse(), Ok(conversation));
        let offer = OfferId {
            cell: CellId(1),
            agent_cell: CellId(2),
            n: 9,
        };
        assert_eq!(offer.to_string().parse(), Ok(offer));
    }

    #[test]
    fn a_uuid_and_a_free_text_both_come_back_as_they_were() {
        for text in [
            "6f1c2d3e-0000-4abc-8def-0123456789ab",
            "order-17",
            "6F1C2D3E-0000-4ABC-8DEF-0123456789AB",
        ] {
            assert_eq!(RequestId::new(text).expect("well formed").to_string(), text);
        }
    }

    #[test]
    fn a_uuid_is_taken_and_given_as_its_bytes() {
        let text = "6f1c2d3e-0000-4abc-8def-0123456789ab";
        let id = RequestId::new(text).expect("well formed");
        let bytes = *id.as_uuid().expect("a UUID");
        assert_eq!((bytes[0], bytes[15]), (0x6f, 0xab));
        assert_eq!(RequestId::from_uuid(bytes), id);
        assert_eq!(RequestId::from_uuid(bytes).to_string(), text);
        assert_eq!(
            RequestId::new("order-17").expect("well formed").as_uuid(),
            None
        );
    }

    #[test]
    fn malformed_ids_are_refused_with_their_reason() {
        assert_eq!(RequestId::new(""), Err(IdError::Empty));
        assert_eq!(RequestId::new("a b"), Err(IdError::BadCharacter));
        assert_eq!(
            RequestId::new(&"x".repeat(37)),
            Err(IdError::TooLong { limit: 36 })
        );
        assert_eq!(QueueId::new("a\nb"), Err(IdError::BadCharacter));
        for text in [
            "",
            "7-1",
            "c7",
            "c7-",
            "c7-1-2",
            "c-1",
            "c+7-1",
            "c99999999999-1",
        ] {
            assert!(text.parse::<ConversationId>().is_err(), "{text} was taken");
        }
    }

    #[test]
    fn a_body_never_prints_its_text() {
        assert_eq!(
            format!("{:?}", Body::clear("secret")),
            "Body(key 0, 6 bytes)"
        );
    }

    #[test]
    fn a_customers_key_never_prints_the_customer() {
        let key = CustomerKey::new("+49 151 0815").expect("well formed");
        assert_eq!(format!("{key:?}"), "CustomerKey(12 bytes)");
    }
}
