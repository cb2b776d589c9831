//! A checkpoint: the state notes it.
//! Promise: no fallible step; an older checkpoint, or one of what is not applied yet, changes nothing.
//! Not here: comparing it with what this replica has (`conversation`).

use crate::cell::checkpoint::Mark;
use crate::cell::draft::Draft;
use crate::cell::event::Event;
use crate::cell::reply::Done;

/// Notes a checkpoint.
pub(super) fn checkpoint(draft: &mut Draft<'_>, mark: Mark) -> Done {
    let last = draft.state.meta.checkpoint;
    let is_later = last.is_none_or(|last| mark.index > last.mark.index);
    if is_later && mark.index < draft.index() {
        draft.push(Event::Checkpointed { mark });
    }
    Done::Nothing
}
