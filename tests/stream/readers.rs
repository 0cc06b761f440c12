//! Sessions over a real journal: where they begin, and how many can begin at once.

mod long_searches;
mod stampede;
mod start_points;
mod sync_points;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::future::BoxFuture;
use rowcast::db::{Database, DatabaseError, Requester};
use rowcast::journal::{self, Budget, CurrentJournal, Cursor, Filter, JournalIdentity, Owners, read_range};
use rowcast::session::{Announcer, EventRun, ReadError, SendBudget, Start, StartPoint, Step, StreamReader};
use rowcast::shutdown::Shutdown;
use rowcast::tail::pages::{Limits, Load, Loaded, PAGE_SPAN, PageWriter, Pages, PostgresLoad};
use rowcast::view::{Known, PRIVATE, Redaction, Views};
use tokio::sync::Semaphore;
use tokio_postgres::Client;

use crate::support::{TestDb, connector};

/// The real loader, counted, and held back if a test wants it.
#[derive(Clone)]
pub(crate) struct CountedLoad {
    real: PostgresLoad,
    gate: Arc<Semaphore>,
    asked: Arc<AtomicUsize>,
    under_way: Arc<AtomicUsize>,
    most: Arc<AtomicUsize>,
}

impl CountedLoad {
    async fn counted<T>(&self, load: BoxFuture<'_, Result<T, DatabaseError>>) -> Result<T, DatabaseError> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let now = self.under_way.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(now, Ordering::SeqCst);
        drop(self.gate.acquire().await.unwrap());
        let loaded = load.await;
        self.under_way.fetch_sub(1, Ordering::SeqCst);
        loaded
    }
}

impl Load for CountedLoad {
    fn follow(&mut self, journal: CurrentJournal) {
        self.real.follow(journal);
    }

    fn range(&self, after: i64, upto: i64, bytes: i64) -> BoxFuture<'_, Result<Loaded, DatabaseError>> {
        Box::pin(self.counted(self.real.range(after, upto, bytes)))
    }

    fn cuts(&self, after: i64, upto: i64, bytes: i64) -> BoxFuture<'_, Result<Vec<i64>, DatabaseError>> {
        Box::pin(self.counted(self.real.cuts(after, upto, bytes)))
    }

    fn next_after(&self, seq: i64, upto: i64) -> BoxFuture<'_, Result<Loaded, DatabaseError>> {
        Box::pin(self.counted(self.real.next_after(seq, upto)))
    }
}

/// What the readers of a node share, and the test in the place of the tail.
pub(crate) struct ReaderNode {
    pub(crate) live: Arc<Announcer>,
    pub(crate) writer: PageWriter<Views>,
    pub(crate) loads: CountedLoad,
    pub(crate) client: Client,
    shutdown: Shutdown,
}

impl Drop for ReaderNode {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

impl ReaderNode {
    pub(crate) async fn over(db: &TestDb, hot_pages: usize) -> Self {
        let pool = Database::new(connector(&db.url), 6).unwrap();
        let loads = CountedLoad {
            real: PostgresLoad::new(pool.clone()),
            gate: Arc::new(Semaphore::new(Semaphore::MAX_PERMITS)),
            asked: Arc::default(),
            under_way: Arc::default(),
            most: Arc::default(),
        };
        // As on a node that has read the taxonomy, in which nothing is public.
        let views = Views::new(Redaction::default(), Known { version: 1, ..Known::default() });
        let (pages, writer) = Pages::new(loads.clone(), views, Limits { hot_pages, ..Limits::within(256 << 20) });
        let live = Announcer::new(pages, pool);
        let shutdown = Shutdown::new();
        tokio::spawn(Arc::clone(&live).run(shutdown.clone()));
        Self { live, writer, loads, client: db.client().await, shutdown }
    }

    /// As the tail does it when it comes to a head for the first time.
    pub(crate) async fn jump(&mut self, head: i64) {
        let floor = PageWriter::<Views>::page_start(head);
        let rows = read_range(&self.client, floor, head, Budget::of_rows(PAGE_SPAN)).await.unwrap().events;
        let newest = journal::newest(&self.client, 0, head).await.unwrap();
        self.writer.follow(JournalIdentity::of(&self.client).await.unwrap().0);
        self.writer.trim(journal::trimmed_through(&self.client).await.unwrap());
        self.writer.jump(floor, rows, head, newest).unwrap();
        self.announced(head).await;
    }

