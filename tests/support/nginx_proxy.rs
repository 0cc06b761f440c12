//! nginx with the configuration of `deploy/nginx/rowcast.conf`, in front of servers of a test.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use tokio::net::TcpStream;

use super::{make_enterable, until};

const CONFIGURATION: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/nginx/rowcast.conf");
/// The lines of the configuration that a test replaces by its own.
const LISTEN: &str = "listen 80;";
const NODE: &str = "server 127.0.0.1:8080 max_fails=1 fail_timeout=1s;";
const CACHE: &str = "/var/cache/nginx/rowcast";

/// A proxy of one test; it ends with this.
pub(crate) struct Nginx {
    child: Child,
    /// Its URL.
    pub(crate) url: String,
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

/// The configuration with these addresses, and a cache in this folder.
fn configuration(listen: u16, nodes: &[&str], cache: &str) -> String {
    let file = std::fs::read_to_string(CONFIGURATION).unwrap();
    for wanted in [LISTEN, NODE, CACHE] {
        assert_eq!(file.matches(wanted).count(), 1, "{wanted}");
    }
    let nodes: Vec<_> = nodes.iter().map(|node| NODE.replace("127.0.0.1:8080", node)).collect();
    file.replace(LISTEN, &format!("listen 127.0.0.1:{listen};")).replace(NODE, &nodes.join("\n")).replace(CACHE, cache)
}

impl Nginx {
    /// Starts nginx in front of these nodes (`host:port`); none where it is not installed.
    pub(crate) async fn start(nodes: &[&str]) -> Option<Self> {
        let Some(program) = program() else {
            let why = "skipped: nginx is not installed (Debian: apt-get install nginx-light)\n";
            std::io::stderr().write_all(why.as_bytes()).unwrap();
            return None;
        };
        let folder = super::quick_folder("rowcast-nginx-");
        make_enterable(folder.path());
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let home = folder.path().display();
        let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|kind| format!("{kind}_temp_path {home}/{kind};\n"))
            .concat();
        let all = format!(
            "daemon off;\nmaster_process off;\nworker_rlimit_nofile 8192;\npid {home}/pid;\nerror_log {home}/log;\n\
             events {{ worker_connections 4096; }}\nhttp {{\naccess_log off;\n{temporary}{}\n}}\n",
            configuration(port, nodes, &format!("{home}/cache"))
        );
        let settings = folder.path().join("nginx.conf");
        std::fs::write(&settings, all).unwrap();
        let child = Command::new(program)
            .args(["-p", &home.to_string(), "-c", settings.to_str().unwrap()])
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let nginx = Self { child, url: format!("http://127.0.0.1:{port}"), _folder: folder };
        until("nginx listens", || async { TcpStream::connect(("127.0.0.1", port)).await.is_ok() }).await;
        Some(nginx)
    }
}
