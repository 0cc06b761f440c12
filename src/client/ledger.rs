//! The proof that nothing is missing: the client counts and adds up as the server does, and compares at each heartbeat.

use super::Error;

/// An account of the events that came on a connection since its `hello`.
#[derive(Debug)]
pub(super) struct Ledger {
    /// The cursor that the connection began after, if it named one.
    resumed_after: Option<i64>,
    /// The seq up to which every event was sent or filtered out.
    passed: i64,
    events: u32,
    check: u32,
}

impl Ledger {
    /// The account of a connection that asked for the events after this seq, if it named one.
    pub(super) fn new(resumed_after: Option<i64>) -> Self {
        Self { resumed_after, passed: 0, events: 0, check: 0 }
    }

    /// Begins the count and the sum anew, as the server does with each `hello`.
    pub(super) fn begin(&mut self) {
        (self.events, self.check) = (0, 0);
    }

    /// Takes an event, which must come after everything that has passed.
    pub(super) fn take(&mut self, seq: i64) -> Result<(), Error> {
        if let Some(cursor) = self.resumed_after.filter(|cursor| seq <= *cursor) {
            return Err(Error::Repeated { seq, cursor });
        }
        if seq <= self.passed {
            return Err(Error::Misordered { seq, after: self.passed });
        }
        self.passed = seq;
        self.events = self.events.wrapping_add(1);
        self.check = self.check.wrapping_add(low_bits(seq.unsigned_abs()));
        Ok(())
    }

    /// Takes notice that the server has sent or filtered out every event up to this seq.
    pub(super) fn pass(&mut self, seq: i64) {
        self.passed = self.passed.max(seq);
    }

    /// Compares with what the server says that it has sent. Both are compared modulo 2^32, so that a server that counts
    /// on and one that wraps are understood alike.
    pub(super) fn compare(&self, events: u64, check: u64) -> Result<(), Error> {
        if (low_bits(events), low_bits(check)) == (self.events, self.check) {
            return Ok(());
        }
        Err(Error::Missed { sent: events, received: self.events.into(), check, sum: self.check.into() })
    }
}

fn low_bits(number: u64) -> u32 {
    u32::try_from(number & u64::from(u32::MAX)).unwrap_or(u32::MAX)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]
mod tests {
    use super::*;

    #[test]
    fn count_and_sum_are_those_of_the_events_since_the_hello() {
        let mut ledger = Ledger::new(None);
        ledger.compare(0, 0).unwrap();
        for seq in [3, 7, 4_294_967_295] {
            ledger.take(seq).unwrap();
        }
        ledger.compare(3, 9).unwrap();
        ledger.compare(3, 9 + (1 << 32)).unwrap();
        assert!(matches!(ledger.compare(4, 9), Err(Error::Missed { sent: 4, received: 3, .. })));
        assert!(matches!(ledger.compare(3, 8), Err(Error::Missed { check: 8, sum: 9, .. })));
        ledger.begin();
        ledger.compare(0, 0).unwrap();
    }

    #[test]
    fn seqs_only_grow_and_never_begin_at_the_cursor() {
        let mut ledger = Ledger::new(Some(5));
        assert!(matches!(ledger.take(5), Err(Error::Repeated { seq: 5, cursor: 5 })));
        ledger.take(6).unwrap();
        assert!(matches!(ledger.take(6), Err(Error::Misordered { seq: 6, after: 6 })));
        ledger.pass(9);
        ledger.pass(2);
        assert!(matches!(ledger.take(9), Err(Error::Misordered { seq: 9, after: 9 })));
        ledger.take(10).unwrap();
    }
}
