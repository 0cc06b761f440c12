//! The files that browsers load: how they may be kept, how they are sent, and who may import them.

use crate::support::raw_http::{Answer, request};
use crate::support::{NO_LIMITS, TestServer};

/// Nothing listens on port 1: files need no database.
const NOWHERE: &str = "postgres://nobody@127.0.0.1:1/nothing";
const LIBRARY: [&str; 3] = ["/client.js", "/client.d.ts", "/react.js"];

async fn get(server: &TestServer, path: &str, headers: &[(&str, &str)]) -> Answer {
    request(server.address(), "GET", path, headers, b"").await
}

/// The addresses that the page names.
async fn assets(server: &TestServer) -> Vec<String> {
    let page = server.get("/").await.body;
    let links = page.split('"').filter(|text| text.starts_with("/assets/"));
    links.map(str::to_owned).collect()
}

#[tokio::test]
async fn a_stable_address_is_asked_again_and_answered_with_304_while_nothing_has_changed() {
    let server = TestServer::start(NOWHERE, &[]).await;
    for path in ["/"].into_iter().chain(LIBRARY) {
        let first = server.get(path).await;
        assert_eq!((first.status, first.headers["cache-control"].as_str()), (200, "no-cache"), "{path}");
        let tag = &first.headers["etag"];
        for known in [tag.clone(), format!("W/{tag}"), format!("\"other\", {tag}"), "*".to_owned()] {
            let again = get(&server, path, &[("if-none-match", &known)]).await;
            assert_eq!((again.status, again.body.as_str(), &again.headers["etag"]), (304, "", tag), "{path} {known}");
            assert!(!again.headers.contains_key("content-type"), "{path}");
        }
        assert_eq!(get(&server, path, &[("if-none-match", "\"other\"")]).await.body, first.body, "{path}");
        let packed = get(&server, path, &[("accept-encoding", "gzip"), ("if-none-match", tag)]).await;
        assert_eq!((packed.status, packed.headers["content-encoding"].as_str()), (200, "gzip"), "{path}");
        assert_ne!(&packed.headers["etag"], tag, "{path}: other bytes under the same tag");
        assert_eq!(packed.headers["vary"], "accept-encoding, origin");
    }
    server.stop().await.unwrap();
}

#[tokio::test]
async fn an_address_with_a_hash_may_be_kept_for_ever_and_one_of_another_version_is_404() {
    let server = TestServer::start(NOWHERE, &[]).await;
    let assets = assets(&server).await;
    assert!(assets.len() >= 3, "{assets:?}");
    let (folder, _) = assets[0].rsplit_once('/').unwrap();
    for path in assets.iter().cloned().chain([format!("{folder}/client.js")]) {
        let answer = server.get(&path).await;
        let kept = answer.headers["cache-control"].as_str();
        assert_eq!((answer.status, kept), (200, "public, max-age=31536000, immutable"), "{path}");
        assert_eq!(get(&server, &path, &[("if-none-match", &answer.headers["etag"])]).await.status, 304);
    }
    for path in [
        "/assets/0000000000000000/app.js".to_owned(),
        format!("{folder}/index.html"),
        format!("{folder}/"),
        format!("{folder}/../app.js"),
        format!("{folder}/nothing.js"),
        "/assets/app.js".to_owned(),
    ] {
        assert_eq!(server.get(&path).await.status, 404, "{path}");
    }
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_page_of_any_origin_may_load_the_client_which_says_that_it_may_not_connect() {
    let server = TestServer::start(NOWHERE, &[("ROWCAST_ALLOWED_ORIGINS", "http://one.example")]).await;
    let scripts = LIBRARY.map(str::to_owned).into_iter().chain(assets(&server).await);
    for path in scripts {
        let of = async |origin| {
            let answer = get(&server, &path, &[("origin", origin)]).await;
            (answer.status, answer.headers["access-control-allow-origin"].clone())
        };
        assert_eq!(of("http://other.example").await, (200, "*".to_owned()), "{path}");
        assert_eq!(of("http://one.example").await, (200, "http://one.example".to_owned()), "{path}");
    }
    let page = get(&server, "/", &[("origin", "http://other.example")]).await;
    assert!(!page.headers.contains_key("access-control-allow-origin"), "the dashboard is nobody's to read");
    server.stop().await.unwrap();
}

#[tokio::test]
async fn the_page_allows_scripts_and_connections_of_its_own_server_alone() {
    let server = TestServer::start(NOWHERE, &[]).await;
    let page = server.get("/").await;
    assert_eq!(page.headers["content-type"], "text/html; charset=utf-8");
    let policy: Vec<&str> = page.headers["content-security-policy"].split("; ").collect();
    for directive in [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "connect-src 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
        "form-action 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    ] {
        assert!(policy.contains(&directive), "{directive} is not in {policy:?}");
    }
    for (name, value) in [
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
        ("x-frame-options", "DENY"),
        ("cross-origin-opener-policy", "same-origin"),
    ] {
        assert_eq!(page.headers.get(name).map(String::as_str), Some(value));
    }
    let head = request(server.address(), "HEAD", "/", &[], b"").await;
    assert_eq!((head.status, head.body.as_str()), (0, ""), "a HEAD has a length and no body");
    let post = request(server.address(), "POST", "/", &[], b"").await;
    assert_eq!((post.status, post.headers["allow"].as_str()), (405, "GET, HEAD"));
    assert_eq!(server.get("/?token=x").await.status, 400, "a token never goes into an address");
    server.stop().await.unwrap();
}

#[tokio::test]
async fn the_page_says_if_there_are_public_streams() {
    for setting in ["off", "on"] {
        let server = TestServer::start(NOWHERE, &[("ROWCAST_PUBLIC_STREAM", setting)]).await;
        let said = format!("data-public-stream=\"{setting}\"");
        assert!(server.get("/").await.body.contains(&said), "{setting}");
        server.stop().await.unwrap();
    }
}

#[tokio::test]
async fn files_count_for_their_address_and_leave_the_other_quotas_alone() {
    let rates = format!("{NO_LIMITS},public=1/h,pages=3/h");
    let server = TestServer::start(NOWHERE, &[("ROWCAST_RATE_LIMITS", &rates)]).await;
    for path in ["/", "/client.js", "/react.js"] {
        assert_eq!(server.get(path).await.status, 200, "{path}");
    }
    let refused = server.get("/client.d.ts").await;
    assert_eq!((refused.status, refused.headers["ratelimit-policy"].as_str()), (429, "\"pages\";q=3;w=3600"));
    assert_eq!(server.get("/openapi.json").await.status, 200, "the quota of public routes was not used");
    server.stop().await.unwrap();
}
