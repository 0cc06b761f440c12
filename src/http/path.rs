//! Addresses with a name in the middle: `/v1/conversations/{id}/close`.

use uuid::Uuid;

/// The id between the two parts of a path. Only the usual form of a UUID is one, so that a thing has one address.
pub(super) fn id_between(path: &str, before: &str, after: &str) -> Option<Uuid> {
    let id = path.strip_prefix(before)?.strip_suffix(after)?;
    let uuid = Uuid::parse_str(id).ok()?;
    (uuid.to_string() == id.to_ascii_lowercase()).then_some(uuid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_uuid_in_its_usual_form_is_an_id() {
        let id = "4c0c4b2e-55b1-4a57-9d7e-1b1f4f6f7a10";
        let at = |path: &str| id_between(path, "/v1/things/", "/close").map(|id| id.to_string());
        assert_eq!(at(&format!("/v1/things/{id}/close")).as_deref(), Some(id));
        assert_eq!(at(&format!("/v1/things/{}/close", id.to_ascii_uppercase())).as_deref(), Some(id));
        for bad in
            ["", "x", "/", &id.replace('-', ""), &format!("{{{id}}}"), &format!("urn:uuid:{id}"), &format!("{id}/")]
        {
            assert_eq!(at(&format!("/v1/things/{bad}/close")), None, "{bad}");
        }
        assert_eq!(at("/v1/things/close"), None);
        assert_eq!(at(&format!("/v1/things/{id}")), None);
    }
}
