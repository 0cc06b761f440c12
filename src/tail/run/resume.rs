//! Where a new connection begins: after the newest event that was handed out if the history is the same, else anew at the head
//! that the database has written down.

use tokio_postgres::Client;
use uuid::Uuid;

use super::super::pages::{PAGE_BYTES, PAGE_SPAN, PageWriter, Render};
use super::super::statements::{self, Server};
use super::lost::{LostConnection, read_identified_within, within_limit};
use super::memory::ids_of;
use super::state::Tail;
use crate::journal::{self, Budget, read_range, trimmed_through};

impl<R: Render> Tail<R> {
    /// Returns the seq after which a new connection begins, and resets the pages if the history is another.
    pub(super) async fn resume(&mut self, client: &Client, server: &Server) -> Result<i64, LostConnection> {
        let found = self.look_back(client, server).await?;
        let LookBack { written, trimmed, drawn, .. } = found;
        if let Some(decided) = self.memory.decided {
            if found.holds_handed_out && drawn >= decided {
                if self.memory.history.as_ref() != Some(&server.identity) {
                    tracing::warn!(
                        "the database was restarted, promoted or moved; it holds everything that was handed out"
                    );
                    self.memory.history = Some(server.identity);
                }
                check_restore_finished(&found)?;
                self.pages.follow(server.identity);
                self.pages.trim(trimmed);
                // The numbers after it hold no event, as far as we know; the first fence proves it (`TailConnection::confirm_handed_out_head`).
                let proven = self.memory.newest().map_or(trimmed, |seq| seq.max(trimmed));
                return Ok(proven.min(decided));
            }
            tracing::error!(
                "the database does not hold what was handed out: it was restored, or lost commits in a crash"
            );
            // Before anything that can fail, so that no reader goes on with pages of the old history.
            self.reset();
            self.count(|c| c.resets += 1);
        }
        check_restore_finished(&found)?;
        self.pages.follow(server.identity);
        self.pages.trim(trimmed);
        self.jump(client, server, written).await?;
        self.memory.history = Some(server.identity);
        Ok(written)
    }

    /// Asks whether the database holds all events that were handed out and not trimmed since. One server answers all of it,
    /// though a pooler may stand in between.
    async fn look_back(&self, client: &Client, server: &Server) -> Result<LookBack, LostConnection> {
        let read = async {
            let (written, trimmed) = within_limit(statements::state(client)).await?;
            let known: Vec<(i64, Uuid)> =
                self.memory.recent.iter().copied().filter(|(seq, _)| *seq > trimmed).collect();
            let holds_handed_out = match (known.first(), known.last()) {
                (Some((first, _)), Some((last, _))) => {
                    within_limit(statements::ids(client, *first, *last)).await? == known
                }
                _ => self.memory.history.is_some_and(|history| history.is_same_history(&server.identity)),
            };
            Ok::<_, LostConnection>((written, trimmed, holds_handed_out))
        };
        let ((written, trimmed, holds_handed_out), identity, drawn) =
            Box::pin(read_identified_within(client, Box::pin(read))).await?;
        if identity != server.identity {
            return Err(LostConnection::OtherServer);
        }
        Ok(LookBack { written, trimmed, holds_handed_out, drawn })
    }

    /// Begins anew at a head, with the page that holds it unless that is heavy: then it is loaded when somebody wants it.
    pub(super) async fn jump(&mut self, client: &Client, server: &Server, head: i64) -> Result<(), LostConnection> {
        let start = PageWriter::<R>::page_start(head);
        let read = async {
            let page = read_range(client, start, head, Budget { rows: PAGE_SPAN, bytes: PAGE_BYTES }).await?;
            let whole = page.reached == head;
            let newest = within_limit(journal::newest(client, 0, head)).await?;
            let mut ids = if whole {
                ids_of(&page.events)
            } else {
                within_limit(statements::ids(client, start + 1, head)).await?
            };
            if ids.is_empty() {
                ids.extend(newest.as_ref().map(|newest| (newest.seq, newest.id)));
            }
            let (floor, rows) = if whole { (start, page.events) } else { (head, Vec::new()) };
            Ok((floor, rows, newest, ids, within_limit(trimmed_through(client)).await?))
        };
        let ((floor, rows, newest, ids, trimmed), identity, _) =
            Box::pin(read_identified_within(client, Box::pin(read))).await?;
        if identity != server.identity {
            return Err(LostConnection::OtherServer);
        }
        // Before the rows are handed out: a reader that takes them must see which of them retention may have taken.
        self.pages.trim(trimmed);
        self.pages.jump(floor, rows, head, newest)?;
        self.memory.recent.clear();
        self.memory.handed_out(&ids);
        self.memory.decided = Some(head);
        Ok(())
    }
}

/// The state of the database, as [`Tail::look_back`] found it.
struct LookBack {
    /// The head that was written down.
    written: i64,
    trimmed: i64,
    /// Whether the database holds every event that was handed out.
    holds_handed_out: bool,
    drawn: i64,
}

/// Fails where the written head lies beyond the sequence: a restore is not over. New events would have seqs below that head,
/// and would never be handed out.
fn check_restore_finished(found: &LookBack) -> Result<(), LostConnection> {
    let LookBack { written, drawn, .. } = *found;
    if drawn < written { Err(LostConnection::RestoreUnfinished { written, drawn }) } else { Ok(()) }
}
