//! A server at the most talkative log, and all that it has said.

use std::process::Stdio;
use std::sync::{Arc, Mutex};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

use crate::support::{JWT_SECRET, NO_LIMITS, PATIENCE, binary, run, until};

/// The server, and all that it has said.
pub(super) struct TracedServer {
    pub(super) address: String,
    heard: Arc<Mutex<Vec<u8>>>,
    child: Child,
    readers: Vec<tokio::task::JoinHandle<()>>,
}

/// Gathers what comes, to its end.
async fn gather(mut from: impl AsyncRead + Unpin, into: Arc<Mutex<Vec<u8>>>) {
    let mut chunk = vec![0; 64 << 10];
    while let Ok(read @ 1..) = from.read(&mut chunk).await {
        into.lock().unwrap().extend_from_slice(&chunk[..read]);
    }
}

impl TracedServer {
    pub(super) async fn start(database_url: &str, format: &str) -> Self {
        let environment = [
            ("DATABASE_URL", database_url),
            ("ROWCAST_JWT_SECRET", JWT_SECRET),
            ("ROWCAST_LISTEN", "127.0.0.1:0"),
            ("ROWCAST_RATE_LIMITS", NO_LIMITS),
            ("ROWCAST_PUBLIC_STREAM", "on"),
            ("ROWCAST_HEARTBEAT", "1s"),
            ("ROWCAST_LOG", "trace"),
            ("ROWCAST_LOG_FORMAT", format),
        ];
        let mut command = Command::from(binary(&["serve"], &environment));
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
        let heard = Arc::new(Mutex::new(Vec::new()));
        let log = tokio::spawn(gather(child.stderr.take().unwrap(), Arc::clone(&heard)));
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).await.unwrap();
        let address = line.trim().strip_prefix("listening on http://").unwrap().to_owned();
        let readers = vec![log, tokio::spawn(gather(stdout, Arc::clone(&heard)))];
        let server = Self { address, heard, child, readers };
        server.is_ready().await;
        server
    }

    pub(super) async fn is_ready(&self) {
        until("it is ready", || async { self.get("/health/ready", "").await.contains(" 200 ") }).await;
    }

    /// Says this and listens until all of these have come, or to the end if there are none.
    pub(super) async fn talk(&self, bytes: &[u8], wanted: &[&str]) -> String {
        self.converse(bytes, b"", wanted).await
    }

    /// As `talk`, and says `alive` whenever more comes of a session that has begun.
    async fn converse(&self, bytes: &[u8], alive: &[u8], wanted: &[&str]) -> String {
        let mut stream = TcpStream::connect(&self.address).await.unwrap();
        // Who refuses early need not have read it all.
        let _refused = stream.write_all(bytes).await;
        let (mut heard, mut chunk) = (Vec::new(), vec![0; 64 << 10]);
        loop {
            let read = tokio::time::timeout(PATIENCE, stream.read(&mut chunk)).await;
            let read = read.unwrap_or_else(|_| panic!("in vain: {wanted:?} in {}", lossy(&heard))).unwrap_or(0);
            heard.extend_from_slice(&chunk[..read]);
            let text = lossy(&heard);
            let all = wanted.iter().all(|wanted| text.contains(wanted));
            if read == 0 || all && !wanted.is_empty() {
                assert!(all, "{wanted:?} is missing in {text}");
                self.heard.lock().unwrap().extend_from_slice(&heard);
                return text;
            }
            if text.contains("\"op\":\"hello\"") {
                let _closed = stream.write_all(alive).await;
            }
        }
    }

    pub(super) async fn ask(&self, method: &str, target: &str, headers: &str, body: &str) -> String {
        let (host, length) = (&self.address, body.len());
        let head = format!("{method} {target} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n{headers}");
        self.talk(format!("{head}content-length: {length}\r\n\r\n{body}").as_bytes(), &[]).await
    }

    pub(super) async fn get(&self, target: &str, headers: &str) -> String {
        self.ask("GET", target, headers, "").await
    }

    pub(super) async fn post(&self, headers: &str, kind: &str, body: &str) -> String {
        self.ask("POST", "/v1/events", &format!("{headers}content-type: application/{kind}\r\n"), body).await
    }

    /// A WebSocket that says these messages and listens, with pongs as signs of life, until all of these have come.
    pub(super) async fn socket(&self, target: &str, headers: &str, messages: &[String], wanted: &[&str]) -> String {
        let mut bytes = format!(
            "GET {target} HTTP/1.1\r\nhost: {}\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
             sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n{headers}\r\n",
            self.address
        )
        .into_bytes();
        for message in messages {
            let length = u16::try_from(message.len()).unwrap();
            bytes.extend([0x81, 0x80 | 126]);
            bytes.extend(length.to_be_bytes());
            // A mask of zeros masks nothing.
            bytes.extend([0; 4]);
            bytes.extend(message.as_bytes());
        }
        self.converse(&bytes, &[0x8a, 0x80, 0, 0, 0, 0], wanted).await
    }

    /// What another command says on both its outputs.
    pub(super) async fn command(&self, args: &[&str], environment: &[(&str, &str)]) -> String {
        let output = run(args, environment).await;
        let mut heard = self.heard.lock().unwrap();
        heard.extend_from_slice(&output.stdout);
        heard.extend_from_slice(&output.stderr);
        lossy(&output.stdout)
    }

    /// Ends it, and hands over all that was heard.
    pub(super) async fn end(mut self) -> String {
        kill(Pid::from_raw(i32::try_from(self.child.id().unwrap()).unwrap()), Signal::SIGTERM).unwrap();
        let ended = tokio::time::timeout(PATIENCE, self.child.wait()).await.unwrap().unwrap();
        assert_eq!(ended.code(), Some(0));
        for reader in self.readers {
            reader.await.unwrap();
        }
        lossy(&self.heard.lock().unwrap())
    }
}

pub(super) fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

pub(super) fn bearer(token: &str) -> String {
    format!("authorization: Bearer {token}\r\n")
}

pub(super) fn stream(target: &str, headers: &str) -> Vec<u8> {
    format!("GET {target} HTTP/1.1\r\nhost: x\r\n{headers}\r\n").into_bytes()
}
