//! Which entries of each group the journal holds, from the heads of its segments.
//! Promise: a few heads are read, and a whole segment only where a group began in it.
//! Not here: whether every entry between is there and whole (`read`).

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use runtime::{Create, Disk, DiskLane, Open};

use super::super::frame::{BATCH_HEAD_BYTES, Body, Restated, parse};
use super::super::segment::{SEGMENT_HEAD_BYTES, path_of, read_head};
use super::JournalRange;
use super::files::FileName;
use super::read::{Piece, Pieces};
use crate::GroupId;
use crate::frame::FileHead;

/// What the groups were when a segment began: 200 bytes each and tens of groups, with a wide margin.
const HEADS_BYTES_MAX: usize = 64 << 10;

/// What the log of each group was when a segment began.
pub type Heads = BTreeMap<GroupId, Restated>;

/// The first and the last entry of each group in the segments `names` of the folder `dir`; `log` is the
/// folder of the log that goes on behind them.
pub async fn ranges(
    disk: &dyn Disk,
    (dir, log): (&Path, &Path),
    names: &[FileName],
) -> io::Result<Vec<JournalRange>> {
    let Some(newest) = names.last() else {
        return Ok(Vec::new());
    };
    let path = |name: &FileName| dir.join(name.to_string());
    let behind = newest.number.saturating_add(1);
    let lasts = match heads(disk, &path_of(log, behind), behind).await? {
        Some(heads) => lasts_of(&heads),
        None => ends(disk, &path(newest), newest.number).await?.1,
    };
    let mut firsts: BTreeMap<GroupId, u64> = BTreeMap::new();
    for (at, name) in names.iter().enumerate() {
        let known = heads(disk, &path(name), name.number).await?;
        for (group, last) in lasts_of(&known.unwrap_or_default()) {
            firsts.entry(group).or_insert(last + 1);
        }
        if lasts.keys().all(|group| firsts.contains_key(group)) {
            break;
        }
        let next = match names.get(at + 1) {
            Some(next) => lasts_of(
                &heads(disk, &path(next), next.number)
                    .await?
                    .unwrap_or_default(),
            ),
            None => lasts.clone(),
        };
        // A group that the next segment knows and this one does not began in this one.
        if next.keys().any(|group| !firsts.contains_key(group)) {
            for (group, first) in ends(disk, &path(name), name.number).await?.0 {
                firsts.entry(group).or_insert(first);
            }
        }
    }
    let both = lasts
        .into_iter()
        .filter_map(|(group, last)| Some((group, *firsts.get(&group)?, last)));
    let held = both.filter(|(_, first, last)| first <= last);
    let range = |(group, first, last)| JournalRange { group, first, last };
    Ok(held.map(range).collect())
}

fn lasts_of(heads: &Heads) -> BTreeMap<GroupId, u64> {
    heads
        .iter()
        .filter_map(|(group, state)| Some((*group, state.last?.id.index)))
        .collect()
}

/// What stands at the beginning of a segment; `None` when it is not there or its head is unreadable.
pub async fn heads(disk: &dyn Disk, path: &Path, number: u32) -> io::Result<Option<Heads>> {
    let open = Open {
        create: Create::Never,
        lane: DiskLane::Bulk,
    };
    let file = match disk.open(path, open).await {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened?,
    };
    let content = file.read_at(0, HEADS_BYTES_MAX).await?;
    let FileHead::Valid { salt } = read_head(&content, number) else {
        return Ok(None);
    };
    let mut heads = Heads::new();
    let mut at = SEGMENT_HEAD_BYTES + BATCH_HEAD_BYTES;
    while let Ok(frame) = parse(salt, &content, at)
        && let Body::State(state) = frame.body
    {
        heads.insert(frame.group, state);
        at += frame.bytes;
    }
    Ok(Some(heads))
}

type Ends = (BTreeMap<GroupId, u64>, BTreeMap<GroupId, u64>);

/// The first and the last entry of each group that has any in a segment.
async fn ends(disk: &dyn Disk, path: &Path, number: u32) -> io::Result<Ends> {
    let (mut firsts, mut lasts) = Ends::default();
    let Some(pieces) = Pieces::of(disk, path, number).await? else {
        return Ok((firsts, lasts));
    };
    pieces.each(&mut |_, piece| {
        if let Piece::Frame(frame) = piece
            && let Body::Entry { at, .. } = frame.body
        {
            firsts.entry(frame.group).or_insert(at.id.index);
            lasts.insert(frame.group, at.id.index);
        }
    });
    Ok((firsts, lasts))
}
