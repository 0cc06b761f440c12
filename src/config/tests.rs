//! The values that a configuration accepts and refuses, and its messages.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]

use super::*;

const BASE: [(&str, &str); 2] =
    [("DATABASE_URL", "postgres://u:hunter2@h/d"), ("ROWCAST_JWT_SECRET", "0123456789abcdef0123456789abcdef")];

fn source(more: &[(&str, &str)]) -> Result<Source, ConfigError> {
    let all = BASE.iter().chain(more).map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
    Source::new(all, [])
}

fn read(more: &[(&str, &str)]) -> Result<ServerConfig, ConfigError> {
    ServerConfig::read(&source(more)?)
}

#[test]
fn the_defaults_are_what_the_table_says() {
    let config = read(&[]).unwrap();
    assert_eq!(config.http.listen.to_string(), "127.0.0.1:8080");
    assert_eq!((config.http.max_sessions, config.db_pool), (20_000, 8));
    assert_eq!((config.drain, config.streams.heartbeat), (Duration::from_secs(10), Duration::from_secs(15)));
    assert_eq!(config.streams.page_cache, 256 << 20);
    assert_eq!(config.limits.rates.len(), 7);
    assert!(!config.streams.public && config.http.tls.is_none() && config.http.allowed_origins.is_empty());
}

#[test]
fn a_flag_goes_before_the_environment_and_is_named_as_such() {
    let env = [("ROWCAST_LISTEN".to_owned(), "127.0.0.1:1".to_owned())];
    let flagged = Source::new(env.clone(), [("ROWCAST_LISTEN", "127.0.0.1:2".to_owned())]).unwrap();
    assert_eq!(HttpConfig::read(&flagged).unwrap().listen.port(), 2);
    let wrong = Source::new(env, [("ROWCAST_LISTEN", "x".to_owned())]).unwrap();
    assert_eq!(
        HttpConfig::read(&wrong).unwrap_err().to_string(),
        "--listen is not an address like 127.0.0.1:8080: \"x\""
    );
    assert!(wrong.is_set("ROWCAST_LISTEN") && !wrong.is_set("ROWCAST_DRAIN"));
}

#[test]
fn an_unknown_name_is_refused_with_its_neighbour_and_an_empty_value_is_unset() {
    let error = source(&[("ROWCAST_LISTN", "x")]).unwrap_err().to_string();
    assert_eq!(error, "ROWCAST_LISTN is not a known setting (did you mean ROWCAST_LISTEN?)");
    let error = source(&[("ROWCAST_SOMETHING_ELSE", "x")]).unwrap_err().to_string();
    assert_eq!(error, "ROWCAST_SOMETHING_ELSE is not a known setting");
    assert!(source(&[("ROWCAST_PG_BIN", "/x"), ("HOME", "/root")]).is_ok());
    assert_eq!(read(&[("ROWCAST_LISTEN", "")]).unwrap().http.listen.port(), 8080);
}

#[test]
fn every_bad_value_is_named_in_one_line() {
    for (name, value) in [
        ("ROWCAST_LISTEN", "nowhere"),
        ("ROWCAST_JWT_SECRET", "short"),
        ("ROWCAST_FIREBASE_PROJECT", "Not A Project"),
        ("ROWCAST_REDIS_URL", "http://x"),
        ("ROWCAST_RATE_LIMITS", "public=0/m"),
        ("ROWCAST_RATE_LIMITS", "everyone=1/m"),
        ("ROWCAST_RATE_LIMITS", "public"),
        ("ROWCAST_SESSIONS_PER_SUBJECT", "0"),
        ("ROWCAST_CONNECTIONS_PER_ADDRESS", "0"),
        ("ROWCAST_TRUSTED_PROXIES", "10.0.0.0/99"),
        ("ROWCAST_ALLOWED_ORIGINS", "*"),
        ("ROWCAST_PUBLIC_STREAM", "yes"),
        ("ROWCAST_HEARTBEAT", "0s"),
        ("ROWCAST_DRAIN", "10"),
        ("ROWCAST_WRITE_STALL", "1d"),
        ("ROWCAST_MAX_SESSIONS", "0"),
        ("ROWCAST_DB_POOL", "-1"),
        ("ROWCAST_PAGE_CACHE", "much"),
        ("ROWCAST_BLOCKER_LIMIT", "1ms"),
        ("ROWCAST_TLS_CERT", "/cert"),
        ("ROWCAST_TLS_KEY", "/key"),
    ] {
        let error = read(&[(name, value)]).unwrap_err().to_string();
        assert!(error.starts_with(name) && !error.contains('\n'), "{error}");
    }
    for (name, value) in [("ROWCAST_LOG", "rowcast=["), ("ROWCAST_LOG_FORMAT", "xml")] {
        let error = source(&[(name, value)]).unwrap().log().unwrap_err().to_string();
        assert!(error.starts_with(name) && !error.contains('\n'), "{error}");
    }
}

