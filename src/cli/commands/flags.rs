//! Settings as flags of a command.

use clap::{Arg, Command};

use crate::config::{SETTINGS, find};

/// Settings that every command has.
const COMMON: &[&str] = &["ROWCAST_LOG", "ROWCAST_LOG_FORMAT"];

/// Gives a command the flags of these settings, and of those that every command has.
pub(super) fn settings(command: Command, names: &[&'static str]) -> Command {
    let mut all: Vec<_> = names.iter().chain(COMMON).copied().collect();
    all.sort_by_key(|name| SETTINGS.iter().position(|s| s.name == *name));
    all.dedup();
    all.into_iter().filter_map(find).fold(command, |command, setting| {
        let default = setting.default.map_or_else(String::new, |d| format!(", default {d}"));
        let help = format!("{} [{}{default}]", setting.help, setting.name);
        command.arg(Arg::new(setting.name).long(setting.flag()).value_name(setting.value).help(help))
    })
}
