//! The database URL: libpq's grammar where `tokio-postgres` stops short of it.
//!
//! `tokio-postgres` parses hosts, users, passwords and timeouts, but only three of libpq's six `sslmode`s and none of
//! its certificate options. Those are taken out here, and what is left goes to its parser.

use std::path::PathBuf;

use crate::config::Secret;

/// A value of libpq's `sslmode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SslMode {
    /// Never TLS.
    Disable,
    /// Plain, and TLS if the server refuses plain.
    Allow,
    /// TLS if the server offers it, else plain.
    Prefer,
    /// TLS, whoever answers; with a root certificate as `VerifyCa`.
    Require,
    /// TLS, and the certificate comes from a trusted authority.
    VerifyCa,
    /// TLS, from a trusted authority, and made for this host.
    VerifyFull,
}

/// The certificates that the URL names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SslFiles {
    /// `sslrootcert`: a PEM file, or `system`.
    pub root: Option<PathBuf>,
    /// `sslcert`: this client's certificate chain.
    pub cert: Option<PathBuf>,
    /// `sslkey`: its key.
    pub key: Option<PathBuf>,
}

/// A parsed database URL.
#[derive(Debug, Clone)]
pub struct DatabaseUrl {
    /// The options that `tokio-postgres` understands. Its `Debug` hides the password.
    pub config: tokio_postgres::Config,
    /// The `sslmode`.
    pub ssl_mode: SslMode,
    /// The certificates and the key for TLS.
    pub ssl_files: SslFiles,
}

/// The reason for which a database URL is refused. It never repeats the URL.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{setting} {why}")]
pub struct UrlError {
    setting: &'static str,
    why: String,
}

impl UrlError {
    fn new(why: String) -> Self {
        Self { setting: "DATABASE_URL", why }
    }

    /// The same about the URL in another setting.
    #[must_use]
    pub fn in_setting(self, setting: &'static str) -> Self {
        Self { setting, ..self }
    }
}

impl DatabaseUrl {
    /// Parses `postgres://…` or `key=value …`.
    pub fn parse(url: &Secret) -> Result<Self, UrlError> {
        let text = url.expose().trim();
        let (rest, options) = if text.starts_with("postgres://") || text.starts_with("postgresql://") {
            split_url(text)?
        } else {
            split_pairs(text)?
        };
        let mut ssl_mode = SslMode::Prefer;
        let mut ssl_files = SslFiles::default();
        for (name, value) in options {
            match name.as_str() {
                "sslmode" => ssl_mode = parse_mode(&value)?,
                "sslrootcert" => ssl_files.root = Some(value.into()),
                "sslcert" => ssl_files.cert = Some(value.into()),
                _ => ssl_files.key = Some(value.into()),
            }
        }
        if ssl_files.cert.is_some() != ssl_files.key.is_some() {
            return Err(UrlError::new("needs sslcert and sslkey together".to_owned()));
        }
        let mut config: tokio_postgres::Config = rest.parse().map_err(parser_error)?;
        if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
            return Err(UrlError::new("names no host".to_owned()));
        }
        // The URL's own words win over the defaults that every connection of ours begins with.
        if config.get_application_name().is_none() {
            config.application_name("rowcast");
        }
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(super::CONNECT_LIMIT);
        }
        Ok(Self { config, ssl_mode, ssl_files })
    }
}

const TLS_OPTIONS: [&str; 4] = ["sslmode", "sslrootcert", "sslcert", "sslkey"];

fn parse_mode(value: &str) -> Result<SslMode, UrlError> {
    Ok(match value {
        "disable" => SslMode::Disable,
        "allow" => SslMode::Allow,
        "prefer" => SslMode::Prefer,
        "require" => SslMode::Require,
        "verify-ca" => SslMode::VerifyCa,
        "verify-full" => SslMode::VerifyFull,
        _ => {
            return Err(UrlError::new(
                "has an sslmode that is none of disable, allow, prefer, require, verify-ca, verify-full".to_owned(),
            ));
        }
    })
}

/// The driver's error as ours. It names options and never values; the source has the details.
fn parser_error(error: tokio_postgres::Error) -> UrlError {
    let why = std::error::Error::source(&error).map_or_else(|| error.to_string(), ToString::to_string);
    UrlError::new(format!("cannot be understood: {why}"))
}

type TlsOptions = Vec<(String, String)>;

/// Splits a URL into the part for the driver, and the TLS options that this file reads itself.
fn split_url(text: &str) -> Result<(String, TlsOptions), UrlError> {
    let Some((base, query)) = text.split_once('?') else { return Ok((text.to_owned(), Vec::new())) };
    let mut tls_options = Vec::new();
    let mut left = Vec::new();
    for pair in query.split('&').filter(|p| !p.is_empty()) {
        let (name, value) =
            pair.split_once('=').ok_or_else(|| UrlError::new("has an option without a value".to_owned()))?;
        if TLS_OPTIONS.contains(&name) {
            tls_options.push((name.to_owned(), percent_decode(value)?));
        } else {
            left.push(pair);
        }
    }
    let rest = if left.is_empty() { base.to_owned() } else { format!("{base}?{}", left.join("&")) };
    Ok((rest, tls_options))
}

