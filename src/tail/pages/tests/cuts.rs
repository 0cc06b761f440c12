//! Heavy ranges: a page is no heavier than it should be, wherever it comes from, and nobody reads more than is wanted.

use std::sync::Arc;

use super::super::{Limits, PAGE_SPAN, Pages, Seqs};
use super::{Journal, ROOMY, event, jump_after, store_at, walk};
use crate::journal::StoredEvent;

/// Limits by which three events of [`heavy`] fill a page.
const HEAVY: Limits = Limits { page_bytes: 300, ..ROOMY };

fn heavy(seqs: impl IntoIterator<Item = i64>) -> Vec<StoredEvent> {
    seqs.into_iter().map(|seq| StoredEvent { payload: "x".repeat(100), ..event(seq) }).collect()
}

fn heavy_journal(last: i64) -> Journal {
    let journal = Journal::new([]);
    journal.put(heavy(1..=last));
    journal
}

#[tokio::test]
async fn a_heavy_range_is_loaded_in_parts_and_each_part_once() {
    let journal = heavy_journal(600);
    let (pages, _writer) = store_at(&journal, 600, HEAVY);
    let mut cursor = 0;
    while cursor < PAGE_SPAN {
        let page = pages.page_after(cursor).await.unwrap();
        let bytes: usize = page.events().map(|event| event.payload.len()).sum();
        assert!(bytes <= 300 && page.upto() > cursor && page.upto() <= PAGE_SPAN && page.is_complete(), "{page:?}");
        cursor = page.upto();
    }
    let parts = usize::try_from((PAGE_SPAN + 2) / 3).unwrap();
    assert_eq!((journal.loads(), journal.cut()), ((parts, 0), 1));
    assert_eq!(walk(&pages, 0).await, (1..=600).collect::<Vec<_>>());
    assert_eq!(journal.loads().0, parts);
}

#[tokio::test]
async fn a_reader_in_the_middle_of_a_heavy_range_does_not_read_what_lies_before() {
    let journal = heavy_journal(600);
    let (pages, _writer) = store_at(&journal, 600, HEAVY);
    let page = pages.page_after(400).await.unwrap();
    assert_eq!((page.begins_after(), page.upto()), (399, 402));
    // The first part, where the others are, and its own.
    assert_eq!((journal.loads().0, journal.cut()), (2, 1));
    // Many at many places cost a load for each part, and all who are in the same one share it.
    let got = futures_util::future::join_all((300..330).map(|cursor| pages.page_after(cursor))).await;
    assert_eq!(journal.loads().0, 2 + 10);
    assert!(Arc::ptr_eq(got[0].as_ref().unwrap(), got[2].as_ref().unwrap()));
}

#[tokio::test]
async fn an_event_heavier_than_a_page_is_a_page_of_its_own() {
    let journal = Journal::new(1..=10);
    journal.put([StoredEvent { payload: "x".repeat(1000), ..event(5) }]);
    journal.put(heavy([6]));
    let (pages, mut writer) = Pages::new(journal.clone(), Seqs, HEAVY);
    jump_after(&mut writer, &journal, 10, 10);
    assert_eq!(walk(&pages, 0).await, (1..=10).collect::<Vec<_>>());
    assert_eq!([0, 5].map(|cursor| pages.cached_page_after(cursor).unwrap().upto()), [5, 10]);
    assert_eq!(journal.loads().0, 2);
}

#[tokio::test]
async fn what_comes_in_through_the_tail_is_cut_as_well_and_never_loaded() {
    let limits = Limits { hot_pages: 4, ..HEAVY };
    let journal = Journal::new([]);
    let (pages, mut writer) = store_at(&journal, 0, limits);
    // In one go, and one by one.
    writer.advance(heavy(1..=600), 600).unwrap();
    for seq in 601..=1100 {
        writer.advance(heavy([seq]), seq).unwrap();
    }
    let mut cursor = 0;
    while cursor < 1100 {
        let page = pages.page_after(cursor).await.unwrap();
        assert!(page.events().count() <= 3 && page.covers(cursor), "{page:?}");
        cursor = page.upto();
    }
    assert_eq!(walk(&pages, 0).await, (1..=1100).collect::<Vec<_>>());
    assert_eq!(journal.loads(), (0, 0));
}

#[tokio::test]
async fn a_jump_may_leave_the_page_of_the_head_to_those_who_want_it() {
    let journal = heavy_journal(700);
    let (pages, mut writer) = Pages::new(journal.clone(), Seqs, HEAVY);
    jump_after(&mut writer, &journal, 700, 700);
    assert_eq!(pages.page_after(700).await.unwrap().upto(), 700);
    assert_eq!(journal.loads().0, 0);
    journal.put(heavy(701..=710));
    writer.advance(heavy(701..=710), 710).unwrap();
    assert_eq!(walk(&pages, 650).await, (651..=710).collect::<Vec<_>>());
    // What lies behind the floor was cut at it, and what came since was never loaded.
    assert_eq!(pages.page_after(699).await.unwrap().upto(), 700);
    assert_eq!(pages.page_after(700).await.unwrap().begins_after(), 700);
}

#[tokio::test]
async fn a_page_weighs_what_lies_in_memory_and_that_once() {
    use crate::tail::pages::Render;
    use crate::view::Views;
    let hidden = heavy([1]).remove(0);
    let shown = StoredEvent { public_safe: true, ..hidden.clone() };
    // A copy for those who may see it all, and one for everybody if it is marked so.
    let copies = |event: &StoredEvent| Views::weight(event) / event.weight();
    assert_eq!((copies(&hidden), copies(&shown)), (1, 2));
}
