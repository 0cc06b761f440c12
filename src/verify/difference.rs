//! Finds the first difference between the stream and the table.

use std::fmt;

use super::fingerprint::{fingerprint, short_hash};
use crate::journal::StoredEvent;

/// The first difference between the stream and the table, with its seq.
#[derive(Debug, PartialEq, Eq)]
pub enum Difference {
    /// The table has an event at this seq that the stream did not deliver.
    NotDelivered(i64),
    /// The stream delivered an event at this seq that the table does not have.
    NotInTable(i64),
    /// Both have an event at this seq, and these columns of it differ.
    Content(i64, Vec<&'static str>),
    /// The event at this seq was changed in the table after it was delivered.
    Changed(i64),
    /// The stream delivered the first of these seqs after the second, though the first is not greater.
    Order(i64, i64),
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotDelivered(seq) => {
                write!(f, "at seq {seq}: the table has an event there that the stream did not deliver")
            }
            Self::NotInTable(seq) => write!(f, "at seq {seq}: the stream delivered an event that the table has not"),
            Self::Content(seq, columns) => {
                write!(f, "at seq {seq}: stream and table differ in {}", columns.join(", "))
            }
            Self::Changed(seq) => write!(f, "at seq {seq}: the event was changed in the table after it was delivered"),
            Self::Order(seq, previous) => write!(f, "at seq {seq}: the stream delivered it after seq {previous}"),
        }
    }
}

/// The first difference between the delivered events and the table's rows of the same range.
pub(super) fn first_difference(
    after: i64,
    delivered: &[&StoredEvent],
    table_rows: &[StoredEvent],
) -> Option<Difference> {
    let mut previous = after;
    let mut table_rows = table_rows.iter();
    for event in delivered {
        if event.seq <= previous {
            return Some(Difference::Order(event.seq, previous));
        }
        previous = event.seq;
        match table_rows.next() {
            None => return Some(Difference::NotInTable(event.seq)),
            Some(row) if row.seq < event.seq => return Some(Difference::NotDelivered(row.seq)),
            Some(row) if row.seq > event.seq => return Some(Difference::NotInTable(event.seq)),
            Some(row) if row != *event => return Some(Difference::Content(row.seq, differing_columns(event, row))),
            Some(_) => {}
        }
    }
    table_rows.next().map(|row| Difference::NotDelivered(row.seq))
}

/// The first difference between remembered events (seq and short hash) and the table's rows of the same range.
pub(super) fn first_change(remembered: &[(i64, u64)], table_rows: &[StoredEvent]) -> Option<Difference> {
    let mut table_rows = table_rows.iter();
    for (seq, hash) in remembered {
        match table_rows.next() {
            None => return Some(Difference::NotInTable(*seq)),
            Some(row) if row.seq < *seq => return Some(Difference::NotDelivered(row.seq)),
            Some(row) if row.seq > *seq => return Some(Difference::NotInTable(*seq)),
            Some(row) if short_hash(&fingerprint(row)) != *hash => return Some(Difference::Changed(*seq)),
            Some(_) => {}
        }
    }
    table_rows.next().map(|row| Difference::NotDelivered(row.seq))
}

fn differing_columns(a: &StoredEvent, b: &StoredEvent) -> Vec<&'static str> {
    let all = [
        ("id", a.id != b.id),
        ("at", a.at != b.at),
        ("type", a.kind != b.kind),
        ("level", a.level != b.level),
        ("public_safe", a.public_safe != b.public_safe),
        ("symbol", a.symbol != b.symbol),
        ("trade_id", a.trade_id != b.trade_id),
        ("subject", a.subject != b.subject),
        ("owner", a.owner != b.owner),
        ("payload", a.payload != b.payload),
    ];
    all.into_iter().filter(|(_, differs)| *differs).map(|(column, _)| column).collect()
}

#[cfg(test)]
mod tests {
    use super::super::fingerprint::tests::event;
    use super::*;

    #[test]
    fn the_first_difference_is_named_precisely() {
        let [a, b, c, b2] = [event(1, "1"), event(2, "2"), event(3, "3"), event(2, "x")];
        let held = [a.clone(), b.clone(), c.clone()];
        assert_eq!(first_difference(0, &[&a, &b, &c], &held), None);
        assert_eq!(first_difference(0, &[&a, &c], &held), Some(Difference::NotDelivered(2)));
        assert_eq!(first_difference(0, &[&a, &b], &held), Some(Difference::NotDelivered(3)));
        assert_eq!(first_difference(0, &[&a, &b, &c], &held[..2]), Some(Difference::NotInTable(3)));
        assert_eq!(first_difference(1, &[&b, &c], &held[2..]), Some(Difference::NotInTable(2)));
        assert_eq!(first_difference(0, &[&a, &b2, &c], &held), Some(Difference::Content(2, vec!["payload"])));
        assert_eq!(first_difference(0, &[&a, &b, &b], &held), Some(Difference::Order(2, 2)));
        assert_eq!(first_difference(1, &[&a], &held), Some(Difference::Order(1, 1)), "delivered again");
    }

    #[test]
    fn what_is_remembered_is_held_against_the_table() {
        let (a, b) = (event(1, "1"), event(2, "2"));
        let remembered = [&a, &b].map(|e| (e.seq, short_hash(&fingerprint(e))));
        assert_eq!(first_change(&remembered, &[a.clone(), b.clone()]), None);
        assert_eq!(first_change(&remembered, &[a.clone(), event(2, "x")]), Some(Difference::Changed(2)));
        assert_eq!(first_change(&remembered, std::slice::from_ref(&b)), Some(Difference::NotInTable(1)));
        assert_eq!(first_change(&remembered[1..], &[a, b]), Some(Difference::NotDelivered(1)));
    }
}
