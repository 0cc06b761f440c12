//! Who may do what: the table, and every route for everybody.

use rowcast::auth::{Action, Extent, Role};

use super::{Session, ask, bearer, knock, token};
use crate::access::tokens::{AUDIENCE, ISSUER, attacks, jwks};
use crate::support::raw_http::request;
use crate::support::{TestServer, migrated_database};

#[test]
fn the_table_of_the_interface_is_the_one_in_code() {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/03_API_SPEC.md")).unwrap();
    let header =
        "| role | events, trading: read | append, trading: write | chat | others' `owner` rows | config, revoke |";
    let (_, table) = text.split_once(header).expect("the table of roles");
    let rows: Vec<Vec<&str>> = table
        .lines()
        .skip(2)
        .take_while(|line| line.starts_with('|'))
        .map(|line| line.trim_matches('|').split('|').map(str::trim).collect())
        .collect();
    assert_eq!(rows.len(), Role::ALL.len());
    for (row, role) in rows.iter().zip(Role::ALL) {
        assert_eq!(row[0], format!("`{role}`"));
        let said = row[1..].iter().map(|cell| match *cell {
            "no" => Extent::No,
            "own" | "own `owner` rows only" => Extent::Own,
            "yes" | "all" => Extent::All,
            other => panic!("{other}"),
        });
        let really: Vec<_> = Action::ALL.iter().map(|action| role.extent(*action)).collect();
        assert_eq!(said.collect::<Vec<_>>(), really, "{role}");
        assert!(Action::ALL.iter().all(|action| role.may(*action) == (role.extent(*action) > Extent::No)));
    }
}

/// Every route that needs a token: method, path, body, and which action it is; none that any token may do.
const ROUTES: &[(&str, &str, &str, Option<Action>)] = &[
    ("GET", "/ws", "", Some(Action::Read)),
    ("GET", "/v1/events", "", Some(Action::Read)),
    ("GET", "/v1/events/stream", "", Some(Action::Read)),
    ("POST", "/v1/events", r#"{"type":"note.added"}"#, Some(Action::Write)),
    ("GET", "/v1/revocations", "", Some(Action::Administer)),
    ("POST", "/v1/revocations", r#"{"subject":"nobody"}"#, Some(Action::Administer)),
    ("GET", "/v1/me", "", None),
];
const PUBLIC: [&str; 5] = ["/", "/openapi.json", "/public/ws", "/public/v1/events", "/public/v1/events/stream"];

async fn status(server: &TestServer, method: &str, path: &str, body: &str, token: Option<&str>) -> u16 {
    let authorization = token.map(bearer);
    let mut headers: Vec<_> = authorization.iter().map(|value| ("authorization", value.as_str())).collect();
    if path.ends_with("/ws") {
        return knock(server, path, &headers).await.1.status;
    }
    headers.push(("content-type", "application/json"));
    request(server.address(), method, path, &headers, body.as_bytes()).await.status
}

#[tokio::test]
async fn every_route_lets_in_whom_the_table_lets_in_and_nobody_else() {
    let db = migrated_database().await;
    let server = TestServer::ready(&db.url, &[("ROWCAST_PUBLIC_STREAM", "on")]).await;
    let unknown = crate::access::tokens::with_role("emperor");
    for (method, path, body, action) in ROUTES {
        let ask = async |token: Option<&str>| status(&server, method, path, body, token).await;
        // A WebSocket may still say who it is.
        let nobody = if *path == "/ws" { 101 } else { 401 };
        assert_eq!(ask(None).await, nobody, "{method} {path} without a token");
        assert_eq!(ask(Some("not.a.token")).await, 401, "{method} {path} with a bad token");
        assert_eq!(ask(Some(&unknown)).await, 403, "{method} {path} with an unknown role");
        for role in Role::ALL {
            let answer = ask(Some(&token("someone", role))).await;
            let allowed = action.is_none_or(|action| role.may(action));
            if allowed {
                assert!([101, 200, 201].contains(&answer), "{method} {path} as {role}: {answer}");
            } else {
                assert_eq!(answer, 403, "{method} {path} as {role}");
            }
        }
    }
    for path in PUBLIC {
        for token in [None, Some("not.a.token"), Some(unknown.as_str())] {
            let answer = status(&server, "GET", path, "", token).await;
            assert!([101, 200].contains(&answer), "{path} with {token:?}: {answer}");
        }
    }
    server.stop().await.unwrap();
}

/// What each role is shown of rows that belong to nobody, to themselves, and to somebody else.
#[tokio::test]
async fn rows_with_an_owner_are_for_the_owner_and_administrators() {
    let db = migrated_database().await;
    let client = db.client().await;
    let sql = "insert into rowcast.events (type, owner) values ('a.a', null), ('a.a', 'me'), ('a.a', 'other')";
    client.batch_execute(sql).await.unwrap();
    let server = TestServer::ready(&db.url, &[]).await;
    for (role, seen) in [
        (Role::User, vec![2]),
        (Role::Viewer, vec![1, 2]),
        (Role::Engine, vec![1, 2]),
        (Role::Operator, vec![1, 2]),
        (Role::Admin, vec![1, 2, 3]),
    ] {
        let me = token("me", role);
        let page = ask(&server, "GET", "/v1/events?cursor=0", &me, "").await.json();
        let seqs: Vec<_> = page["events"].as_array().unwrap().iter().map(|e| e["seq"].as_i64().unwrap()).collect();
        assert_eq!(seqs, seen, "{role}");
        let mut session = Session::of(&server, "/ws?cursor=0", &me).await;
        for seq in &seen {
            assert_eq!(session.next_of("event").await["event"]["seq"], *seq, "{role}");
        }
        session.next_of("live").await;
        let asked = ask(&server, "GET", "/v1/events?owner=other", &me, "").await;
        assert_eq!(asked.status, 400, "owners are not for clients to ask for");
    }
    server.stop().await.unwrap();
}

/// What the tests of tokens refuse one by one, over HTTP and in a message.
#[tokio::test]
async fn forged_tokens_are_refused_at_every_door_with_one_answer() {
    let db = migrated_database().await;
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), jwks()).unwrap();
    let more = [
        ("ROWCAST_JWKS", file.path().to_str().unwrap()),
        ("ROWCAST_JWT_ISSUER", ISSUER),
        ("ROWCAST_JWT_AUDIENCE", AUDIENCE),
    ];
    let server = TestServer::ready(&db.url, &more).await;
    for attack in attacks() {
        if attack.fits_a_header() && attack.token.len() < 16 << 10 {
            let answer = ask(&server, "GET", "/v1/me", &attack.token, "").await;
            assert_eq!(answer.status, 401, "{}", attack.name);
            let problem = answer.json();
            assert_eq!(
                (&problem["code"], &problem["detail"]),
                (&"unauthorized".into(), &"The token is not accepted.".into())
            );
        }
        if attack.token.len() < 32 << 10 {
            let mut session = Session::open(&server, "/ws", &[]).await;
            session.auth(&attack.token).await;
            assert_eq!(session.end().await, (4401, "unauthorized".to_owned()), "{}", attack.name);
        }
    }
    server.stop().await.unwrap();
}
