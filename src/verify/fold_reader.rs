//! Reads the events of live tables, and folds them into rows up to exactly the cursor of a snapshot.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::time::{Instant, timeout_at};

use super::report::VerifyError;
use crate::client::{Fold, LiveTable};
use crate::db::Requester;
use crate::journal::{Cursor, Filter};
use crate::session::{Announcer, ReadError, SendBudget, Start, Step, StreamReader};
use crate::view::PRIVATE;

/// The budget of one step. So many events at most are kept because they lie behind the cursor of the snapshot.
const STEP_BUDGET: SendBudget = SendBudget { events: 1024, bytes: 1 << 20 };
/// How long to wait for the events before the cursor of a snapshot.
const EVENTS_LIMIT: Duration = Duration::from_secs(60);

/// The members of an event that the fold needs.
#[derive(Deserialize)]
struct EventMembers<'a> {
    r#type: String,
    subject: Option<String>,
    #[serde(borrow)]
    payload: &'a RawValue,
}

/// The stream of some tables.
pub(super) struct FoldReader {
    reader: StreamReader,
    /// Events that were read and lie behind the cursor of the newest snapshot.
    ahead: VecDeque<(i64, Bytes)>,
}

impl FoldReader {
    /// Begins behind the cursor of a snapshot.
    pub(super) async fn start(
        announcer: &Arc<Announcer>,
        cursor: Cursor,
        tables: &[LiveTable],
    ) -> Result<Self, VerifyError> {
        let types: Vec<String> = tables.iter().map(|table| format!("{}.*", table.prefix)).collect();
        let filter = Filter::parse([("type", types.join(",").as_str())]).unwrap_or_default();
        let start = announcer.start_point(&Requester::SERVER, Start::After(cursor), &filter).await?;
        let reader = StreamReader::new(announcer, start, Arc::new(filter), PRIVATE);
        Ok(Self { reader, ahead: VecDeque::new() })
    }

    /// Folds the events up to a seq, and returns how many there were.
    pub(super) async fn fold_upto(&mut self, fold: &mut Fold, upto: i64) -> Result<u64, VerifyError> {
        let mut count = 0;
        while self.ahead.front().is_some_and(|(seq, _)| *seq <= upto) {
            count += self.ahead.pop_front().map_or(0, |(_, object)| apply(fold, &object));
        }
        let until = Instant::now() + EVENTS_LIMIT;
        while !self.reader.has_passed(upto) {
            match self.reader.step(STEP_BUDGET) {
                Step::Advanced(runs) => {
                    for (at, object) in runs.iter().flat_map(|run| run.objects()) {
                        if at.seq <= upto {
                            count += apply(fold, &object);
                        } else {
                            self.ahead.push_back((at.seq, object));
                        }
                    }
                }
                Step::CaughtUp => {}
                Step::Idle(_) | Step::Loading | Step::Unavailable(_) => {
                    if timeout_at(until, self.reader.ready()).await.is_err() {
                        let why = "the events before the cursor of a snapshot do not come".to_owned();
                        return Err(ReadError::Unavailable(why).into());
                    }
                }
                Step::Failed(error) => return Err(error.into()),
            }
        }
        Ok(count)
    }
}

/// Folds an event in, given as its JSON object. Returns 1 if it is one of the tables.
fn apply(fold: &mut Fold, object: &[u8]) -> u64 {
    let Ok(event) = serde_json::from_slice::<EventMembers<'_>>(object) else { return 0 };
    let (subject, payload) = (event.subject.as_deref(), event.payload.get());
    let tables = 0..fold.tables().len();
    let is_told = tables.filter(|table| fold.apply(*table, &event.r#type, subject, payload).is_some()).count() > 0;
    u64::from(is_told)
}
