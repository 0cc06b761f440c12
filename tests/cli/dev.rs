//! `rowcast dev` as a newcomer meets it: one command, and it survives what happens to it.

use std::path::Path;
use std::process::Stdio;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::support::raw_http::request;
use crate::support::{PATIENCE, binary, in_time, quick_folder, run, text, until};

struct Dev {
    child: Child,
    lines: Vec<String>,
}

impl Dev {
    /// Starts it and reads what it says, up to the line that begins with `ready`.
    async fn start(folder: &Path) -> Self {
        Self::start_with(folder, &[]).await
    }

    async fn start_with(folder: &Path, more: &[&str]) -> Self {
        Self::start_in(folder, more, &[]).await
    }

    async fn start_in(folder: &Path, more: &[&str], environment: &[(&str, &str)]) -> Self {
        Self::start_saying(folder, more, environment, Stdio::null()).await
    }

    async fn start_saying(folder: &Path, more: &[&str], environment: &[(&str, &str)], errors: Stdio) -> Self {
        let usual = ["dev", "--listen", "127.0.0.1:0", "--dir", folder.to_str().unwrap()];
        let command = binary(&[&usual, more].concat(), environment);
        let mut command = Command::from(command);
        let mut child = command.stdout(Stdio::piped()).stderr(errors).kill_on_drop(true).spawn().unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut lines = Vec::new();
        while !lines.last().is_some_and(|l: &String| l.starts_with("ready")) {
            let line = tokio::time::timeout(PATIENCE, output.next_line()).await.unwrap().unwrap();
            lines.push(line.unwrap_or_else(|| panic!("it ended before it was ready, after {lines:?}")));
        }
        Self { child, lines }
    }

    fn said(&self, label: &str) -> &str {
        self.lines.iter().find_map(|l| l.strip_prefix(label)).unwrap().trim()
    }

    async fn is_ready(&self) {
        let address = self.said("server ").strip_prefix("http://").unwrap();
        until("it is ready", || async { request(address, "GET", "/health/ready", &[], b"").await.status == 200 }).await;
    }

    /// Runs the line that it printed for the terminal.
    async fn psql(&self, more: &str) -> String {
        let line = format!("{} {more}", self.said("psql "));
        let answer = Command::new("sh").args(["-c", &line]).output().await.unwrap();
        assert!(answer.status.success(), "{}", text(&answer.stderr));
        text(&answer.stdout)
    }

    async fn end(mut self, signal: Signal) -> Option<i32> {
        kill(Pid::from_raw(i32::try_from(self.child.id().unwrap()).unwrap()), signal).unwrap();
        tokio::time::timeout(PATIENCE, self.child.wait()).await.unwrap().unwrap().code()
    }
}

#[tokio::test]
async fn one_command_serves_again_and_again_with_its_data() {
    let folder = quick_folder("rowcast-test-");
    let folder = folder.path().join(".rowcast");
    let dev = Dev::start(&folder).await;
    dev.is_ready().await;
    assert_eq!(dev.said("admin token ").split('.').count(), 3);
    let follow = format!("{} --cursor earliest --once --json", dev.said("follow "));
    let first = Command::new("sh").args(["-c", dev.said("first event ")]).output().await.unwrap();
    assert!(text(&first.stdout).contains("{\"text\": \"hello\"}"), "{}", text(&first.stderr));
    // The stream has it a moment after the commit.
    until("the stream has the event", || async {
        let followed = Command::new("sh").args(["-c", &follow]).output().await.unwrap();
        let event: serde_json::Value = serde_json::from_slice(&followed.stdout).unwrap_or_default();
        event["seq"] == 1 && event["payload"]["text"] == "hello"
    })
    .await;

    let second = run(&["dev", "--listen", "127.0.0.1:0", "--dir", folder.to_str().unwrap()], &[]).await;
    assert_eq!(second.status.code(), Some(1));
    let pid = dev.child.id().unwrap().to_string();
    assert!(text(&second.stderr).contains(&pid), "{}", text(&second.stderr));

    dev.end(Signal::SIGKILL).await;
    let dev = Dev::start(&folder).await;
    dev.is_ready().await;
    assert_eq!(dev.psql("-Atc 'select count(*) from rowcast.events'").await, "1\n");
    assert_eq!(dev.end(Signal::SIGINT).await, Some(0));
    assert!(!folder.join("cluster/postmaster.pid").exists(), "Postgres goes when it goes");

    let dev = Dev::start(&folder).await;
    assert_eq!(dev.psql("-Atc 'select max(seq) from rowcast.query_events()'").await, "1\n");
    assert_eq!(dev.end(Signal::SIGTERM).await, Some(0));
}