fn percent_decode(text: &str) -> Result<String, UrlError> {
    let wrong = || UrlError::new("has a broken percent escape".to_owned());
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let pair = [rest.next().ok_or_else(wrong)?, rest.next().ok_or_else(wrong)?];
            let hex = std::str::from_utf8(&pair).map_err(|_| wrong())?;
            bytes.push(u8::from_str_radix(hex, 16).map_err(|_| wrong())?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).map_err(|_| wrong())
}

/// Splits `key=value key='va lue'` into the pairs for the driver, quoted anew, and the TLS options that this file reads itself.
fn split_pairs(text: &str) -> Result<(String, TlsOptions), UrlError> {
    let wrong = || UrlError::new("is neither a postgres:// URL nor a list of key=value".to_owned());
    let mut tls_options = Vec::new();
    let mut left = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let (name, after) = rest.split_once('=').ok_or_else(wrong)?;
        let name = name.trim_end();
        if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
            return Err(wrong());
        }
        let (value, after) = read_value(after.trim_start()).ok_or_else(wrong)?;
        if TLS_OPTIONS.contains(&name) {
            tls_options.push((name.to_owned(), value));
        } else {
            left.push(format!("{name}='{}'", value.replace('\\', "\\\\").replace('\'', "\\'")));
        }
        rest = after.trim_start();
    }
    Ok((left.join(" "), tls_options))
}

/// Reads one value, quoted or bare, with backslash escapes. Returns it with the text that follows.
fn read_value(text: &str) -> Option<(String, &str)> {
    let quoted = text.starts_with('\'');
    let mut value = String::new();
    let mut chars = text.char_indices().skip(usize::from(quoted));
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => value.push(chars.next()?.1),
            '\'' if quoted => return Some((value, &text[at + 1..])),
            c if !quoted && c.is_whitespace() => return Some((value, &text[at..])),
            c => value.push(c),
        }
    }
    (!quoted).then_some((value, ""))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]
mod tests {
    use super::*;
    use tokio_postgres::config::Host;

    fn parse(text: &str) -> Result<DatabaseUrl, UrlError> {
        DatabaseUrl::parse(&Secret::new(text))
    }

    #[test]
    fn every_sslmode_of_libpq_is_understood_in_both_forms() {
        for (text, mode) in [
            ("disable", SslMode::Disable),
            ("allow", SslMode::Allow),
            ("prefer", SslMode::Prefer),
            ("require", SslMode::Require),
            ("verify-ca", SslMode::VerifyCa),
            ("verify-full", SslMode::VerifyFull),
        ] {
            assert_eq!(parse(&format!("postgres://h/d?sslmode={text}")).unwrap().ssl_mode, mode);
            assert_eq!(parse(&format!("host=h sslmode = {text} dbname=d")).unwrap().ssl_mode, mode);
        }
        assert_eq!(parse("postgres://h/d").unwrap().ssl_mode, SslMode::Prefer);
        assert!(parse("postgres://h/d?sslmode=full").unwrap_err().to_string().contains("none of disable"));
    }

    #[test]
    fn certificates_and_other_options_live_side_by_side() {
        let url = parse(
            "postgresql://u@h:5433/d?sslrootcert=%2Fa%20b.pem&connect_timeout=3&sslcert=c&sslkey=k&application_name=x",
        )
        .unwrap();
        assert_eq!(url.ssl_files.root, Some("/a b.pem".into()));
        assert_eq!((url.ssl_files.cert, url.ssl_files.key), (Some("c".into()), Some("k".into())));
        assert_eq!((url.config.get_ports(), url.config.get_application_name()), (&[5433][..], Some("x")));
        assert_eq!(url.config.get_connect_timeout().unwrap().as_secs(), 3);
    }

    #[test]
    fn quoted_pairs_keep_their_values() {
        let url = parse(r"host=h password='a\'b \\c' user=u\ v sslrootcert='/x y' ").unwrap();
        assert_eq!(url.config.get_password(), Some(&br"a'b \c"[..]));
        assert_eq!((url.config.get_user(), url.ssl_files.root), (Some("u v"), Some("/x y".into())));
        assert_eq!(url.config.get_hosts(), [Host::Tcp("h".to_owned())]);
        assert_eq!(url.config.get_application_name(), Some("rowcast"));
    }

    #[test]
    fn what_is_wrong_is_said_without_the_url() {
        for wrong in [
            "",
            "nonsense",
            "=x",
            "host='h hunter2",
            "host=hunter2\\",
            "a b=hunter2",
            "postgres://u:hunter2@/d",
            "postgres://u:hunter2@h:port/d",
            "postgres://u:hunter2@h/d?sslmode",
            "postgres://u:hunter2@h/d?sslrootcert=%zz",
            "postgres://u:hunter2@h/d?sslrootcert=%f",
            "postgres://u:hunter2@h/d?sslrootcert=%ff",
            "postgres://u:hunter2@h/d?sslcert=x",
            "postgres://u:hunter2@h/d?passfile=hunter2",
            "host=h password=hunter2 hunter2=hunter2",
        ] {
            let error = parse(wrong).map(|_| wrong).unwrap_err().to_string();
            assert!(error.starts_with("DATABASE_URL ") && !error.contains('\n'), "{error}");
            assert!(!error.replace("`hunter2`", "").contains("hunter2"), "{wrong}: {error}");
        }
        assert!(!format!("{:?}", parse("postgres://u:hunter2@h/d").unwrap()).contains("hunter2"));
    }
}
