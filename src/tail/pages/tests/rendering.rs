//! Rendering: once for each event, view and version, whoever asks at whatever moment; never by rules that are gone.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};

use bytes::Bytes;

use super::super::{Pages, Render, Seqs, View};
use super::{Journal, ROOMY, events, jump};
use crate::journal::StoredEvent;

const PRIVATE: View = View(0);
const PUBLIC: View = View(1);

/// Two views, of which the second one changes; counts the events that it renders.
#[derive(Clone)]
struct Counting {
    public_version: u64,
    rendered: Arc<[AtomicUsize; 2]>,
}

impl Counting {
    fn new() -> Self {
        Self { public_version: 1, rendered: Arc::default() }
    }

    fn next(&self) -> Self {
        Self { public_version: self.public_version + 1, rendered: Arc::clone(&self.rendered) }
    }

    fn counts(&self) -> [usize; 2] {
        [0, 1].map(|view| self.rendered[view].load(Ordering::SeqCst))
    }
}

impl Render for Counting {
    type Rendered = Bytes;

    const VIEWS: usize = 2;

    fn version(&self, view: View) -> u64 {
        if view == PUBLIC { self.public_version } else { 1 }
    }

    fn render(&self, view: View, events: &[StoredEvent]) -> Bytes {
        self.rendered[view.0].fetch_add(events.len(), Ordering::SeqCst);
        let seqs: Vec<_> = events.iter().map(|event| event.seq).collect();
        Bytes::from(format!("{} {} {seqs:?}", view.0, self.version(view)))
    }
}

async fn page(pages: &Pages<Counting>, view: View, cursor: i64) -> Vec<Bytes> {
    let page = pages.page_after(cursor).await.unwrap();
    page.after(cursor).map(|part| pages.rendered(part.chunk, view)).collect()
}

#[tokio::test]
async fn a_page_that_grows_renders_only_what_is_new() {
    let counting = Counting::new();
    let (pages, mut writer) = Pages::new(Journal::new([]), counting.clone(), ROOMY);
    writer.advance(events([1, 2]), 2).unwrap();
    let before = page(&pages, PRIVATE, 0).await;
    writer.advance(events([3, 5]), 5).unwrap();
    let after = page(&pages, PRIVATE, 0).await;
    assert_eq!(after, ["0 1 [1, 2]", "0 1 [3, 5]"]);
    assert_eq!(before[0].as_ptr(), after[0].as_ptr());
    assert_eq!(page(&pages, PUBLIC, 2).await, ["1 1 [3, 5]"]);
    assert_eq!(counting.counts(), [4, 2]);
}

#[tokio::test]
async fn a_loaded_page_renders_once_for_each_view() {
    let (journal, counting) = (Journal::new(1..=2000), Counting::new());
    let (pages, mut writer) = Pages::new(journal.clone(), counting.clone(), ROOMY);
    jump(&mut writer, &journal, 2000);
    for cursor in [0, 7, 511] {
        assert_eq!(page(&pages, PRIVATE, cursor).await.len(), 1);
        assert_eq!(page(&pages, PUBLIC, cursor).await.len(), 1);
    }
    assert_eq!(counting.counts(), [512, 512]);
}

#[tokio::test]
async fn a_version_that_moved_renders_again_and_the_old_one_is_never_seen() {
    let counting = Counting::new();
    let (pages, mut writer) = Pages::new(Journal::new([]), counting.clone(), ROOMY);
    writer.advance(events([1]), 1).unwrap();
    let stale = pages.renderer();
    page(&pages, PRIVATE, 0).await;
    assert_eq!(page(&pages, PUBLIC, 0).await, ["1 1 [1]"]);
    assert!(pages.set_renderer(counting.next()));
    let held = pages.page_after(0).await.unwrap();
    let chunk = held.after(0).next().unwrap().chunk;
    assert_eq!(pages.rendered(chunk, PUBLIC), "1 2 [1]");
    // A reader that still held the old rules is given what the new ones made.
    assert_eq!(chunk.rendered(&stale, PUBLIC), "1 2 [1]");
    assert_eq!(page(&pages, PRIVATE, 0).await, ["0 1 [1]"]);
    assert_eq!(counting.counts(), [1, 2]);
    assert!(!pages.set_renderer(counting.clone()));
    assert_eq!(pages.renderer().public_version, 2);
}

#[tokio::test]
async fn threads_that_ask_at_once_share_one_rendering() {
    let counting = Counting::new();
    let (pages, mut writer) = Pages::new(Journal::new([]), counting.clone(), ROOMY);
    for round in 0..50 {
        let first = round * 10;
        writer.advance(events(first + 1..=first + 10), first + 10).unwrap();
        let page = pages.page_after(first).await.unwrap();
        let barrier = Barrier::new(8);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    barrier.wait();
                    page.after(first).for_each(|part| drop(pages.rendered(part.chunk, PRIVATE)));
                });
            }
        });
    }
    assert_eq!(counting.counts(), [500, 0]);
}

#[tokio::test]
async fn the_simplest_view_shows_seqs() {
    let (pages, mut writer) = Pages::new(Journal::new([]), Seqs, ROOMY);
    writer.advance(events([1, 3]), 3).unwrap();
    let page = pages.page_after(0).await.unwrap();
    let part = page.after(1).next().unwrap();
    assert_eq!((part.from, part.events().len()), (1, 1));
    assert_eq!(pages.rendered(part.chunk, View(0)), "[1,3]");
    assert_eq!(pages.rendered(part.chunk, View(9)), "[1,3]");
}
