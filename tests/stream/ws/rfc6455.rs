//! The protocol below the frames of the interface (RFC 6455), case by case, over the same shell that sessions stand on.
//! `scripts/autobahn` runs the whole of Autobahn's suite against the same echo.

use std::time::Duration;

use rowcast::http::{Input, Socket};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use super::raw_websocket::{CLOSE, Client, PING, PONG, TEXT, frame, goodbye, head};

const LONGEST: usize = 16 << 20;
const LIMIT: Duration = Duration::from_secs(2);

/// Greets whoever connects, and sends back what comes, until the end of the test.
async fn listen(listener: TcpListener, longest: usize) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        stream.set_nodelay(true).unwrap();
        tokio::spawn(echo(stream, longest));
    }
}

async fn echo(mut stream: TcpStream, longest: usize) {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(at) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break at + 4;
        }
        if stream.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
            return;
        }
    };
    let ahead = bytes.split_off(end);
    let asked = String::from_utf8_lossy(&bytes).into_owned();
    let lines = asked.lines().filter_map(|line| line.split_once(':'));
    let key =
        lines.filter(|(name, _)| name.eq_ignore_ascii_case("sec-websocket-key")).map(|(_, key)| key.trim()).next();
    let accept = derive_accept_key(key.unwrap_or_default().as_bytes());
    let answer = format!(
        "HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-accept: {accept}\r\n\r\n"
    );
    if stream.write_all(answer.as_bytes()).await.is_err() {
        return;
    }
    let mut socket = Socket::new(stream, ahead.into(), longest).await;
    loop {
        let sent = match socket.receive().await {
            Ok(Input::Text(text)) => socket.send(Message::Text(text)).await,
            Ok(Input::Binary(bytes)) => socket.send(Message::Binary(bytes)).await,
            Ok(Input::Ping | Input::Pong(_)) => Ok(()),
            Ok(Input::Close) => return socket.end(LIMIT).await,
            Err(gone) => Err(gone),
        };
        if let Err(gone) = sent {
            match gone.code() {
                Some(code) => socket.close(code, "", LIMIT).await,
                None => socket.end(LIMIT).await,
            }
            return;
        }
    }
}

/// For `scripts/autobahn`: an echo at the address of `ROWCAST_ECHO`, until it is killed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "serves until it is killed; scripts/autobahn runs it"]
async fn serve() {
    let address = std::env::var("ROWCAST_ECHO").unwrap();
    listen(TcpListener::bind(address).await.unwrap(), LONGEST).await;
}

/// An echo on an address of its own, for as long as a test lives.
struct Echo {
    address: String,
    server: tokio::task::JoinHandle<()>,
}

impl Drop for Echo {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Echo {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        Self { address, server: tokio::spawn(listen(listener, 100_000)) }
    }