#[tokio::test]
async fn the_first_start_says_what_a_person_needs_and_little_else() {
    let folder = quick_folder("rowcast-test-");
    let said = folder.path().join("said");
    let errors = Stdio::from(std::fs::File::create(&said).unwrap());
    let dev = Dev::start_saying(&folder.path().join(".rowcast"), &[], &[], errors).await;
    let said = std::fs::read_to_string(said).unwrap();
    let before_the_log: Vec<&str> = said.lines().take_while(|line| !line.contains(" INFO ")).collect();
    assert!(before_the_log[0].starts_with("Postgres "), "{said}");
    assert!(before_the_log[1].starts_with("migrations applied: "), "{said}");
    assert_eq!(before_the_log.len(), 2, "{said}");
    assert_eq!(said.matches("migration").count(), 1, "{said}");
    assert!(dev.lines.len() <= 8, "{:?}", dev.lines);
    let link = format!("{}/#token={}", dev.said("server "), dev.said("admin token "));
    assert_eq!(dev.said("dashboard "), link, "a link that signs in");
}

#[tokio::test]
async fn a_cluster_of_before_the_first_release_names_the_folder_to_remove_and_stays() {
    let folder = quick_folder("rowcast-test-");
    let folder = folder.path().join(".rowcast");
    let dev = Dev::start(&folder).await;
    // It has looked at the history then, and does so no more.
    dev.is_ready().await;
    let history = "update public.refinery_schema_history set checksum = '15130496798690391359' where version = 1";
    dev.psql(&format!("-qc \"{history}\" -c \"insert into rowcast.events (type) values ('a')\"")).await;
    assert_eq!(dev.end(Signal::SIGINT).await, Some(0));

    let refused = run(&["dev", "--listen", "127.0.0.1:0", "--dir", folder.to_str().unwrap()], &[]).await;
    let said = text(&refused.stderr);
    assert_eq!(refused.status.code(), Some(1), "{said}");
    assert!(said.contains("migrated by a Rowcast before 0.1.0, whose migrations were replaced"), "{said}");
    assert!(said.contains(&format!("remove the folder {} and run `rowcast dev` again", folder.display())), "{said}");
    assert!(folder.join("cluster/PG_VERSION").exists(), "nothing is removed by itself");
    assert!(!folder.join("cluster/postmaster.pid").exists(), "Postgres is stopped again");
}

