//! One of the readers, and what it was sent.

use std::sync::Arc;

use crate::journal::{Batch, Cursor};
use crate::session::announcer::Interest;
use crate::session::read_state::ReadState;
use crate::session::{Announcer, EventRun, SendBudget};
use crate::tail::pages::tests::Dice;
use crate::tail::pages::{Page, Position};
use crate::view::{Tally, Views};

/// What a reader has asked for and not been given yet.
pub(super) enum Work {
    Page(Arc<Page<Views>>),
    Found(Batch, Position),
}

pub(super) struct Reader {
    pub(super) state: ReadState,
    pub(super) interest: Interest,
    pub(super) work: Option<Work>,
    /// Waits to be woken, and does nothing else.
    pub(super) rests: bool,
    /// Since when it looks for what it does now, and what it was sent of it.
    pub(super) since: i64,
    pub(super) taken: Vec<i64>,
    /// Up to where, and how many of them, were found to be right.
    pub(super) checked: i64,
    pub(super) right: usize,
    pub(super) tally: Tally,
    pub(super) told_live: bool,
    pub(super) last: i64,
    /// The cursor with which its role became another.
    pub(super) as_another: Option<Cursor>,
}

impl Reader {
    /// Forgets what it was sent before this.
    pub(super) fn anew(&mut self, since: i64) {
        (self.since, self.taken, self.checked, self.right) = (since, Vec::new(), since, 0);
    }

    /// Takes what it has asked for.
    pub(super) fn done(&mut self, announcer: &Announcer, work: Work, dice: &mut Dice) {
        let runs: Vec<EventRun> = match work {
            Work::Page(page) => {
                let given = SendBudget {
                    events: *dice.pick(&[1, 20, 4096, 4096, 4096, 4096]),
                    bytes: *dice.pick(&[1, 5000, 256 << 10, 256 << 10, 256 << 10]),
                };
                let mut room = given;
                let runs = self.state.take(announcer.pages(), &page, &mut room);
                let sizes: Vec<usize> = runs.iter().flat_map(EventRun::each).map(|(_, object)| object.len()).collect();
                assert!(sizes.len() <= given.events, "{sizes:?} in {given:?}");
                let before_last = sizes.len().saturating_sub(1);
                assert!(sizes[..before_last].iter().sum::<usize>() < given.bytes, "{sizes:?} in {given:?}");
                assert_eq!(room.events, given.events - sizes.len());
                runs
            }
            Work::Found(batch, position) => {
                self.state.take_found(announcer.pages(), batch, &position).into_iter().collect()
            }
        };
        for (cursor, _) in runs.iter().flat_map(EventRun::each) {
            self.taken.push(cursor.seq);
            self.tally.add(Tally::of(cursor.seq));
        }
    }
}
