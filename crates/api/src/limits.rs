//! The bounds of the API in one place, each with its reason.
//! Promise: every queue, field, page and wait of this crate is bounded by a constant of this file.
//! Not here: limits of the listener itself; `node` sets those from the constants named `SERVER_*`.

use std::time::Duration;

/// Longest text of a message or a note in bytes. Checked by us, not by the receive limit, so that a
/// stream lives on with a typed reason.
pub const TEXT_BYTES_MAX: usize = 64 * 1024;
/// Longest reason of a close in bytes.
pub const CLOSE_REASON_BYTES_MAX: usize = 1024;
/// Longest comment of a rating in bytes.
pub const COMMENT_BYTES_MAX: usize = 4 * 1024;
/// Longest short field in bytes: names, reasons of agents, display names.
pub const SHORT_BYTES_MAX: usize = 128;
/// Most topics of a conversation.
pub const TOPICS_MAX: usize = 16;
/// Longest text of a floor plan in bytes.
pub const PLAN_BYTES_MAX: usize = 1024 * 1024;

/// Largest request that the API decodes: a text of 64 KiB with its envelope, four times over.
pub const RECEIVE_BYTES_MAX: usize = 256 * 1024;
/// Largest request of `ClusterService`: a floor plan of 1 MiB with its envelope, four times over.
pub const RECEIVE_CLUSTER_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Largest answer: a transcript page or a held conversation is at most 1 MiB of text; an agent's
/// listing of 1,000 rows stays far below.
pub const SEND_BYTES_MAX: usize = 16 * 1024 * 1024;

/// A unary call waits no longer, whatever its client asks for.
pub const UNARY_DEADLINE: Duration = Duration::from_secs(10);
/// The edge gives up this much before the client's own deadline, so that the typed answer arrives.
pub const DEADLINE_MARGIN: Duration = Duration::from_millis(50);
/// The check of a floor plan waits this long for the version in force, then says what the node knows.
pub const CHECK_PLAN_WAIT: Duration = Duration::from_secs(2);
/// A stream whose first message has not come by then is ended.
pub const FIRST_MESSAGE_WAIT: Duration = Duration::from_secs(10);
/// A stream that its owner has not opened by then is refused.
pub const OPEN_STREAM_WAIT: Duration = Duration::from_secs(10);

/// Client streams open on one node. 20,000 idle streams take about 20 KB each: 400 MB.
pub const STREAMS_MAX: usize = 20_000;
/// Refusals made at the edge that wait for one reader. Full means that its sending waits.
pub const STREAM_REFUSED_BOUND: usize = 16;
/// Acts of one stream that are proposed and not yet answered. Full means that its next act waits.
pub const STREAM_ACTS_MAX: usize = 128;
/// A stream whose client was told to wait, because it writes more often than it may, is read on after this
/// at the latest: sooner where the client may write sooner.
pub const FLOOD_HELD_MAX: Duration = Duration::from_secs(1);
/// How long an owner that goes away waits for answers to what was proposed: a few commits.
pub const LAST_ANSWERS_WAIT: Duration = Duration::from_millis(500);

/// Retry hint where another leader will be found soon: about one election of the profile `lan`.
pub const RETRY_LEADER_MS: u64 = 150;
/// Retry hint where a quorum is missing.
pub const RETRY_QUORUM_MS: u64 = 1_000;
/// Retry hint where a bound was reached.
pub const RETRY_BUSY_MS: u64 = 250;
/// The pause advised where an archive is being indexed or mended.
pub const RETRY_ARCHIVE_MS: u64 = 1_000;
/// Retry hint of a node that goes away: its clients go elsewhere, at once but not all together.
pub const RETRY_DRAINING_MS: u64 = 100;

