// Places that are lost (trimmed by retention, or of another history), and a stream that is held back. On a cluster of its own, since both
// are so for everybody.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { startProxy } from './support/proxy.js';
import { Record, next, open, within } from './support/record.js';
import { hold, mint, psql, rowcast, serve, startDev } from './support/rowcast.js';

let server, token, oldest, trimmed;
before(async () => {
  server = await startDev();
  token = mint(server);
  // Trimming drops whole partitions in the past; what is left begins here.
  const [first] = await psql(server, `insert into rowcast.events (type) select 'old.written' from generate_series(1, 10) returning seq || '.' || right(id::text, 8)`);
  trimmed = first;
  const kept = await psql(server, `insert into rowcast.events (type) select 'kept.written' from generate_series(1, 3) returning seq || '.' || right(id::text, 8)`);
  oldest = kept[0];
  const [before_] = await psql(server, `select max(seq) from rowcast.events where type = 'old.written'`);
  await rowcast(['trim', '--before', `${Number(before_) + 1}`, '--database-url', server.database]);
});
after(() => server.stop());

for (const transports of [['websocket'], ['sse']]) {
  test(`over ${transports} an expired place fails, unless the caller says where to go on`, async (t) => {
    const failing = open(t, { url: server.url, token, cursor: trimmed, transports });
    failing.on('event', () => {});
    const error = await next(failing, 'error');
    assert.equal(error.name, 'CursorExpiredError');
    assert.equal(error.oldest, Number(oldest.split('.')[0]));
    assert.equal(failing.state.status, 'failed');
    await failing.subscribe({ cursor: 'earliest' });

    const connection = open(t, { url: server.url, token, cursor: trimmed, type: 'kept.*', transports, onCursorExpired: 'earliest' });
    const record = new Record(connection);
    const gap = await next(connection, 'gap');
    assert.deepEqual(gap, { code: 'cursor_expired', cursor: null, oldest: error.oldest, resumesFrom: 'earliest' });
    await record.count(3);
    assert.equal(record.events[0].type, 'kept.written');
  });

  test(`over ${transports} a place of another history is told as such`, async (t) => {
    const [seq] = oldest.split('.');
    const connection = open(t, { url: server.url, token, cursor: `${seq}.00000000`, transports, onCursorExpired: 'latest' });
    const record = new Record(connection);
    const gap = await next(connection, 'gap');
    assert.deepEqual([gap.code, gap.resumesFrom], ['cursor_invalid', 'latest']);
    await next(connection, 'live');
    const { seq: appended } = await connection.append({ type: 'after.gap' });
    await record.until((events) => events.some((event) => event.seq === appended));
  });
}

for (const transports of [['websocket'], ['sse']]) {
  test(`over ${transports} a table whose place has expired takes another snapshot, told as differences`, async (t) => {
    const name = `cl_expired_${transports}`;
    await psql(server, `create table ${name} (id bigint primary key, status text); select rowcast.publish('${name}', columns => '{id,status}');
      insert into ${name} values (1, 'same'), (2, 'changes'), (3, 'goes')`);
    let isDown = false;
    const fetch = (url, init) => (isDown ? Promise.reject(new TypeError('no network')) : globalThis.fetch(url, init));
    const proxy = await startProxy(server.url);
    t.after(() => proxy.close());
    const connection = open(t, { url: proxy.url, token, transports, fetch });
    const table = await connection.table(`public.${name}`).ready;
    await connection.sync();
    const [same, batches] = [table.get('1'), []];
    table.onChange((batch) => batches.push(batch));
    isDown = proxy.isDown = true;
    proxy.cut();
    await next(connection, 'state', ({ status }) => status === 'waiting');
    await psql(server, `update ${name} set status = 'changed' where id = 2; delete from ${name} where id = 3; insert into ${name} values (4, 'comes')`);
    const [head] = await psql(server, 'select max(seq) from rowcast.events');
    await rowcast(['trim', '--before', head, '--database-url', server.database]);
    const changed = new Promise((resolve) => table.onChange(resolve));
    isDown = proxy.isDown = false;
    connection.retry();
    const batch = await within(changed, 'no new snapshot', connection);
    assert.equal(batch.reset, true);
    assert.deepEqual(batch.inserted.map(({ key }) => key), ['4']);
    assert.deepEqual(batch.updated, [{ key: '2', row: { id: '2', status: 'changed' }, old: { id: '2', status: 'changes' } }]);
    assert.deepEqual(batch.removed, [{ key: '3', old: { id: '3', status: 'goes' } }]);
    assert.equal(table.get('1'), same, 'a row that did not change stays the same object');
    await psql(server, `insert into ${name} values (5, 'later')`);
    await connection.sync();
    assert.deepEqual([...table.keys()].toSorted(), ['1', '2', '4', '5']);
  });
}

test('a history that has lost what no heartbeat had confirmed is told as another one', async (t) => {
  const [original, restored] = ['original', 'restored'].map((name) => ({ ...server, database: server.database.replace(/\/[^/?]+(\?|$)/, `/${name}$1`) }));
  for (const [name, { database }] of Object.entries({ original, restored })) {
    await psql(server, `create database ${name}`);
    await rowcast(['migrate', '--database-url', database]);
  }
  await psql(original, `insert into rowcast.events (type) select 'lost.written' from generate_series(1, 3)`);
  await psql(restored, `insert into rowcast.events (type) values ('restored.written')`);
  let node = await serve(original);
  t.after(() => node.stop());
  const text = new TextDecoder('latin1');
  const proxy = await startProxy(node.url, () => ({ frame: (bytes) => (text.decode(bytes).includes('"op":"heartbeat"') ? null : bytes) }));
  t.after(() => proxy.close());
  const connection = open(t, { url: proxy.url, token, cursor: 'earliest', transports: ['websocket'], onCursorExpired: 'earliest' });
  const record = new Record(connection);
  await record.count(3);
  const gap = next(connection, 'gap');
  await node.kill();
  node = await serve(restored, { port: node.port });
  assert.equal((await gap).code, 'cursor_invalid');
  await record.until((events) => events.at(-1).type === 'restored.written');
});

test('a stream that a transaction holds back is told as stalled, and why', async (t) => {
  const connection = open(t, { url: server.url, token, type: 'held.*', cursor: 'latest' });
  const record = new Record(connection);
  await next(connection, 'live');
  const release = hold(server, `begin; insert into rowcast.events (type) values ('held.back');`);
  const { stalled } = await next(connection, 'state', ({ status }) => status === 'stalled');
  assert.equal(stalled.reason, 'transaction');
  assert.ok(stalled.pid > 0 && Date.parse(stalled.since) <= Date.now());
  const syncing = connection.sync();
  await release();
  await syncing;
  assert.equal(record.events.length, 1);
  await next(connection, 'state', ({ status }) => status === 'live');
});
