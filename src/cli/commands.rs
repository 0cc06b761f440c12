//! The command line for clap: the commands, their flags and their help. Settings become flags from the one table of settings.

mod bench;
mod flags;

use std::path::PathBuf;

use clap::builder::ArgPredicate;
use clap::{Arg, ArgAction, Command, value_parser};

use self::flags::settings;
use crate::client::{Endpoint, Start};
use crate::config::{SETTINGS, duration};
use crate::journal::Cursor;

/// The whole command line.
pub(super) fn all() -> Command {
    Command::new("rowcast")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Rows in Postgres as ordered, resumable live streams")
        .after_help("Every flag of a setting has a variable: --listen is ROWCAST_LISTEN. A flag goes before it.")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(dev())
        .subcommand(serve())
        .subcommand(beside_dev(migrate()))
        .subcommand(beside_dev(append()))
        .subcommand(beside_dev(tail()))
        .subcommand(beside_dev(trim()))
        .subcommand(beside_dev(token()))
        .subcommand(beside_dev(revoke()))
        .subcommand(beside_dev(speaker()))
        .subcommand(beside_dev(publish()))
        .subcommand(beside_dev(unpublish()))
        .subcommand(beside_dev(verify()))
        .subcommand(beside_dev(doctor()))
        .subcommand(beside_dev(demo()))
        .subcommand(bench::bench())
}

fn dev() -> Command {
    let names: Vec<_> = SETTINGS.iter().map(|s| s.name).filter(|name| *name != "DATABASE_URL").collect();
    let command = Command::new("dev")
        .about("Everything on this machine: a private Postgres under .rowcast/, migrations, a secret, the server")
        .arg(dir("Where the cluster and what belongs to it lie"))
        .arg(Arg::new("demo").long("demo").action(ArgAction::SetTrue).help("Play a market, for something to look at"));
    settings(command, &names).after_help("Example:\n  rowcast dev --demo")
}

fn dir(help: &'static str) -> Arg {
    let dir = Arg::new("dir").long("dir").value_name("DIR").value_parser(value_parser!(PathBuf));
    dir.default_value(".rowcast").help(help)
}

/// Lets a command work on the development cluster.
fn beside_dev(command: Command) -> Command {
    command
        .arg(dir("The folder of the development cluster, which is used where the environment names no other database"))
}

fn serve() -> Command {
    let names: Vec<_> = SETTINGS.iter().map(|s| s.name).collect();
    settings(Command::new("serve").about("The server, against DATABASE_URL"), &names).after_help(
        "Example:\n  DATABASE_URL=postgres://app@db/app ROWCAST_JWT_SECRET=$(openssl rand -hex 32) rowcast serve --listen 0.0.0.0:8080",
    )
}

fn migrate() -> Command {
    let command = Command::new("migrate")
        .about("Brings the schema of DATABASE_URL up to date; safe to run from many nodes at once")
        .arg(
            Arg::new("check")
                .long("check")
                .action(ArgAction::SetTrue)
                .help("Change nothing; exit 1 if migrations are missing"),
        );
    settings(command, &["DATABASE_URL"])
        .after_help("Example:\n  rowcast migrate --database-url 'postgres://owner@db/app?sslmode=verify-full'")
}

fn append() -> Command {
    let flag = |name: &'static str, value: &'static str, help: &'static str| {
        Arg::new(name).long(name).value_name(value).help(help)
    };
    let command = Command::new("append")
        .about("Appends one event, or NDJSON from standard input (-), and prints the seq of each")
        .arg(Arg::new("type").value_name("TYPE").required(true).help("Dotted lower-case words; - reads NDJSON"))
        .arg(Arg::new("json").value_name("JSON").help("The payload, an object; {} if none is given"))
        .arg(flag("level", "LEVEL", "debug, info, warn, error or critical; info if none is given"))
        .arg(Arg::new("public-safe").long("public-safe").action(ArgAction::SetTrue).help("Public views may show it"))
        .arg(flag("symbol", "SYMBOL", "What it is about, for a trading system"))
        .arg(flag("trade-id", "UUID", "Which trade it belongs to").value_parser(value_parser!(uuid::Uuid)))
        .arg(flag("subject", "SUBJECT", "What it is about"))
        .arg(flag("owner", "OWNER", "Who alone may see it, beside admins"))
        .arg(flag("dedupe-key", "KEY", "A name for retries: seen before, prints the first seq and appends nothing"));
    settings(command, &["DATABASE_URL"]).after_help(
        "Example:\n  rowcast append note.added '{\"text\":\"hello\"}'\n  \
         echo '{\"type\":\"note.added\",\"payload\":{\"text\":\"hello\"}}' | rowcast append -",
    )
}

