//! The plans of the statements on the hot path, at a million rows over twenty partitions.

use postgres_types::{ToSql, Type};
use rowcast::journal::{
    Budget, Filter, NEWEST_SQL, NEXT_SQL, Owners, SIZES_SQL, explain_nth_newest, explain_query, range_sql,
};
use serde_json::Value;
use tokio_postgres::Client;

use super::{database_of, partitions};

const ROWS: i64 = 1_000_000;
const BYTES: i64 = 256 << 10;

/// What a plan touches: each scan of a relation, and the relations.
fn scans(plan: &Value, found: &mut Vec<(String, String)>) {
    if let (Some(node), Some(relation)) = (plan["Node Type"].as_str(), plan["Relation Name"].as_str())
        && relation != "event_types"
    {
        found.push((node.to_owned(), relation.to_owned()));
    }
    for below in plan["Plans"].as_array().into_iter().flatten() {
        scans(below, found);
    }
}

fn check(what: &str, plan: &Value, most: usize) {
    let mut found = Vec::new();
    scans(&plan[0]["Plan"], &mut found);
    let by_index = ["Index Scan", "Index Only Scan", "Bitmap Heap Scan"];
    // A reader who may see none of what is asked for costs nothing.
    let asks = !plan.to_string().contains("One-Time Filter");
    assert!(
        found.is_empty() != asks && found.iter().all(|(node, _)| by_index.contains(&node.as_str())),
        "{what}: {plan:#}"
    );
    assert!(found.len() <= most, "{what}: {} partitions\n{plan:#}", found.len());
}

async fn explain(client: &Client, sql: &str, values: &[(&(dyn ToSql + Sync), Type)]) -> Value {
    client.query_typed(&format!("explain (format json) {sql}"), values).await.unwrap()[0].get(0)
}

/// Fills the journal. One event in a thousand is rare in every respect. The indexes are made afterwards, as they were: that is faster.
async fn fill_and_analyze(client: &Client) {
    let sql = format!(
        "do $$
         declare
             made text[];
         begin
             set local maintenance_work_mem = '256MB';
             select array_agg(replace(pg_get_indexdef(indexrelid), ' ON ONLY ', ' ON ')) into made
               from pg_index where indrelid = 'rowcast.events'::regclass and not indisprimary;
             execute (select string_agg('drop index ' || indexrelid::regclass, ';')
                        from pg_index where indrelid = 'rowcast.events'::regclass and not indisprimary);
             insert into rowcast.events (type, level, symbol, trade_id, subject, owner)
             select case when i % 1000 = 0 then 'rare.seen' else 'tick.' || i % 7 end,
                    case when i % 1000 = 0 then 'critical' else 'info' end,
                    's' || i % 500, ('00000000-0000-4000-8000-' || lpad((i % 5000)::text, 12, '0'))::uuid,
                    'subject ' || i % 5000, case when i % 2 = 0 then 'owner ' || i % 1000 end
               from generate_series(1, {ROWS}) i;
             perform rowcast.ensure_partitions();
             execute array_to_string(made, ';');
         end $$;
         analyze rowcast.events"
    );
    client.batch_execute(&sql).await.unwrap();
    let all = partitions(client).await.len();
    assert!(all > 40, "{all}");
}

/// The filters that readers come with, from none to three conditions.
const FILTERS: &[&[(&str, &str)]] = &[
    &[],
    &[("type", "rare.seen")],
    &[("type", "tick.1")],
    &[("type", "rare.*")],
    &[("type", "tick.*")],
    &[("type", "rare.seen,tick.1,nothing.*")],
    &[("level", "critical")],
    &[("level", "info")],
    &[("symbol", "s7")],
    &[("trade_id", "00000000-0000-4000-8000-000000000007")],
    &[("subject", "subject 7")],
    &[("owner", "owner 8")],
    &[("owner", "nobody")],
    &[("type", "tick.*"), ("symbol", "s7"), ("level", "warn")],
];

/// Whose events a reader may see: everybody's, nobody's, few, and none that exist.
fn owners() -> [Owners; 5] {
    let own = || "owner 8".to_owned();
    [Owners::Any, Owners::Nobody, Owners::NobodyOr(own()), Owners::Only(own()), Owners::Only("nobody".to_owned())]
}

/// Each filter of each reader, from a seq on, touches no more partitions than this.
async fn check_filters(client: &Client, after: i64, most: usize) {
    for pairs in FILTERS {
        for owners in owners() {
            let filter = Filter::parse(pairs.iter().copied()).unwrap().seen_by(owners);
            for limit in [1, 100, 1000] {
                let budget = Budget { rows: limit, bytes: BYTES };
                let plan = explain_query(client, &filter, after, ROWS, budget).await.unwrap();
                check(&format!("{filter:?} after {after}, {limit}"), &plan, most);
                let plan = explain_nth_newest(client, &filter, after, ROWS, limit).await.unwrap();
                check(&format!("the last {limit} of {filter:?} after {after}"), &plan, most);
            }
        }
    }
}

#[tokio::test]
async fn every_hot_statement_goes_by_an_index_through_the_partitions_it_needs() {
    let db = database_of(50_000, 21).await;
    let client = db.client().await;
    fill_and_analyze(&client).await;
    // Near the head, far behind it, and all there is.
    for (after, most) in [(ROWS - 100, 1), (ROWS - 75_000, 2), (0, 20)] {
        let range = [
            (&after as _, Type::INT8),
            (&ROWS as _, Type::INT8),
            (&512_i64 as _, Type::INT8),
            (&BYTES as _, Type::INT8),
        ];
        check("read_range", &explain(&client, &range_sql(), &range).await, most);
        check("sizes", &explain(&client, SIZES_SQL, &range[..3]).await, most);
        check("next", &explain(&client, NEXT_SQL, &range[..2]).await, most);
        check("newest", &explain(&client, NEWEST_SQL, &range[..2]).await, most);
        check_filters(&client, after, most).await;
    }
    // One symbol, far behind: its own index and not the primary key.
    let plan = explain_query(&client, &Filter::parse([("symbol", "s7")]).unwrap(), 0, ROWS, Budget::of_rows(100))
        .await
        .unwrap();
    assert!(plan.to_string().contains("symbol_seq_idx"), "{plan:#}");
}
