//! The seam between pages and views: a page knows when to render and shares the result, a view knows how.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use bytes::Bytes;

use crate::journal::StoredEvent;

/// Which view, from 0 to [`Render::VIEWS`] - 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct View(pub usize);

/// A renderer holds the rules of all views, and is immutable. When a rule changes (a type enters the taxonomy), another renderer
/// with a higher version replaces it (`Pages::set_renderer`).
pub trait Render: Send + Sync + 'static {
    /// The rendering of a run of events. Clones must share it, since every session gets one.
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

/// One view's rendering of one chunk. It keeps the renderer that makes it, so that the first reader makes it
/// with the newest renderer, even if that reader still holds an older one.
struct Rendering<R: Render> {
    renderer: Arc<R>,
    rendered: OnceLock<R::Rendered>,
}

/// Holds the newest rendering of one chunk for one view.
pub(super) struct Slot<R: Render>(Mutex<Option<Arc<Rendering<R>>>>);

impl<R: Render> Default for Slot<R> {
    fn default() -> Self {
        Self(Mutex::new(None))
    }
}

impl<R: Render> Slot<R> {
    /// The rendering by this renderer or a newer one. It is made outside the lock, by one thread; others that want the same
    /// wait for it, which takes no longer than to make it themselves.
    pub(super) fn rendered(&self, renderer: &Arc<R>, view: View, events: &[StoredEvent]) -> R::Rendered {
        let (rendering, _outdated) = self.newest_rendering(renderer, view);
        rendering.rendered.get_or_init(|| rendering.renderer.render(view, events)).clone()
    }

    /// The rendering to use, and the one that it replaced, which is to be dropped after the lock.
    fn newest_rendering(&self, renderer: &Arc<R>, view: View) -> (Arc<Rendering<R>>, Option<Arc<Rendering<R>>>) {
        let mut newest = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match &*newest {
            Some(rendering) if rendering.renderer.version(view) >= renderer.version(view) => {
                (Arc::clone(rendering), None)
            }
            _ => {
                let rendering = Arc::new(Rendering { renderer: Arc::clone(renderer), rendered: OnceLock::new() });
                let outdated = newest.replace(Arc::clone(&rendering));
                (rendering, outdated)
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
