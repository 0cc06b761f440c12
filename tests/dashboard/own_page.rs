//! The pages of `docs/CLIENT.md` and `README.md`, exactly as printed, on another origin.

use rowcast::auth::Role;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::chromium::Browser;
use crate::repository::read;
use crate::stream::ws::token;
use crate::support::{TestServer, migrated_database, run, text, until};

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

/// A page of a document in a browser, with an origin of its own.
struct OwnPage {
    listener: TcpListener,
    page: String,
    origin: String,
}

impl OwnPage {
    /// The first page that this document shows, of at most so many lines.
    async fn of(document: &str, most_lines: usize) -> Self {
        let page = read(document).split("```html\n").nth(1).unwrap().split("```").next().unwrap().to_owned();
        assert!(page.lines().count() <= most_lines, "the page of {document} grew");
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        Self { listener, page, origin }
    }

    /// Opens it against a server, with the token that its reader would paste; none where there is no browser.
    async fn open(self, server: &TestServer, token: &str) -> Option<(Browser, JoinHandle<()>)> {
        let own = self.page.replace("127.0.0.1:8080", server.address());
        let serving = tokio::spawn(serve(self.listener, own.replace("prompt('token')", &format!("'{token}'"))));
        let browser = Browser::start().await?;
        browser.open(&self.origin).await;
        Some((browser, serving))
    }
}

/// Waits until the element with this id has this text.
async fn says(browser: &Browser, id: &str, expected: &str) {
    let script = format!("return document.getElementById('{id}').innerText.trim()");
    until(&format!("{id} says {expected}"), || async { browser.run(&script).await == expected }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_page_of_the_client_shows_a_table_and_comes_back_with_its_place() {
    let page = OwnPage::of("docs/CLIENT.md", 25).await;
    let db = migrated_database().await;
    let sql = db.client().await;
    let table = "create table public.shop_orders (id int primary key, status text); insert into public.shop_orders values (1, 'new');
                 select rowcast.publish('public.shop_orders')";
    sql.batch_execute(table).await.unwrap();
    let origin = page.origin.clone();
    let server = TestServer::ready(&db.url, &[("ROWCAST_ALLOWED_ORIGINS", origin.as_str())]).await;
    let Some((browser, serving)) = page.open(&server, &token(Role::Viewer, "vera")).await else { return };
    says(&browser, "orders", "1: new").await;
    says(&browser, "state", "live").await;
    let changes =
        "insert into public.shop_orders values (2, 'paid'); update public.shop_orders set status = 'sent' where id = 1";
    sql.batch_execute(changes).await.unwrap();
    says(&browser, "orders", "1: sent\n2: paid").await;
    says(&browser, "log", "1 public.shop_orders.inserted\n2 public.shop_orders.updated").await;
    // Loaded again, it begins behind what it has had.
    browser.open(&origin).await;
    sql.batch_execute("delete from public.shop_orders where id = 2").await.unwrap();
    says(&browser, "log", "3 public.shop_orders.deleted").await;
    says(&browser, "orders", "1: sent").await;
    // Its place was trimmed while nobody looked: it begins with what there is.
    browser.open("about:blank").await;
    sql.batch_execute("insert into public.shop_orders values (3, 'new'), (4, 'new')").await.unwrap();
    let trimmed = run(&["trim", "--before", "5"], &[("DATABASE_URL", &db.url)]).await;
    assert!(trimmed.status.success(), "{}", text(&trimmed.stderr));
    browser.open(&origin).await;
    says(&browser, "log", "5 public.shop_orders.inserted").await;
    assert_eq!(browser.logged().await, [] as [String; 0]);
    browser.end().await;
    serving.abort();
    server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_page_of_the_readme_follows_and_comes_back_where_it_was() {
    let page = OwnPage::of("README.md", 19).await;
    let db = migrated_database().await;
    let insert = async |text: &str| {
        let sql =
            "insert into rowcast.events (type, payload) values ('note.added', jsonb_build_object('text', $1::text))";
        db.client().await.execute(sql, &[&text]).await.unwrap();
    };
    let origin = page.origin.clone();
    let server = TestServer::ready(&db.url, &[("ROWCAST_ALLOWED_ORIGINS", origin.as_str())]).await;
    let address = server.address().to_owned();
    let Some((browser, serving)) = page.open(&server, &token(Role::Viewer, "me")).await else { return };
    insert("one").await;
    says(&browser, "log", "1 note.added {\"text\":\"one\"}").await;
    server.stop().await.unwrap();
    insert("two").await;
    let settings = [("ROWCAST_LISTEN", address.as_str()), ("ROWCAST_ALLOWED_ORIGINS", origin.as_str())];
    let server = TestServer::ready(&db.url, &settings).await;
    insert("three").await;
    let lines =
        ["one", "two", "three"].iter().zip(1..).map(|(text, seq)| format!("{seq} note.added {{\"text\":\"{text}\"}}"));
    says(&browser, "log", &lines.collect::<Vec<_>>().join("\n")).await;
    says(&browser, "state", "live").await;
    browser.end().await;
    serving.abort();
    server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_page_of_the_readme_says_that_its_token_is_refused() {
    let page = OwnPage::of("README.md", 19).await;
    let db = migrated_database().await;
    let origin = page.origin.clone();
    let server = TestServer::ready(&db.url, &[("ROWCAST_ALLOWED_ORIGINS", origin.as_str())]).await;
    let Some((browser, serving)) = page.open(&server, "not.a.token").await else { return };
    let failed = "return document.getElementById('state').innerText.startsWith('failed ')";
    until("the page says so", || async { browser.run(failed).await == true }).await;
    browser.end().await;
    serving.abort();
    server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_page_of_the_readme_says_that_its_origin_may_not_connect_and_how_it_may() {
    let page = OwnPage::of("README.md", 19).await;
    let db = migrated_database().await;
    let server = TestServer::ready(&db.url, &[]).await;
    let Some((browser, serving)) = page.open(&server, &token(Role::Viewer, "me")).await else { return };
    let told = "return document.getElementById('state').innerText.includes('add that to ROWCAST_ALLOWED_ORIGINS')";
    until("the page says so", || async { browser.run(told).await == true }).await;
    browser.end().await;
    serving.abort();
    server.stop().await.unwrap();
}
