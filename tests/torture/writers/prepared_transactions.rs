//! Transactions that are prepared by writers and ended by others.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;
use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

use super::{Failed, MOST_PREPARED, Prepared, SETTLED, Shared, Writer, insert, seqs};
use crate::support::connector;
use crate::torture::dice::Dice;
use crate::torture::ledger::Fate;

impl Writer {
    pub(super) async fn prepare(&mut self, client: &Client) -> Result<(), Failed> {
        let shared = Arc::clone(&self.shared);
        let ledger = &shared.ledger;
        if shared.gids.lock().unwrap().len() >= MOST_PREPARED {
            return Ok(());
        }
        let work = ledger.open("prepared");
        let gid = format!("work {work}");
        let (rows, sql) = if self.dice.one_in(3) {
            let number = self.number + 1000;
            (2, format!("insert into torture.things (writer, op) values ({number}, {work}), ({number}, {work})"))
        } else {
            (3, insert(work, 3))
        };
        seqs(client, &format!("set rowcast.bell = 'off'; begin; {sql}")).await?;
        let most = if self.dice.one_in(10) { 4000 } else { 400 };
        let due = Instant::now() + self.dice.millis(5..most);
        let prepared = Prepared { work, rows, sure: false, due };
        ledger.set(work, Fate::Unknown(rows));
        shared.gids.lock().unwrap().insert(gid.clone(), prepared);
        match seqs(client, &format!("prepare transaction '{gid}'")).await {
            Ok(_) => {
                ledger.prepared.fetch_add(1, Ordering::Relaxed);
                if let Some(prepared) = shared.gids.lock().unwrap().get_mut(&gid) {
                    prepared.sure = true;
                }
            }
            Err(failed) => {
                if failed.is_refusal() {
                    shared.gids.lock().unwrap().remove(&gid);
                    ledger.set(work, Fate::RolledBack);
                }
                return Err(failed);
            }
        }
        seqs(client, "reset rowcast.bell").await.map(drop)
    }
}

/// Ends what others have prepared, from a session of its own, until told to stop and nothing is left.
pub(crate) async fn resolve(shared: Arc<Shared>, seed: u64, number: u64) {
    let mut dice = Dice::new(seed, number);
    let mut connection: Option<(Client, JoinHandle<()>)> = None;
    loop {
        let now = Instant::now();
        let taken = {
            let mut gids = shared.gids.lock().unwrap();
            let stopping = shared.is(&shared.stop);
            // One that was sent and not answered is left alone until the server has surely answered it.
            let ripe = |p: &Prepared| if p.sure { stopping || p.due <= now } else { p.due + SETTLED <= now };
            let gid = gids.iter().find(|(_, p)| ripe(p)).map(|(gid, _)| gid.clone());
            if gid.is_none() && gids.is_empty() && stopping {
                return;
            }
            gid.and_then(|gid| gids.remove_entry(&gid))
        };
        let Some((gid, prepared)) = taken else {
            tokio::time::sleep(Duration::from_millis(10)).await;
            continue;
        };
        let commit = !dice.one_in(3);
        let sql = format!("{} prepared '{gid}'", if commit { "commit" } else { "rollback" });
        let mut tried = false;
        loop {
            let Some((client, _)) = connection.as_ref().filter(|(client, _)| !client.is_closed()) else {
                let url = format!("{}?application_name=torture_resolver", shared.url);
                match connector(&url).connect().await {
                    Ok(new) => connection = Some(new),
                    Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
                }
                continue;
            };
            let gone = match client.batch_execute(&sql).await {
                Ok(()) => false,
                Err(error) if error.code() == Some(&SqlState::UNDEFINED_OBJECT) => true,
                Err(error) => {
                    // Busy: the session that prepares it has not let go of it yet.
                    tried |= error.as_db_error().is_none_or(|e| e.severity() != "ERROR");
                    tokio::time::sleep(Duration::from_millis(10)).await;
                    continue;
                }
            };
            assert!(!gone || tried || !prepared.sure, "{gid} was prepared, and is gone");
            match (gone && !prepared.sure, commit) {
                (true, _) => {}
                (false, true) => shared.ledger.committed(prepared.work, prepared.rows, &[]),
                (false, false) => shared.ledger.set(prepared.work, Fate::RolledBack),
            }
            break;
        }
    }
}
