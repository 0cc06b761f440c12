//! Views: the only types that serialize to clients; a stored event does not. Secrets are hidden in every view, and the public view
//! shows listed types and fields alone.

mod control;
mod document;
mod event;
mod fingerprint;
pub mod follow;
mod frames;
pub mod public;
pub mod redact;
mod row;

use tokio::sync::watch;

use crate::journal::{EventHeader, StoredEvent};
use crate::tail::pages::{Pages, Render, View};

pub use control::{Control, Fault, Stall, time_text};
pub use document::Document;
pub use event::{instant, instant_text};
pub use fingerprint::Fingerprint;
pub use follow::{Follower, Known};
pub use frames::{Frames, Tally, message};
pub use public::Taxonomy;
pub use redact::Redaction;
pub use row::{ShownRow, field_texts, write_row};

/// The view of clients with a token.
pub const PRIVATE: View = View(0);
/// The view of everyone.
pub const PUBLIC: View = View(1);

/// The rules of both views at one time.
#[derive(Debug, Clone, Default)]
pub struct Views {
    redaction: Redaction,
    known: Known,
}

impl Views {
    /// Views with these rules of redaction and this taxonomy.
    pub fn new(redaction: Redaction, known: Known) -> Self {
        Self { redaction, known }
    }

    /// The public types and fields.
    pub fn taxonomy(&self) -> &Taxonomy {
        &self.known.taxonomy
    }

    /// True once this view shows what it should. Before the taxonomy was read for the first time, nothing is public: who read the
    /// public view then would pass over events that are.
    pub fn is_known(&self, view: View) -> bool {
        view != PUBLIC || self.known.version > 0
    }

    /// True if the public view shows this event.
    pub fn public_shows(&self, event: &EventHeader<'_>) -> bool {
        self.known.taxonomy.shows(event)
    }

    fn private<'a>(&self, event: &'a StoredEvent) -> event::EventObject<'a> {
        let text = |text: &'a Option<String>| text.as_deref().map(|text| self.redaction.text(text));
        event::EventObject {
            trade_id: event.trade_id,
            subject: text(&event.subject),
            ..self.common(event, event::Payload(self.redaction.json(&event.payload)))
        }
    }

    fn public<'a>(&self, event: &'a StoredEvent) -> Option<event::EventObject<'a>> {
        let payload = self.known.taxonomy.payload_of(event, &self.redaction)?;
        Some(self.common(event, event::Payload(payload.into())))
    }

    /// The members that both views show, around this payload.
    fn common<'a>(&self, event: &'a StoredEvent, payload: event::Payload<'a>) -> event::EventObject<'a> {
        event::EventObject {
            seq: event.seq,
            id: event.id,
            at: event.at,
            r#type: self.redaction.text(&event.kind),
            level: event.level.as_str(),
            symbol: event.symbol.as_deref().map(|symbol| self.redaction.text(symbol)),
            trade_id: None,
            subject: None,
            payload,
        }
    }
}

impl Render for Views {
    type Rendered = Frames;

    const VIEWS: usize = 2;

    fn version(&self, view: View) -> u64 {
        if view == PUBLIC { self.known.version } else { 1 }
    }

    fn render(&self, view: View, events: &[StoredEvent]) -> Frames {
        let mut writer = frames::FramesWriter::new(events.len());
        for event in events {
            let object = if view == PUBLIC { self.public(event) } else { Some(self.private(event)) };
            match object {
                Some(object) => writer.show(event.seq, event.owner.is_some(), |out| object.write(out)),
                None => writer.hide(),
            }
        }
        writer.finish()
    }

    fn weight(event: &StoredEvent) -> usize {
        // An event that is not marked public is in one view alone. Each view has an index entry for every event.
        let shown = if event.public_safe { Self::VIEWS } else { 1 };
        shown * (event.weight() + frames::OVERHEAD) + Self::VIEWS * frames::INDEX
    }
}

/// Gives the pages new views after each change of the taxonomy, so that later reads follow the new rules.
pub async fn keep(pages: Pages<Views>, redaction: Redaction, mut known: watch::Receiver<Known>) {
    while known.changed().await.is_ok() {
        let known = known.borrow_and_update().clone();
        pages.set_renderer(Views::new(redaction.clone(), known));
    }
}
