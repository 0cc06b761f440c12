//! `rowcast serve`.

use super::{Failure, output};
use crate::app::App;
use crate::config::{ServerConfig, Source};
use crate::shutdown::{self, Signals};

/// Serves until SIGTERM or SIGINT, and drains; a second one ends that at once.
pub(super) async fn run(source: &Source) -> Result<(), Failure> {
    let signals = shutdown::listen()?;
    let config = ServerConfig::read(source)?;
    let app = App::new(&config).await?;
    output::print(&format!("listening on {}", app.url()));
    run_until(app, &signals).await
}

/// Runs a server until the first signal and through its drain, or until the second.
pub(super) async fn run_until(app: App, signals: &Signals) -> Result<(), Failure> {
    tokio::select! {
        served = Box::pin(app.run(async { signals.count(1).await.name() })) => Ok(served?),
        again = signals.count(2) => Err(Failure::Interrupted(again)),
    }
}
