//! The ids in paths such as `/v1/conversations/{id}/close`.

use uuid::Uuid;

/// The id in a segment of a path. A UUID counts only in its usual form, so that each thing has one address.
pub(in crate::http) fn id(part: &str) -> Option<Uuid> {
    let uuid = Uuid::try_parse(part).ok()?;
    (uuid.to_string() == part.to_ascii_lowercase()).then_some(uuid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_uuid_in_its_usual_form_is_an_id() {
        let text = "4c0c4b2e-55b1-4a57-9d7e-1b1f4f6f7a10";
        assert_eq!(id(text).map(|id| id.to_string()).as_deref(), Some(text));
        assert_eq!(id(&text.to_ascii_uppercase()), id(text));
        for bad in ["", "x", "/", &text.replace('-', ""), &format!("{{{text}}}"), &format!("urn:uuid:{text}"), "%34"] {
            assert_eq!(id(bad), None, "{bad}");
        }
    }
}
