//! A client that sends exactly the bytes it is told to, and reads one answer.

use std::collections::HashMap;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

use super::PATIENCE;

/// What a server answered.
#[derive(Debug)]
pub(crate) struct Answer {
    /// The status code; 0 when the connection ended without an answer.
    pub(crate) status: u16,
    /// The headers, names in lower case.
    pub(crate) headers: HashMap<String, String>,
    /// The body.
    pub(crate) body: String,
}

impl Answer {
    /// The body as JSON.
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

/// One request on a connection of its own.
pub(crate) async fn request(address: &str, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let mut head = format!("{method} {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n");
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    if !body.is_empty() {
        head.push_str(&format!("content-length: {}\r\n", body.len()));
    }
    head.push_str("\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    // A server may answer before it has read the whole body, and close.
    let _refused_early = stream.write_all(body).await;
    read_answer(&mut stream).await
}

/// A GET whose answer comes in chunks, read to its end. The status is 0 if the connection ends before that.
pub(crate) async fn get_chunked(address: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
    let broken = || Answer { status: 0, headers: HashMap::new(), body: String::new() };
    let Ok(mut stream) = TcpStream::connect(address).await else { return broken() };
    let mut head = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n");
    headers.iter().for_each(|(name, value)| head.push_str(&format!("{name}: {value}\r\n")));
    head.push_str("\r\n");
    let mut bytes = Vec::new();
    if stream.write_all(head.as_bytes()).await.is_err() || stream.read_to_end(&mut bytes).await.is_err() {
        return broken();
    }
    parse(&bytes).unwrap_or_else(broken)
}

/// The content of chunks; `None` if the last one is missing.
fn dechunked(mut rest: &[u8]) -> Option<Vec<u8>> {
    let mut content = Vec::new();
    loop {
        let line = rest.windows(2).position(|two| two == b"\r\n")?;
        let length = usize::from_str_radix(std::str::from_utf8(&rest[..line]).ok()?, 16).ok()?;
        if length == 0 {
            return Some(content);
        }
        content.extend_from_slice(rest.get(line + 2..line + 2 + length)?);
        rest = rest.get(line + length + 4..)?;
    }
}

/// Sends raw bytes and reads what comes until the other side closes.
pub(crate) async fn raw<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S, bytes: &[u8]) -> Answer {
    stream.write_all(bytes).await.unwrap();
    read_answer(stream).await
}

/// Reads until the other side closes, or one whole answer has come.
pub(crate) async fn read_answer<S: AsyncRead + Unpin>(stream: &mut S) -> Answer {
    let mut bytes = Vec::new();
    let mut chunk = vec![0_u8; 64 << 10];
    loop {
        if let Some(answer) = parse(&bytes) {
            return answer;
        }
        match tokio::time::timeout(PATIENCE, stream.read(&mut chunk)).await.unwrap() {
            Ok(0) | Err(_) => break,
            Ok(n) => bytes.extend_from_slice(&chunk[..n]),
        }
    }
    parse(&bytes).unwrap_or(Answer { status: 0, headers: HashMap::new(), body: String::new() })
}

fn parse(bytes: &[u8]) -> Option<Answer> {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")?;
    let (head, body) = (String::from_utf8_lossy(&bytes[..end]), &bytes[end + 4..]);
    let mut lines = head.lines();
    let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    let mut headers: HashMap<String, String> = HashMap::new();
    for (name, value) in lines.filter_map(|line| line.split_once(':')) {
        // Several lines of one name are one list.
        let list = headers.entry(name.trim().to_ascii_lowercase()).or_default();
        *list = if list.is_empty() { value.trim().to_owned() } else { format!("{list}, {}", value.trim()) };
    }
    // Streams of events are chunked too, and never end.
    let is_document = headers.get("content-type").is_some_and(|kind| kind.contains("json"));
    if is_document && headers.get("transfer-encoding").is_some_and(|coding| coding == "chunked") {
        let body = String::from_utf8(dechunked(body)?).unwrap();
        return Some(Answer { status, headers, body });
    }
    let length: usize = headers.get("content-length").and_then(|l| l.parse().ok()).unwrap_or(0);
    (body.len() >= length).then(|| Answer { status, headers, body: String::from_utf8_lossy(body).into_owned() })
}
