//! The claims of a signed token, and which of them hold.

use serde_json::Value;

use super::Role;
use super::identity::{Identity, LEEWAY, is_subject};
use super::json::{self, Object};
use super::rejection::{Reason, Rejection, TokenError};

/// The last second of the year 9999. Later ones have no date, and are no times that somebody meant.
const LAST_SECOND: u64 = 253_402_300_799;

/// The issuer and audience that the tokens of one key or provider must name.
#[derive(Debug, Clone, Default)]
pub(super) struct Policy {
    pub(super) issuer: Option<String>,
    pub(super) audience: Option<String>,
    /// `auth_time` is required, as Firebase's rules have it.
    pub(super) auth_time: bool,
}

impl Policy {
    /// Reads the claims of a token whose signature is good.
    pub(super) fn judge(&self, claims: &[u8], now: u64) -> Result<Identity, Rejection> {
        let claims = json::object(claims).ok_or("its claims are not an object")?;
        let expires = time(&claims, "exp", "exp is not a time")?.ok_or("exp is missing")?;
        let issued = time(&claims, "iat", "iat is not a time")?.ok_or("iat is missing")?;
        let not_before = time(&claims, "nbf", "nbf is not a time")?;
        text(&claims, "jti", "jti is not a text")?;
        // `Identity::ends_at` ends a live session at this moment too.
        if now >= expires.saturating_add(LEEWAY) {
            return Err("it has expired".into());
        }
        let future = |time: u64| time > now.saturating_add(LEEWAY);
        if future(issued) {
            return Err("iat is in the future".into());
        }
        if not_before.is_some_and(future) {
            return Err("it is not valid yet".into());
        }
        if self.auth_time
            && future(time(&claims, "auth_time", "auth_time is not a time")?.ok_or("auth_time is missing")?)
        {
            return Err("auth_time is in the future".into());
        }
        self.issued_by(&claims)?;
        self.meant_for(&claims)?;
        let subject = text(&claims, "sub", "sub is not a text")?.ok_or("sub is missing")?;
        if !is_subject(subject) {
            return Err("sub is not a subject".into());
        }
        Ok(Identity::new(subject, role(&claims)?, issued, expires))
    }

    fn issued_by(&self, claims: &Object) -> Result<(), Reason> {
        let issuer = text(claims, "iss", "iss is not a text")?;
        if self.issuer.is_some() && issuer != self.issuer.as_deref() {
            return Err("iss is not the issuer");
        }
        Ok(())
    }

    fn meant_for(&self, claims: &Object) -> Result<(), Reason> {
        let audiences = match claims.get("aud") {
            None => Vec::new(),
            Some(Value::String(one)) => vec![one.as_str()],
            Some(Value::Array(many)) => texts(many).ok_or("aud holds what is not a text")?,
            Some(_) => return Err("aud is neither a text nor a list"),
        };
        match &self.audience {
            Some(ours) if !audiences.contains(&ours.as_str()) => Err("aud is not this audience"),
            _ => Ok(()),
        }
    }
}

/// The role of a token: `role`, else the strongest known one of `roles`, else [`Role::User`]. An unknown role may mean less
/// than any known one, so it is refused.
fn role(claims: &Object) -> Result<Role, Rejection> {
    let unknown =
        Rejection { error: TokenError::Forbidden, reason: "no role in it is known", has_valid_signature: true };
    let several = match claims.get("roles") {
        None => None,
        Some(Value::Array(many)) => Some(texts(many).ok_or("roles holds what is not a text")?),
        Some(_) => return Err("roles is not a list".into()),
    };
    if let Some(word) = text(claims, "role", "role is not a text")? {
        return Role::parse(word).ok_or(unknown);
    }
    match several {
        None => Ok(Role::User),
        Some(words) => words.into_iter().filter_map(Role::parse).max().ok_or(unknown),
    }
}

fn text<'a>(claims: &'a Object, name: &str, why: Reason) -> Result<Option<&'a str>, Reason> {
    claims.get(name).map(|value| value.as_str().ok_or(why)).transpose()
}

/// A claim in whole seconds since 1970. The standard allows fractions too; they are refused here.
fn time(claims: &Object, name: &str, why: Reason) -> Result<Option<u64>, Reason> {
    let read = |value: &Value| value.as_u64().filter(|time| *time <= LAST_SECOND).ok_or(why);
    claims.get(name).map(read).transpose()
}

