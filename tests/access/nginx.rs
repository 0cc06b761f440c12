//! `deploy/nginx/rowcast.conf`, as it stands there, in front of a server. What it caches is tested with the durable streams.

use rowcast::auth::Role;

use super::{Session, Sse, ask, token};
use crate::support::nginx_proxy::Nginx;
use crate::support::{TestServer, migrated_database};

#[tokio::test]
async fn the_nginx_of_deploy_passes_sockets_streams_and_clients_addresses() {
    let db = migrated_database().await;
    let more = [("ROWCAST_TRUSTED_PROXIES", "127.0.0.1/32"), ("ROWCAST_HEARTBEAT", "1s")];
    let server = TestServer::ready(&db.url, &more).await;
    let Some(nginx) = Nginx::start(&[server.address()]).await else { return };
    let proxy = TestServer::at(&nginx.url);
    let admin = token("alice", Role::Admin);

    // A page that came through the proxy is of the server's own origin: the host with its port says so.
    let protocols = format!("rowcast.v1, bearer.{admin}");
    let page = [("origin", nginx.url.as_str()), ("sec-websocket-protocol", protocols.as_str())];
    let mut session = Session::open(&proxy, "/ws", &page).await;
    session.next_of("live").await;
    let mut stream = Sse::open(&proxy, "/v1/events/stream", Some(&admin)).await;
    stream.until(": live").await;

    let appended = ask(&proxy, "POST", "/v1/events", &admin, "{\"type\":\"note.added\",\"payload\":{\"n\":7}}").await;
    assert_eq!(appended.status, 201, "{}", appended.body);
    assert_eq!(session.next_of("event").await["event"]["payload"]["n"], 7);
    stream.until("\"n\": 7").await;
    session.next_of("heartbeat").await;

    let too_large = ask(&proxy, "POST", "/v1/events", &admin, &" ".repeat((1 << 20) + 1)).await;
    assert_eq!(too_large.status, 413);
    assert_eq!(proxy.get("/metrics").await.status, 404);
    server.stop().await.unwrap();
}
