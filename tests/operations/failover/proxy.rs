//! A proxy that speaks enough of Postgres's protocol to keep its clients' connections while it moves to another server, as
//! some poolers and sidecars do: it says each client's first message again to the new server, and goes on.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt, Result};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

pub(crate) struct Proxy {
    pub(crate) port: u16,
    ports: watch::Sender<Vec<u16>>,
    accepting: JoinHandle<()>,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Proxy {
    /// To these servers, in turn.
    pub(crate) async fn to(ports: Vec<u16>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let ports = watch::Sender::new(ports);
        let (told, turn) = (ports.clone(), Arc::new(AtomicUsize::new(0)));
        let accepting = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(carry(client, told.subscribe(), Arc::clone(&turn)));
            }
        });
        Self { port, ports, accepting }
    }

    /// Every connection goes on with this server, as soon as it is between two statements.
    pub(crate) fn move_to(&self, port: u16) {
        self.ports.send_replace(vec![port]);
    }

    pub(crate) fn url(&self) -> String {
        format!("postgres://postgres@127.0.0.1:{}/app?sslmode=disable", self.port)
    }
}

/// Messages that have come in part or whole.
#[derive(Default)]
struct Inbox(Vec<u8>);

impl Inbox {
    /// The next whole message: its type and all its bytes.
    fn next(&mut self) -> Option<(u8, Vec<u8>)> {
        let length = u32::from_be_bytes(self.0.get(1..5)?.try_into().unwrap()) as usize + 1;
        if self.0.len() < length {
            return None;
        }
        let rest = self.0.split_off(length);
        let message = std::mem::replace(&mut self.0, rest);
        Some((message[0], message))
    }
}

async fn dial(ports: &[u16], turn: &AtomicUsize) -> Result<TcpStream> {
    let port = ports[turn.fetch_add(1, Ordering::Relaxed) % ports.len()];
    let server = TcpStream::connect(("127.0.0.1", port)).await?;
    server.set_nodelay(true)?;
    Ok(server)
}

async fn carry(client: TcpStream, told: watch::Receiver<Vec<u16>>, turn: Arc<AtomicUsize>) {
    // Whoever ends it, both sides are closed.
    let _ended = Box::pin(talk(client, told, turn)).await;
}

async fn talk(mut client: TcpStream, mut told: watch::Receiver<Vec<u16>>, turn: Arc<AtomicUsize>) -> Result<()> {
    client.set_nodelay(true)?;
    let mut length = [0; 4];
    client.read_exact(&mut length).await?;
    let mut startup = length.to_vec();
    startup.resize(u32::from_be_bytes(length) as usize, 0);
    client.read_exact(&mut startup[4..]).await?;
    let ports = told.borrow_and_update().clone();
    let mut server = Some(dial(&ports, &turn).await?);
    if let Some(server) = &mut server {
        server.write_all(&startup).await?;
    }
    let (mut asked, mut in_transaction, mut greeted) = (1_i64, false, false);
    let (mut from_client, mut from_server) = (Inbox::default(), Inbox::default());
    let (mut client_bytes, mut server_bytes) = ([0; 16384], [0; 16384]);
    loop {
        let between = greeted && asked == 0 && !in_transaction && from_client.0.is_empty();
        tokio::select! {
            changed = told.changed(), if between => {
                if changed.is_err() {
                    return Ok(());
                }
                let ports = told.borrow_and_update().clone();
                server = Some(greet(&ports, &turn, &startup).await?);
                from_server = Inbox::default();
            }
            read = client.read(&mut client_bytes) => {
                let count = read?;
                if count == 0 {
                    return Ok(());
                }
                if server.is_none() {
                    let ports = told.borrow_and_update().clone();
                    server = Some(greet(&ports, &turn, &startup).await?);
                }
                from_client.0.extend_from_slice(&client_bytes[..count]);
                while let Some((kind, message)) = from_client.next() {
                    asked += i64::from(matches!(kind, b'Q' | b'S'));
                    if let Some(server) = &mut server {
                        server.write_all(&message).await?;
                    }
                }
            }
            read = async { server.as_mut().unwrap().read(&mut server_bytes).await }, if server.is_some() => {
                let count = read.unwrap_or(0);
                if count == 0 {
                    if !between {
                        return Ok(());
                    }
                    // Nobody waits for an answer: the client need not know.
                    server = None;
                    continue;
                }
                from_server.0.extend_from_slice(&server_bytes[..count]);
                while let Some((kind, message)) = from_server.next() {
                    // What a server says when it is killed is not for a client that has asked nothing.
                    if kind == b'E' && between {
                        continue;
                    }
                    if kind == b'Z' {
                        asked -= 1;
                        in_transaction = message[5] != b'I';
                        greeted = true;
                    }
                    client.write_all(&message).await?;
                }
            }
        }
    }
}

/// Connects to another server in the name of a client, who need not know.
async fn greet(ports: &[u16], turn: &AtomicUsize, startup: &[u8]) -> Result<TcpStream> {
    let mut server = dial(ports, turn).await?;
    server.write_all(startup).await?;
    let (mut inbox, mut bytes) = (Inbox::default(), [0; 4096]);
    loop {
        while let Some((kind, _)) = inbox.next() {
            if kind == b'Z' {
                return Ok(server);
            }
        }
        let count = server.read(&mut bytes).await?;
        if count == 0 {
            return Err(std::io::ErrorKind::ConnectionAborted.into());
        }
        inbox.0.extend_from_slice(&bytes[..count]);
    }
}