    pub(crate) async fn advance(&mut self, head: i64) {
        let head_before = self.writer.position().head;
        let rows = read_range(&self.client, head_before, head, Budget::of_rows(4096)).await.unwrap().events;
        self.writer.advance(rows, head).unwrap();
        self.announced(head).await;
    }

    pub(crate) async fn announced(&self, head: i64) {
        let epoch = self.writer.position().epoch;
        let mut told = self.live.subscribe();
        told.wait_for(|position| position.known && position.epoch == epoch && position.head >= head).await.unwrap();
    }

    pub(crate) async fn place(&self, start: Start, filter: &Filter) -> Result<StartPoint, ReadError> {
        self.live.start_point(&Requester::SERVER, start, filter).await
    }

    /// The seqs of a filter, as the table has them.
    pub(crate) async fn stored(&self, filter: &Filter, after: i64, upto: i64) -> Vec<i64> {
        let mut seqs = Vec::new();
        let mut at = after;
        loop {
            let found = journal::query(&self.client, filter, at, upto, Budget::of_rows(4096)).await.unwrap().events;
            seqs.extend(found.iter().map(|event| event.seq));
            if found.len() < 4096 {
                return seqs;
            }
            at = *seqs.last().unwrap();
        }
    }
}

/// What a reader went through.
#[derive(Debug, Default)]
pub(crate) struct Delivered {
    pub(crate) seen: Vec<i64>,
    /// Pages and searches.
    pub(crate) steps: usize,
}

/// Follows from a place until the head has come so far, as the doors do it.
pub(crate) async fn follow(live: &Arc<Announcer>, place: StartPoint, filter: Filter, upto: i64) -> Delivered {
    let mut walker = StreamReader::new(live, place, Arc::new(filter), PRIVATE);
    let mut way = Delivered::default();
    while !walker.has_passed(upto) {
        match walker.step(SendBudget { events: 4096, bytes: 256 << 10 }) {
            Step::Advanced(runs) => {
                way.steps += 1;
                way.seen.extend(runs.iter().flat_map(EventRun::objects).map(|(cursor, _)| cursor.seq));
            }
            Step::CaughtUp => {}
            Step::Loading => walker.ready().await,
            Step::Idle(_) if walker.has_passed(upto) => break,
            Step::Idle(_) => {
                // Whoever sleeps is taken along by a heartbeat.
                let mut head = live.subscribe();
                tokio::select! {
                    () = walker.ready() => {}
                    _ = head.changed() => {}
                }
            }
            step => panic!("{step:?}"),
        }
    }
    way
}

pub(crate) fn filter(pairs: &[(&str, &str)], owners: Owners) -> Filter {
    Filter::parse(pairs.iter().copied()).unwrap().seen_by(owners)
}

/// So many events: every thousandth of one trade, a few with an owner.
pub(crate) async fn fill(client: &Client, count: i64) {
    let sql = "insert into rowcast.events (type, level, symbol, trade_id, subject, owner)
               select case when i % 10 = 0 then 'trade.opened' else 'system.tick' end,
                      case when i % 1000 = 1 then 'critical' else 'info' end, 's' || i % 20,
                      case when i % 1000 = 7 then '00000000-0000-4000-8000-000000000007'::uuid end,
                      'subject ' || i % 500, case when i % 3 = 0 then 'o' || i % 2 end
                 from generate_series(1, $1::bigint) i";
    client.execute(sql, &[&count]).await.unwrap();
    client.execute("select rowcast.ensure_partitions()", &[]).await.unwrap();
}

pub(crate) async fn burn(client: &Client, count: i64) {
    let sql = "select setval('rowcast.events_seq_seq', (select last_value from rowcast.events_seq_seq) + $1)";
    client.query_one(sql, &[&count]).await.unwrap();
}

pub(crate) async fn cursor_of(client: &Client, seq: i64) -> Cursor {
    cursor_for(client, &Owners::Any, seq).await
}

/// The cursor of an event as a reader of these owners is to be sent it. No type is listed, so the public sees nothing.
pub(crate) async fn cursor_for(client: &Client, owners: &Owners, seq: i64) -> Cursor {
    let event = journal::newest(client, seq - 1, seq).await.unwrap().unwrap();
    let visible = *owners != Owners::Nobody && owners.include(event.owner.as_deref());
    if visible { Cursor::of(seq, event.id) } else { Cursor::of_hidden(seq, event.id) }
}
