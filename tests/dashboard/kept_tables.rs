//! A live table in a browser is the table, whatever changes and whoever is killed meanwhile.

use std::fmt::Write as _;

use super::Dashboard;
use crate::support::restarted_server::RestartedServer;
use crate::support::{migrated_database, until};
use crate::torture::dice::Dice;

const CHANGES: u64 = 10_000;
const KEYS: u64 = 400;

/// The table as the page shows it and as SQL would print it: each row as `id status total`.
const STORED: &str =
    "select coalesce(string_agg(format('%s %s %s', id, status, total), E'\\n' order by id), '') from shop.orders";

/// Keeps the table of the client library in the page.
const FOLLOW: &str = "
    const done = arguments[arguments.length - 1];
    import('/client.js').then(async ({ connect }) => {
        window.db = connect({ url: location.origin, token: arguments[0] });
        window.orders = window.db.table('shop.orders');
        window.batches = 0;
        window.orders.onChange(() => { window.batches += 1; });
        await window.orders.ready;
        done(true);
    }, (error) => done(String(error)));";
const SHOWN: &str = "return window.orders.rows().slice().sort((a, b) => a.id - b.id)
    .map(({ id, status, total }) => `${id} ${status} ${total}`).join('\\n')";

/// One random change.
fn change(dice: &mut Dice) -> String {
    let id = dice.within(0..KEYS);
    match dice.within(0..10) {
        0..=5 => format!(
            "insert into shop.orders values ({id}, 'new', {n}) on conflict (id) do update set status = 'again', total = {n};",
            n = dice.within(0..1000)
        ),
        6 | 7 => format!("delete from shop.orders where id = {id};"),
        8 => format!("update shop.orders set total = total + 1 where id % 50 = {};", id % 50),
        _ => format!(
            "update shop.orders set id = {KEYS} + {id} where id = {id} and not exists (select from shop.orders where id = {KEYS} + {id});"
        ),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_live_table_equals_the_table_after_ten_thousand_changes_and_lost_connections() {
    let db = migrated_database().await;
    let sql = db.client().await;
    let table = "create schema shop; create table shop.orders (id int primary key, status text, total int); select rowcast.publish('shop.orders')";
    sql.batch_execute(table).await.unwrap();
    let mut server = RestartedServer::new(&db.url);
    server.ready().await;
    let Some(page) = Dashboard::of_admin(&server.place, "tables").await else { return };
    let is_chosen =
        "return document.querySelector('a[data-table=\"shop.orders\"]')?.getAttribute('aria-current') === 'page'";
    page.until("one's own table is shown first", is_chosen).await;
    let token = crate::stream::ws::token(rowcast::auth::Role::Admin, "root");
    let opened = page.browser.run_async(FOLLOW, vec![token.into()]).await;
    assert_eq!(opened, true, "the library in the page");
    let mut dice = Dice::new(17, 0);
    for round in 0..CHANGES / 100 {
        let changes = (0..100).fold(String::new(), |mut text, _| {
            write!(text, "begin; {} commit;", change(&mut dice)).unwrap();
            text
        });
        sql.batch_execute(&changes).await.unwrap();
        if round % 20 == 10 {
            server.kill();
            server.start();
        }
        if round == 50 {
            sql.batch_execute("truncate shop.orders").await.unwrap();
        }
    }
    let stored: String = sql.query_one(STORED, &[]).await.unwrap().get(0);
    assert!(stored.lines().count() > 50);
    until("the table in the page is the table", || async { page.browser.run(SHOWN).await == stored.as_str() }).await;
    page.says("table-count", &format!("{} rows", stored.lines().count())).await;
    let newest: i32 = sql.query_one("select max(id) from shop.orders", &[]).await.unwrap().get(0);
    page.enter("table-filter", &newest.to_string()).await;
    page.until(
        "the row is shown",
        &format!("return document.querySelector('.grid-row:not([hidden])')?.textContent.includes('{newest}') ?? false"),
    )
    .await;
    page.end(true).await;
}
