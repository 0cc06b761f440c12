//! The seam between pages and views: a page knows when to render and shares the result, a view knows how.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use bytes::Bytes;

use crate::journal::StoredEvent;

/// Which view, from 0 to [`Render::VIEWS`] - 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct View(pub usize);

/// What the views may show, at one time: immutable. When that changes (a type enters the taxonomy), another value with a
/// higher version takes its place (`Pages::set_renderer`).
pub trait Render: Send + Sync + 'static {
    /// What comes out for a run of events. Clones share: they are handed to every session.
    type Rendered: Clone + Send + Sync + 'static;

    /// How many views there are.
    const VIEWS: usize;

    /// The version of what this view shows. It only grows from one renderer to the next, for each view by itself, so that
    /// a view that is not concerned keeps what was rendered for it.
    fn version(&self, view: View) -> u64;

    /// Renders these events, all of them: what a view does not show must keep its place in the result, as a reader goes by
    /// the index of an event in its chunk.
    fn render(&self, view: View, events: &[StoredEvent]) -> Self::Rendered;

    /// Roughly how many bytes the renderings of an event take, in all views together. The bounds of memory count them
    /// before they are made, since what is in a cache should not grow behind its back.
    fn weight(event: &StoredEvent) -> usize {
        Self::VIEWS * event.weight()
    }
}

/// One view's rendering of one chunk. It carries the renderer that it is made by, so that whoever comes first makes it
/// by the right rules, even a reader that still held older ones.
struct Sheet<R: Render> {
    renderer: Arc<R>,
    rendered: OnceLock<R::Rendered>,
}

/// Where the newest version of one view's rendering of one chunk stands.
pub(super) struct Slot<R: Render>(Mutex<Option<Arc<Sheet<R>>>>);

impl<R: Render> Default for Slot<R> {
    fn default() -> Self {
        Self(Mutex::new(None))
    }
}

impl<R: Render> Slot<R> {
    /// The rendering by this renderer or a newer one. It is made outside the lock, by one thread; others that want the same
    /// wait for it, which takes no longer than to make it themselves.
    pub(super) fn rendered(&self, renderer: &Arc<R>, view: View, events: &[StoredEvent]) -> R::Rendered {
        let (sheet, _outdated) = self.sheet(renderer, view);
        sheet.rendered.get_or_init(|| sheet.renderer.render(view, events)).clone()
    }

    /// The sheet to use, and the one that it replaced, which is dropped after the lock.
    fn sheet(&self, renderer: &Arc<R>, view: View) -> (Arc<Sheet<R>>, Option<Arc<Sheet<R>>>) {
        let mut newest = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match &*newest {
            Some(sheet) if sheet.renderer.version(view) >= renderer.version(view) => (Arc::clone(sheet), None),
            _ => {
                let sheet = Arc::new(Sheet { renderer: Arc::clone(renderer), rendered: OnceLock::new() });
                let outdated = newest.replace(Arc::clone(&sheet));
                (sheet, outdated)
            }
        }
    }
}

/// The simplest renderer: the seqs of the events as a JSON array. It shows nothing that is anybody's secret.
#[derive(Debug, Clone, Copy, Default)]
pub struct Seqs;

impl Render for Seqs {
    type Rendered = Bytes;

    const VIEWS: usize = 1;

    fn version(&self, _: View) -> u64 {
        1
    }

    fn render(&self, _: View, events: &[StoredEvent]) -> Bytes {
        let seqs: Vec<String> = events.iter().map(|event| event.seq.to_string()).collect();
        Bytes::from(format!("[{}]", seqs.join(",")))
    }

    fn weight(_: &StoredEvent) -> usize {
        // The digits of the longest seq, and a comma.
        20
    }
}