fn texts(values: &[Value]) -> Option<Vec<&str>> {
    values.iter().map(Value::as_str).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const NOW: u64 = 2_000_000_000;

    fn judge(policy: &Policy, changes: &Value) -> Result<Identity, Rejection> {
        let mut claims = json!({ "sub": "alice", "exp": NOW + 10, "iat": NOW - 10 });
        if let (Some(claims), Some(changes)) = (claims.as_object_mut(), changes.as_object()) {
            claims.extend(changes.clone());
        }
        policy.judge(claims.to_string().as_bytes(), NOW)
    }

    fn open(changes: &Value) -> Result<Identity, Rejection> {
        judge(&Policy::default(), changes)
    }

    #[test]
    fn the_leeway_is_sixty_seconds_and_no_more() {
        assert!(open(&json!({ "exp": NOW - 59 })).is_ok());
        assert_eq!(open(&json!({ "exp": NOW - 60 })), Err(Rejection::from("it has expired")));
        for (name, why) in [("iat", "iat is in the future"), ("nbf", "it is not valid yet")] {
            assert!(open(&json!({ name: NOW + 60 })).is_ok(), "{name}");
            assert_eq!(open(&json!({ name: NOW + 61 })), Err(Rejection::from(why)));
        }
        let firebase = Policy { auth_time: true, ..Policy::default() };
        assert!(judge(&firebase, &json!({ "auth_time": NOW + 60 })).is_ok());
        let late = judge(&firebase, &json!({ "auth_time": NOW + 61 }));
        assert_eq!(late, Err(Rejection::from("auth_time is in the future")));
        assert_eq!(judge(&firebase, &json!({})), Err(Rejection::from("auth_time is missing")));
    }

    #[test]
    fn an_identity_ends_when_its_token_would_be_refused() {
        let ends = open(&json!({ "exp": NOW + 10 })).map(|identity| identity.ends_at());
        assert_eq!(ends, Ok(NOW + 70));
    }

    #[test]
    fn times_have_a_date() {
        assert!(open(&json!({ "exp": LAST_SECOND })).is_ok());
        for time in [json!(LAST_SECOND + 1), json!(u64::MAX), json!(-1), json!(2e9), json!("2100000000"), json!(null)] {
            assert_eq!(open(&json!({ "exp": time })), Err(Rejection::from("exp is not a time")), "{time}");
        }
    }

    #[test]
    fn issuer_and_audience_are_compared_only_where_they_are_set_but_always_have_a_type() {
        let policy = Policy { issuer: Some("us".into()), audience: Some("them".into()), auth_time: false };
        assert!(judge(&policy, &json!({ "iss": "us", "aud": "them" })).is_ok());
        assert!(judge(&policy, &json!({ "iss": "us", "aud": ["others", "them"] })).is_ok());
        for bad in [json!({}), json!({ "iss": "us" }), json!({ "iss": "us", "aud": [] }), json!({ "aud": "them" })] {
            assert!(judge(&policy, &bad).is_err(), "{bad}");
        }
        assert!(open(&json!({ "iss": "anybody", "aud": ["anything"] })).is_ok());
        for bad in [json!({ "iss": 1 }), json!({ "aud": 1 }), json!({ "aud": ["a", 1] }), json!({ "aud": null })] {
            assert!(open(&bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_role_is_the_one_named_or_the_strongest_known() {
        let role = |claims: Value| open(&claims).map(|identity| identity.role()).map_err(|rejection| rejection.error);
        assert_eq!(role(json!({})), Ok(Role::User));
        for known in Role::ALL {
            assert_eq!(role(json!({ "role": known.as_str() })), Ok(known));
        }
        assert_eq!(role(json!({ "roles": ["viewer", "root", "operator", "engine"] })), Ok(Role::Operator));
        assert_eq!(role(json!({ "role": "viewer", "roles": ["admin"] })), Ok(Role::Viewer));
        for unknown in [json!({ "role": "root" }), json!({ "role": "Admin" }), json!({ "role": "" })] {
            assert_eq!(role(unknown), Err(TokenError::Forbidden));
        }
        for unknown in
            [json!({ "roles": [] }), json!({ "roles": ["root"] }), json!({ "role": "x", "roles": ["admin"] })]
        {
            assert_eq!(role(unknown), Err(TokenError::Forbidden));
        }
        let wrong = [json!({ "role": null }), json!({ "role": ["admin"] }), json!({ "roles": "admin" })];
        for wrong in wrong.into_iter().chain([json!({ "roles": [7] }), json!({ "role": "admin", "roles": 7 })]) {
            assert_eq!(role(wrong), Err(TokenError::Unauthorized));
        }
    }
}
