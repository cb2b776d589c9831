//! `antiphon conversation search`: ended conversations, from the archive.
//! Promise: newest first; what was cut short says how to go on; what was left out because it is damaged is
//! said, and the exit code says so too.
//! Not here: showing one of them, which `conversation show` does for open ones too.

use client::api;
use runtime::WallClock;
use runtime::real::SystemClock;

use crate::args::{Output, SearchArgs};
use crate::conversation::flagged;
use crate::failure::{Exit, Failure};
use crate::json;
use crate::reach::Reach;
use crate::table::{clock, columns, indented, or_dash, short, span};

const DAY_MS: u64 = 86_400_000;
/// A queue, a customer or an agent has room for so many characters.
const CELL_CHARS: usize = 24;

pub async fn search(args: SearchArgs) -> Result<Exit, Failure> {
    let reach = Reach::of(&args.reach)?;
    let now_ms = SystemClock.now_ms();
    let back_ms = args.days.map(|days| u64::from(days) * DAY_MS);
    let request = api::SearchArchiveRequest {
        customer: args.customer,
        account: args.account,
        agent: args.agent,
        from_ms: back_ms.map_or(0, |back| now_ms.saturating_sub(back)),
        to_ms: 0,
        page_size: args.limit,
        page_token: args.after,
    };
    let found = reach.client.supervisor().search_archive(request).await?;
    match reach.output {
        Output::Json => json::print("SearchArchiveResponse", &found)?,
        Output::Table => show(&found),
    }
    match left_out(&found) {
        Some(line) => {
            eprintln!("{line}");
            Ok(Exit::Degraded)
        }
        None => Ok(Exit::Ok),
    }
}

/// What is missing from a page that is not whole, and what to do.
fn left_out(found: &api::SearchArchiveResponse) -> Option<String> {
    let missing = match found.damaged {
        0 => return None,
        1 => "1 conversation of this page is damaged in the archive that answered and left out"
            .to_owned(),
        many => format!(
            "{many} conversations of this page are damaged in the archive that answered and left out"
        ),
    };
    Some(format!(
        "{missing}; another node's copy is being fetched\n\
         try: the same command in a minute; antiphon status says (fetching) until an archive is whole"
    ))
}

fn show(found: &api::SearchArchiveResponse) {
    let mut table = columns(&[
        "CONVERSATION",
        "STATE",
        "QUEUE",
        "WAITED>",
        "AGE>",
        "CUSTOMER",
        "AGENT",
        "ITEMS>",
    ]);
    for one in &found.conversations {
        table.add_row([
            one.conversation_id.clone(),
            flagged(one),
            short(&one.queue, CELL_CHARS),
            clock(one.waited_ms),
            span(one.age_ms),
            short(&one.customer, CELL_CHARS),
            or_dash(&one.agent),
            one.last_sequence.to_string(),
        ]);
    }
    out!("{}", indented(&table));
    eprintln!("{} conversations of the archive", found.conversations.len());
    if !found.next_page_token.is_empty() {
        eprintln!(
            "there are more; try: the same command with --after {}",
            found.next_page_token
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_that_is_not_whole_says_how_much_is_missing_and_what_to_do() {
        let page = |damaged| api::SearchArchiveResponse {
            damaged,
            ..Default::default()
        };
        assert_eq!(left_out(&page(0)), None);
        let said = left_out(&page(3)).expect("it is said");
        assert!(
            said.starts_with("3 conversations of this page are damaged"),
            "{said}"
        );
        assert!(said.contains("\ntry: the same command"), "{said}");
    }
}
