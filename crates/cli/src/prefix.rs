//! Names by prefix: what is typed may be the beginning of one name and of no other.
//! Promise: an exact name always means itself; several that fit are named, none is guessed. A conversation is
//! not changed by what may be the whole id of another one that has gone, nor unasked by less than a whole id.
//! Not here: what is done with the name.

use client::api::{self, ConversationState, ErrorReason};

use crate::failure::{Exit, Failure};
use crate::reach::Reach;

/// Names that are shown where a prefix fits several.
const SHOWN_MAX: usize = 5;
/// Conversations asked for at once.
const PAGE: u32 = 1_000;
/// Pages of each state that are searched; whoever has more types the whole id.
const PAGES_MAX: usize = 20;

/// The one of `names` that `typed` means; `kind` is the command that lists them.
fn meant(kind: &str, typed: &str, names: &[String]) -> Result<String, Failure> {
    if names.iter().any(|name| name == typed) {
        return Ok(typed.to_owned());
    }
    let fitting: Vec<&str> = names
        .iter()
        .map(String::as_str)
        .filter(|name| name.starts_with(typed))
        .collect();
    let next = format!("antiphon {kind} list");
    match fitting.as_slice() {
        [one] => Ok((*one).to_owned()),
        [] => Err(Failure::plain(format!("no {kind} begins with {typed}"))
            .with_reason(format!("{}_NOT_FOUND", kind.to_uppercase()))
            .with_exit(Exit::Refused)
            .with_next(next)),
        several => {
            let shown = several.iter().take(SHOWN_MAX).copied();
            let shown = shown.collect::<Vec<_>>().join(", ");
            let more = match several.len().saturating_sub(SHOWN_MAX) {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            let sentence = format!("{typed} may be {shown}{more}");
            Err(Failure::usage(sentence).with_next(next))
        }
    }
}

/// The queue that is meant; nothing typed means none.
pub async fn queue(reach: &Reach, typed: String) -> Result<String, Failure> {
    if typed.is_empty() {
        return Ok(typed);
    }
    let supervisor = reach.client.supervisor();
    let listed = supervisor.list_queues(api::ListQueuesRequest {}).await?;
    let names: Vec<String> = listed.queues.into_iter().map(|queue| queue.queue).collect();
    meant("queue", &typed, &names)
}

/// The agent who is meant; nothing typed means none.
pub async fn agent(reach: &Reach, typed: String) -> Result<String, Failure> {
    if typed.is_empty() {
        return Ok(typed);
    }
    let agents = reach.client.supervisor().agents("").await?;
    let names: Vec<String> = agents.into_iter().map(|agent| agent.agent).collect();
    meant("agent", &typed, &names)
}

/// What a conversation is wanted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// To be looked at.
    Looking,
    /// To be changed, after a question that names it.
    Asking,
    /// To be changed without a question.
    Changing,
}

impl Wanted {
    /// For an act that was asked for with `--yes`, or without.
    pub fn to_act(yes: bool) -> Self {
        match yes {
            true => Self::Changing,
            false => Self::Asking,
        }
    }

    /// Whether the beginning of an id may stand for it.
    fn takes_beginnings(self, typed: &str) -> bool {
        match self {
            Self::Looking => true,
            Self::Asking => !is_whole(typed),
            Self::Changing => false,
        }
    }
}

/// Whether it has the form of a whole id, `c1-42`, which is also how `c1-421` begins.
fn is_whole(typed: &str) -> bool {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let parts = typed
        .strip_prefix('c')
        .and_then(|rest| rest.split_once('-'));
    parts.is_some_and(|(cell, index)| is_number(cell) && is_number(index))
}

/// The conversation that is meant: one that has not ended before one that has.
pub async fn conversation(reach: &Reach, typed: String, wanted: Wanted) -> Result<String, Failure> {
    let request = api::GetConversationRequest {
        conversation_id: typed.clone(),
    };
    match reach.client.supervisor().get_conversation(request).await {
        Ok(_) => return Ok(typed),
        Err(error)
            if matches!(
                error.reason,
                ErrorReason::ConversationNotFound | ErrorReason::FieldInvalid
            ) => {}
        Err(error) => return Err(error.into()),
    }
    if !wanted.takes_beginnings(&typed) {
        return Err(not_there(&typed));
    }
    let mut found = beginning(reach, &typed, ConversationState::Unspecified).await?;
    if found.ids.is_empty() && found.all_seen {
        for state in [ConversationState::Closed, ConversationState::Abandoned] {
            let ended = beginning(reach, &typed, state).await?;
            found.ids.extend(ended.ids);
            found.all_seen &= ended.all_seen;
        }
    }
    let id = found.meant(&typed)?;
    eprintln!("{typed} is the beginning of {id} alone");
    Ok(id)
}