fn tail() -> Command {
    let option = |name: &'static str, value: &'static str, help: &'static str| {
        Arg::new(name).long(name).value_name(value).help(help)
    };
    let flag = |name: &'static str, help: &'static str| Arg::new(name).long(name).action(ArgAction::SetTrue).help(help);
    let cursor = option("cursor", "CURSOR", "Begin after this one; or earliest; latest if nothing is given")
        .value_parser(super::tail::cursor as fn(&str) -> Result<Start, String>)
        .conflicts_with("last");
    let url = option("url", "URL", "The server; with the path /public/ws its public stream, which needs no token")
        .value_parser(str::parse::<Endpoint>)
        .default_value("http://127.0.0.1:8080");
    let command = Command::new("tail")
        .about("Follows a stream in the terminal; reconnects and resumes by itself")
        .arg(url)
        .arg(option("token", "TOKEN", "Who asks; better in ROWCAST_TOKEN, which no list of processes shows"))
        .arg(
            option("table", "TABLE", "The rows of this published table, and then each change of them; up to 16 times")
                .action(ArgAction::Append)
                .conflicts_with_all(["cursor", "last", "type", "level", "symbol", "trade-id", "subject"]),
        )
        .arg(cursor)
        .arg(option("last", "N", "Begin with the newest N that match").value_parser(value_parser!(u32)))
        .arg(
            option("type", "TYPES", "Only these: exact types, or all that begin with some words, as trade.*")
                .value_delimiter(',')
                .action(ArgAction::Append),
        )
        .arg(
            option("level", "LEVEL", "Only this level and above")
                .value_parser(["debug", "info", "warn", "error", "critical"]),
        )
        .arg(option("symbol", "SYMBOL", "Only this symbol"))
        .arg(option("trade-id", "UUID", "Only this trade").value_parser(value_parser!(uuid::Uuid)))
        .arg(option("subject", "SUBJECT", "Only this subject"))
        .arg(flag("json", "The events as they are, an object a line"))
        .arg(flag("once", "End when everything up to now is read; a loss is then an error"))
        .arg(
            option("ca-file", "FILE", "PEM certificates to trust beside those of this machine")
                .value_parser(value_parser!(PathBuf)),
        );
    settings(command, &["ROWCAST_JWT_SECRET", "ROWCAST_JWT_ISSUER", "ROWCAST_JWT_AUDIENCE"]).after_help(
        "Example:\n  rowcast tail --last 10 --type 'trade.*'\n  rowcast tail --table shop.orders\n  \
         ROWCAST_TOKEN=… rowcast tail --url https://rowcast.example --cursor earliest --once --json > all.ndjson",
    )
}

fn trim() -> Command {
    let command = Command::new("trim")
        .about("Retention: older events are gone for every reader at once, their space as whole partitions empty")
        .arg(
            Arg::new("keep")
                .long("keep")
                .value_name("DURATION")
                .value_parser(duration)
                .conflicts_with("before")
                .required_unless_present("before")
                .help("Events older than this go, up to the first that is not"),
        )
        .arg(
            Arg::new("before")
                .long("before")
                .value_name("CURSOR")
                .value_parser(str::parse::<Cursor>)
                .help("Events before this one go; it stays"),
        )
        .arg(Arg::new("dry-run").long("dry-run").action(ArgAction::SetTrue).help("Only say what would go"))
        .arg(
            Arg::new("wait")
                .long("wait")
                .value_name("DURATION")
                .value_parser(duration)
                .default_value("1h")
                .help("How long to wait for open transactions before the space is left to the next trim"),
        );
    settings(command, &["DATABASE_URL"])
        .after_help("Example:\n  rowcast trim --keep 30d --dry-run\n  rowcast trim --before 1042.9f3a11c2 --wait 10m")
}

