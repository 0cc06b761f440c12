//! Notes on the open objects of a JSON text. An object has notes only once it names a secret.

use std::borrow::Cow;
use std::ops::Range;

use super::keys::Secrecy;
use super::rewriting::REDACTED;

/// Parts of a text and what replaces them.
pub(super) type Edits = Vec<(Range<usize>, Cow<'static, str>)>;

/// The objects that are open at the present place of the text.
#[derive(Default)]
pub(super) struct Objects {
    pub(super) depth: usize,
    /// The notes on the open objects that have any, outermost first.
    noted: Vec<ObjectNotes>,
}

#[derive(Default)]
pub(super) struct ObjectNotes {
    depth: usize,
    pub(super) names_secret: Option<Secrecy>,
    pub(super) hidden_keys: usize,
    pub(super) is_jwk: bool,
    /// Values that are secret if this is a JSON Web Key.
    pub(super) of_jwk: Vec<Range<usize>>,
}

impl ObjectNotes {
    fn close(self, edits: &mut Edits) {
        if self.is_jwk {
            edits.extend(self.of_jwk.into_iter().map(|part| (part, REDACTED.into())));
        }
    }
}

impl Objects {
    pub(super) fn close(&mut self, edits: &mut Edits) {
        if let Some(noted) = self.noted.pop_if(|innermost| innermost.depth == self.depth) {
            noted.close(edits);
        }
        self.depth = self.depth.saturating_sub(1);
    }

    pub(super) fn close_all(&mut self, edits: &mut Edits) {
        self.noted.drain(..).for_each(|noted| noted.close(edits));
    }

    /// The notes on the innermost object, which are made if there are none.
    pub(super) fn notes(&mut self) -> &mut ObjectNotes {
        let known = self.noted.last().is_some_and(|innermost| innermost.depth == self.depth);
        let nth = if known { self.noted.len() - 1 } else { self.noted.len() };
        if !known {
            self.noted.push(ObjectNotes { depth: self.depth, ..ObjectNotes::default() });
        }
        &mut self.noted[nth]
    }

    pub(super) fn names_secret(&self) -> Option<Secrecy> {
        self.noted.last().filter(|object| object.depth == self.depth)?.names_secret
    }
}
