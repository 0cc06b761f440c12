//! What outlives a connection, and how the next one goes on from it.

use std::collections::VecDeque;
use std::time::SystemTime;

use tokio_postgres::Client;
use uuid::Uuid;

use super::super::pages::{PAGE_BYTES, PAGE_SPAN, PageWriter, Render};
use super::super::statements::{self, Server};
use super::{Lost, Tail, identified, within};
use crate::journal::{self, Budget, JournalIdentity, StoredEvent, read_range, trimmed_through};

/// What outlives a connection.
#[derive(Debug, Default)]
pub(super) struct Memory {
    history: Option<JournalIdentity>,
    /// The newest events handed out, in order. All of them are looked for on a new connection: a crash that takes
    /// asynchronous commits goes by when they were made, so the newest of all may be there and one before it not.
    recent: VecDeque<(i64, Uuid)>,
    pub(super) decided: Option<i64>,
}

/// How many of them: more than are committed in the second that Postgres takes at most to write its log.
const RECENT: usize = 8192;

impl Memory {
    pub(super) fn newest(&self) -> Option<i64> {
        self.recent.back().map(|(seq, _)| *seq)
    }

    fn handed_out(&mut self, rows: &[(i64, Uuid)]) {
        self.recent.extend(rows);
        self.recent.drain(..self.recent.len().saturating_sub(RECENT));
    }
}

impl<R: Render> Tail<R> {
    /// Where to begin on a new connection: after the newest event that was handed out, if this is the history that we
    /// were in; else where the database says that everything is decided.
    pub(super) async fn recall(&mut self, client: &Client, server: &Server) -> Result<i64, Lost> {
        let found = self.look_back(client, server).await?;
        let Found { written, trimmed, drawn, .. } = found;
        if let Some(decided) = self.memory.decided {
            if found.holds && drawn >= decided {
                if self.memory.history.as_ref() != Some(&server.identity) {
                    tracing::warn!(
                        "the database was restarted, promoted or moved; it holds everything that was handed out"
                    );
                    self.memory.history = Some(server.identity);
                }
                finished(&found)?;
                self.pages.follow(server.identity);
                self.pages.trim(trimmed);
                // The numbers after it hold no event, as far as we know; the first fence proves it (`Visit::confirm`).
                let proven = self.memory.newest().map_or(trimmed, |seq| seq.max(trimmed));
                return Ok(proven.min(decided));
            }
            tracing::error!(
                "the database does not hold what was handed out: it was restored, or lost commits in a crash"
            );
            // Before anything that can fail: empty pages must not be taken for what was handed out.
            self.forget();
            self.count(|c| c.resets += 1);
        }
        finished(&found)?;
        self.pages.follow(server.identity);
        self.pages.trim(trimmed);
        self.jump(client, server, written).await?;
        self.memory.history = Some(server.identity);
        Ok(written)
    }

    /// Whether the database holds all that was handed out and not trimmed since, and what it says of itself. All of it from
    /// one server, though a pooler may be in between.
    async fn look_back(&self, client: &Client, server: &Server) -> Result<Found, Lost> {
        let read = async {
            let (written, trimmed) = within(statements::state(client)).await?;
            let known: Vec<(i64, Uuid)> =
                self.memory.recent.iter().copied().filter(|(seq, _)| *seq > trimmed).collect();
            let holds = match (known.first(), known.last()) {
                (Some((first, _)), Some((last, _))) => within(statements::ids(client, *first, *last)).await? == known,
                _ => self.memory.history.is_some_and(|history| history.is_same_history(&server.identity)),
            };
            Ok::<_, Lost>((written, trimmed, holds))
        };
        let ((written, trimmed, holds), identity, drawn) = Box::pin(identified(client, Box::pin(read))).await?;
        if identity != server.identity {
            return Err(Lost::Moved);
        }
        Ok(Found { written, trimmed, holds, drawn })
    }

    /// Pages and memory go together.
    pub(super) fn forget(&mut self) {
        self.pages.reset();
        self.memory = Memory::default();
    }

    /// Begins anew at a head, with the page that holds it unless that is heavy: then it is loaded when somebody wants it.
    pub(super) async fn jump(&mut self, client: &Client, server: &Server, head: i64) -> Result<(), Lost> {
        let start = PageWriter::<R>::page_start(head);
        let read = async {
            let page = read_range(client, start, head, Budget { rows: PAGE_SPAN, bytes: PAGE_BYTES }).await?;
            let whole = page.reached == head;
            let newest = within(journal::newest(client, 0, head)).await?;
            let mut ids =
                if whole { ids_of(&page.events) } else { within(statements::ids(client, start + 1, head)).await? };
            if ids.is_empty() {
                ids.extend(newest.as_ref().map(|newest| (newest.seq, newest.id)));
            }
            let (floor, rows) = if whole { (start, page.events) } else { (head, Vec::new()) };
            Ok((floor, rows, newest, ids, within(trimmed_through(client)).await?))
        };
        let ((floor, rows, newest, ids, trimmed), identity, _) = Box::pin(identified(client, Box::pin(read))).await?;
        if identity != server.identity {
            return Err(Lost::Moved);
        }
        // After the rows and before anybody can have them: who takes them must be able to see what they may lack.
        self.pages.trim(trimmed);
        self.pages.jump(floor, rows, head, newest)?;
        self.memory.recent.clear();
        self.memory.handed_out(&ids);
        self.memory.decided = Some(head);
        Ok(())
    }

    pub(super) fn advance(&mut self, rows: Vec<StoredEvent>, head: i64) -> Result<(), Lost> {
        let ids = ids_of(&rows);
        let times: Vec<SystemTime> = rows.iter().map(|row| row.at.into()).collect();
        self.pages.advance(rows, head)?;
        let now = SystemTime::now();
        for at in times {
            // An event of the future, by this clock, has taken no time.
            self.times.delivery.observe(now.duration_since(at).unwrap_or_default());
        }
        self.memory.handed_out(&ids);
        self.memory.decided = Some(head);
        Ok(())
    }
}

/// What a database says of itself.
struct Found {
    /// The head that was written down.
    written: i64,
    trimmed: i64,
    /// Whether it holds what was handed out.
    holds: bool,
    drawn: i64,
}

/// A head beyond the sequence is that of a restore which is not over: what comes would have numbers below it, and never be
/// handed out.
fn finished(found: &Found) -> Result<(), Lost> {
    let Found { written, drawn, .. } = *found;
    if drawn < written { Err(Lost::Unfinished { written, drawn }) } else { Ok(()) }
}

fn ids_of(rows: &[StoredEvent]) -> Vec<(i64, Uuid)> {
    rows.iter().map(|row| (row.seq, row.id)).collect()
}
