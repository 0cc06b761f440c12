//! TLS to Postgres: every `sslmode`, against servers with a certificate and without.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rowcast::cluster::{Cluster, Search, find};
use rowcast::config::Secret;
use rowcast::db::{Connector, DatabaseError, DatabaseUrl};

use crate::support::{connect, quick_folder};

/// A Postgres whose certificate is made for `localhost` and no address.
struct TlsPostgres {
    folder: tempfile::TempDir,
    cluster: Cluster,
}

impl TlsPostgres {
    async fn start() -> Self {
        let folder = quick_folder("rowcast-test-");
        let dir = folder.path().join("dev");
        let open = move || Cluster::open_with(&dir, &find(&Search::from_env(&dir)).unwrap(), &[("fsync", "off")]);
        let cluster = tokio::task::spawn_blocking(open).await.unwrap().unwrap();
        Self { folder, cluster }
    }

    /// A file in the data directory that Postgres accepts as its own.
    fn install(&self, name: &str, content: &str) -> PathBuf {
        let path = self.cluster.data_dir().join(name);
        fs::write(&path, content).unwrap();
        let owner = fs::metadata(self.cluster.data_dir()).unwrap();
        chown(&path, Some(owner.uid()), Some(owner.gid())).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        path
    }

    fn file(&self, name: &str, content: &str) -> String {
        let path = self.folder.path().join(name);
        fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    }

    async fn configure(&self, statements: &[&str]) {
        let client = connect(&self.cluster.url()).await;
        for statement in statements {
            client.batch_execute(statement).await.unwrap();
        }
        client.batch_execute("select pg_reload_conf()").await.unwrap();
    }

    /// The URL for a host and a database, with these options.
    fn url(&self, host: &str, database: &str, options: &str) -> String {
        let url = self.cluster.url().replace("127.0.0.1", host);
        let (server, _) = url.rsplit_once('/').unwrap();
        format!("{server}/{database}?{options}")
    }
}

/// Whether the connection is encrypted, or why there is none.
async fn encrypted(url: &str) -> Result<bool, DatabaseError> {
    let connector = Connector::new(DatabaseUrl::parse(&Secret::new(url)).unwrap()).unwrap();
    let (client, _carrier) = connector.connect().await.map_err(DatabaseError::from)?;
    let row = client.query_one("select ssl from pg_stat_ssl where pid = pg_backend_pid()", &[]).await.unwrap();
    Ok(row.get(0))
}