#[tokio::test]
async fn a_stop_with_a_client_attached_is_a_matter_of_a_moment() {
    let folder = quick_folder("rowcast-test-");
    let dev = Dev::start(&folder.path().join(".rowcast")).await;
    dev.is_ready().await;
    let address = dev.said("server ").strip_prefix("http://").unwrap().to_owned();
    let url = format!("ws://{address}/ws");
    let stream = tokio::net::TcpStream::connect(&address).await.unwrap();
    let mut request = tokio_tungstenite::tungstenite::client::IntoClientRequest::into_client_request(url).unwrap();
    let bearer = format!("Bearer {}", dev.said("admin token "));
    request.headers_mut().insert("authorization", bearer.parse().unwrap());
    let (mut client, _) = tokio_tungstenite::client_async(request, stream).await.unwrap();
    let begun = std::time::Instant::now();
    let hello = futures_util::StreamExt::next(&mut client).await.unwrap().unwrap();
    assert!(hello.to_text().unwrap().contains("hello"));
    let closed = tokio::spawn(async move {
        while let Some(Ok(message)) = futures_util::StreamExt::next(&mut client).await {
            if let tokio_tungstenite::tungstenite::Message::Close(Some(close)) = message {
                return u16::from(close.code);
            }
        }
        0
    });
    assert_eq!(dev.end(Signal::SIGINT).await, Some(0));
    // The stop of Postgres included.
    in_time(begun, std::time::Duration::from_secs(4));
    assert_eq!(closed.await.unwrap(), 1012);
}

#[tokio::test]
async fn postgres_sees_nothing_of_the_callers_environment() {
    let folder = quick_folder("rowcast-test-");
    let place = folder.path().join(".rowcast");
    let environment =
        [("ROWCAST_JWT_SECRET", "a-secret-of-the-caller-0123456789abcdef"), ("PGOPTIONS", "-c work_mem=1MB")];
    let dev = Dev::start_in(&place, &[], &environment).await;
    let file = std::fs::read_to_string(place.join("cluster/postmaster.pid")).unwrap();
    let pid = file.lines().next().unwrap();
    let seen = std::fs::read(format!("/proc/{pid}/environ")).unwrap();
    let names: Vec<_> = seen
        .split(|byte| *byte == 0)
        .filter_map(|entry| text(entry).split_once('=').map(|(name, _)| name.to_owned()))
        .collect();
    assert!(names.iter().any(|name| name == "PATH"), "{names:?}");
    // Postgres itself adds those of its own to what it was started with.
    let passed_on = [
        "PATH",
        "TZ",
        "LC_ALL",
        "LD_LIBRARY_PATH",
        "PGDATA",
        "PG_GRANDPARENT_PID",
        "PGLOCALEDIR",
        "PGSYSCONFDIR",
        "PWD",
        "OLDPWD",
        "_",
        "SHLVL",
    ];
    assert_eq!(names.iter().filter(|name| !passed_on.contains(&name.as_str())).collect::<Vec<_>>(), [""; 0]);
    assert_eq!(dev.psql("-Atc 'show work_mem'").await, "4MB\n");
    assert_eq!(dev.end(Signal::SIGINT).await, Some(0));
}

#[tokio::test]
async fn with_demo_there_is_something_to_look_at() {
    let folder = quick_folder("rowcast-test-");
    let dev = Dev::start_with(&folder.path().join(".rowcast"), &["--demo"]).await;
    let told = "-Atc \"select exists (select from rowcast.events where type = 'order.placed') \
                and exists (select from rowcast.events where type = 'decision.made')\"";
    until("the demo plays", || async { dev.psql(told).await == "t\n" }).await;
    assert_eq!(dev.end(Signal::SIGINT).await, Some(0));
}

/// Runs the binary in a folder, with nothing of a deployment in its environment.
async fn beside(folder: &Path, args: &[&str], environment: &[(&str, &str)]) -> std::process::Output {
    let mut command = binary(args, environment);
    command.current_dir(folder);
    tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
}