#[test]
fn keys_for_tokens_are_required_and_go_together() {
    let none = Source::new([("DATABASE_URL".to_owned(), "x".to_owned())], []).unwrap();
    assert!(ServerConfig::read(&none).unwrap_err().to_string().starts_with("no key for tokens"));
    let error = read(&[("ROWCAST_JWKS", "/keys.json")]).unwrap_err().to_string();
    assert_eq!(error, "ROWCAST_JWT_ISSUER is required with ROWCAST_JWKS");
    let error = read(&[("ROWCAST_JWKS", "/keys.json"), ("ROWCAST_JWT_ISSUER", "i")]).unwrap_err().to_string();
    assert_eq!(error, "ROWCAST_JWT_AUDIENCE is required with ROWCAST_JWKS");
    assert!(read(&[("ROWCAST_FIREBASE_PROJECT", "my-project-1")]).is_ok());
    let error = ServerConfig::read(&Source::default()).unwrap_err().to_string();
    assert_eq!(error, "DATABASE_URL is not set");
}

#[test]
fn a_list_of_rates_changes_only_what_it_names() {
    let rates = read(&[("ROWCAST_RATE_LIMITS", "public=7/s")]).unwrap().limits.rates;
    assert_eq!(rates["public"], Rate { count: 7, per: Duration::from_secs(1) });
    assert_eq!(rates["append"], Rate { count: 6000, per: Duration::from_secs(60) });
}

#[test]
fn nothing_prints_a_secret() {
    let config = read(&[("ROWCAST_REDIS_URL", "redis://:hunter2@h")]).unwrap();
    let all = format!("{config:?} {:?}", source(&[]).unwrap());
    assert!(!all.contains("hunter2") && !all.contains("0123456789abcdef"), "{all}");
    let error = read(&[("ROWCAST_JWT_SECRET", "hunter2")]).unwrap_err().to_string();
    assert!(!error.contains("hunter2"), "{error}");
}

#[test]
fn files_of_the_certificate_come_together() {
    let config = read(&[("ROWCAST_TLS_CERT", "/c"), ("ROWCAST_TLS_KEY", "/k")]).unwrap();
    assert_eq!(config.http.tls, Some(TlsFiles { cert: "/c".into(), key: "/k".into() }));
}

#[test]
fn a_node_writes_the_copy_in_redis_or_reads_it_or_neither() {
    let relay =
        |more: &[(&str, &str)]| read(more).map(|config| config.relay.map(|relay| (relay.part, relay.urls.len())));
    let (on, edge) = (("ROWCAST_RELAY", "on"), ("ROWCAST_LIVE_FROM", "redis"));
    let (limits, own) = (("ROWCAST_REDIS_URL", "redis://a"), ("ROWCAST_RELAY_URL", "redis://b, rediss://c"));
    assert_eq!(relay(&[limits]), Ok(None));
    assert_eq!(relay(&[on, limits]), Ok(Some((RelayPart::Writer, 1))));
    assert_eq!(relay(&[edge, limits, own]), Ok(Some((RelayPart::Edge, 2))));
    let refused = |more: &[(&str, &str)]| relay(more).unwrap_err().to_string();
    assert!(refused(&[on, edge, limits]).contains("exclude each other"));
    assert!(refused(&[edge]).contains("ROWCAST_RELAY_URL or ROWCAST_REDIS_URL"));
    assert!(refused(&[on, ("ROWCAST_RELAY_URL", "redis://a,http://b")]).starts_with("ROWCAST_RELAY_URL is not a URL"));
    assert!(
        refused(&[on, limits, ("ROWCAST_RELAY_KEY", "short")]).starts_with("ROWCAST_RELAY_KEY must be at least 32")
    );
    assert!(refused(&[("ROWCAST_LIVE_FROM", "kafka")]).starts_with("ROWCAST_LIVE_FROM must be postgres or redis"));
    assert!(refused(&[("ROWCAST_RELAY_LENGTH", "0")]).starts_with("ROWCAST_RELAY_LENGTH"));
    let debug = format!("{:?}", read(&[on, ("ROWCAST_RELAY_URL", "redis://u:hunter3@h")]).unwrap().relay);
    assert!(!debug.contains("hunter3"), "{debug}");
}
