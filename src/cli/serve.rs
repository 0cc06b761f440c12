//! `rowcast serve`.

use super::{Failure, output};
use crate::app::App;
use crate::config::{ServerConfig, Source};
use crate::shutdown;

/// Serves until SIGTERM or SIGINT.
pub(super) async fn run(source: &Source) -> Result<(), Failure> {
    let stop = shutdown::signals()?;
    let config = ServerConfig::read(source)?;
    let app = App::new(&config).await?;
    output::print(&format!("listening on {}", app.url()));
    Ok(app.run(stop).await?)
}
