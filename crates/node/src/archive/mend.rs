//! Mending a range from a peer.
//! Promise: first the hashes of all its records are read from the peer and folded, and nothing here is
//! touched unless that is what the cell agreed on; then what differs here gives way, and of what the peer
//! sends only records with exactly those hashes are taken.
//! Not here: which range is mended when (`repair`).

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use domain::cell::archive::ArchivedRange;
use pb::raft::v1::{ArchiveCopyRequest, ArchiveHashesRequest, forward_answer, forward_call};
use store::archive::{HASHES_MAX, Hash16, Hashed, Hashes, Record, Sealing, chain_step};

use super::CellArchive;
use super::checked::Folded;
use super::record::of_bytes;

/// One page of a peer's is waited for no longer.
const PAGE_WAIT: Duration = Duration::from_secs(5);
/// Differences that one attempt mends, some 40 bytes each: 2.5 MiB. More are left to the next one.
const DIFFERENCES_MAX: usize = 65_536;

/// How far a range was mended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Mended {
    /// Everything that differed.
    Wholly,
    /// As much as one attempt takes.
    Partly,
    /// Not to its end: it was dropped meanwhile for lack of room.
    NotKept,
}

/// What is not here as it should be.
#[derive(Debug, Default, PartialEq, Eq)]
struct Differences {
    /// Records that are wanted, with their hashes.
    wanted: BTreeMap<Sealing, Hash16>,
    /// Stretches of records, first and last, that give way.
    surplus: Vec<(Sealing, Sealing)>,
    /// There are more.
    more: bool,
}

/// Hashes of both sides, walked together.
struct Walk {
    digest: Hash16,
    count: u64,
    found: Differences,
    /// The record before was surplus as well: its stretch goes on.
    in_surplus: bool,
}

impl Walk {
    /// A walk that goes on behind a part that is whole.
    fn new(before: Folded) -> Self {
        Self {
            digest: before.digest,
            count: before.count,
            found: Differences::default(),
            in_surplus: false,
        }
    }

    /// Takes in the first record of one side, or of both where they stand at one place.
    fn step(&mut self, theirs: Option<(Sealing, Hash16)>, ours: Option<Hashed>) {
        if let Some((at, hash)) = theirs {
            self.digest = chain_step(self.digest, hash);
            self.count += 1;
            if ours.and_then(|ours| ours.hash) != Some(hash) {
                self.want(at, hash);
            }
        }
        // A damaged one gives way by itself when the right one comes.
        let differs = |ours: &Hashed| match theirs {
            Some((_, hash)) => ours.hash.is_some_and(|own| own != hash),
            None => true,
        };
        match ours.filter(differs) {
            Some(ours) => self.gives_way(ours.at),
            None => self.in_surplus = false,
        }
    }

    fn want(&mut self, at: Sealing, hash: Hash16) {
        match self.found.wanted.len() < DIFFERENCES_MAX {
            true => drop(self.found.wanted.insert(at, hash)),
            false => self.found.more = true,
        }
    }

    fn gives_way(&mut self, at: Sealing) {
        let surplus = &mut self.found.surplus;
        if self.in_surplus
            && let Some((_, last)) = surplus.last_mut()
        {
            *last = at;
        } else if surplus.len() < DIFFERENCES_MAX {
            surplus.push((at, at));
            self.in_surplus = true;
        } else {
            self.found.more = true;
        }
    }
}

impl CellArchive {
    /// Mends a range from what one peer has of it, if that is what the cell agreed on.
    pub(super) async fn mend(&self, range: &ArchivedRange, peer: u64) -> Result<Mended, String> {
        let Differences {
            mut wanted,
            surplus,
            more,
        } = self.compare(range, peer).await?;
        if !self.keeps(range) {
            return Ok(Mended::NotKept);
        }
        for (from, to) in surplus {
            let discarded = self.discard(from, to).await;
            discarded.map_err(|error| error.to_string())?;
        }
        while let Some((&first, _)) = wanted.first_key_value() {
            if !self.keeps(range) {
                return Ok(Mended::NotKept);
            }
            let page = self.page(range, peer, first).await?;
            let before = wanted.len();
            let mut taken = page;
            taken.retain(|record| {
                let at = record.sealing();
                let is_wanted = wanted.get(&at) == Some(&record.blob_hash());
                is_wanted && wanted.remove(&at).is_some()
            });
            if wanted.len() == before || wanted.contains_key(&first) {
                return Err("the peer does not give what it has the hash of".to_owned());
            }
            let appended = self.append(taken).await;
            appended.map_err(|error| error.to_string())?;
        }
        Ok(match more {
            true => Mended::Partly,
            false => Mended::Wholly,
        })
    }

    /// What differs here from what a peer has, which is what the cell agreed on: behind the part that was read
    /// back with its hash.
    async fn compare(&self, range: &ArchivedRange, peer: u64) -> Result<Differences, String> {
        let before = self.shared.checked.lock().folded_upto(range);
        let mut walk = Walk::new(before);
        let begin = Some(Sealing::last_of(before.upto));
        let (mut theirs, mut their_next) = (VecDeque::new(), begin);
        let (mut ours, mut our_next) = (VecDeque::new(), begin);
        loop {
            while let Some(after) = their_next.filter(|_| theirs.is_empty()) {
                let page = self.their_hashes(range, peer, after).await?;
                their_next = page.next;
                theirs.extend(page.hashes);
            }
            while let Some(after) = our_next.filter(|_| ours.is_empty()) {
                let page = self.our_hashes(range, after).await?;
                our_next = page.next;
                ours.extend(page.hashes);
            }
            let (their, our): (Option<&Hashed>, Option<&Hashed>) = (theirs.front(), ours.front());
            let order = match (their, our) {
                (None, None) => break,
                (Some(their), Some(our)) => their.at.cmp(&our.at),
                (Some(_), None) => std::cmp::Ordering::Less,
                (None, Some(_)) => std::cmp::Ordering::Greater,
            };
            let their = theirs.pop_front_if(|_| order.is_le());
            let our = ours.pop_front_if(|_| order.is_ge());
            walk.step(their.and_then(|their| Some((their.at, their.hash?))), our);
            if walk.count > range.count {
                break;
            }
        }
        match walk.digest == range.digest.0 && walk.count == range.count {
            true => Ok(walk.found),
            false => Err("the peer has another range than was agreed on".to_owned()),
        }
    }

