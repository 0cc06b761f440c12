//! `rowcast revoke`.

use clap::ArgMatches;

use super::{Failure, output};
use crate::auth::{MAX_SUBJECT_BYTES, is_subject, revocations};
use crate::config::Source;
use crate::db::{Connector, DatabaseError, DatabaseUrl};
use crate::view::instant_text;

/// Writes down that the tokens of a subject are no longer believed, and prints until when those were issued.
pub(super) async fn run(source: &Source, args: &ArgMatches) -> Result<(), Failure> {
    let text = |name: &str| args.get_one::<String>(name).map(String::as_str);
    let subject = text("sub").unwrap_or_default();
    if !is_subject(subject) {
        return Err(Failure::Usage(format!(
            "--sub must be 1 to {MAX_SUBJECT_BYTES} bytes without control characters and not begin with rowcast:"
        )));
    }
    let reason = text("reason");
    if !reason.is_none_or(revocations::is_reason) {
        return Err(Failure::Usage(format!("--reason must be 1 to {} bytes", revocations::MAX_REASON_BYTES)));
    }
    let connector = Connector::new(DatabaseUrl::parse(&source.database_url()?)?)?;
    let (client, _carrier) = connector.connect().await.map_err(DatabaseError::from)?;
    let done = revocations::revoke(&client, subject, None, reason).await.map_err(DatabaseError::from)?;
    output::print(&instant_text(done.revoked_at));
    output::tell(&format!("tokens of {subject} issued until then are refused; sessions close within a second"));
    Ok(())
}