fn token() -> Command {
    let command = Command::new("token")
        .about("Mints a token with the configured HS256 secret and prints it")
        .arg(
            Arg::new("role")
                .long("role")
                .value_name("ROLE")
                .required(true)
                .value_parser(["user", "viewer", "engine", "operator", "admin"])
                .help("What the token allows"),
        )
        .arg(Arg::new("sub").long("sub").value_name("SUBJECT").required(true).help("Whose token it is"))
        .arg(
            Arg::new("ttl")
                .long("ttl")
                .value_name("DURATION")
                .default_value("1h")
                .help("How long it lives; servers take it for a minute more, since clocks differ"),
        );
    settings(command, &["ROWCAST_JWT_SECRET", "ROWCAST_JWT_ISSUER", "ROWCAST_JWT_AUDIENCE"])
        .after_help("Example:\n  rowcast token --role viewer --sub alice --ttl 1h")
}

fn revoke() -> Command {
    let command = Command::new("revoke")
        .about("Refuses every token of a subject issued until now, and closes its sessions on every node")
        .arg(Arg::new("sub").long("sub").value_name("SUBJECT").required(true).help("Whose tokens"))
        .arg(Arg::new("reason").long("reason").value_name("TEXT").help("Why, for whoever reads the list"));
    settings(command, &["DATABASE_URL"]).after_help("Example:\n  rowcast revoke --sub alice --reason 'lost her laptop'")
}

fn speaker() -> Command {
    let option = |name: &'static str, value: &'static str, help: &'static str| {
        Arg::new(name).long(name).value_name(value).help(help)
    };
    let command = Command::new("speaker")
        .about("Makes a speaker of the chat, or gives one that is there another name; prints its id")
        .arg(option("bot", "NAME", "A bot of this name").conflicts_with_all(["sub", "name"]))
        .arg(option("sub", "SUBJECT", "The user whose tokens have this subject").required_unless_present("bot"))
        .arg(option("name", "NAME", "What the user is called"));
    settings(command, &["DATABASE_URL"])
        .after_help("Example:\n  rowcast speaker --bot helper\n  rowcast speaker --sub alice --name 'Alice Smith'")
}

fn publish() -> Command {
    let table =
        Arg::new("table").value_name("TABLE").required_unless_present("list").help("The table, as SQL names it");
    let list = |name: &'static str, help: &'static str| {
        Arg::new(name).long(name).value_name("A,B,C").value_delimiter(',').help(help)
    };
    let columns = list("columns", "What stands in the payload; all columns that exist now, if not given");
    let option = |name: &'static str, value: &'static str, help: &'static str| {
        Arg::new(name).long(name).value_name(value).help(help)
    };
    let flag = |name: &'static str, help: &'static str| Arg::new(name).long(name).action(ArgAction::SetTrue).help(help);
    let command = Command::new("publish")
        .about("Streams a table: its inserts, updates and deletes become events; prints the prefix of their types")
        .arg(table)
        .arg(columns)
        .arg(option("owner-column", "COLUMN", "Each event is seen by the subject named there, and by admins"))
        .arg(flag("public-safe", "Allow the events into public views"))
        .arg(option("type-prefix", "WORDS", "What the types begin with, instead of schema.table"))
        .arg(option("subject-column", "COLUMN", "What names the row, instead of the primary key"))
        .arg(option("symbol-column", "COLUMN", "Becomes the symbol of the event"))
        .arg(option("trade-id-column", "COLUMN", "Becomes the trade of the event; must be a uuid"))
        .arg(option("map", "FUNCTION", "A function that makes the events itself, named with its schema"))
        .arg(list(
            "state-key",
            "The fields of the payload that name a row, so that a table with a map can be read live",
        ))
        .arg(list(
            "removed-types",
            "The types of its events that remove a row; PREFIX.deleted,PREFIX.removed if not given",
        ))
        .arg(flag("force", "Publish a table with row security without --owner-column"))
        .arg(flag("list", "Only list what is published").conflicts_with("table"));
    settings(command, &["DATABASE_URL"])
        .after_help("Example:\n  rowcast publish shop.orders --columns id,status,total --owner-column customer")
}

