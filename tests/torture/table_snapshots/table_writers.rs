//! Writers of two tables that do everything a transaction can do.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

use super::super::dice::Dice;
use crate::support::connect;

/// The ids that the writers fight for.
const IDS: u64 = 60;
const CUSTOMERS: [&str; 4] = ["ann", "bob", "cy", "dee"];

/// One statement, by chance.
fn statement(dice: &mut Dice) -> String {
    let (id, other) = (dice.within(0..IDS), dice.within(0..IDS));
    let (customer, pieces) = (CUSTOMERS[dice.index(CUSTOMERS.len())], dice.within(0..9));
    match dice.within(0..12) {
        0..4 => format!(
            "insert into shop.orders values ({id}, '{customer}', 'new', {pieces}.5, repeat('x', {pieces}))
             on conflict (id) do update set status = 'seen', total = shop.orders.total + 1"
        ),
        4 => format!("delete from shop.orders where id = {id}"),
        5 => format!(
            "update shop.orders set id = {other} where id = {id} and not exists (select from shop.orders where id = {other})"
        ),
        6 => format!("update shop.orders set customer = '{customer}' where id = {id}"),
        7 => format!("update shop.orders set status = 'paid' where id between {id} and {id} + 5"),
        8 => format!("update shop.items set pieces = pieces + 1 where order_id = {id}"),
        9 => format!("delete from shop.items where order_id = {id}"),
        _ => format!(
            "insert into shop.items select {pieces}, id, 1 from shop.orders where id = {id}
             on conflict (id, order_id) do update set pieces = excluded.pieces"
        ),
    }
}

/// Some statements, and the end of their transaction.
async fn transaction(client: &Client, dice: &mut Dice, name: &str) -> Result<bool, tokio_postgres::Error> {
    let end = dice.within(0..12);
    // What has rung the bell cannot be prepared.
    client.batch_execute(if end == 1 { "begin; set local rowcast.bell = 'off'" } else { "begin" }).await?;
    for _ in 0..=dice.within(0..4) {
        client.batch_execute(&statement(dice)).await?;
        if dice.one_in(6) {
            let undone = statement(dice);
            client.batch_execute(&format!("savepoint s; {undone}; rollback to s")).await?;
        }
    }
    if dice.one_in(8) {
        // Told at once, and then held: the numbers are drawn long before the commit.
        client.batch_execute("set constraints all immediate").await?;
        tokio::time::sleep(dice.millis(5..250)).await;
    }
    match end {
        0 => {
            client.batch_execute("rollback").await?;
            Ok(false)
        }
        1 => {
            client.batch_execute(&format!("prepare transaction '{name}'")).await?;
            tokio::time::sleep(dice.millis(1..100)).await;
            let end = if dice.one_in(3) { "rollback" } else { "commit" };
            client.batch_execute(&format!("{end} prepared '{name}'")).await?;
            Ok(end == "commit")
        }
        _ => {
            client.batch_execute("commit").await?;
            Ok(true)
        }
    }
}

/// Writes until it is told to stop. Returns the number of its commits.
pub(super) async fn write(url: String, mut dice: Dice, stop: Arc<AtomicBool>) -> u64 {
    let client = connect(&url).await;
    let name = format!("live_{}", uuid::Uuid::new_v4().simple());
    let mut commits = 0;
    while !stop.load(Ordering::SeqCst) {
        let done = if dice.one_in(150) {
            client.batch_execute("begin; truncate shop.orders, shop.items; commit").await.map(|()| true)
        } else {
            transaction(&client, &mut dice, &name).await
        };
        match done {
            Ok(committed) => commits += u64::from(committed),
            Err(error) => {
                let code = error.code().cloned();
                let expected = [
                    Some(SqlState::T_R_DEADLOCK_DETECTED),
                    Some(SqlState::UNIQUE_VIOLATION),
                    Some(SqlState::FOREIGN_KEY_VIOLATION),
                    Some(SqlState::OBJECT_IN_USE),
                ];
                assert!(expected.contains(&code), "{error:?}");
                client.batch_execute("rollback").await.unwrap();
            }
        }
    }
    commits
}
