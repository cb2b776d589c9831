//! Searching the archive of a cell, for supervisors.
//! Promise: newest first, paged, capped; a filter that says two things is refused.
//! Not here: reading one conversation, which is the same for open ones (`lists`, `calls`).

use conversation::archive_key;
use domain::ids::{AccountId, CustomerKey};
use pb::api::v1::{Refusal, SearchArchiveRequest, SearchArchiveResponse};
use ports::{ArchiveBy, ArchiveError, ArchiveQuery};

use super::CellOwner;
use crate::errors::{archive_unreachable, field_invalid};
use crate::{convert, limits};

impl CellOwner {
    pub(super) async fn search_archive(
        &self,
        request: &SearchArchiveRequest,
    ) -> Result<SearchArchiveResponse, Refusal> {
        let found = self.handle.archived(query(request)?).await;
        let found = found.map_err(|error| match error {
            ArchiveError::BadToken => field_invalid("page_token", error),
            ArchiveError::Unreachable { .. } => archive_unreachable(&error),
        })?;
        Ok(SearchArchiveResponse {
            conversations: found
                .conversations
                .iter()
                .map(|found| self.summary(found))
                .collect(),
            next_page_token: found.next.map(|token| written(&token)).unwrap_or_default(),
            damaged: found.damaged,
        })
    }
}

/// What a search asks of the archive.
///
/// # Errors
/// When it is for two things, a name is none, or its page token was given out by no search.
pub fn query(request: &SearchArchiveRequest) -> Result<ArchiveQuery, Refusal> {
    let by = match (request.customer.is_empty(), request.agent.is_empty()) {
        (false, false) => {
            return Err(field_invalid(
                "agent",
                "a search is for a customer or for an agent, not for both",
            ));
        }
        (false, true) => {
            let account = AccountId::new(&request.account);
            let account = account.map_err(|wrong| field_invalid("account", wrong))?;
            let customer = CustomerKey::new(&request.customer);
            let customer = customer.map_err(|wrong| field_invalid("customer", wrong))?;
            ArchiveBy::Customer(archive_key(&account, &customer))
        }
        (true, false) => ArchiveBy::Agent(convert::agent_name(&request.agent)?.to_string()),
        (true, true) => ArchiveBy::Time,
    };
    let after = match request.page_token.as_str() {
        "" => None,
        token => Some(read(token).ok_or_else(|| {
            field_invalid("page_token", "was not given out by a search of the archive")
        })?),
    };
    Ok(ArchiveQuery {
        by,
        from_ms: request.from_ms,
        to_ms: match request.to_ms {
            0 => u64::MAX,
            asked => asked,
        },
        after,
        size: limits::ARCHIVE_PAGE.size(request.page_size),
    })
}

/// A token as clients carry it: hexadecimal.
fn written(token: &[u8]) -> String {
    token.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn read(token: &str) -> Option<Vec<u8>> {
    let digits = token.as_bytes();
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    let whole = digits.len().is_multiple_of(2) && digits.iter().all(u8::is_ascii_hexdigit);
    whole.then(|| digits.chunks(2).map(byte).collect())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_comes_back_and_anything_else_is_refused() {
        let token = [0_u8, 255, 16, 7];
        assert_eq!(read(&written(&token)), Some(token.to_vec()));
        for wrong in ["0", "zz", "+1", "é1", "00 0"] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_search_for_a_customer_and_an_agent_is_refused() {
        let asked = SearchArchiveRequest {
            customer: "zoe".to_owned(),
            account: "web".to_owned(),
            agent: "ana".to_owned(),
            ..SearchArchiveRequest::default()
        };
        let refused = query(&asked).expect_err("it says two things");
        assert_eq!(refused.metadata["field"], "agent");
    }
}
