//! The usual home-made relay, which asks for what is beyond its cursor. It loses rows, and so shows that this run could.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::writers::Shared;
use crate::support::connector;

/// Reads until the writers stop, and then up to the end. Returns the seqs that it has seen.
pub(crate) async fn relay(shared: Arc<Shared>, ended: tokio::sync::oneshot::Receiver<()>) -> HashSet<i64> {
    let (mut seen, mut cursor) = (HashSet::new(), 0i64);
    let mut ended = Box::pin(ended);
    let mut last_round = false;
    loop {
        let Ok((client, _carrier)) = connector(&shared.url).connect().await else {
            tokio::time::sleep(Duration::from_millis(20)).await;
            continue;
        };
        while let Ok(rows) =
            client.query("select seq from rowcast.events where seq > $1 order by seq", &[&cursor]).await
        {
            seen.extend(rows.iter().map(|row| row.get::<_, i64>(0)));
            cursor = rows.last().map_or(cursor, |row| row.get(0));
            if last_round {
                return seen;
            }
            tokio::select! {
                _ = &mut ended => last_round = shared.stop.load(Ordering::SeqCst),
                () = tokio::time::sleep(Duration::from_millis(2)) => {}
            }
        }
    }
}
