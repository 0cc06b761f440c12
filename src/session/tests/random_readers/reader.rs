//! One reader of the random test, with a record of the events that it was sent.

use std::sync::Arc;

use crate::journal::{Batch, Cursor, Filter};
use crate::session::announcer::Registration;
use crate::session::read_state::ReadState;
use crate::session::{Announcer, EventRun, SendBudget, StartPoint};
use crate::tail::pages::tests::Dice;
use crate::tail::pages::{Page, Position};
use crate::view::{PRIVATE, Tally, Views};

/// The result of a load that the reader has not taken yet.
pub(super) enum Load {
    Page(Arc<Page<Views>>),
    SearchResult(Batch, Position),
}

/// One reader, with a record of the events that it was sent.
pub(super) struct Reader {
    pub(super) state: ReadState,
    pub(super) registration: Registration,
    pub(super) load: Option<Load>,
    /// True while the reader waits to be woken.
    pub(super) is_idle: bool,
    /// The seqs that the reader was sent after `record_after`, where it began or its rights changed.
    pub(super) record_after: i64,
    pub(super) sent: Vec<i64>,
    /// The record was checked up to this seq, and the first `sent_checked` entries of `sent` were right.
    pub(super) checked_upto: i64,
    pub(super) sent_checked: usize,
    pub(super) tally: Tally,
    pub(super) told_caught_up: bool,
    /// The seq of the cursor at the last check.
    pub(super) last_seq: i64,
    /// The cursor that the reader had when its role changed.
    pub(super) cursor_at_role_change: Option<Cursor>,
}

impl Reader {
    /// A reader at this start point. It goes on with the record of the reader before, if there is one.
    pub(super) fn begin(
        announcer: &Arc<Announcer>,
        start: StartPoint,
        filter: Arc<Filter>,
        before: Option<Self>,
    ) -> Self {
        let registration = announcer.register(&filter);
        let state = ReadState::new(start, filter, PRIVATE);
        let last_seq = start.cursor.seq;
        let tally = Tally::default();
        let (record_after, sent, checked_upto, sent_checked) = match before {
            Some(before) => (before.record_after, before.sent, before.checked_upto, before.sent_checked),
            None => (last_seq, Vec::new(), last_seq, 0),
        };
        Self {
            state,
            registration,
            load: None,
            is_idle: false,
            record_after,
            sent,
            checked_upto,
            sent_checked,
            tally,
            told_caught_up: false,
            last_seq,
            cursor_at_role_change: None,
        }
    }

    /// Starts a new record of the events after this seq.
    pub(super) fn restart_record(&mut self, after: i64) {
        (self.record_after, self.sent, self.checked_upto, self.sent_checked) = (after, Vec::new(), after, 0);
    }

    /// Takes the result of a load, with a random budget.
    pub(super) fn take_load(&mut self, announcer: &Announcer, load: Load, dice: &mut Dice) {
        let runs: Vec<EventRun> = match load {
            Load::Page(page) => {
                let budget = SendBudget {
                    events: *dice.pick(&[1, 20, 4096, 4096, 4096, 4096]),
                    bytes: *dice.pick(&[1, 5000, 256 << 10, 256 << 10, 256 << 10]),
                };
                let mut left = budget;
                let runs = self.state.take(announcer.pages(), &page, &mut left);
                let sizes: Vec<usize> =
                    runs.iter().flat_map(EventRun::objects).map(|(_, object)| object.len()).collect();
                assert!(sizes.len() <= budget.events, "{sizes:?} in {budget:?}");
                let before_last = sizes.len().saturating_sub(1);
                assert!(sizes[..before_last].iter().sum::<usize>() < budget.bytes, "{sizes:?} in {budget:?}");
                assert_eq!(left.events, budget.events - sizes.len());
                runs
            }
            Load::SearchResult(batch, position) => {
                self.state.take_search_result(announcer.pages(), batch, &position).into_iter().collect()
            }
        };
        for (cursor, _) in runs.iter().flat_map(EventRun::objects) {
            self.sent.push(cursor.seq);
            self.tally.add(Tally::of(cursor.seq));
        }
    }
}
