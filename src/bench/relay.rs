//! A relay as people write it first, to compare with: it hears every row by NOTIFY and sends it to every client, one message at a
//! time. It keeps nothing, so a client that is away or slow loses rows.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::broadcast::{Receiver, Sender};
use tokio_postgres::Notification;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};

use super::error::BenchError;
use crate::config::Secret;
use crate::db::{Connector, DatabaseError, DatabaseUrl};

/// A trigger that notifies of the whole row, as home-made relays have it.
pub(super) const RELAYED: &str = "create function rowcast.relay() returns trigger language plpgsql as
    $$ begin
        perform pg_notify('relay', jsonb_build_object('seq', new.seq, 'id', new.id, 'at', new.at, 'type', new.type,
                                                      'level', new.level, 'payload', new.payload)::text);
        return null;
    end $$;
    create trigger relay after insert on rowcast.events for each row execute function rowcast.relay()";

/// Rows that wait for the slowest client. A client that is further behind loses rows.
const QUEUE: usize = 1 << 16;

/// Relays in this process until the connection to the database ends. Calls back with its address when it listens.
pub async fn relay(url: &Secret, listening: impl FnOnce(SocketAddr)) -> Result<(), BenchError> {
    let connector = Connector::new(DatabaseUrl::parse(url)?)?;
    let (rows, _) = broadcast::channel(QUEUE);
    let heard = rows.clone();
    let hear = move |n: Notification| {
        let _nobody_there = heard.send(n.payload().to_owned().into());
    };
    let (client, carrier) = connector.connect_listening(hear).await.map_err(DatabaseError::from)?;
    client.batch_execute("listen relay").await.map_err(DatabaseError::from)?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    listening(listener.local_addr()?);
    tokio::select! {
        () = send_to_all(listener, rows) => {}
        _ended = carrier => {}
    }
    Ok(())
}

/// The longest request that it reads.
const MAX_REQUEST: usize = 8192;

/// Sends what comes to everyone who connects, for ever.
async fn send_to_all(listener: TcpListener, rows: Sender<Utf8Bytes>) {
    loop {
        if let Ok((stream, _)) = listener.accept().await {
            let _not_a_socket_any_more = stream.set_nodelay(true);
            tokio::spawn(client(stream, rows.subscribe()));
        }
    }
}

async fn client(mut stream: TcpStream, mut rows: Receiver<Utf8Bytes>) {
    if shake_hands(&mut stream).await.is_none() {
        return;
    }
    let mut socket = WebSocketStream::from_raw_socket(stream, Role::Server, None).await;
    loop {
        match rows.recv().await {
            Ok(row) => {
                if futures_util::SinkExt::send(&mut socket, Message::Text(row)).await.is_err() {
                    return;
                }
            }
            // Too slow: those rows are lost to it.
            Err(RecvError::Lagged(_)) => {}
            Err(RecvError::Closed) => return,
        }
    }
}

async fn shake_hands(stream: &mut TcpStream) -> Option<()> {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        if request.len() > MAX_REQUEST || stream.read_buf(&mut request).await.ok()? == 0 {
            return None;
        }
    }
    let request = String::from_utf8(request).ok()?;
    let key = request.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Key: "))?;
    let accept = derive_accept_key(key.trim().as_bytes());
    let answer = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {accept}\r\n\r\n"
    );
    stream.write_all(answer.as_bytes()).await.ok()
}
