//! The configuration of nginx that docs/OPERATIONS.md shows, as it stands there, in front of a server.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use rowcast::auth::Role;
use tokio::net::TcpStream;

use super::{Session, Sse, ask, token};
use crate::support::{TestServer, make_enterable, migrated_database, until};

const OPERATIONS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/OPERATIONS.md");

/// A proxy of one test; it ends with this.
struct Nginx {
    child: Child,
    url: String,
    _folder: tempfile::TempDir,
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // The one process there is: without workers nothing outlives it.
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}

fn program() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let places = std::env::split_paths(&path).chain(["/usr/sbin", "/usr/local/sbin"].map(PathBuf::from));
    places.map(|place| place.join("nginx")).find(|program| program.is_file())
}

/// The documented configuration, with the addresses of this test in it.
fn documented(listen: u16, server: &str) -> String {
    let page = std::fs::read_to_string(OPERATIONS).unwrap();
    let block = page.split("```nginx\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    for wanted in ["listen 80;", "server 127.0.0.1:8080;"] {
        assert_eq!(block.matches(wanted).count(), 1, "{wanted}");
    }
    block
        .replace("listen 80;", &format!("listen 127.0.0.1:{listen};"))
        .replace("server 127.0.0.1:8080;", &format!("server {server};"))
}

/// Starts nginx in front of a server; none where it is not installed.
async fn nginx(server: &TestServer) -> Option<Nginx> {
    let Some(program) = program() else {
        let why = "skipped: nginx is not installed (Debian: apt-get install nginx-light)\n";
        std::io::stderr().write_all(why.as_bytes()).unwrap();
        return None;
    };
    let folder = tempfile::tempdir().unwrap();
    make_enterable(folder.path());
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let home = folder.path().display();
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|kind| format!("{kind}_temp_path {home}/{kind};\n"))
        .concat();
    let all = format!(
        "daemon off;\nmaster_process off;\npid {home}/pid;\nerror_log {home}/log;\nevents {{}}\n\
         http {{\naccess_log off;\n{temporary}{}\n}}\n",
        documented(port, server.address())
    );
    let settings = folder.path().join("nginx.conf");
    std::fs::write(&settings, all).unwrap();
    let child = Command::new(program)
        .args(["-p", &home.to_string(), "-c", settings.to_str().unwrap()])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let nginx = Nginx { child, url: format!("http://127.0.0.1:{port}"), _folder: folder };
    until("nginx listens", || async { TcpStream::connect(("127.0.0.1", port)).await.is_ok() }).await;
    Some(nginx)
}

#[tokio::test]
async fn the_documented_nginx_passes_sockets_streams_and_clients_addresses() {
    let db = migrated_database().await;
    let more = [("ROWCAST_TRUSTED_PROXIES", "127.0.0.1/32"), ("ROWCAST_HEARTBEAT", "1s")];
    let server = TestServer::ready(&db.url, &more).await;
    let Some(nginx) = nginx(&server).await else { return };
    let proxy = TestServer::at(&nginx.url);
    let admin = token("alice", Role::Admin);

    // A page that came through the proxy is of the server's own origin: the host with its port says so.
    let protocols = format!("rowcast.v1, bearer.{admin}");
    let page = [("origin", nginx.url.as_str()), ("sec-websocket-protocol", protocols.as_str())];
    let mut session = Session::open(&proxy, "/ws", &page).await;
    session.next_of("live").await;
    let mut stream = Sse::open(&proxy, "/v1/events/stream", Some(&admin)).await;
    stream.until(": live").await;

    let appended = ask(&proxy, "POST", "/v1/events", &admin, "{\"type\":\"note.added\",\"payload\":{\"n\":7}}").await;
    assert_eq!(appended.status, 201, "{}", appended.body);
    assert_eq!(session.next_of("event").await["event"]["payload"]["n"], 7);
    stream.until("\"n\": 7").await;
    session.next_of("heartbeat").await;

    let too_large = ask(&proxy, "POST", "/v1/events", &admin, &" ".repeat((1 << 20) + 1)).await;
    assert_eq!(too_large.status, 413);
    assert_eq!(proxy.get("/metrics").await.status, 404);
    server.stop().await.unwrap();
}
