//! Hashes of events: for the digests over all of the stream and all of the table, and for the events that are remembered.

use aws_lc_rs::digest::{self, Context, SHA256};

use crate::journal::StoredEvent;

/// A hash of all columns of an event. Each text is hashed with its length before it, so that no two events hash the same bytes.
pub(super) fn fingerprint(event: &StoredEvent) -> [u8; 32] {
    let mut hash = Context::new(&SHA256);
    hash.update(&event.seq.to_be_bytes());
    hash.update(event.id.as_bytes());
    hash.update(&event.at.unix_timestamp_nanos().to_be_bytes());
    hash.update(&[u8::from(event.public_safe)]);
    let trade = event.trade_id.map(|id| id.to_string());
    let texts = [
        Some(&event.kind),
        event.symbol.as_ref(),
        trade.as_ref(),
        event.subject.as_ref(),
        event.owner.as_ref(),
        Some(&event.payload),
    ];
    for text in texts {
        // A null must hash differently from an empty text.
        hash.update(&text.map_or(u64::MAX, |text| text.len() as u64).to_be_bytes());
        hash.update(text.map_or(&[], |text| text.as_bytes()));
    }
    hash.update(event.level.as_str().as_bytes());
    let mut bytes = [0; 32];
    bytes.copy_from_slice(hash.finish().as_ref());
    bytes
}

/// The first 8 bytes of a fingerprint, as `RecentEvents` keeps them.
pub(super) fn short_hash(fingerprint: &[u8; 32]) -> u64 {
    fingerprint.first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes))
}

/// A digest in hexadecimal.
pub(super) fn hex(digest: &digest::Digest) -> String {
    digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::tail::pages;

    pub(in crate::verify) fn event(seq: i64, payload: &str) -> StoredEvent {
        StoredEvent { payload: payload.to_owned(), ..pages::tests::event(seq) }
    }

    #[test]
    fn texts_do_not_run_into_each_other_in_the_checksum() {
        let with = |symbol: Option<&str>, subject: Option<&str>| {
            fingerprint(&StoredEvent {
                symbol: symbol.map(str::to_owned),
                subject: subject.map(str::to_owned),
                ..event(1, "{}")
            })
        };
        let all = [with(None, None), with(Some("a"), None), with(None, Some("a")), with(Some("ab"), Some("c"))];
        assert_ne!(with(Some("a"), Some("bc")), all[3]);
        for (i, one) in all.iter().enumerate() {
            assert!(all.iter().skip(i + 1).all(|other| other != one));
        }
    }
}
