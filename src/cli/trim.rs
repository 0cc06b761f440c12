//! `rowcast trim`.

use std::io::IsTerminal;
use std::time::Duration;

use clap::ArgMatches;
use time::format_description::well_known::Rfc3339;

use super::{Failure, output};
use crate::config::Source;
use crate::db::{Connector, DatabaseUrl};
use crate::journal::Cursor;
use crate::journal::trim::{self, Note, Options, Until};
use crate::shutdown;

/// Trims and prints what went.
pub(super) async fn run(source: &Source, args: &ArgMatches) -> Result<(), Failure> {
    let stop = shutdown::signals()?;
    let until = match (args.get_one::<Duration>("keep"), args.get_one::<Cursor>("before")) {
        (Some(keep), _) => Until::Keep(*keep),
        (None, Some(cursor)) => Until::Before(*cursor),
        (None, None) => return Err(Failure::Usage("one of --keep and --before is needed".to_owned())),
    };
    let dry_run = args.get_flag("dry-run");
    let wait = args.get_one("wait").copied().unwrap_or(Duration::from_secs(3600));
    let connector = Connector::new(DatabaseUrl::parse(&source.database_url()?)?)?;
    let progress = std::io::stderr().is_terminal();
    let mut tell = |note| say(note, dry_run, progress);
    trim::trim(&connector, Options { until, dry_run, wait }, stop, &mut tell).await?;
    Ok(())
}

fn say(note: Note, dry_run: bool, progress: bool) {
    let (trim, drop) = if dry_run { ("would trim", "would drop") } else { ("trimmed", "dropped") };
    match note {
        Note::Trimmed(seq) => output::print(&format!("{trim} through {seq}")),
        Note::Nothing(seq) => output::print(&format!("nothing to trim: events through {seq} are gone already")),
        Note::Dropped(name, bytes) => output::print(&format!("{drop} {name} ({} MiB)", bytes >> 20)),
        Note::Looked(count) if progress => output::tell(&format!("looked at {count} events")),
        Note::Looked(_) => {}
        Note::Keys(count) => output::tell(&format!("{count} dedupe keys went with their events")),
        Note::Young(seq, at) => {
            let at = at.format(&Rfc3339).unwrap_or_default();
            output::tell(&format!("event {seq} is of {at}, so it and all after it stay, though some are older"));
        }
        Note::HeldBack(head) => {
            output::tell(&format!("transactions are writing: nothing after {head} can be judged yet"));
        }
        Note::Finishing(name) => output::tell(&format!("finishing the detach of {name}, which was cut short")),
        Note::Waiting(blockers) => blockers.iter().for_each(|b| output::tell(&format!("waiting for {b}"))),
        Note::Left(name, why) => output::tell(&format!("{name} stays: {why}")),
    }
}
