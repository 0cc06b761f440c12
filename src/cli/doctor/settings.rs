//! What needs no database: the configuration, the keys, Redis.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{Finding, Patient, fail, ok, warn};
use crate::config::{Secret, ServerConfig};
use crate::db::Trouble;

/// How long Redis may take to answer.
const REDIS_LIMIT: Duration = Duration::from_secs(3);
/// A secret with fewer different bytes than this was typed, not drawn.
const DIFFERENT_BYTES: usize = 10;

/// Whether a server would accept all settings, and which of them do nothing yet.
pub(super) async fn configuration(patient: &Patient<'_>) -> Result<Finding, Trouble> {
    if let Err(error) = ServerConfig::read(patient.source) {
        return Ok(fail(error.to_string()));
    }
    let idle = patient.source.set_without_effect();
    Ok(if idle.is_empty() {
        ok("complete")
    } else {
        warn(format!("complete; set, and without effect in this version: {}", idle.join(", ")))
    })
}

/// Whose tokens would be believed.
pub(super) async fn keys(patient: &Patient<'_>) -> Result<Finding, Trouble> {
    let source = patient.source;
    let others = ["ROWCAST_JWKS", "ROWCAST_FIREBASE_PROJECT"].into_iter().find(|name| source.is_set(name));
    Ok(match (source.jwt_secret(), others) {
        (Err(error), _) => fail(error.to_string()),
        (Ok(Some(secret)), _) => judge_secret(&secret),
        (Ok(None), Some(name)) => warn(format!("{name} is set; this version cannot check those keys")),
        (Ok(None), None) => fail("no key for tokens: set ROWCAST_JWT_SECRET (for example: openssl rand -hex 32)"),
    })
}

fn judge_secret(secret: &Secret) -> Finding {
    let mut bytes = secret.expose().as_bytes().to_vec();
    let length = bytes.len();
    bytes.sort_unstable();
    bytes.dedup();
    if bytes.len() < DIFFERENT_BYTES {
        return warn(format!(
            "ROWCAST_JWT_SECRET has {length} bytes, but only {} different ones: draw a new one (openssl rand -hex 32)",
            bytes.len()
        ));
    }
    ok(format!("ROWCAST_JWT_SECRET has {length} bytes"))
}

/// Whether Redis answers, where it is set.
pub(super) async fn redis(patient: &Patient<'_>) -> Result<Finding, Trouble> {
    if !patient.source.is_set("ROWCAST_REDIS_URL") {
        return Ok(ok("not set: rate limits stay in the memory of each node"));
    }
    let Ok(Some(url)) = ServerConfig::read(patient.source).map(|config| config.limits.redis_url) else {
        return Ok(warn("not asked, as long as the configuration is wrong"));
    };
    let Some(place) = Place::parse(url.expose()) else {
        return Ok(warn("set, with TLS or a socket: this version cannot ask it"));
    };
    let asked = tokio::time::timeout(REDIS_LIMIT, place.ping()).await;
    Ok(match asked {
        Err(_late) => fail(format!("{} did not answer within {REDIS_LIMIT:?}", place.address)),
        Ok(Err(error)) => fail(format!("{} cannot be reached: {error}", place.address)),
        Ok(Ok(answer)) if answer.starts_with("+PONG") => ok(format!("{} answers", place.address)),
        Ok(Ok(answer)) if answer.starts_with("-NOAUTH") || answer.starts_with("-WRONGPASS") => {
            fail(format!("{} refuses the login: check user and password in ROWCAST_REDIS_URL", place.address))
        }
        Ok(Ok(_)) => fail(format!("{} does not answer as Redis does", place.address)),
    })
}

/// What of `redis://user:password@host:port/db` a PING needs.
struct Place {
    address: String,
    login: Option<Vec<String>>,
}

impl Place {
    fn parse(url: &str) -> Option<Self> {
        let rest = url.strip_prefix("redis://")?;
        let rest = rest.split(['/', '?']).next().unwrap_or_default();
        let (login, host) = rest.rsplit_once('@').map_or((None, rest), |(login, host)| (Some(login), host));
        let has_port = host.rsplit_once(':').is_some_and(|(_, port)| port.bytes().all(|b| b.is_ascii_digit()));
        let host = if host.is_empty() { "127.0.0.1" } else { host };
        let address = if has_port { host.to_owned() } else { format!("{host}:6379") };
        let login = login.map(|login| {
            let (user, password) = login.split_once(':').unwrap_or(("", login));
            [user, password].into_iter().filter(|word| !word.is_empty()).map(str::to_owned).collect()
        });
        Some(Self { address, login })
    }

    /// The answer to PING, or what refuses the login.
    async fn ping(&self) -> std::io::Result<String> {
        let mut stream = TcpStream::connect(&self.address).await?;
        if let Some(login) = &self.login {
            let mut command = format!("*{}\r\n$4\r\nAUTH\r\n", login.len() + 1);
            login.iter().for_each(|word| command.push_str(&format!("${}\r\n{word}\r\n", word.len())));
            stream.write_all(command.as_bytes()).await?;
            let answer = line(&mut stream).await?;
            if answer.starts_with('-') {
                return Ok(answer);
            }
        }
        stream.write_all(b"*1\r\n$4\r\nPING\r\n").await?;
        line(&mut stream).await
    }
}

/// One line, of which the beginning is enough.
async fn line(stream: &mut TcpStream) -> std::io::Result<String> {
    let mut line = Vec::new();
    while line.len() < 256 && !line.ends_with(b"\n") {
        line.push(stream.read_u8().await?);
    }
    Ok(String::from_utf8_lossy(&line).into_owned())
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::*;

    #[test]
    fn a_secret_of_few_different_bytes_is_told() {
        assert_eq!(judge_secret(&Secret::new("a".repeat(32))).verdict, Verdict::Warn);
        assert_eq!(judge_secret(&Secret::new("0123456789abcdef".repeat(2))).verdict, Verdict::Ok);
    }

    #[test]
    fn the_place_of_redis_is_read_from_its_url() {
        let parse = |url| Place::parse(url).map(|place| (place.address, place.login));
        let words = |words: &[&str]| Some(words.iter().map(|w| (*w).to_owned()).collect::<Vec<_>>());
        assert_eq!(parse("redis://h"), Some(("h:6379".to_owned(), None)));
        assert_eq!(parse("redis://h:7/3"), Some(("h:7".to_owned(), None)));
        assert_eq!(parse("redis://:p@h:7"), Some(("h:7".to_owned(), words(&["p"]))));
        assert_eq!(parse("redis://u:p@[::1]:7?x"), Some(("[::1]:7".to_owned(), words(&["u", "p"]))));
        assert_eq!(parse("redis://[::1]"), Some(("[::1]:6379".to_owned(), None)));
        assert_eq!(parse("rediss://h"), None);
    }
}
