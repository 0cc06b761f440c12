//! Whatever happens, a walk from a cursor sees each event after it once, in order, and none that is not decided.

use super::super::{Limits, PAGE_BYTES, PAGE_SPAN, PageError, PageWriter, Pages, Seqs};
use super::{Dice, Journal, ROOMY, event, events, jump, jump_after, store_at, walk};

/// A run: one store, what its journal holds, and a reader that stays through everything.
struct Run {
    dice: Dice,
    journal: Journal,
    pages: Pages<Seqs>,
    writer: PageWriter<Seqs>,
    /// The last seq that was drawn, decided or not.
    drawn: i64,
    cursor: i64,
    epoch: u64,
}

impl Run {
    fn new(seed: u64) -> Self {
        let mut dice = Dice(seed);
        let journal = Journal::new([]);
        let limits = Limits {
            hot_pages: [1, 2, 3, 16][usize::try_from(dice.roll(4)).unwrap()],
            hot_bytes: [0, 100_000, 64 << 20][usize::try_from(dice.roll(3)).unwrap()],
            cache_bytes: [0, 1, 200_000, 2_000_000, 64 << 20][usize::try_from(dice.roll(5)).unwrap()],
            loads: 1 + usize::try_from(dice.roll(3)).unwrap(),
            // Of events of two bytes.
            page_bytes: *dice.pick(&[200, 700, PAGE_BYTES, PAGE_BYTES]),
        };
        let (pages, writer) = Pages::new(journal.clone(), Seqs, limits);
        Self { dice, journal, pages, writer, drawn: 0, cursor: 0, epoch: 0 }
    }

    /// Draws seqs: a few, thousands, or burns whole ranges.
    fn draw(&mut self) {
        let (count, burn) = match self.dice.roll(10) {
            0 => (0, self.dice.seq(20_000)),
            1 => (3 * PAGE_SPAN + self.dice.seq(3000), 0),
            2 => (PAGE_SPAN - self.drawn % PAGE_SPAN, 0),
            3 => (0, 1 + self.dice.seq(5)),
            _ => (self.dice.seq(200), 0),
        };
        self.drawn += burn;
        let keep_of_ten = 1 + self.dice.roll(10);
        for _ in 0..count {
            self.drawn += 1;
            if self.dice.roll(10) < keep_of_ten {
                self.journal.store([self.drawn]);
            }
        }
    }

    async fn step(&mut self) {
        let head = self.pages.position().head;
        match self.dice.roll(12) {
            0..=2 => self.draw(),
            3..=6 => {
                let to = head + self.dice.seq(self.drawn - head + 1);
                self.writer.advance(self.journal.between(head, to), to).unwrap();
            }
            7 => {
                let to = head + self.dice.seq(self.drawn - head + 1);
                let floor = to - self.dice.seq(to.min(1000) + 1);
                jump_after(&mut self.writer, &self.journal, floor, to);
            }
            8 if self.dice.roll(4) == 0 => {
                self.journal.clear();
                self.drawn = 0;
                self.writer.reset();
                self.draw();
            }
            9 => self.walk_some().await,
            _ => {
                let cursor = self.dice.seq(self.pages.position().head + 3);
                self.walk_all(cursor).await;
            }
        }
        let position = self.pages.position();
        assert_eq!(*self.pages.subscribe().borrow(), position);
        assert_eq!(position.newest_seq(), self.journal.between(0, position.head).last().map_or(0, |event| event.seq));
    }

    async fn walk_all(&self, cursor: i64) {
        let wanted: Vec<i64> = self.journal.between(cursor, self.pages.position().head).iter().map(|e| e.seq).collect();
        assert_eq!(walk(&self.pages, cursor).await, wanted, "after {cursor} of {:?}", self.pages);
    }

    /// The reader that stays takes one page.
    async fn walk_some(&mut self) {
        let position = self.pages.position();
        if position.epoch != self.epoch {
            (self.cursor, self.epoch) = (0, position.epoch);
        }
        let page = self.pages.page_after(self.cursor).await.unwrap();
        let seen: Vec<i64> = page.after(self.cursor).flat_map(|part| part.events()).map(|event| event.seq).collect();
        let upto = page.upto().max(self.cursor);
        assert!(upto <= position.head.max(self.cursor));
        let wanted: Vec<i64> = self.journal.between(self.cursor, upto).iter().map(|event| event.seq).collect();
        assert_eq!((seen, page.epoch()), (wanted, self.epoch));
        self.cursor = upto;
    }
}

#[tokio::test]
async fn any_walk_sees_every_event_once_in_order() {
    for seed in 0..150 {
        let mut run = Run::new(seed);
        for _ in 0..60 {
            run.step().await;
        }
        run.walk_all(0).await;
    }
}

