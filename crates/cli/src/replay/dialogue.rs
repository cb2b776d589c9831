//! Dialogues: what customers and agents said to each other, one JSON object a line.
//! Promise: a line that does not fit is named by file and line; nothing is left out silently.
//! Not here: playing them (`play`).

use std::path::Path;
use std::sync::Arc;

use anyhow::bail;
use serde::Deserialize;

use crate::failure::Failure;

/// A line is at most 4 MiB: 2,000 turns of 2 KiB, the most that one conversation holds.
const LINE_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Who speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// Writes in.
    Customer,
    /// Answers.
    Agent,
}

/// One message of a dialogue.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Turn {
    /// Who says it.
    pub from: Side,
    /// What is said.
    pub text: String,
}

/// One dialogue.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Dialogue {
    /// Its name in the file.
    pub id: String,
    /// The customer's language tag.
    pub language: String,
    /// Topics, which choose the queue.
    #[serde(default)]
    pub topics: Vec<String>,
    /// What is said, in order.
    pub turns: Vec<Turn>,
}

/// Reads all dialogues of `files`, in order.
pub fn read(files: &[impl AsRef<Path>]) -> Result<Vec<Arc<Dialogue>>, Failure> {
    let mut dialogues = Vec::new();
    for file in files {
        let file = file.as_ref();
        let name = file.display();
        let text =
            std::fs::read_to_string(file).map_err(|error| Failure::unreadable(file, &error))?;
        for (at, line) in text.lines().enumerate() {
            if line.trim().is_empty() {
                continue;
            }
            let dialogue = parse(line).map_err(|error| {
                let place = format!("{name}:{}: {error:#}", at + 1);
                Failure::plain(place)
                    .with_reason("DIALOGUE_INVALID")
                    .with_next(format!("correct line {} of {name}", at + 1))
            })?;
            dialogues.push(Arc::new(dialogue));
        }
    }
    if dialogues.is_empty() {
        return Err(Failure::usage("the files hold no dialogue")
            .with_reason("NO_DIALOGUE")
            .with_next(
                "a file with one JSON object a line, as the manual's chapter on replay shows",
            ));
    }
    Ok(dialogues)
}

fn parse(line: &str) -> anyhow::Result<Dialogue> {
    if line.len() > LINE_BYTES_MAX {
        bail!("the line exceeds {LINE_BYTES_MAX} bytes");
    }
    let dialogue: Dialogue = serde_json::from_str(line)?;
    if dialogue.turns.is_empty() {
        bail!("dialogue {} has no turn", dialogue.id);
    }
    if let Some(at) = dialogue.turns.iter().position(|turn| turn.text.is_empty()) {
        bail!("dialogue {}: turn {} has no text", dialogue.id, at + 1);
    }
    Ok(dialogue)
}

impl Dialogue {
    /// The text to open with: none when the agent speaks first.
    pub fn opening(&self) -> &str {
        match self.turns.first() {
            Some(turn) if turn.from == Side::Customer => &turn.text,
            _ => "",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = r#"{"id":"a","language":"en","topics":["x"],
        "turns":[{"from":"agent","text":"Hi!"},{"from":"customer","text":"Hello"}]}"#;

    #[test]
    fn a_dialogue_that_the_agent_begins_opens_without_text() {
        let dialogue = parse(LINE).unwrap();
        assert_eq!(dialogue.opening(), "");
        assert_eq!(dialogue.turns[1].from, Side::Customer);
    }

    #[test]
    fn a_turn_without_text_is_named() {
        let bad = LINE.replace("Hello", "");
        let error = parse(&bad).unwrap_err().to_string();
        assert_eq!(error, "dialogue a: turn 2 has no text");
    }
}
