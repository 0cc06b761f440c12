//! Secrets of a certain shape: tokens in parts, private keys, passwords in URLs, the credentials of an HTTP header.

use std::ops::Range;

use super::alphabet::{Alphabet, LOOK_AHEAD, alnum, base64, in_authority, token68, upper_or_digit, url};
use super::finder::{Finder, FoundSecret, looks_random};
use super::rewriting::REDACTED;
use super::rewriting::steps;

impl<'a> Finder<'a> {
    /// A key of a language model's provider, `sk-…`. Words with hyphens between them are not a key.
    pub(super) fn model_key(&self, at: usize) -> Option<Range<usize>> {
        let rest = &self.bytes[at + 3..self.short_run(at + 3, url)];
        let unbroken = |least| rest.split(|b| *b == b'-').any(|part| part.len() >= least);
        let glued = at > self.floor && alnum(self.bytes[at - 1]);
        let secret = if glued {
            // `task-…`, `disk-…` and many more end like it.
            let has = |kind: fn(&u8) -> bool| rest.iter().any(kind);
            let mixed = has(u8::is_ascii_digit) && has(u8::is_ascii_uppercase) && has(u8::is_ascii_lowercase);
            mixed && unbroken(32)
        } else {
            rest.len() >= 16 && (unbroken(16) || rest.iter().any(u8::is_ascii_digit))
        };
        secret.then(|| at..self.run(at, url))
    }

    /// A key of SendGrid, `SG.…` in two parts.
    pub(super) fn mail_key(&self, at: usize) -> Option<Range<usize>> {
        let middle = self.short_run(at + 3, url);
        let ends = |from: usize| self.short_run(from, url);
        let fits = middle - at >= 19 && self.bytes.get(middle) == Some(&b'.') && ends(middle + 1) - middle > 16;
        fits.then(|| at..self.run(middle + 1, url))
    }

    /// A JSON Web Token: three parts or, encrypted, five. It may begin anywhere in a word.
    pub(super) fn jwt(&mut self, at: usize) -> Option<Range<usize>> {
        if at < self.no_jwt_before || !self.object_in_base64(at) {
            return None;
        }
        let first = self.run(at, url);
        self.no_jwt_before = first;
        if first - at < 8 || self.bytes.get(first) != Some(&b'.') {
            return None;
        }
        let second = self.run(first + 1, url);
        if self.bytes.get(second) != Some(&b'.') {
            // No JWT begins in the second part either, since no third part follows.
            self.no_jwt_before = second;
            return None;
        }
        let third = self.run(second + 1, url);
        let claims = self.object_in_base64(first + 1);
        if !(claims || third - second > 8) {
            return None;
        }
        let mut end = third;
        for _ in 0..2 {
            let next = if self.bytes.get(end) == Some(&b'.') { self.run(end + 1, url) } else { end };
            end = if next > end + 1 { next } else { end };
        }
        Some(at..end)
    }

    /// True if base64url of `{"` begins here, or of `{` and `"` with blanks between.
    fn object_in_base64(&self, at: usize) -> bool {
        if self.begins(at, "eyJ") {
            return true;
        }
        let blanks = ["eyA", "ewo", "ew0", "ewk"];
        if !blanks.iter().any(|begin| self.begins(at, begin)) {
            return false;
        }
        let end = self.short_run(at, url);
        let said = decoded(&self.text[at..end]).unwrap_or_default();
        said.trim_ascii_start().strip_prefix(b"{").is_some_and(|rest| rest.trim_ascii_start().starts_with(b"\""))
    }

    /// The token of a Discord bot, at its first dot: the number of the bot in base64, six characters, many more.
    pub(super) fn discord_token(&self, dot: usize) -> Option<Range<usize>> {
        if self.bytes.get(dot + 7) != Some(&b'.') {
            return None;
        }
        let length = self.bytes[self.floor..dot].iter().rev().take(30).take_while(|b| url(**b)).count();
        let number = decoded(self.text.get(dot - length..dot - length + 8)?)?;
        let fits = (22..=28).contains(&length) && number.iter().all(u8::is_ascii_digit);
        let middle = fits && self.short_run(dot + 1, url) == dot + 7;
        (middle && self.short_run(dot + 8, url) - dot >= 35).then(|| dot - length..self.run(dot + 8, url))
    }

