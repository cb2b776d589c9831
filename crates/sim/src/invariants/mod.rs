//! What holds between the nodes of a cluster, and between it and its clients: one file each.
//! Promise: a rule is judged on recorded facts alone (who led, what was applied, what was acknowledged, what was read),
//! so that whoever records them can use it; it names itself and says what was seen.
//! Not here: recording the facts (`judge`), the rules inside one cell (`domain::cell::invariants`).
//!
//! | file | rule |
//! | --- | --- |
//! | `election_safety` | one leader in a term |
//! | `log_matching` | the same chain at the same index, on every node |
//! | `leader_completeness` | a leader's log reaches as far as what was applied in earlier terms |
//! | `committed_immutable` | what one node has applied at an index, every node applies there, for ever |
//! | `committed_on_quorum` | what a leader calls committed is synced on the disks of most voters |
//! | `no_gap` | entries are applied one after the other |
//! | `node_keeps` | a node that comes back has what it had |
//! | `same_states` | every state is what the entries make |
//! | `cell_time` | no wall clock moves cell time |
//! | `files_bounded` | files are bounded |
//! | `acknowledged_present` | an acknowledged message is never absent |
//! | `answered_once` | a request id is answered once |
//! | `same_transcripts` | transcripts are the same for everybody |
//! | `refusal_final` | a refusal is final |
//! | `reads_advance` | reads never run back |
//! | `said_once` | what was said once stands once |
//! | `stream_whole` | a stream has neither gap nor repeat |
//! | `floor_as_stored` | the floor is shown as it is stored |
//! | `late_acts_fenced` | late acts of an earlier owner are fenced |

pub mod acknowledged_present;
pub mod answered_once;
pub mod cell_time;
pub mod committed_immutable;
pub mod committed_on_quorum;
pub mod election_safety;
pub mod facts;
pub mod files_bounded;
pub mod floor_as_stored;
pub mod late_acts_fenced;
pub mod leader_completeness;
pub mod log_matching;
pub mod no_gap;
pub mod node_keeps;
pub mod reads_advance;
pub mod refusal_final;
pub mod said_once;
pub mod same_states;
pub mod same_transcripts;
pub mod stream_whole;

/// The name of a rule, and what was seen that breaks it.
pub type Breach = (&'static str, String);

/// Whether a rule holds.
pub type Found = Result<(), Breach>;
