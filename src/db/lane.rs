//! The lanes: which connections a statement may use, and how long it may take. One table, so that no kind of request can
//! take the connections or the time of another.

use std::time::Duration;

/// How long one step of a search may take. Most steps are far shorter.
pub(super) const SEARCH_LIMIT: Duration = Duration::from_secs(2);
/// How long the database may take to answer that it is there.
pub(super) const PROBE_LIMIT: Duration = Duration::from_secs(1);
/// Connections for the server's own upkeep, beside those of the requests.
const HOUSEKEEPING_CONNECTIONS: usize = 2;

/// A kind of statement. Each has connections of its own, where there are enough of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lane {
    /// Changes something: appends, trading, chat, revocations.
    Write,
    /// Finds rows by their key: pages of the journal, one trade, one cursor.
    Read,
    /// Looks for rows by what they hold: filters, lists.
    Search,
    /// Asks whether the database is there.
    Probe,
    /// Serves nobody in particular: the taxonomy, partitions, the tail's bell.
    Housekeeping,
    /// Reads whole tables, in transactions that last as long as that takes.
    Snapshot,
}

/// The limits of one lane.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// How long one run may take once it has a connection. Past it the statement is cancelled and the connection closed.
    pub(super) run: Duration,
    /// How long a run waits for its share and for a connection.
    pub(super) queue: Duration,
    /// How many runs of one requester may wait or run at a time. One more is refused at once.
    pub(super) per_requester: usize,
}

const fn limits(run: u64, queue: u64, per_requester: usize) -> Limits {
    Limits { run: Duration::from_secs(run), queue: Duration::from_secs(queue), per_requester }
}

impl Lane {
    /// All lanes.
    pub const ALL: [Self; 6] = [Self::Write, Self::Read, Self::Search, Self::Probe, Self::Housekeeping, Self::Snapshot];

    /// A word for metrics and messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Write => "write",
            Self::Read => "read",
            Self::Search => "search",
            Self::Probe => "probe",
            Self::Housekeeping => "housekeeping",
            Self::Snapshot => "snapshot",
        }
    }

    /// The table of limits: seconds for a run, seconds for the wait before it, and how many of one requester.
    pub(super) const fn limits(self) -> Limits {
        match self {
            Self::Write => limits(10, 10, 256),
            Self::Read => limits(15, 10, 256),
            Self::Search => limits(SEARCH_LIMIT.as_secs(), 5, 64),
            Self::Probe => limits(PROBE_LIMIT.as_secs(), 1, 256),
            Self::Housekeeping => limits(30, 10, 256),
            Self::Snapshot => limits(3600, 5, 256),
        }
    }
}

/// How many connections each lane has. Lanes that stand in one group share its connections.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Group {
    pub(super) lanes: &'static [Lane],
    pub(super) connections: usize,
}

/// How a pool of this size is divided among writes, reads and searches. The other lanes are beside it; that of snapshots has as many
/// connections as there may be snapshots at once.
pub(super) fn groups(size: usize, snapshots: usize) -> Vec<Group> {
    let quarter = (size / 4).max(1);
    let mut groups = match size {
        0 | 1 => vec![Group { lanes: &[Lane::Write, Lane::Read, Lane::Search], connections: 1 }],
        2 => vec![
            Group { lanes: &[Lane::Write], connections: 1 },
            Group { lanes: &[Lane::Read, Lane::Search], connections: 1 },
        ],
        size => vec![
            Group { lanes: &[Lane::Write], connections: size - 2 * quarter },
            Group { lanes: &[Lane::Read], connections: quarter },
            Group { lanes: &[Lane::Search], connections: quarter },
        ],
    };
    groups.push(Group { lanes: &[Lane::Probe], connections: 1 });
    groups.push(Group { lanes: &[Lane::Housekeeping], connections: HOUSEKEEPING_CONNECTIONS });
    groups.push(Group { lanes: &[Lane::Snapshot], connections: snapshots });
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_lane_has_connections_and_requests_have_as_many_as_was_said() {
        for size in 1..=64 {
            let groups = groups(size, 3);
            for lane in Lane::ALL {
                assert_eq!(groups.iter().filter(|group| group.lanes.contains(&lane)).count(), 1, "{lane:?} at {size}");
            }
            assert!(groups.iter().all(|group| group.connections > 0));
            let ours = [Lane::Write, Lane::Read, Lane::Search];
            let requests = groups.iter().filter(|group| group.lanes.iter().any(|lane| ours.contains(lane)));
            assert_eq!(requests.map(|group| group.connections).sum::<usize>(), size);
        }
        let of_eight: Vec<_> = groups(8, 4).iter().map(|group| group.connections).collect();
        assert_eq!(of_eight, [4, 2, 2, 1, HOUSEKEEPING_CONNECTIONS, 4]);
    }
}