/// Items of a transcript page: default and most.
pub const TRANSCRIPT_PAGE: Page = Page {
    usual: 500,
    most: 1_000,
};
/// Conversations of a page: default and most.
pub const CONVERSATIONS_PAGE: Page = Page {
    usual: 100,
    most: 1_000,
};
/// Agents of a page: default and most.
pub const AGENTS_PAGE: Page = Page {
    usual: 200,
    most: 1_000,
};
/// Earlier conversations: default and most.
pub const EARLIER_PAGE: Page = Page {
    usual: 20,
    most: 100,
};
/// Archived conversations: default and most.
pub const ARCHIVE_PAGE: Page = Page {
    usual: 50,
    most: ports::ARCHIVE_PAGE_MAX,
};
/// Bytes of text after which a transcript page ends early.
pub const TRANSCRIPT_PAGE_BYTES: usize = 2 * 1024 * 1024;
/// Conversations that a listing looks at before it lets others work: about a millisecond.
pub const LISTING_SCAN_MAX: usize = 4_096;
/// Conversations shown at the head of a queue's line.
pub const LINE_HEAD_MAX: usize = 100;
/// Changes of a transcript that are shown with why a conversation waits: four times its receipts.
pub const CHANGES_EXPLAINED_MAX: usize = 32;
/// Lines of the list of changes between two floor plans.
pub const CHANGES_MAX: usize = 1_000;
/// Bytes of the texts of the differences between two floor plans: a client reads answers of 4 MiB.
pub const DIFFERENCES_BYTES_MAX: usize = 1024 * 1024;

/// A floor stream for which no node with a replica answers for this long is ended, so that its client goes
/// on at another node.
pub const FLOOR_SILENCE_MAX: Duration = Duration::from_secs(10);
/// Turns of a floor stream without news after which a view follows nevertheless, for the ages.
pub const FLOOR_QUIET_TURNS: u32 = 10;
/// Floor streams: the shortest, usual and longest pause between two responses.
pub const FLOOR_EVERY_MS_MIN: u32 = 250;
/// See [`FLOOR_EVERY_MS_MIN`].
pub const FLOOR_EVERY_MS_USUAL: u32 = 1_000;
/// See [`FLOOR_EVERY_MS_MIN`].
pub const FLOOR_EVERY_MS_MAX: u32 = 60_000;

/// HTTP/2 streams of one connection (`max_concurrent_streams`).
pub const SERVER_STREAMS_PER_CONNECTION: u32 = 256;
/// Calls of one connection under way (`concurrency_limit_per_connection`), with `load_shed`.
pub const SERVER_CALLS_PER_CONNECTION: usize = 256;
/// Resets by our own errors before a connection is closed (`http2_max_local_error_reset_streams`).
pub const SERVER_LOCAL_RESETS_MAX: usize = 256;
/// Header list of a request in bytes (`http2_max_header_list_size`).
pub const SERVER_HEADER_BYTES_MAX: u32 = 8 * 1024;
/// HTTP/2 ping to a silent client (`http2_keepalive_interval`).
pub const SERVER_KEEPALIVE_EVERY: Duration = Duration::from_secs(10);
/// A client that answers no ping for this long is gone (`http2_keepalive_timeout`).
pub const SERVER_KEEPALIVE_WAIT: Duration = Duration::from_secs(5);
/// A connection is closed gracefully after this (`max_connection_age`).
pub const SERVER_CONNECTION_AGE: Duration = Duration::from_secs(3_600);
/// One call with the reading of its request; a stream counts until it has begun. Twice
/// [`UNARY_DEADLINE`]: as long to send as to answer.
pub const SERVER_CALL_WAIT: Duration = Duration::from_secs(20);
/// Setting up a connection, TLS included.
pub const SERVER_HANDSHAKE_WAIT: Duration = Duration::from_secs(5);

/// Bounds of a page size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Page {
    /// Taken for 0.
    pub usual: usize,
    /// More is capped to this, never refused.
    pub most: usize,
}

impl Page {
    /// The size that `asked` means.
    pub fn size(self, asked: u32) -> usize {
        match asked {
            0 => self.usual,
            asked => usize::try_from(asked).unwrap_or(self.most).min(self.most),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_size_is_capped_and_never_refused() {
        assert_eq!(TRANSCRIPT_PAGE.size(0), 500);
        assert_eq!(TRANSCRIPT_PAGE.size(7), 7);
        assert_eq!(TRANSCRIPT_PAGE.size(u32::MAX), 1_000);
    }
}