    /// The signature of a URL of Azure: `sig=…`, with the version or the end of what is granted before or behind it.
    pub(super) fn shared_access_signature(&self, at: usize) -> Option<FoundSecret<'a>> {
        let parameter = |at: usize, name: &str| {
            let starts = at.checked_sub(1).is_none_or(|before| !url(self.bytes[before]));
            starts && self.begins(at, name)
        };
        let name = at.checked_sub(3).filter(|name| *name >= self.floor && parameter(*name, "sig="))?;
        let end = self.short_run(at + 1, |b| token68(b) || b == b'%');
        let nearby = name.saturating_sub(LOOK_AHEAD)..(end + LOOK_AHEAD).min(self.bytes.len());
        steps(nearby.len());
        let granted = nearby.into_iter().any(|at| parameter(at, "sv=") || parameter(at, "se="));
        (granted && end - at > 20).then_some(FoundSecret { part: at + 1..end, quote: "" })
    }

    /// A private key in PEM or in the format of SSH2, up to its last line or, if that is missing, the end of the text.
    pub(super) fn private_key(&self, at: usize) -> Option<Range<usize>> {
        let pem = self.begins(at, "-----BEGIN ");
        if !pem && !self.begins(at, "---- BEGIN ") {
            return None;
        }
        let last_line = if pem { "-----END" } else { "---- END" };
        let label = self.short_run(at + 11, |b| b == b' ' || upper_or_digit(b));
        steps(label - at);
        if !self.text[at + 11..label].contains("PRIVATE KEY") {
            return None;
        }
        let mut end = label;
        // In the headers of SSH2 are quotes, in PEM none.
        while end < self.bytes.len() && !(pem && self.bytes[end] == b'"') && !self.begins(end, last_line) {
            end += 1;
        }
        if self.begins(end, last_line) {
            end = self.run(self.short_run(end + 8, |b| b == b' ' || upper_or_digit(b)), |b| b == b'-');
        }
        steps(end - label);
        Some(at..end)
    }

    /// The password of a URL whose authority begins here.
    pub(super) fn url_password(&self, from: usize) -> Option<Range<usize>> {
        if self.bytes.get(from) == Some(&b'[') {
            return None;
        }
        let end = self.run(from, in_authority);
        let authority = &self.text[from..end];
        let colon = from + authority.find(':')?;
        let at_sign = match authority.rfind('@') {
            Some(at_sign) => from + at_sign,
            None => self.stray_at_sign(colon + 1, end)?,
        };
        let password = self.text.get(colon + 1..at_sign)?;
        let hidden = password == REDACTED || password.bytes().all(|b| b == b'*');
        (!hidden).then_some(colon + 1..at_sign)
    }

    /// The `@` of a URL whose password holds a `/` or `#` that should have been encoded. If only digits stand before that, they
    /// are a port and there is no password.
    fn stray_at_sign(&self, from: usize, end: usize) -> Option<usize> {
        let port = self.bytes[from..end].iter().all(u8::is_ascii_digit);
        if port && (end > from || self.bytes.get(end).is_none_or(|b| *b == b'/')) {
            return None;
        }
        let last = self.short_run(end, |b| b != b'@' && b != b'"' && !b.is_ascii_whitespace());
        if self.bytes.get(last) != Some(&b'@') {
            return None;
        }
        // A correct authority follows, which may hold another `@`.
        let end = self.run(last, in_authority);
        self.text[last..end].rfind('@').map(|more| last + more)
    }

    /// The token of a Telegram bot: its number, a colon, thirty-five characters.
    pub(super) fn bot_token(&self, colon: usize) -> Option<Range<usize>> {
        let digits = self.bytes[self.floor..colon].iter().rev().take(13).take_while(|b| b.is_ascii_digit()).count();
        let fits = (8..=12).contains(&digits) && self.begins(colon, ":AA");
        let end = if fits { self.short_run(colon + 1, url) } else { colon };
        (end - colon > 33).then_some(colon - digits..end)
    }

    /// The credentials behind the name of a scheme, as in the header `Authorization`.
    pub(super) fn credentials(&self, at: usize) -> Option<Range<usize>> {
        let schemes = ["bearer", "basic", "negotiate"];
        let word = |scheme: &&&str| {
            self.bytes.get(at..at + scheme.len()).is_some_and(|b| b.eq_ignore_ascii_case(scheme.as_bytes()))
        };
        let scheme = *schemes.iter().find(word)?;
        let behind = at + scheme.len();
        let from = self.short_run(behind, |b| b == b' ');
        if from == behind || from - behind > 4 {
            return None;
        }
        let alphabet: Alphabet = if scheme == "basic" { base64 } else { token68 };
        let end = self.short_run(from, alphabet);
        let said = self.text[from..end].trim_end_matches('.');
        let secret = match scheme {
            "basic" => is_user_and_password(said),
            "bearer" => {
                said.len() >= 20
                    || (said.len() >= 6 && said.bytes().any(|b| b.is_ascii_digit() || b"._~+=".contains(&b)))
            }
            _ => said.len() >= 20,
        };
        let whole = if end - from == LOOK_AHEAD { self.run(from, alphabet) } else { from + said.len() };
        secret.then_some(from..whole)
    }

    /// A private key of PuTTY, up to the line that ends it, or all that there is of it.
    pub(super) fn putty_key(&self, at: usize) -> Option<Range<usize>> {
        if !self.begins(at, "PuTTY-User-Key-File-") {
            return None;
        }
        let rest = &self.text[at..];
        steps(rest.len());
        let end = rest
            .find("Private-MAC:")
            .map_or(self.bytes.len(), |last| self.run(at + last + 12, |b| b == b' ' || alnum(b)));
        Some(at..end)
    }

    /// A token of an old Vault: `s.` and twenty-four letters and digits.
    pub(super) fn vault_token(&self, at: usize) -> Option<Range<usize>> {
        if !self.begins(at, "s.") {
            return None;
        }
        let end = self.short_run(at + 2, alnum);
        let body = &self.bytes[at + 2..end];
        let mixed = body.iter().any(u8::is_ascii_digit) && body.iter().any(u8::is_ascii_uppercase);
        (mixed && (24..=26).contains(&body.len()) && body.iter().any(u8::is_ascii_lowercase)).then_some(at..end)
    }

    /// The token of an application at Meta: its number, a bar, twenty-seven characters.
    pub(super) fn app_token(&self, at: usize) -> Option<Range<usize>> {
        let bar = self.short_run(at, |b| b.is_ascii_digit());
        if !(13..=17).contains(&(bar - at)) || self.bytes.get(bar) != Some(&b'|') {
            return None;
        }
        let end = self.short_run(bar + 1, url);
        ((24..=30).contains(&(end - bar)) && looks_random(&self.bytes[bar + 1..end])).then_some(at..end)
    }
}

/// True if this is a name and a password in base64 (RFC 7617), and not a word that happens to follow "basic".
fn is_user_and_password(text: &str) -> bool {
    let Some(decoded) = decoded(text) else { return false };
    // The end may be cut off in the middle of a character.
    text.len() >= 4 && decoded.contains(&b':') && (text.len() >= LOOK_AHEAD || std::str::from_utf8(&decoded).is_ok())
}

/// Decodes base64 of either alphabet.
fn decoded(text: &str) -> Option<Vec<u8>> {
    let mut decoded = Vec::with_capacity(text.len());
    let (mut bits, mut held) = (0_u32, 0_u32);
    for byte in text.trim_end_matches('=').bytes() {
        let value = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
            _ => return None,
        };
        bits = (bits << 6) | u32::from(value);
        held += 6;
        if held >= 8 {
            held -= 8;
            decoded.push(u8::try_from((bits >> held) & 0xff).unwrap_or(u8::MAX));
        }
    }
    Some(decoded)
}
