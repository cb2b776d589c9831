//! Verify: what was said against what the transcript says.
//! Promise: author, text and order are compared exactly; each acknowledged message is at the place
//! that its acknowledgement named; each difference is one sentence.
//! Not here: reading the transcript (`mod.rs`).

use client::api::{self, author, item};

use super::dialogue::Side;

/// One message that was said and acknowledged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// Which side.
    pub from: Side,
    /// The customer's key or the agent's name.
    pub name: String,
    /// What was said.
    pub text: String,
    /// The id that it carried.
    pub request_id: String,
    /// Where the acknowledgement placed it.
    pub sequence: u64,
}

/// A text in a difference is cut after so many characters.
const SHOWN_CHARS: usize = 60;

/// Every difference between `said` and `items`.
pub fn differences(said: &[Said], items: &[api::Item]) -> Vec<String> {
    let mut found = Vec::new();
    let messages: Vec<(u64, &api::Message)> = items.iter().filter_map(message_of).collect();
    for (at, (said, (sequence, message))) in said.iter().zip(&messages).enumerate() {
        let turn = at + 1;
        compare(turn, said, message, &mut found);
        if said.sequence != *sequence {
            found.push(format!(
                "turn {turn} was acknowledged as item {}, and is item {sequence}",
                said.sequence
            ));
        }
        if said.request_id != message.request_id {
            found.push(format!("turn {turn} stands under another request id"));
        }
    }
    for missing in said.iter().skip(messages.len()) {
        found.push(format!("missing: \"{}\"", cut(&missing.text)));
    }
    for (sequence, more) in messages.iter().skip(said.len()) {
        found.push(format!(
            "item {sequence} is one too many: \"{}\"",
            cut(&more.text)
        ));
    }
    found
}

fn message_of(item: &api::Item) -> Option<(u64, &api::Message)> {
    match &item.content {
        Some(item::Content::Message(message)) => Some((item.sequence, message)),
        Some(item::Content::Change(_)) | None => None,
    }
}

fn compare(turn: usize, said: &Said, message: &api::Message, found: &mut Vec<String>) {
    let author = message.author.clone().unwrap_or_default();
    let kind = match said.from {
        Side::Customer => author::Kind::Customer,
        Side::Agent => author::Kind::Agent,
    };
    if author.kind() != kind || author.name != said.name {
        found.push(format!(
            "turn {turn} was said by {kind:?} {}, and is of {:?} {}",
            said.name,
            author.kind(),
            author.name
        ));
    }
    if message.text != said.text {
        found.push(format!(
            "turn {turn} was \"{}\", and is \"{}\"",
            cut(&said.text),
            cut(&message.text)
        ));
    }
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(SHOWN_CHARS) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(from: Side, name: &str, text: &str, sequence: u64) -> Said {
        Said {
            from,
            name: name.to_owned(),
            text: text.to_owned(),
            request_id: format!("r{sequence}"),
            sequence,
        }
    }

    fn item_of(said: &Said) -> api::Item {
        let kind = match said.from {
            Side::Customer => author::Kind::Customer,
            Side::Agent => author::Kind::Agent,
        };
        api::Item {
            sequence: said.sequence,
            content: Some(item::Content::Message(api::Message {
                request_id: said.request_id.clone(),
                author: Some(api::Author {
                    kind: kind.into(),
                    name: said.name.clone(),
                    ..Default::default()
                }),
                text: said.text.clone(),
                ..Default::default()
            })),
            ..Default::default()
        }
    }

    fn two() -> Vec<Said> {
        vec![
            said(Side::Customer, "ann", "one", 2),
            said(Side::Agent, "bob", "two", 4),
        ]
    }

    #[test]
    fn what_was_said_and_read_back_has_no_difference() {
        let items: Vec<api::Item> = two().iter().map(item_of).collect();
        assert_eq!(differences(&two(), &items), Vec::<String>::new());
    }

    #[test]
    fn a_missing_and_a_doubled_message_are_found() {
        let one = [item_of(&two()[0])];
        assert_eq!(differences(&two(), &one), ["missing: \"two\""]);
        let mut items: Vec<api::Item> = two().iter().map(item_of).collect();
        items.push(item_of(&said(Side::Agent, "bob", "two", 5)));
        assert_eq!(
            differences(&two(), &items),
            ["item 5 is one too many: \"two\""]
        );
    }

    #[test]
    fn another_author_text_place_and_order_are_found() {
        let mut other = two();
        other[0].text = "three".to_owned();
        other[1].name = "eve".to_owned();
        other[1].sequence = 5;
        let items: Vec<api::Item> = other.iter().map(item_of).collect();
        let found = differences(&two(), &items);
        assert_eq!(found[0], "turn 1 was \"one\", and is \"three\"");
        assert_eq!(
            found[1],
            "turn 2 was said by Agent bob, and is of Agent eve"
        );
        assert_eq!(found[2], "turn 2 was acknowledged as item 4, and is item 5");
    }
}
