//! The page of `docs/CLIENT.md`, exactly as printed, on another origin.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::chromium::Browser;
use crate::repository::read;
use crate::stream::ws::token;
use crate::support::{TestServer, migrated_database};
use rowcast::auth::Role;

/// Serves one page at every path, as `python3 -m http.server` would serve the file.
async fn serve(listener: TcpListener, page: String) {
    while let Ok((mut stream, _)) = listener.accept().await {
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
            page.len()
        );
        let mut request = [0; 4096];
        let _read = stream.read(&mut request).await;
        let _written = stream.write_all(format!("{head}{page}").as_bytes()).await;
    }
}

const ROWS: &str = "return document.getElementById('orders').innerText";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_page_of_the_documentation_shows_a_table_and_comes_back_with_its_place() {
    let printed = read("docs/CLIENT.md");
    let page = printed.split("```html\n").nth(1).unwrap().split("```").next().unwrap().to_owned();
    assert!(page.lines().count() <= 24, "the page is promised in about 20 lines");
    let db = migrated_database().await;
    let sql = db.client().await;
    let table = "create table public.shop_orders (id int primary key, status text); insert into public.shop_orders values (1, 'new');
                 select rowcast.publish('public.shop_orders')";
    sql.batch_execute(table).await.unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    let server = TestServer::ready(&db.url, &[("ROWCAST_ALLOWED_ORIGINS", origin.as_str())]).await;
    let own = page.replace("127.0.0.1:8080", server.address());
    let serving =
        tokio::spawn(serve(listener, own.replace("prompt('token')", &format!("'{}'", token(Role::Viewer, "vera")))));
    let Some(browser) = Browser::start().await else { return };
    browser.open(&origin).await;
    let until = async |what: &str, script: &str, expected: &str| {
        crate::support::until(what, || async { browser.run(script).await == expected }).await;
    };
    until("the row is shown", ROWS, "1: new").await;
    until("the stream is live", "return document.getElementById('state').innerText.trim()", "live").await;
    sql.batch_execute(
        "insert into public.shop_orders values (2, 'paid'); update public.shop_orders set status = 'sent' where id = 1",
    )
    .await
    .unwrap();
    until("the change is shown", ROWS, "1: sent\n2: paid").await;
    until(
        "the events are shown",
        "return document.getElementById('log').innerText.trim()",
        "1 public.shop_orders.inserted\n2 public.shop_orders.updated",
    )
    .await;
    // Loaded again, it begins behind what it has had.
    browser.open(&origin).await;
    sql.batch_execute("delete from public.shop_orders where id = 2").await.unwrap();
    until(
        "the event behind the place comes",
        "return document.getElementById('log').innerText.trim()",
        "3 public.shop_orders.deleted",
    )
    .await;
    until("the table is whole", ROWS, "1: sent").await;
    assert_eq!(browser.logged().await, [] as [String; 0]);
    browser.end().await;
    serving.abort();
    server.stop().await.unwrap();
}