#[tokio::test]
async fn a_burnt_range_costs_one_question_not_one_for_each_page() {
    let far = 1_000_000;
    let journal = Journal::new([1, far, far + 5 * PAGE_SPAN]);
    let (pages, _writer) = store_at(&journal, far + 5 * PAGE_SPAN, ROOMY);
    assert_eq!(walk(&pages, 0).await, [1, far, far + 5 * PAGE_SPAN]);
    // The page of 1, the burnt one after it, the page of `far`, the burnt one after that.
    assert_eq!(journal.loads(), (4, 2));
    assert_eq!(walk(&pages, 0).await.len(), 3);
    assert_eq!(journal.loads(), (4, 2));
    let page = pages.page_after(PAGE_SPAN).await.unwrap();
    assert_eq!(page.events().map(|event| event.seq).collect::<Vec<_>>(), [far]);
}

#[tokio::test]
async fn a_jump_over_a_burnt_range_stays_right_when_the_head_moves_on() {
    let journal = Journal::new([]);
    let (pages, mut writer) = store_at(&journal, 10 * PAGE_SPAN + 3, ROOMY);
    assert!(walk(&pages, 0).await.is_empty());
    let next = 30 * PAGE_SPAN;
    journal.store([next]);
    writer.advance(events([next]), next).unwrap();
    assert_eq!(walk(&pages, 0).await, [next]);
    jump(&mut writer, &journal, 60 * PAGE_SPAN);
    assert_eq!(walk(&pages, 0).await, [next]);
}

#[tokio::test]
async fn retention_may_take_what_a_jump_pointed_to() {
    let journal = Journal::new([5 * PAGE_SPAN, 9 * PAGE_SPAN]);
    let limits = Limits { cache_bytes: 1, ..ROOMY };
    let (pages, _writer) = store_at(&journal, 20 * PAGE_SPAN, limits);
    assert_eq!(walk(&pages, 0).await, [5 * PAGE_SPAN, 9 * PAGE_SPAN]);
    journal.clear();
    journal.store([9 * PAGE_SPAN]);
    assert_eq!(walk(&pages, 0).await, [9 * PAGE_SPAN]);
}

#[tokio::test]
async fn cursors_at_and_beyond_every_edge_are_answered() {
    let journal = Journal::new(1..=PAGE_SPAN);
    let (pages, _writer) = store_at(&journal, PAGE_SPAN, ROOMY);
    for cursor in [PAGE_SPAN, PAGE_SPAN + 1, i64::MAX] {
        let page = pages.page_after(cursor).await.unwrap();
        assert_eq!((page.after(cursor).count(), page.upto()), (0, PAGE_SPAN));
    }
    assert_eq!(pages.page_after(i64::MIN).await.unwrap().events().count(), 512);
    let (empty, _writer) = Pages::new(journal, Seqs, ROOMY);
    assert_eq!(empty.page_after(0).await.unwrap().upto(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_readers_walk_while_the_head_moves_and_the_history_changes() {
    const LAST: i64 = 40_000;
    let journal = Journal::new([]);
    let limits = Limits { hot_pages: 3, cache_bytes: 1_000_000, ..ROOMY };
    let (pages, mut writer) = Pages::new(journal.clone(), Seqs, limits);
    writer.reset();
    let readers: Vec<_> = (0..48).map(|start| tokio::spawn(follow(pages.clone(), start * 800, LAST))).collect();
    let mut head = 0;
    let mut dice = Dice(7);
    while head < LAST {
        let to = (head + 1 + dice.seq(120)).min(LAST);
        // Every third seq is burnt; what is not decided yet stands in the table all the same.
        journal.store((head + 1..=to + 50).filter(|seq| seq % 3 != 0));
        if dice.roll(40) == 0 {
            jump(&mut writer, &journal, to);
        } else {
            writer.advance(journal.between(head, to), to).unwrap();
        }
        head = to;
        tokio::task::yield_now().await;
    }
    for reader in readers {
        reader.await.unwrap();
    }
    writer.reset();
    assert_eq!(pages.page_after(0).await.unwrap().upto(), 0);
}

async fn follow(pages: Pages<Seqs>, start: i64, last: i64) {
    let mut position = pages.subscribe();
    let mut cursor = start;
    let mut expected = (start + 1..=last).filter(|seq| seq % 3 != 0);
    while cursor < last {
        let head = position.borrow_and_update().head;
        if cursor >= head {
            position.changed().await.unwrap();
            continue;
        }
        let page = pages.page_after(cursor).await.unwrap();
        for event in page.after(cursor).flat_map(|part| part.events()) {
            assert_eq!(Some(event.seq), expected.next());
        }
        cursor = page.upto();
    }
    assert_eq!(expected.next(), None);
}

#[tokio::test]
async fn a_walk_never_goes_from_one_history_to_another() {
    let journal = Journal::new([1, 5000]);
    let (pages, mut writer) = store_at(&journal, 6000, ROOMY);
    journal.hold();
    let reader = tokio::spawn({
        let pages = pages.clone();
        async move { pages.page_after(1).await.map(|page| page.upto()) }
    });
    super::flights::until(|| journal.loads().0 == 1).await;
    assert_eq!(writer.reset().epoch, 1);
    writer.advance(vec![event(2)], 2).unwrap();
    assert_eq!(reader.await.unwrap(), Err(PageError::Reset));
    assert_eq!(walk(&pages, 0).await, [2]);
}
