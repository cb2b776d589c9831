//! The rules of a cell by name, as proofs and simulations report them.
//! Promise: a name stays; each rule has a file of its own.
//! Not here: checking them.

use std::fmt;

/// A rule that holds in every cell at every index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rule {
    /// In one owner epoch of a conversation at most one agent owns it.
    OneOwnerPerEpoch,
    /// The owner epoch of a conversation never falls.
    EpochsGrow,
    /// A pending offer names the owner epoch in force, and an agent who is there.
    OffersNameTheEpoch,
    /// No entry that takes units leaves an agent with more in use than there are.
    CapacityHolds,
    /// A conversation stands in one state and one line, and is counted once.
    OneState,
    /// No free eligible agent stands beside offerable work, unless matching goes on.
    NobodyIdle,
    /// Matching that goes on ends within the steps that the work needs.
    MatchingEnds,
    /// Nothing moves a place in line back.
    PlacesStay,
    /// A younger conversation is served first only by as much as its boost is larger.
    OvertakesBounded,
    /// A transcript has no gap, keeps what it had and counts right.
    TranscriptsGapless,
    /// A request id is answered once, and its table is bounded.
    AnsweredOnce,
    /// Every deadline fires once, when it is due, or is cleared by an event that says why.
    DeadlinesFireOnce,
    /// Cell time never runs back.
    TimeNeverRunsBack,
    /// What is derived is what the records make it.
    IndexesFollow,
    /// A queue that a supervisor has paused offers nothing.
    PausedOffersNothing,
    /// Whoever declined is passed over for a while.
    PassesHold,
    /// What was sealed never changes and leaves only for archives that have it.
    SealedStays,
    /// What we caused counts against no customer and no agent.
    NobodyAbandoned,
    /// Every list in a record and in the cell has its bound.
    MemoryBounded,
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OneOwnerPerEpoch => "one owner per owner epoch",
            Self::EpochsGrow => "owner epochs only grow",
            Self::OffersNameTheEpoch => "a pending offer names the owner epoch in force",
            Self::CapacityHolds => "units in use are within the capacity",
            Self::OneState => "a conversation is in exactly one state and line",
            Self::NobodyIdle => "no free eligible agent beside offerable work",
            Self::MatchingEnds => "matching ends in as many steps as it needs",
            Self::PlacesStay => "no place in line moves back",
            Self::OvertakesBounded => "overtakes are within the bound",
            Self::TranscriptsGapless => "transcripts have no gap",
            Self::AnsweredOnce => "a request id is answered once",
            Self::DeadlinesFireOnce => "every deadline fires once",
            Self::TimeNeverRunsBack => "cell time never runs back",
            Self::IndexesFollow => "indexes follow the records",
            Self::PausedOffersNothing => "a paused queue offers nothing",
            Self::PassesHold => "whoever declined is passed over for a while",
            Self::SealedStays => "a sealed conversation never changes and leaves whole",
            Self::NobodyAbandoned => "nobody is abandoned for our outage",
            Self::MemoryBounded => "memory is bounded",
        })
    }
}
