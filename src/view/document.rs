//! The documents that applications answer with.

use serde::Serialize;

use super::Redaction;

/// JSON without secrets. Only redaction makes one, so an application cannot answer with anything that has not passed it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document(String);

impl Document {
    /// The JSON of a shape, without its secrets. A shape that does not serialize, which a struct of texts always does, becomes `null`.
    pub fn of(shape: &impl Serialize, redaction: &Redaction) -> Self {
        let text = serde_json::to_string(shape).unwrap_or_else(|_| "null".to_owned());
        Self(redaction.json(&text).into_owned())
    }

    /// A page of documents, with the cursor of the next page.
    pub fn list(items: &[Self], cursor: Option<&str>, more: bool) -> Self {
        // A cursor is digits and the like, or the key of a setting: nothing in it needs an escape.
        let cursor = cursor.map_or_else(|| "null".to_owned(), |cursor| format!("\"{cursor}\""));
        let items: Vec<&str> = items.iter().map(Self::as_str).collect();
        Self(format!(r#"{{"items":[{}],"cursor":{cursor},"more":{more}}}"#, items.join(",")))
    }

    /// The JSON.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<Document> for String {
    fn from(document: Document) -> Self {
        document.0
    }
}
