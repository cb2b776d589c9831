//! What clients did, in the form in which any checker can judge it.
//! Promise: one line for each call, in the order in which they ended; a call whose outcome is unknown has no return.
//! Not here: judging it (`promises`, `conversation`).

use std::borrow::Cow;
use std::io::{self, BufRead, Write};

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// How a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// It was done.
    Ok,
    /// It was certainly not done.
    Refused,
    /// It may have been done.
    Unknown,
}

/// One call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Call {
    /// Its place among all.
    pub id: u64,
    /// Who called.
    pub client: String,
    /// What was called.
    pub op: Cow<'static, str>,
    /// The conversation, empty where the call is about none.
    #[serde(default)]
    pub conversation: String,
    /// What it was given: the `id` of a message, the `epoch` in which an agent acts, the conversation that was named
    /// (`to`) where another one took the message.
    #[serde(default)]
    pub args: Value,
    /// When it was called, nanoseconds on one clock for all clients.
    pub call_ns: u64,
    /// When it came back; none for an unknown outcome.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub return_ns: Option<u64>,
    /// How it ended.
    pub outcome: Outcome,
    /// What came back: of a stored message its `sequence`; of an accept its `epoch`; of a refusal its `reason`; of a
    /// read its `messages` as pairs of place and id, its `last` place, whether it has `ended` or `goes_on` elsewhere,
    /// and its `epoch`.
    #[serde(default)]
    pub value: Value,
}

/// All calls of a run, in the order in which they ended.
#[derive(Debug, Default)]
pub struct History {
    calls: Vec<Call>,
}

impl History {
    /// Adds a call that has ended.
    pub fn add(&mut self, mut call: Call) {
        call.id = self.calls.len() as u64 + 1;
        if call.outcome == Outcome::Unknown {
            call.return_ns = None;
        }
        self.calls.push(call);
    }

    /// The calls.
    pub fn calls(&self) -> &[Call] {
        &self.calls
    }

    /// How many ended so.
    pub fn count(&self, outcome: Outcome) -> usize {
        let such = |call: &&Call| call.outcome == outcome;
        self.calls.iter().filter(such).count()
    }

    /// Reads one object a line; empty lines are passed by.
    ///
    /// # Errors
    /// When it cannot be read, or a line is no call: it is named.
    pub fn read(from: impl BufRead) -> io::Result<Self> {
        let mut calls = Vec::new();
        for (line, number) in from.lines().zip(1_u64..) {
            let line = line?;
            if line.trim().is_empty() {
                continue;
            }
            let call = serde_json::from_str(&line).map_err(|error| {
                io::Error::new(
                    io::ErrorKind::InvalidData,
                    format!("line {number}: {error}"),
                )
            })?;
            calls.push(call);
        }
        Ok(Self { calls })
    }

    /// Writes one object a line.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, to: &mut impl Write) -> io::Result<()> {
        for call in &self.calls {
            serde_json::to_writer(&mut *to, call)?;
            to.write_all(b"\n")?;
        }
        Ok(())
    }
}