fn unpublish() -> Command {
    let table = Arg::new("table").value_name("TABLE").required(true).help("The table, as SQL names it");
    let command = Command::new("unpublish").about("Stops streaming a table; events already written stay").arg(table);
    settings(command, &["DATABASE_URL"]).after_help("Example:\n  rowcast unpublish shop.orders")
}

fn verify() -> Command {
    let command = Command::new("verify")
        .about(
            "Compares what the stream delivers with what the table holds, while writers go on; exit 1 if they differ",
        )
        .arg(
            Arg::new("from")
                .long("from")
                .value_name("CURSOR")
                .default_value("earliest")
                .value_parser(|text: &str| match text {
                    "earliest" => Ok(None),
                    text => text.parse::<Cursor>().map(Some),
                })
                .help("Compare what comes after this cursor"),
        )
        .arg(
            Arg::new("seconds")
                .long("seconds")
                .value_name("N")
                .value_parser(value_parser!(u32).range(0..=86_400))
                .default_value("0")
                .default_value_if("table", ArgPredicate::IsPresent, "10")
                .help("Also follow the stream for so long, and hold the table to all that it delivered meanwhile"),
        )
        .arg(
            Arg::new("table")
                .long("table")
                .value_name("TABLE")
                .action(ArgAction::Append)
                .conflicts_with("from")
                .help(
                    "Compare the rows of this published table with an earlier snapshot and the events behind it, for 10 seconds; \
                     up to 16 times",
                ),
        );
    settings(command, &["DATABASE_URL"])
        .after_help("Example:\n  rowcast verify --seconds 60\n  rowcast verify --table shop.orders --seconds 30")
}

fn doctor() -> Command {
    let names: Vec<_> = SETTINGS.iter().map(|s| s.name).collect();
    let command = Command::new("doctor")
        .about("Checks what a server would find here, one line each; exit 1 if any fails")
        .arg(Arg::new("json").long("json").action(ArgAction::SetTrue).help("One JSON object a line"));
    settings(command, &names)
        .after_help("Example:\n  DATABASE_URL=postgres://app@db/app ROWCAST_JWT_SECRET=$(cat secret) rowcast doctor")
}

fn demo() -> Command {
    let option = |name: &'static str, value: &'static str, help: &'static str| {
        Arg::new(name).long(name).value_name(value).help(help)
    };
    let command = Command::new("demo")
        .about("Plays a believable market against a server, through the same routes as an engine that trades")
        .arg(
            option("url", "URL", "The server")
                .value_parser(value_parser!(Endpoint))
                .default_value("http://127.0.0.1:8080"),
        )
        .arg(option(
            "token",
            "TOKEN",
            "The token of an engine; without it ROWCAST_TOKEN, or one minted with the secret",
        ))
        .arg(
            option("seed", "N", "The same seed plays the same day; by default each run plays another")
                .value_parser(value_parser!(u64)),
        )
        .arg(option("rate", "N", "Events a second").value_parser(value_parser!(u32).range(1..=1000)).default_value("2"))
        .arg(
            option("events", "N", "End after so many; by default only a signal ends it")
                .value_parser(value_parser!(u64)),
        )
        .arg(
            option("ca-file", "FILE", "PEM certificates to trust beside those of this machine")
                .value_parser(value_parser!(PathBuf)),
        );
    settings(command, &["ROWCAST_JWT_SECRET", "ROWCAST_JWT_ISSUER", "ROWCAST_JWT_AUDIENCE"])
        .after_help("Example:\n  ROWCAST_TOKEN=… rowcast demo --seed 7 --rate 50 --events 1000")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent_and_every_command_shows_an_example() {
        all().debug_assert();
        let all = all();
        for command in
            all.get_subcommands().flat_map(|command| std::iter::once(command).chain(command.get_subcommands()))
        {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(help.starts_with("Example:\n  "), "{}", command.get_name());
        }
    }
}
