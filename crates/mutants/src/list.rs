//! The list of planted bugs: its name, what it does and which promise that breaks.
//! Promise: one row for each; a name stays, because the table of what was found names it.
//! Not here: the bugs themselves.

/// What is known of a planted bug.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bug {
    /// Which.
    pub mutant: Mutant,
    /// Its name in kebab-case.
    pub name: &'static str,
    /// The promise that it breaks.
    pub breaks: &'static str,
}

impl Bug {
    /// Minutes of faults that a run needs to meet it. What has ended rests for ten minutes before it is archived.
    #[must_use]
    pub fn minutes(&self) -> u32 {
        match self.mutant {
            Mutant::CountArchiveBehind | Mutant::ArchiveLosesLastItem => 15,
            _ => 2,
        }
    }
}

/// Writes the enum and its list from one row each: the variant, its name, the promise that it breaks.
macro_rules! mutants {
    ($($(#[$doc:meta])* $variant:ident = $name:literal breaks $breaks:literal;)*) => {
        /// A planted bug.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Mutant {
            $($(#[$doc])* $variant,)*
        }

        /// Every planted bug.
        pub const ALL: &[Bug] = &[
            $(Bug { mutant: Mutant::$variant, name: $name, breaks: $breaks },)*
        ];
    };
}

mutants! {
    /// The log answers a batch before it is written and synced.
    AckBeforeSync = "ack-before-sync"
        breaks "an acknowledged message is never lost, whatever loses power";
    /// A vote is answered and never written.
    VoteNotKept = "vote-not-kept"
        breaks "one leader in a term";
    /// A leader takes an append that was sent for one that was answered.
    CommitWithoutQuorum = "commit-without-quorum"
        breaks "what is committed is on a quorum";
    /// The log answers what it never writes, so that a node comes back with its old id and an empty disk.
    ReuseIdWithEmptyDisk = "reuse-id-with-empty-disk"
        breaks "a node that lost its disk never votes again under its id";
    /// A damaged batch that was synced is cut off as if it were a torn tail.
    CutCoveredTail = "cut-covered-tail"
        breaks "what was synced is never thrown away in silence";
    /// The log is purged one entry further than the snapshot reaches.
    PurgeOneTooMany = "purge-one-too-many"
        breaks "snapshot and log together hold everything";
    /// A snapshot becomes the current one without having been synced.
    SnapshotNotSynced = "snapshot-not-synced"
        breaks "a log is purged only behind a durable snapshot";
    /// A snapshot claims the last entry of the log, which may not be applied yet.
    SnapshotMissesLastEntry = "snapshot-misses-last-entry"
        breaks "every state is what the entries make";
    /// A received snapshot is kept and noted, and the machine goes on from its old state.
    SnapshotWithoutState = "snapshot-without-state"
        breaks "every state is what the entries make";
    /// The tables of remembered requests are not written into snapshots.
    DropDedupFromSnapshot = "drop-dedup-from-snapshot"
        breaks "a request id is answered once, also after a snapshot";
    /// The tables of remembered requests are not read from snapshots.
    ForgetDedupAfterSnapshot = "forget-dedup-after-snapshot"
        breaks "a request id is answered once, also after a snapshot";
    /// After a snapshot was installed its last entry is applied once more.
    ApplyTwice = "apply-twice"
        breaks "each entry is applied once";
    /// A leader serves without a first entry of its own.
    ServeBeforeBarrier = "serve-before-barrier"
        breaks "nothing is served before the leader's first entry is applied";
    /// A read is answered without asking a quorum.
    ReadWithoutQuorum = "read-without-quorum"
        breaks "a read sees everything that was acknowledged before it";
    /// A node answers reads from its replica, whoever leads.
    ReadAtFollower = "read-at-follower"
        breaks "a read sees everything that was acknowledged before it";
    /// A node that does not serve takes acts all the same.
    ForwardUnfenced = "forward-unfenced"
        breaks "a stale leader, asked by another node, refuses";
    /// A command that was appended without an answer is refused.
    RefuseAppended = "refuse-appended"
        breaks "a refusal is final";
    /// A client is told that an unknown outcome is a definite no.
    UnknownToldAsRefused = "unknown-told-as-refused"
        breaks "a refusal is final";
    /// The SDK gives a message another request id when it sends it again.
    NewIdOnRetry = "new-id-on-retry"
        breaks "a call that is retried keeps its request id";
    /// A copy of a message is told another place than the message has.
    AnswerDiffers = "answer-differs"
        breaks "the same request id gets the first answer";
    /// The ids of messages are not compared.
    ForgetMessageIds = "forget-message-ids"
        breaks "a message is stored once";
    /// The tables of remembered requests are not looked into.
    ForgetRequests = "forget-requests"
        breaks "a request id is answered once";
    /// The SDK resumes a stream from one item too early and shows that one again.
    ResumeOffByOne = "resume-off-by-one"
        breaks "a stream has neither gap nor repeat";
    /// A leader's start gives no lease and no offer its full period again.
    EffectLostOnLeaderChange = "effect-lost-on-leader-change"
        breaks "nobody misses an offer by our outage";
    /// An offer takes no units.
    OfferWithoutUnits = "offer-without-units"
        breaks "units are taken at the offer";
    /// After-contact work takes no units.
    WrapUpWithoutUnits = "wrap-up-without-units"
        breaks "units are held through wrap-up";
    /// An agent's capacity is not looked at.
    CapacityIgnored = "capacity-ignored"
        breaks "units in use are within the capacity";
    /// A conversation is offered twice at once.
    TwoOffers = "two-offers"
        breaks "a conversation has at most one offer";
    /// An agent out of reach is offered work.
    OfferToLost = "offer-to-lost"
        breaks "a pending offer names an agent who is there";
    /// An agent who declined is offered the same again at once.
    DeclineForgotten = "decline-forgotten"
        breaks "whoever declined is passed over for a while";
    /// The youngest of a line is served first.
    YoungestFirst = "youngest-first"
        breaks "overtakes are within the bound";
    /// What goes back to its line is as old as that moment.
    RequeueNewAge = "requeue-new-age"
        breaks "no fault moves a place in line back";
    /// Nobody looks for work for an agent who has come back.
    IdleBesideWork = "idle-beside-work"
        breaks "no free eligible agent beside offerable work";
    /// More matching is due for ever.
    MatchingNeverEnds = "matching-never-ends"
        breaks "matching ends in as many steps as it needs";
    /// A queue that a supervisor has paused goes on.
    PauseForgotten = "pause-forgotten"
        breaks "a paused queue offers nothing";
    /// A deadline fires twice.
    DeadlineTwice = "deadline-twice"
        breaks "every deadline fires once";
    /// The deadline of an offer is not noted.
    DeadlineNever = "deadline-never"
        breaks "every deadline fires";
    /// A leader never proposes that deadlines fire.
    TickNever = "tick-never"
        breaks "every deadline fires";
    /// A leader's start lets all offers lapse.
    LeaderExpiresOffers = "leader-expires-offers"
        breaks "nobody misses an offer by our outage";
    /// An agent speaks with an owner epoch of before.
    SkipOwnerEpoch = "skip-owner-epoch"
        breaks "a late act of an earlier owner is fenced";
    /// Accepting an offer does not raise the owner epoch.
    AcceptKeepsEpoch = "accept-keeps-epoch"
        breaks "one owner per owner epoch";
    /// A customer's second open makes a second conversation.
    OpenTwice = "open-twice"
        breaks "one open conversation of a customer on an account";
    /// A place in the transcript is left out.
    SequenceSkipped = "sequence-skipped"
        breaks "transcripts have no gap";
    /// A conversation leaves the state when it closes.
    DropAtClose = "drop-at-close"
        breaks "an acknowledged message is never absent, closed ones included";
    /// A leader stamps its wall clock.
    WallClockStamps = "wall-clock-stamps"
        breaks "no wall clock decides anything but displayed times";
    /// An agent is found in the order of a hash set.
    OrderByHash = "order-by-hash"
        breaks "the same log gives the same state";
    /// Applying reads the clock of this node.
    LocalClockInApply = "local-clock-in-apply"
        breaks "the same log gives the same state";
    /// Applying reads which streams are attached at this node, and not what the entry says of the customer.
    ReadNodeInApply = "read-node-in-apply"
        breaks "the same log gives the same state";
    /// An archive counts that has not written everything.
    CountArchiveBehind = "count-archive-behind"
        breaks "nothing leaves the state but what enough archives hold";
    /// A sealed conversation is written to the archive without its last item.
    ArchiveLosesLastItem = "archive-loses-last-item"
        breaks "an acknowledged message is never absent, archived ones included";
}
