//! What one read state takes, and when it refuses.

use std::sync::Arc;

use super::{filter, node, start_point};
use crate::journal::{Batch, Cursor, Filter};
use crate::session::read_state::{Next, ReadState};
use crate::session::{Announcer, EventRun, Refused, SendBudget, Start, StartPoint};
use crate::tail::pages::Page;
use crate::tail::pages::tests::{Journal, ROOMY, cursor, events, jump};
use crate::view::{PRIVATE, Tally, Views};
/// A reader at the beginning of this journal.
async fn at_start(announcer: &Arc<Announcer>, filter: &Arc<Filter>) -> ReadState {
    announcer.announce(announcer.pages().position());
    ReadState::new(start_point(announcer, Start::Earliest, filter).await.unwrap(), Arc::clone(filter), PRIVATE)
}

fn all_of(announcer: &Announcer, state: &mut ReadState, page: &Page<Views>) -> Vec<i64> {
    let mut room = SendBudget { events: usize::MAX, bytes: usize::MAX };
    state
        .take(announcer.pages(), page, &mut room)
        .iter()
        .flat_map(EventRun::each)
        .map(|(cursor, _)| cursor.seq)
        .collect()
}

#[tokio::test]
async fn a_page_that_lacks_what_was_trimmed_while_it_was_read_is_not_taken() {
    let journal = Journal::new(1..=2000);
    let (announcer, mut writer) = node(&journal, ROOMY);
    jump(&mut writer, &journal, 2000);
    let mut state = at_start(&announcer, &filter(&[])).await;
    let announced = announcer.position();
    assert_eq!(state.next(&announced), Next::Page(0));
    journal.trim(200);
    let page = announcer.pages().page_after(0).await.unwrap();
    assert_eq!(all_of(&announcer, &mut state, &page).len(), 0);
    // What is announced does not say it yet.
    assert_eq!((state.next(&announced), announcer.oldest().await), (Next::Expired, Ok(201)));
}

#[tokio::test]
async fn a_page_of_another_history_is_not_taken_before_the_cursor_is_proven_in_it() {
    let journal = Journal::new(1..=2000);
    let (announcer, mut writer) = node(&journal, ROOMY);
    jump(&mut writer, &journal, 2000);
    let mut state = at_start(&announcer, &filter(&[])).await;
    let announced = announcer.position();
    assert_eq!(state.next(&announced), Next::Page(0));
    writer.reset();
    writer.advance(events([1, 2, 3]), 3).unwrap();
    let page = announcer.pages().page_after(0).await.unwrap();
    assert_eq!(all_of(&announcer, &mut state, &page).len(), 0);
    assert_eq!((state.next(&announced), state.cursor()), (Next::Idle, Cursor::START));
    announcer.announce(announcer.pages().position());
    assert_eq!(state.next(&announcer.position()), Next::ProveCursor);
    state.restart_at(start_point(&announcer, Start::After(state.cursor()), state.filter()).await.unwrap());
    assert_eq!(state.next(&announcer.position()), Next::Page(0));
    assert_eq!(all_of(&announcer, &mut state, &page), [1, 2, 3]);
}

#[tokio::test]
async fn a_search_is_void_when_the_reader_looks_for_something_else_by_then() {
    let journal = Journal::new(1..=6000);
    let (announcer, mut writer) = node(&journal, ROOMY);
    jump(&mut writer, &journal, 6000);
    let mut state = at_start(&announcer, &filter(&[("symbol", "s")])).await;
    let one = || Batch { events: events([7]), reached: 6000 };
    let Next::Search(0, position) = state.next(&announcer.position()) else { panic!("{state:?}") };
    state.refilter(filter(&[("subject", "t")]));
    assert!(state.take_found(announcer.pages(), one(), &position).is_none());
    assert_eq!((state.cursor(), state.tally()), (Cursor::START, Tally::default()));
    let Next::Search(0, position) = state.next(&announcer.position()) else { panic!("{state:?}") };
    assert!(state.take_found(announcer.pages(), one(), &position).is_some());
    // The same answer again is of no use.
    assert!(state.take_found(announcer.pages(), one(), &position).is_none());
    assert_eq!((state.cursor(), state.tally()), (cursor(6000), Tally::of(7)));
}

#[tokio::test]
async fn the_end_of_the_backlog_is_told_to_a_reader_whose_page_ended_beyond_what_is_announced() {
    let journal = Journal::new(1..=30);
    let (announcer, mut writer) = node(&journal, ROOMY);
    jump(&mut writer, &journal, 10);
    let mut state = at_start(&announcer, &filter(&[])).await;
    let mut from_another_node =
        ReadState::new(StartPoint { at: 20, cursor: cursor(20), epoch: 0 }, filter(&[]), PRIVATE);
    assert_eq!(state.next(&announcer.position()), Next::Page(0));
    writer.advance(journal.between(10, 15), 15).unwrap();
    let page = announcer.pages().page_after(0).await.unwrap();
    assert_eq!(all_of(&announcer, &mut state, &page).len(), 15);
    assert_eq!([state.next(&announcer.position()), state.next(&announcer.position())], [Next::CaughtUp, Next::Idle]);
    // One that is ahead of this node has no backlog to come to the end of yet.
    assert_eq!(from_another_node.next(&announcer.position()), Next::Idle);
    writer.advance(journal.between(15, 20), 20).unwrap();
    announcer.announce(announcer.pages().position());
    assert_eq!(from_another_node.next(&announcer.position()), Next::CaughtUp);
}

#[tokio::test(start_paused = true)]
async fn a_cursor_is_not_refused_by_a_history_that_has_just_begun_and_knows_nothing() {
    let journal = Journal::new(1..=30);
    let (announcer, mut writer) = node(&journal, ROOMY);
    jump(&mut writer, &journal, 30);
    announcer.announce(announcer.pages().position());
    writer.reset();
    let all = Filter::default();
    let placing = start_point(&announcer, Start::After(cursor(7)), &all);
    let announcing = async {
        tokio::task::yield_now().await;
        jump(&mut writer, &journal, 30);
        announcer.announce(announcer.pages().position());
    };
    let (placed, ()) = tokio::join!(placing, announcing);
    assert_eq!(placed, Ok(StartPoint { at: 7, cursor: cursor(7), epoch: 1 }));
    let nobody = Cursor { seq: 0, tag: Some(7) };
    assert_eq!(start_point(&announcer, Start::After(nobody), &all).await, Err(Refused::Invalid));
}