fn issuer(name: &str) -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::new([]).unwrap();
    params.distinguished_name.push(rcgen::DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

#[tokio::test]
async fn a_server_without_a_certificate_is_reached_only_where_plain_is_allowed() {
    let server = TlsPostgres::start().await;
    for mode in ["disable", "allow", "prefer"] {
        assert_eq!(
            encrypted(&server.url("127.0.0.1", "rowcast", &format!("sslmode={mode}"))).await,
            Ok(false),
            "{mode}"
        );
    }
    for mode in ["require", "verify-ca", "verify-full"] {
        let root = server.file("root.pem", &issuer("root").pem());
        let url = server.url("127.0.0.1", "rowcast", &format!("sslmode={mode}&sslrootcert={root}"));
        assert!(matches!(encrypted(&url).await, Err(DatabaseError::Unreachable(_))), "{mode}");
    }
}

#[tokio::test]
async fn each_mode_checks_what_it_promises() {
    let server = TlsPostgres::start().await;
    let (root, stranger) = (issuer("root"), issuer("stranger"));
    let key = KeyPair::generate().unwrap();
    let cert = CertificateParams::new(["localhost".to_owned()]).unwrap().signed_by(&key, &root).unwrap();
    server.install("server.crt", &cert.pem());
    server.install("server.key", &key.serialize_pem());
    server.configure(&["alter system set ssl = on"]).await;
    let root_file = server.file("root.pem", &root.pem());
    let stranger_file = server.file("stranger.pem", &stranger.pem());
    crate::support::until("the certificate is in use", || async {
        encrypted(&server.url("localhost", "rowcast", "sslmode=require")).await == Ok(true)
    })
    .await;

    let ok = |mode: &str, host: &str, root: Option<&str>| {
        let root = root.map_or_else(String::new, |root| format!("&sslrootcert={root}"));
        let url = server.url(host, "rowcast", &format!("sslmode={mode}{root}"));
        async move { encrypted(&url).await }
    };
    assert_eq!(ok("disable", "localhost", None).await, Ok(false));
    assert_eq!(ok("allow", "localhost", None).await, Ok(false));
    assert_eq!(ok("prefer", "127.0.0.1", Some(&stranger_file)).await, Ok(true));
    assert_eq!(ok("require", "127.0.0.1", None).await, Ok(true));
    assert_eq!(ok("require", "127.0.0.1", Some(&root_file)).await, Ok(true));
    assert_eq!(ok("verify-ca", "127.0.0.1", Some(&root_file)).await, Ok(true));
    assert_eq!(ok("verify-full", "localhost", Some(&root_file)).await, Ok(true));
    for (mode, host, root) in [
        ("require", "localhost", &stranger_file),
        ("verify-ca", "localhost", &stranger_file),
        ("verify-full", "localhost", &stranger_file),
        ("verify-full", "127.0.0.1", &root_file),
    ] {
        let error = ok(mode, host, Some(root)).await.unwrap_err();
        assert!(matches!(error, DatabaseError::Unreachable(_)), "{mode} {host}: {error}");
    }
    // The machine's own authorities do not know this one.
    for (mode, root) in [("verify-full", None), ("verify-full", Some("system"))] {
        assert!(ok(mode, "localhost", root).await.is_err());
    }
}

#[tokio::test]
async fn a_self_signed_certificate_is_its_own_root() {
    let server = TlsPostgres::start().await;
    let mut params = CertificateParams::new(["localhost".to_owned()]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let own = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    server.install("server.crt", &own.pem());
    server.install("server.key", &own.key().serialize_pem());
    server.configure(&["alter system set ssl = on"]).await;
    let root = server.file("own.pem", &own.pem());
    let url = |mode: &str, host: &str| server.url(host, "rowcast", &format!("sslmode={mode}&sslrootcert={root}"));
    crate::support::until("the certificate is in use", || async {
        encrypted(&url("verify-full", "localhost")).await == Ok(true)
    })
    .await;
    assert_eq!(encrypted(&url("verify-ca", "127.0.0.1")).await, Ok(true));
    assert!(encrypted(&url("verify-full", "127.0.0.1")).await.is_err());
}

#[tokio::test]
async fn the_servers_rules_are_followed_both_ways_and_clients_show_their_certificate() {
    let server = TlsPostgres::start().await;
    let root = issuer("root");
    let signed = |name: &str| {
        let key = KeyPair::generate().unwrap();
        let cert = CertificateParams::new([name.to_owned()]).unwrap().signed_by(&key, &root).unwrap();
        (cert.pem(), key.serialize_pem())
    };
    let (cert, key) = signed("localhost");
    server.install("server.crt", &cert);
    server.install("server.key", &key);
    server.install("root.crt", &root.pem());
    let hba = fs::read_to_string(server.cluster.data_dir().join("pg_hba.conf")).unwrap();
    server.install(
        "pg_hba.conf",
        &format!(
            "hostssl only_tls all 127.0.0.1/32 scram-sha-256\nhostnossl only_tls all 127.0.0.1/32 reject\n\
             hostnossl only_plain all 127.0.0.1/32 scram-sha-256\nhostssl only_plain all 127.0.0.1/32 reject\n\
             hostssl certified all 127.0.0.1/32 scram-sha-256 clientcert=verify-ca\n{hba}"
        ),
    );
    server
        .configure(&[
            "create database only_tls",
            "create database only_plain",
            "create database certified",
            "alter system set ssl_ca_file = 'root.crt'",
            "alter system set ssl = on",
        ])
        .await;
    let at = |database: &str, options: &str| server.url("127.0.0.1", database, options);
    crate::support::until("the certificate is in use", || async {
        encrypted(&at("rowcast", "sslmode=require")).await == Ok(true)
    })
    .await;

    assert_eq!(encrypted(&at("only_tls", "sslmode=allow")).await, Ok(true));
    assert_eq!(encrypted(&at("only_plain", "sslmode=prefer")).await, Ok(false));
    assert!(matches!(encrypted(&at("only_tls", "sslmode=disable")).await, Err(DatabaseError::Login(_))));
    assert!(matches!(encrypted(&at("only_plain", "sslmode=require")).await, Err(DatabaseError::Login(_))));

    assert!(encrypted(&at("certified", "sslmode=require")).await.is_err());
    let (cert, key) = signed("client");
    let (cert, key) = (server.file("client.pem", &cert), server.file("client.key", &key));
    let shown = format!("sslmode=require&sslcert={cert}&sslkey={key}");
    assert_eq!(encrypted(&at("certified", &shown)).await, Ok(true));
}

#[test]
fn files_that_are_not_what_they_should_be_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let empty = folder.path().join("empty.pem");
    fs::write(&empty, "").unwrap();
    let wrong = |options: &str| {
        let url = format!("postgres://h/d?sslmode=verify-full&{options}");
        Connector::new(DatabaseUrl::parse(&Secret::new(url)).unwrap()).unwrap_err().to_string()
    };
    let empty = empty.to_str().unwrap();
    assert!(wrong(&format!("sslrootcert={empty}")).contains("it holds no certificate"));
    assert!(wrong("sslrootcert=/no/such.pem").starts_with("cannot use /no/such.pem"));
    let root = folder.path().join("root.pem");
    fs::write(&root, issuer("root").pem()).unwrap();
    let root: &str = Path::to_str(&root).unwrap();
    assert!(wrong(&format!("sslrootcert={root}&sslcert={root}&sslkey={empty}")).starts_with("cannot use"));
}
