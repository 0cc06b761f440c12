//! Tests of one `ReadState`: which loaded events it takes, and which it drops.

use std::sync::Arc;

use super::{filter, node, start_point};
use crate::journal::{Batch, Cursor, Filter};
use crate::session::read_state::{NextAction, ReadState};
use crate::session::{Announcer, EventRun, ReadError, SendBudget, Start, StartPoint};
use crate::tail::pages::Page;
use crate::tail::pages::tests::{Journal, ROOMY, cursor, events, jump};
use crate::view::{PRIVATE, Tally, Views};

/// The state of a reader that begins before the oldest event.
async fn at_start(announcer: &Arc<Announcer>, filter: &Arc<Filter>) -> ReadState {
    announcer.announce(announcer.pages().position());
    ReadState::new(start_point(announcer, Start::Earliest, filter).await.unwrap(), Arc::clone(filter), PRIVATE)
}

/// Takes all of a page, and returns the seqs of its events.
fn take_all(announcer: &Announcer, state: &mut ReadState, page: &Page<Views>) -> Vec<i64> {
    let mut unlimited = SendBudget { events: usize::MAX, bytes: usize::MAX };
    state
        .take(announcer.pages(), page, &mut unlimited)
        .iter()
        .flat_map(EventRun::objects)
        .map(|(cursor, _)| cursor.seq)
        .collect()
}

#[tokio::test]
async fn a_page_that_lacks_what_was_trimmed_while_it_was_read_is_not_taken() {
    let journal = Journal::new(1..=2000);
    let (announcer, mut writer) = node(&journal, ROOMY);
    jump(&mut writer, &journal, 2000);
    let mut state = at_start(&announcer, &filter(&[])).await;
    let announced = announcer.announced_position();
    assert_eq!(state.next(&announced), NextAction::Page(0));
    journal.trim(200);
    let page = announcer.pages().page_after(0).await.unwrap();
    assert_eq!(take_all(&announcer, &mut state, &page).len(), 0);
    // The announced position does not show the trim yet.
    assert_eq!((state.next(&announced), announcer.oldest().await), (NextAction::Expired, Ok(201)));
}

#[tokio::test]
async fn a_page_of_another_history_is_not_taken_before_the_cursor_is_proven_in_it() {
    let journal = Journal::new(1..=2000);
    let (announcer, mut writer) = node(&journal, ROOMY);
    jump(&mut writer, &journal, 2000);
    let mut state = at_start(&announcer, &filter(&[])).await;
    let announced = announcer.announced_position();
    assert_eq!(state.next(&announced), NextAction::Page(0));
    writer.reset();
    writer.advance(events([1, 2, 3]), 3).unwrap();
    let page = announcer.pages().page_after(0).await.unwrap();
    assert_eq!(take_all(&announcer, &mut state, &page).len(), 0);
    assert_eq!((state.next(&announced), state.cursor()), (NextAction::Idle, Cursor::START));
    announcer.announce(announcer.pages().position());
    assert_eq!(state.next(&announcer.announced_position()), NextAction::ProveCursor);
    state.restart_at(start_point(&announcer, Start::After(state.cursor()), state.filter()).await.unwrap());
    assert_eq!(state.next(&announcer.announced_position()), NextAction::Page(0));
    assert_eq!(take_all(&announcer, &mut state, &page), [1, 2, 3]);
}

#[tokio::test]
async fn the_result_of_a_search_is_dropped_when_the_reader_has_another_filter_by_then() {
    let journal = Journal::new(1..=6000);
    let (announcer, mut writer) = node(&journal, ROOMY);
    jump(&mut writer, &journal, 6000);
    let mut state = at_start(&announcer, &filter(&[("symbol", "s")])).await;
    let result = || Batch { events: events([7]), reached: 6000 };
    let NextAction::Search(0, position) = state.next(&announcer.announced_position()) else { panic!("{state:?}") };
    state.set_filter(filter(&[("subject", "t")]));
    assert!(state.take_search_result(announcer.pages(), result(), &position).is_none());
    assert_eq!((state.cursor(), state.tally()), (Cursor::START, Tally::default()));
    let NextAction::Search(0, position) = state.next(&announcer.announced_position()) else { panic!("{state:?}") };
    assert!(state.take_search_result(announcer.pages(), result(), &position).is_some());
    // A result that is taken already is dropped.
    assert!(state.take_search_result(announcer.pages(), result(), &position).is_none());
    assert_eq!((state.cursor(), state.tally()), (cursor(6000), Tally::of(7)));
}

#[tokio::test]
async fn a_reader_whose_page_ends_beyond_the_announced_head_is_told_that_it_has_caught_up() {
    let journal = Journal::new(1..=30);
    let (announcer, mut writer) = node(&journal, ROOMY);
    jump(&mut writer, &journal, 10);
    let mut state = at_start(&announcer, &filter(&[])).await;
    let mut from_another_node =
        ReadState::new(StartPoint { after: 20, cursor: cursor(20), epoch: 0 }, filter(&[]), PRIVATE);
    assert_eq!(state.next(&announcer.announced_position()), NextAction::Page(0));
    writer.advance(journal.between(10, 15), 15).unwrap();
    let page = announcer.pages().page_after(0).await.unwrap();
    assert_eq!(take_all(&announcer, &mut state, &page).len(), 15);
    assert_eq!(
        [state.next(&announcer.announced_position()), state.next(&announcer.announced_position())],
        [NextAction::CaughtUp, NextAction::Idle]
    );
    // A reader ahead of this node is told that it has caught up once the head has come as far.
    assert_eq!(from_another_node.next(&announcer.announced_position()), NextAction::Idle);
    writer.advance(journal.between(15, 20), 20).unwrap();
    announcer.announce(announcer.pages().position());
    assert_eq!(from_another_node.next(&announcer.announced_position()), NextAction::CaughtUp);
}

#[tokio::test(start_paused = true)]
async fn a_cursor_is_not_refused_by_a_history_that_has_just_begun_and_knows_nothing() {
    let journal = Journal::new(1..=30);
    let (announcer, mut writer) = node(&journal, ROOMY);
    jump(&mut writer, &journal, 30);
    announcer.announce(announcer.pages().position());
    writer.reset();
    let all = Filter::default();
    let starting = start_point(&announcer, Start::After(cursor(7)), &all);
    let announcing = async {
        tokio::task::yield_now().await;
        jump(&mut writer, &journal, 30);
        announcer.announce(announcer.pages().position());
    };
    let (start, ()) = tokio::join!(starting, announcing);
    assert_eq!(start, Ok(StartPoint { after: 7, cursor: cursor(7), epoch: 1 }));
    let tag_without_event = Cursor { seq: 0, tag: Some(7) };
    assert_eq!(start_point(&announcer, Start::After(tag_without_event), &all).await, Err(ReadError::CursorInvalid));
}