    /// What comes after these bytes, to the end of the connection.
    async fn said(&self, bytes: &[u8]) -> Vec<(u8, Vec<u8>)> {
        let stream = TcpStream::connect(&self.address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let mut client = Client::over(stream, head("/", &[]).as_bytes()).await;
        client.bytes(bytes).await;
        let mut all = Vec::new();
        while let Some(frame) = client.frame().await {
            let over = frame.0 == CLOSE;
            all.push(frame);
            if over {
                // The answer, so that nobody waits; it is late where this side has begun.
                let _gone = client.stream.write_all(&self::frame(CLOSE, &goodbye(1000, ""))).await;
            }
        }
        all
    }

    /// Each of these is answered by a close with its code, and by nothing else.
    async fn refuses(&self, wrong: Vec<(Vec<u8>, u16)>) {
        for (bytes, code) in wrong {
            // What comes behind must not keep the answer from arriving.
            let answer = self.said(&[bytes.clone(), vec![0; 5_000]].concat()).await;
            let last = answer.last().map(|(first, payload)| (*first, payload.get(..2).map(<[u8]>::to_vec)));
            let shown = &bytes[..bytes.len().min(20)];
            assert_eq!(last, Some((CLOSE, Some(code.to_be_bytes().to_vec()))), "{shown:x?}: {answer:x?}");
            assert_eq!(answer.len(), 1, "{shown:x?}: {answer:x?}");
        }
    }
}

/// The close that a client sends, and the one that answers it.
fn bye() -> Vec<u8> {
    frame(CLOSE, &goodbye(1000, ""))
}

fn end() -> (u8, Vec<u8>) {
    (CLOSE, goodbye(1000, ""))
}

fn text(text: &str) -> (u8, Vec<u8>) {
    (TEXT, text.as_bytes().to_vec())
}

fn pieces(pieces: &[(u8, &[u8])]) -> Vec<u8> {
    pieces.iter().flat_map(|(first, bytes)| frame(*first, bytes)).collect()
}

#[tokio::test]
async fn messages_of_any_length_are_echoed_and_pings_answered() {
    let echo = Echo::start().await;
    for length in [0, 1, 125, 126, 127, 128, 65_535, 65_536, 100_000] {
        let payload = vec![b'*'; length];
        let bytes = [frame(TEXT, &payload), frame(0x82, &payload), bye()].concat();
        assert_eq!(echo.said(&bytes).await, [(TEXT, payload.clone()), (0x82, payload), end()], "{length}");
    }
    for length in [0, 1, 125] {
        let payload = vec![0xfe; length];
        let bytes = [frame(PING, &payload), bye()].concat();
        assert_eq!(echo.said(&bytes).await, [(PONG, payload), end()], "{length}");
    }
}

/// Frames that are sent, and what comes back.
type Case<'a> = (&'a [(u8, &'a [u8])], Vec<(u8, Vec<u8>)>);

#[tokio::test]
async fn a_message_in_pieces_is_echoed_whole_whatever_comes_between_them() {
    let echo = Echo::start().await;
    let right: [Case<'_>; 7] = [
        (&[(0x01, b"a"), (0x00, b"b"), (0x80, b"c")], vec![text("abc")]),
        (&[(0x01, b"a"), (PING, b"x"), (0x80, b"c")], vec![(PONG, b"x".to_vec()), text("ac")]),
        (&[(0x01, b""), (0x00, b""), (0x80, b"")], vec![text("")]),
        (&[(0x01, b""), (0x00, b"middle"), (PONG, b"unasked"), (0x80, b"")], vec![text("middle")]),
        // A letter of several bytes that is cut at each of its boundaries.
        (&[(0x01, b"\xf0"), (0x00, b"\x9f"), (0x00, b"\x98"), (0x80, b"\x80")], vec![text("\u{1f600}")]),
        (&[(0x01, b"\xce\xba\xe1"), (0x80, b"\xbd\xb9")], vec![text("\u{3ba}\u{1f79}")]),
        (
            &[(TEXT, "\u{0}\u{7f}\u{7ff}\u{ffff}\u{10ffff}".as_bytes())],
            vec![text("\u{0}\u{7f}\u{7ff}\u{ffff}\u{10ffff}")],
        ),
    ];
    for (sent, mut expected) in right {
        expected.push(end());
        assert_eq!(echo.said(&[pieces(sent), bye()].concat()).await, expected, "{sent:?}");
    }
}

#[tokio::test]
async fn bytes_that_come_one_at_a_time_are_frames_like_others() {
    let echo = Echo::start().await;
    let mut client = Client::open(&echo.address, "/", &[]).await;
    for byte in pieces(&[(0x01, b"slow"), (PING, b"p"), (0x80, b"ly")]) {
        client.bytes(&[byte]).await;
        tokio::task::yield_now().await;
    }
    assert_eq!(client.frame().await, Some((PONG, b"p".to_vec())));
    assert_eq!(client.frame().await, Some(text("slowly")));
    client.leave().await;
}

#[tokio::test]
async fn a_frame_that_breaks_the_protocol_ends_with_1002_and_one_that_is_too_long_with_1009() {
    let mut unmasked = frame(TEXT, b"x");
    unmasked = vec![unmasked[0], 1, b'x'];
    let mut wrong: Vec<(Vec<u8>, u16)> = vec![
        (unmasked, 1002),
        (frame(PING, &[0; 126]), 1002),
        (frame(0x09, b"x"), 1002),
        (frame(0x08, b""), 1002),
        (frame(0x80, b"x"), 1002),
        (frame(0x00, b"x"), 1002),
        (pieces(&[(0x01, b"a"), (TEXT, b"b")]), 1002),
        (pieces(&[(0x01, b"a"), (0x82, b"b")]), 1002),
        (frame(CLOSE, b"x"), 1002),
        (frame(TEXT, &vec![b'x'; 100_001]), 1009),
        (pieces(&[(0x01, &[b'x'; 60_000]), (0x80, &[b'x'; 60_000])]), 1009),
        (vec![0x82, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 2, 3, 4], 1009),
    ];
    for reserved in [0xc1, 0xa1, 0x91, 0xf1, 0xc9, 0xd8] {
        wrong.push((frame(reserved, b"x"), 1002));
    }
    for opcode in (0x83..=0x87).chain(0x8b..=0x8f) {
        wrong.push((frame(opcode, b"x"), 1002));
    }
    Echo::start().await.refuses(wrong).await;
}

#[tokio::test]
async fn a_text_that_is_not_utf_8_ends_with_1007_wherever_it_is_cut() {
    let invalid: [&[u8]; 9] = [
        b"\xff",
        b"\x80",
        b"\xc0\x80",
        b"\xed\xa0\x80",
        b"\xf4\x90\x80\x80",
        b"\xf0\x9f\x98",
        b"\xce\xba\xe1\xbd",
        b"a\xfe",
        b"\xf8\x88\x80\x80\x80",
    ];
    let mut wrong = vec![(frame(CLOSE, &[3, 0xe8, 0xff]), 1007)];
    for bytes in invalid {
        wrong.push((frame(TEXT, bytes), 1007));
        for cut in 0..=bytes.len() {
            wrong.push((pieces(&[(0x01, &bytes[..cut]), (0x80, &bytes[cut..])]), 1007));
        }
    }
    Echo::start().await.refuses(wrong).await;
}

#[tokio::test]
async fn a_close_is_answered_with_its_code_and_with_1002_if_that_may_not_stand_in_one() {
    let mut closes = Vec::new();
    for code in [0, 999, 1004, 1005, 1006, 1016, 1100, 2000, 2999] {
        closes.push((frame(CLOSE, &goodbye(code, "")), 1002));
    }
    for code in [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999] {
        closes.push((frame(CLOSE, &goodbye(code, "")), code));
    }
    Echo::start().await.refuses(closes).await;
}