    async fn our_hashes(&self, range: &ArchivedRange, after: Sealing) -> Result<Hashes, String> {
        let (store, cell) = (&self.shared.of.store, self.shared.cell.0);
        let page = store.hashes(cell, after, range.upto.0).await;
        page.map_err(|error| error.to_string())
    }

    async fn their_hashes(
        &self,
        range: &ArchivedRange,
        peer: u64,
        after: Sealing,
    ) -> Result<Hashes, String> {
        let request = forward_call::Request::ArchiveHashes(ArchiveHashesRequest {
            sealed: after.sealed,
            conversation: after.conversation,
            upto: range.upto.0,
        });
        let answer = self.ask_peer(peer, request, PAGE_WAIT).await;
        let Some(forward_answer::Response::ArchiveHashes(page)) = answer else {
            return Err("the peer does not answer".to_owned());
        };
        let next = Sealing {
            sealed: page.sealed,
            conversation: page.conversation,
        };
        let read = |hash: &pb::raft::v1::ArchiveHash| {
            Some(Hashed {
                at: Sealing {
                    sealed: hash.sealed,
                    conversation: hash.conversation,
                },
                hash: Some(hash.hash.as_ref().try_into().ok()?),
            })
        };
        let hashes: Option<Vec<Hashed>> = page.hashes.iter().map(read).collect();
        let hashes = hashes.filter(|hashes| {
            let rise = hashes.windows(2).all(|pair| pair[0].at < pair[1].at);
            let behind = hashes.first().is_none_or(|first| first.at > after);
            let within = hashes
                .last()
                .is_none_or(|last| last.at.sealed <= range.upto.0);
            let goes_on = !page.more || hashes.last().is_none_or(|last| last.at <= next);
            rise && behind && within && goes_on && hashes.len() <= HASHES_MAX
        });
        Ok(Hashes {
            hashes: hashes.ok_or("the peer gives what is no page of the range")?,
            next: Some(next).filter(|next| page.more && *next > after),
        })
    }

    /// Records from `first` on, as a peer gives them.
    async fn page(
        &self,
        range: &ArchivedRange,
        peer: u64,
        first: Sealing,
    ) -> Result<Vec<Record>, String> {
        let after = first.before().unwrap_or_default();
        let request = forward_call::Request::ArchiveCopy(ArchiveCopyRequest {
            sealed: after.sealed,
            conversation: after.conversation,
            upto: range.upto.0,
        });
        let answer = self.ask_peer(peer, request, PAGE_WAIT).await;
        let Some(forward_answer::Response::ArchiveCopied(page)) = answer else {
            return Err("the peer does not answer".to_owned());
        };
        let ours = |record: &Record| record.cell == self.shared.cell.0;
        let records: Option<Vec<Record>> = page.records.into_iter().map(of_bytes).collect();
        let records = records.filter(|records| records.iter().all(ours));
        records.ok_or_else(|| "the peer gives what is no record of the cell".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(sealed: u64) -> Sealing {
        Sealing {
            sealed,
            conversation: 1,
        }
    }

    fn ours(sealed: u64, hash: Option<u8>) -> Option<Hashed> {
        Some(Hashed {
            at: at(sealed),
            hash: hash.map(|byte| [byte; 16]),
        })
    }

    fn theirs(sealed: u64, hash: u8) -> Option<(Sealing, Hash16)> {
        Some((at(sealed), [hash; 16]))
    }

    #[test]
    fn what_is_missing_or_damaged_is_wanted_and_what_differs_gives_way() {
        let mut walk = Walk::new(Folded::none(0));
        walk.step(theirs(1, 1), ours(1, Some(1)));
        walk.step(theirs(2, 2), None);
        walk.step(theirs(3, 3), ours(3, None));
        walk.step(theirs(4, 4), ours(4, Some(9)));
        let wanted: Vec<u64> = walk.found.wanted.keys().map(|at| at.sealed).collect();
        assert_eq!(wanted, [2, 3, 4]);
        assert_eq!(walk.found.surplus, [(at(4), at(4))]);
        let all = (1..=4).fold([0; 16], |digest, byte| chain_step(digest, [byte; 16]));
        assert_eq!(
            (walk.digest, walk.count),
            (all, 4),
            "theirs alone is folded"
        );
    }

    #[test]
    fn neighbours_that_give_way_are_one_stretch_and_what_stays_parts_them() {
        let mut walk = Walk::new(Folded::none(0));
        walk.step(None, ours(1, Some(1)));
        walk.step(theirs(2, 2), ours(2, Some(9)));
        walk.step(theirs(3, 3), ours(3, Some(3)));
        walk.step(None, ours(4, None));
        assert_eq!(walk.found.surplus, [(at(1), at(2)), (at(4), at(4))]);
    }
}