fn not_there(typed: &str) -> Failure {
    let sentence = match is_whole(typed) {
        true => format!("there is no conversation {typed}"),
        false => format!("{typed} is no whole id, and only a whole one is changed with --yes"),
    };
    Failure::plain(sentence)
        .with_reason("CONVERSATION_NOT_FOUND")
        .with_exit(Exit::Refused)
        .with_next("antiphon conversation list")
}

/// What was found of those that begin so.
#[derive(Debug)]
struct Found {
    ids: Vec<String>,
    /// No page was left.
    all_seen: bool,
}

impl Found {
    /// The one that is meant. One that was found is not the only one while there are pages left.
    fn meant(&self, typed: &str) -> Result<String, Failure> {
        if !self.all_seen && self.ids.len() < 2 {
            let seen = PAGE as usize * PAGES_MAX;
            let sentence =
                format!("there are more than {seen} conversations, so {typed} may be several");
            return Err(Failure::usage(sentence).with_next("the same command with the whole id"));
        }
        meant("conversation", typed, &self.ids)
    }
}

/// Conversations in a state, `Unspecified` for all that have not ended, whose ids begin so.
async fn beginning(reach: &Reach, typed: &str, state: ConversationState) -> Result<Found, Failure> {
    let mut ids = Vec::new();
    let mut page_token = String::new();
    for _ in 0..PAGES_MAX {
        let request = api::ListConversationsRequest {
            state: state.into(),
            page_size: PAGE,
            page_token,
            ..Default::default()
        };
        let page = reach
            .client
            .supervisor()
            .list_conversations(request)
            .await?;
        let found = page
            .conversations
            .into_iter()
            .map(|one| one.conversation_id);
        ids.extend(found.filter(|id| id.starts_with(typed)));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            let all_seen = true;
            return Ok(Found { ids, all_seen });
        }
    }
    let all_seen = false;
    Ok(Found { ids, all_seen })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> Vec<String> {
        ["orders", "orders-vip", "refunds"]
            .map(str::to_owned)
            .to_vec()
    }

    #[test]
    fn a_beginning_that_fits_one_name_means_it_and_a_whole_name_means_itself() {
        assert_eq!(meant("queue", "ref", &names()).unwrap(), "refunds");
        assert_eq!(meant("queue", "orders", &names()).unwrap(), "orders");
    }

    #[test]
    fn a_beginning_that_fits_several_is_a_usage_error_that_names_them() {
        let failure = meant("queue", "or", &names()).unwrap_err();
        assert_eq!(failure.exit, Exit::Usage);
        assert_eq!(failure.sentence, "or may be orders, orders-vip");
    }

    #[test]
    fn a_beginning_that_fits_none_is_refused_with_the_list_to_look_at() {
        let failure = meant("agent", "zo", &names()).unwrap_err();
        assert_eq!(failure.exit, Exit::Refused);
        assert_eq!(failure.reason.as_deref(), Some("AGENT_NOT_FOUND"));
        assert_eq!(failure.next.as_deref(), Some("antiphon agent list"));
    }

    fn found(ids: &[&str], all_seen: bool) -> Found {
        Found {
            ids: ids.iter().map(|id| (*id).to_owned()).collect(),
            all_seen,
        }
    }

    #[test]
    fn one_that_was_found_is_not_the_only_one_while_pages_are_left() {
        assert_eq!(found(&["c1-421"], true).meant("c1-4").unwrap(), "c1-421");
        for ids in [&["c1-421"][..], &[]] {
            let failure = found(ids, false).meant("c1-4").unwrap_err();
            assert_eq!(failure.exit, Exit::Usage);
            assert!(failure.sentence.contains("may be several"), "{failure:?}");
        }
        let several = found(&["c1-421", "c1-43"], false).meant("c1-4");
        assert!(several.unwrap_err().sentence.contains("c1-421, c1-43"));
    }

    #[test]
    fn a_whole_id_that_has_gone_is_no_beginning_of_another_that_is_to_be_changed() {
        for whole in ["c1-42", "c12-0", "c1-4"] {
            assert!(is_whole(whole), "{whole}");
            assert!(Wanted::Looking.takes_beginnings(whole));
            assert!(!Wanted::to_act(false).takes_beginnings(whole), "{whole}");
            assert!(!Wanted::to_act(true).takes_beginnings(whole), "{whole}");
        }
        for beginning in ["c1-", "c1", "c", "c1-4x", "-4"] {
            assert!(!is_whole(beginning), "{beginning}");
            assert!(Wanted::to_act(false).takes_beginnings(beginning));
            assert!(!Wanted::to_act(true).takes_beginnings(beginning));
        }
        let failure = not_there("c1-42");
        assert_eq!(failure.exit, Exit::Refused);
        assert_eq!(failure.sentence, "there is no conversation c1-42");
    }
}
