//! Names by prefix: what is typed may be the beginning of one name and of no other.
//! Promise: an exact name always means itself; several that fit are named, none is guessed.
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

/// The conversation that is meant: one that has not ended before one that has.
pub async fn conversation(reach: &Reach, typed: String) -> Result<String, Failure> {
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
    let mut ids = beginning(reach, &typed, ConversationState::Unspecified).await?;
    if ids.is_empty() {
        for state in [ConversationState::Closed, ConversationState::Abandoned] {
            ids.extend(beginning(reach, &typed, state).await?);
        }
    }
    meant("conversation", &typed, &ids)
}

/// Conversations in a state, `Unspecified` for all that have not ended, whose ids begin so.
async fn beginning(
    reach: &Reach,
    typed: &str,
    state: ConversationState,
) -> Result<Vec<String>, Failure> {
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
            break;
        }
    }
    Ok(ids)
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
}
