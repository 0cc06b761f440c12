//! The lists that the relay copies beside the events: the public taxonomy, and the revoked subjects.

use std::collections::HashMap;
use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use tokio::sync::watch;
use tokio::time::Instant;

use super::redis_link::LISTS;
use crate::shared_list::{GivenList, SharedList};

/// The lists as this node reads them from Postgres, for the relay to copy.
#[derive(Debug)]
pub struct Lists([GivenList; LISTS.len()]);

impl Lists {
    /// The lists of the followers of this node.
    pub fn new(taxonomy: GivenList, revocations: GivenList) -> Self {
        Self([taxonomy, revocations])
    }

    /// Waits until all lists were read after a moment. A node that takes the lease over must not put an older list in place of a newer one.
    pub(super) async fn read_after(&mut self, moment: Instant) {
        for list in &mut self.0 {
            let is_newer = |list: &Option<SharedList>| list.as_ref().is_some_and(|list| list.read_at > moment);
            if list.wait_for(is_newer).await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// The texts, in the order of [`LISTS`].
    pub(super) fn texts(&self) -> [Arc<str>; LISTS.len()] {
        let text =
            |list: &GivenList| list.borrow().as_ref().map_or_else(|| Arc::from(""), |list| Arc::clone(&list.text));
        [text(&self.0[0]), text(&self.0[1])]
    }

    /// Waits until a list is read anew.
    pub(super) async fn changed(&mut self) {
        let [taxonomy, revocations] = &mut self.0;
        // A follower that has ended changes nothing any more, and the node ends with it.
        let _changed_or_ended = tokio::select! {
            changed = taxonomy.changed() => changed,
            changed = revocations.changed() => changed,
        };
    }
}

/// The digest by which a report names a list.
pub(super) fn digest_of(text: &str) -> String {
    digest(&SHA256, text.as_bytes()).as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The lists as an edge receives them, for its followers.
#[derive(Debug, Default)]
pub struct ListsOfEdge {
    given: [watch::Sender<Option<SharedList>>; LISTS.len()],
    /// The lists that have arrived, by digest: the last two of each name, since a report may be of the one before.
    arrived: [HashMap<String, Arc<str>>; LISTS.len()],
}

impl ListsOfEdge {
    /// Where the followers of this node find the lists: taxonomy and revocations.
    pub fn given(&self) -> [GivenList; LISTS.len()] {
        [self.given[0].subscribe(), self.given[1].subscribe()]
    }

    /// Takes a list that has arrived under a name.
    pub(in crate::tail) fn arrived(&mut self, name: usize, text: &str) {
        if let Some(arrived) = self.arrived.get_mut(name) {
            if arrived.len() > 1 {
                arrived.clear();
            }
            arrived.insert(digest_of(text), Arc::from(text));
        }
    }

    /// Gives the followers the lists that a report says are current. A list that has not arrived is not given: its follower asks Postgres.
    pub(in crate::tail) fn confirm(&self, report: &super::Report) {
        let read_at = Instant::now();
        for ((given, arrived), digest) in self.given.iter().zip(&self.arrived).zip(&report.lists) {
            given.send_replace(arrived.get(digest).map(|text| SharedList { read_at, text: Arc::clone(text) }));
        }
    }

    /// Lets the followers ask Postgres.
    pub(in crate::tail) fn withdraw(&self) {
        for given in &self.given {
            given.send_if_modified(|list| list.take().is_some());
        }
    }
}