#[tokio::test]
async fn commands_find_the_development_cluster_without_environment() {
    let home = quick_folder("rowcast-test-");
    let home = home.path();
    let dev = Dev::start(&home.join(".rowcast")).await;
    dev.is_ready().await;
    assert!(dev.lines.last().unwrap().contains(home.join(".rowcast").to_str().unwrap()), "{:?}", dev.lines);
    let ok = async |args: &[&str]| {
        let done = beside(home, args, &[]).await;
        assert_eq!(done.status.code(), Some(0), "{args:?}: {}", text(&done.stderr));
        assert!(text(&done.stderr).contains("using the development cluster in "), "{args:?}");
        text(&done.stdout)
    };

    assert_eq!(ok(&["append", "note.added", "{\"text\":\"beside\"}"]).await, "1\n");
    until("the event is decided and followed", || async {
        let followed = ok(&["tail", "--cursor", "earliest", "--once", "--json"]).await;
        let event: serde_json::Value = serde_json::from_str(&followed).unwrap_or_default();
        event["payload"]["text"] == "beside"
    })
    .await;
    let token = ok(&["token", "--role", "viewer", "--sub", "alice"]).await;
    let address = dev.said("server ").strip_prefix("http://").unwrap().to_owned();
    let bearer = format!("Bearer {}", token.trim());
    let me = request(&address, "GET", "/v1/me", &[("authorization", &bearer)], b"").await;
    assert_eq!(me.status, 200, "{}", me.body);
    dev.psql("-c 'create table shop_orders (id bigint primary key)'").await;
    assert_eq!(ok(&["publish", "shop_orders"]).await, "public.shop_orders\n");
    ok(&["unpublish", "shop_orders"]).await;
    assert_eq!(ok(&["migrate", "--check"]).await, "the schema is up to date\n");
    ok(&["verify"]).await;
    ok(&["revoke", "--sub", "bob"]).await;
    ok(&["demo", "--events", "1"]).await;
    assert!(ok(&["doctor"]).await.contains("connection"), "the doctor examines the cluster");
    let bot = ok(&["speaker", "--bot", "helper"]).await;
    assert_eq!(ok(&["speaker", "--bot", "helper"]).await, bot, "no second one is made");
    ok(&["trim", "--before", "2"]).await;

    // A deployment that the environment names comes first, and a folder that is named before that.
    let elsewhere = [("DATABASE_URL", "postgres://nobody@127.0.0.1:1/none")];
    let refused = beside(home, &["append", "note.added"], &elsewhere).await;
    assert_eq!(refused.status.code(), Some(1));
    assert!(!text(&refused.stderr).contains("development cluster"), "{}", text(&refused.stderr));
    let named = beside(home, &["append", "note.added", "--dir", ".rowcast"], &elsewhere).await;
    assert_eq!(named.status.code(), Some(0), "{}", text(&named.stderr));
    let nothing = beside(home, &["append", "note.added", "--dir", "nowhere"], &[]).await;
    assert_eq!(nothing.status.code(), Some(1));
    assert!(text(&nothing.stderr).contains("rowcast dev --dir nowhere"), "{}", text(&nothing.stderr));
    // No token of ours is sent to a server that is not ours.
    let foreign = beside(home, &["tail", "--once", "--url", "http://127.0.0.1:1"], &[]).await;
    assert_eq!(foreign.status.code(), Some(2), "{}", text(&foreign.stderr));
    assert_eq!(dev.end(Signal::SIGINT).await, Some(0));
}

#[tokio::test]
async fn pages_that_are_served_on_this_machine_may_connect_to_dev() {
    let folder = quick_folder("rowcast-test-");
    let dev = Dev::start(&folder.path().join(".rowcast")).await;
    dev.is_ready().await;
    let address = dev.said("server ").strip_prefix("http://").unwrap().to_owned();
    let preflight = async |origin: &str| {
        let headers = [("origin", origin), ("access-control-request-method", "GET")];
        request(&address, "OPTIONS", "/v1/events", &headers, b"").await.status
    };
    for own in ["http://localhost:5173", "http://127.0.0.1:3000", "http://[::1]:8081", "https://localhost"] {
        assert_eq!(preflight(own).await, 204, "{own}");
    }
    for foreign in ["https://evil.example", "http://localhost.evil.example:5173", "null"] {
        assert_eq!(preflight(foreign).await, 403, "{foreign}");
    }
    assert_eq!(dev.end(Signal::SIGINT).await, Some(0));
}
