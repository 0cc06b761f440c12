// WebSockets that are blocked or missing, consumers that are slow, networks that go silent.

import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { connect } from '../client.js';
import { pageOf } from './support/page.js';
import { startProxy } from './support/proxy.js';
import { Record, next, open } from './support/record.js';
import { mint, psql, sharedServer } from './support/rowcast.js';

let server, token;
before(async () => {
  server = await sharedServer({ after: () => {} });
  token = mint(server);
});

test('where upgrades are refused the stream runs over server-sent events', async (t) => {
  const type = 'blocked.written';
  const proxy = await startProxy(server.url, () => ({ refuseUpgrade: true }));
  t.after(() => proxy.close());
  const connection = open(t, { url: proxy.url, token, type });
  const record = new Record(connection);
  await next(connection, 'live');
  assert.equal(connection.state.transport, 'sse');
  const { seq } = await connection.append({ type });
  await connection.sync();
  assert.deepEqual(record.seqs, [seq]);
});

test('where WebSockets worked before they are taken up again, without a loss', async (t) => {
  const type = 'unblocked.written';
  let refuseUpgrade = false;
  const proxy = await startProxy(server.url, () => ({ refuseUpgrade }));
  t.after(() => proxy.close());
  const connection = open(t, { url: proxy.url, token, type, cursor: 'latest' });
  const record = new Record(connection);
  const seqs = [];
  const write = async () => seqs.push((await connection.append({ type })).seq);
  for (const transport of ['websocket', 'sse', 'websocket']) {
    refuseUpgrade = transport === 'sse';
    if (refuseUpgrade) proxy.cut();
    await next(connection, 'state', (state) => state.transport === transport && state.status === 'live' || void write().catch(() => {}));
    await write();
  }
  await connection.sync();
  assert.deepEqual(record.seqs, [...new Set(record.seqs)].sort((a, b) => a - b), 'in order, and none twice');
  assert.deepEqual(record.seqs, (await psql(server, `select seq from rowcast.events where type = '${type}' order by seq`)).map(Number));
});

test('a runtime without WebSocket uses server-sent events', async (t) => {
  const connection = connect({ url: server.url, token, WebSocket: globalThis.WebSocket });
  t.after(() => connection.close());
  connection.on('event', () => {});
  await next(connection, 'live');
  assert.equal(connection.state.transport, globalThis.WebSocket === undefined ? 'sse' : 'websocket');
  if (globalThis.WebSocket === undefined) assert.throws(() => connect({ url: server.url, transports: ['websocket'] }), /option WebSocket/);
});

for (const transports of [['websocket', 'sse'], ['websocket'], ['sse']]) {
  test(`over ${transports.join(' and ')} a slow consumer gets everything, and little is held for it`, async (t) => {
    const type = `slow_${transports.join('_')}.written`;
    const count = transports.includes('sse') ? 8_000 : 2_000;
    await psql(server, `insert into rowcast.events (type, payload) select '${type}', jsonb_build_object('text', repeat('x', 200)) from generate_series(1, ${count})`);
    const proxy = await startProxy(server.url);
    t.after(() => proxy.close());
    const connection = open(t, { url: proxy.url, token, type, cursor: 'earliest', transports, bufferSize: 200 });
    const seqs = [];
    for await (const { seq } of connection) {
      seqs.push(seq);
      // Gives way now and then, so that what comes meanwhile has to wait.
      if (seqs.length % 50 === 0) await new Promise((resolve) => setTimeout(resolve, 0));
      if (seqs.length === count) break;
    }
    assert.equal(new Set(seqs).size, count);
    assert.deepEqual(seqs, seqs.toSorted((a, b) => a - b));
    if (transports.includes('sse')) assert.ok(proxy.connections <= 4, `${proxy.connections} connections`);
  });
}

test('the cursor waits for the slowest iterator, and is saved behind what was handed out', async (t) => {
  const type = 'saved.written';
  const saved = [];
  const resume = { load: () => saved.at(-1) ?? null, save: (cursor) => void saved.push(cursor) };
  const first = open(t, { url: server.url, token, type, cursor: 'latest', resume });
  const iterator = first[Symbol.asyncIterator]();
  const record = new Record(first);
  await next(first, 'live');
  const seqs = (await first.append(Array.from({ length: 5 }, () => ({ type })))).map(({ seq }) => seq);
  await record.count(5);
  for (const seq of seqs.slice(0, 3)) assert.equal((await iterator.next()).value.seq, seq);
  // The third was handed out, and its consumer has not come back for the next one.
  assert.equal(Number(first.cursor.split('.')[0]), seqs[1]);
  first.close();
  assert.equal(Number(saved.at(-1).split('.')[0]), seqs[1]);
  const second = open(t, { url: server.url, token, type, cursor: 'latest', resume });
  const rest = new Record(second);
  await rest.count(3);
  assert.deepEqual(rest.seqs, seqs.slice(2));
});

test('when the network is back, or the page is seen again, a lost connection is tried at once, and the place is saved when it goes', async (t) => {
  const page = pageOf(t);
  const saved = [];
  const proxy = await startProxy(server.url);
  t.after(() => proxy.close());
  const connection = open(t, { url: proxy.url, token, type: 'woken.*', resume: { load: () => null, save: (cursor) => void saved.push(cursor) } });
  connection.on('event', () => {});
  await next(connection, 'live');
  proxy.isDown = true;
  proxy.cut();
  // Long enough that only a signal ends it within the test.
  const isLong = ({ status, retryAt }) => status === 'waiting' && retryAt - Date.now() > 4000;
  await next(connection, 'state', isLong);
  proxy.isDown = false;
  const began = Date.now();
  const live = next(connection, 'live');
  // Within a second of the last try nothing is done, so the page is seen again until it is.
  const seen = setInterval(() => (Date.now() % 2 ? page.online() : page.shown()), 100);
  await live.finally(() => clearInterval(seen));
  assert.ok(Date.now() - began < 3500, `after ${Date.now() - began} ms`);
  page.hidden();
  assert.deepEqual(saved.slice(-1), [connection.cursor]);
});

test('a connection that has gone silent is noticed and replaced', async (t) => {
  const type = 'silent.written';
  let isSilent = false;
  // The first connection swallows everything from some moment on, as a network does that forgets a connection.
  const proxy = await startProxy(server.url, (number) => (number === 0 ? { frame: (bytes) => (isSilent ? null : bytes) } : {}));
  t.after(() => proxy.close());
  const connection = open(t, { url: proxy.url, token, type, transports: ['websocket'] });
  const record = new Record(connection);
  await next(connection, 'live');
  isSilent = true;
  const { seq } = await open(t, { url: server.url, token }).append({ type });
  const began = Date.now();
  await record.count(1);
  assert.deepEqual(record.seqs, [seq]);
  assert.ok(Date.now() - began < 5000, 'two heartbeats of 200 ms and a second');
});

test('the server does not take a client for dead that has nothing to say', async (t) => {
  const connection = open(t, { url: server.url, token, type: 'quiet.never' });
  connection.on('event', () => {});
  await next(connection, 'live');
  let pongs = 0;
  const off = connection.on('state', ({ status }) => assert.equal(status, 'live'));
  // Far more than the two heartbeats after which the server closes.
  await next(connection, 'state', ({ latencyMs }) => latencyMs !== null && (pongs += 1) > 10);
  off();
});
