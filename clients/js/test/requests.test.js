// Appends, syncs, requests and their errors.

import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import * as rowcastClient from '../client.js';
import { play } from './support/played.js';
import { startProxy } from './support/proxy.js';
import { Record, next, open } from './support/record.js';
import { mint, psql, serve, sharedServer } from './support/rowcast.js';

let server, token;
before(async () => {
  server = await sharedServer({ after: () => {} });
  token = mint(server);
});

test('appends through cuts and a killed server are stored exactly once', async (t) => {
  const type = 'once.written';
  let node = await serve(server);
  t.after(() => node.stop());
  // Cuts before and behind the answer: the client cannot know if its events are stored.
  const proxy = await startProxy(node.url, (number) => (number % 3 === 2 ? {} : { cutAfter: Math.floor(Math.random() * 900) }));
  t.after(() => proxy.close());
  const connection = open(t, { url: proxy.url, token });
  const appending = Array.from({ length: 60 }, (_, n) => connection.append({ type, payload: { n } }, { retries: 20 }));
  await appending[0];
  await node.kill();
  node = await serve(server, { port: node.port });
  const appended = await Promise.all(appending);
  const stored = await psql(server, `select seq || ' ' || (payload ->> 'n') from rowcast.events where type = '${type}' order by (payload ->> 'n')::int`);
  assert.deepEqual(stored, appended.map(({ seq }, n) => `${seq} ${n}`));
});

test('an append with a key of its own, or with keys of the events, may be repeated', async (t) => {
  const connection = open(t, { url: server.url, token });
  const event = { type: 'keyed.written', payload: { n: 1 } };
  const first = await connection.append(event, { idempotencyKey: 'one-and-only' });
  assert.deepEqual(await connection.append(event, { idempotencyKey: 'one-and-only' }), first);
  const conflict = connection.append({ ...event, level: 'warn' }, { idempotencyKey: 'one-and-only' });
  await assert.rejects(conflict, { name: 'InvalidError', code: 'idempotency_conflict', status: 422 });
  const [named] = await connection.append([{ ...event, dedupe_key: 'seven' }]);
  assert.deepEqual(await connection.append([{ ...event, dedupe_key: 'seven' }]), [named]);
  const bad = connection.append([event, { type: 'Not A Type' }]);
  await assert.rejects(bad, { name: 'InvalidError', code: 'invalid_event', index: 1 });
});

for (const transports of [['websocket'], ['sse']]) {
  test(`over ${transports} a sync comes behind everything that was committed before`, async (t) => {
    const type = `sync_${transports}.written`;
    const connection = open(t, { url: server.url, token, type, cursor: 'latest', transports });
    const record = new Record(connection);
    const taken = [];
    const iterating = (async () => { for await (const { seq } of connection) taken.push(seq); })();
    await next(connection, 'live');
    for (let round = 1; round <= 3; round += 1) {
      await psql(server, `insert into rowcast.events (type) select '${type}' from generate_series(1, 40)`);
      await Promise.all([connection.sync(), connection.sync(), ...Array.from({ length: 50 }, () => connection.sync())]);
      assert.equal(record.events.length, 40 * round);
      assert.equal(taken.length, 40 * round);
    }
    connection.close();
    await iterating;
    await assert.rejects(connection.sync(), { name: 'ClosedError' });
  });
}

test('a sync outlives a lost connection, and has a limit in time', async (t) => {
  const proxy = await startProxy(server.url);
  t.after(() => proxy.close());
  const connection = open(t, { url: proxy.url, token, type: 'outlived.*', transports: ['websocket'] });
  const record = new Record(connection);
  await next(connection, 'live');
  await psql(server, `insert into rowcast.events (type) values ('outlived.written')`);
  const syncing = connection.sync();
  proxy.cut();
  await syncing;
  assert.equal(record.events.at(-1).type, 'outlived.written');
  proxy.isDown = true;
  proxy.cut();
  await assert.rejects(connection.sync({ timeoutMs: 50 }), { name: 'TimeoutError', code: 'timeout' });
  await assert.rejects(connection.sync({ signal: AbortSignal.abort(new Error('enough')) }), /enough/);
});

test('other routes answer with their JSON, and their errors are classes with what the server said', async (t) => {
  const connection = open(t, { url: server.url, token });
  const trade = await connection.request('/v1/trades', { method: 'POST', body: { symbol: 'BTC-USD', side: 'long', quantity: '1', entry_price: '10' } });
  const { items } = await connection.request('/v1/trades', { query: { symbol: 'BTC-USD', limit: 1 } });
  assert.equal(items[0].id, trade.id);
  const rejects = (promise, wanted) => assert.rejects(promise, (error) => {
    assert.ok(error instanceof rowcastClient[wanted.name] && error instanceof rowcastClient.RowcastError && error instanceof Error);
    assert.match(error.requestId, /./);
    assert.deepEqual({ name: error.name, code: error.code, status: error.status }, wanted);
    return true;
  });
  await rejects(connection.request(`/v1/trades/${crypto.randomUUID()}`), { name: 'NotFoundError', code: 'not_found', status: 404 });
  await rejects(connection.request('/v1/events', { query: { cursor: 'x' } }), { name: 'BadRequestError', code: 'bad_request', status: 400 });
  await rejects(connection.request('/v1/events', { query: { cursor: '999999999.00000000' } }), { name: 'CursorInvalidError', code: 'cursor_invalid', status: 400 });
  await rejects(connection.request('/v1/snapshot', { query: { table: 'public.none' } }), { name: 'NotFoundError', code: 'not_found', status: 404 });
  const viewer = open(t, { url: server.url, token: mint(server, { role: 'viewer' }) });
  await rejects(viewer.append({ type: 'a.b' }), { name: 'ForbiddenError', code: 'forbidden', status: 403 });
  const visitor = open(t, { url: server.url });
  assert.ok(Array.isArray((await visitor.request('/v1/trades')).items), 'without a token /v1 is /public/v1');
  await rejects(visitor.request('/v1/me'), { name: 'NotFoundError', code: 'not_found', status: 404 });
});

test('a filter that makes no sense fails the subscription, and a good one goes on', async (t) => {
  const connection = open(t, { url: server.url, token });
  const record = new Record(connection);
  await next(connection, 'live');
  await assert.rejects(connection.subscribe({ type: 'NOT A TYPE' }), { name: 'BadRequestError', closeCode: 4400 });
  assert.equal(connection.state.status, 'failed');
  await connection.subscribe({ type: 'sense.written' });
  await connection.append({ type: 'sense.written' });
  await record.count(1);
});

test('Retry-After is kept, and a request that is not safe to repeat is sent once', async (t) => {
  const asked = [];
  const busy = await play(t, (request, answer) => {
    asked.push(`${request.method} ${request.headers['idempotency-key'] ?? ''} ${Date.now()}`);
    const isFirst = asked.length === 1;
    answer.writeHead(isFirst || request.method === 'PUT' ? 503 : 201, { 'retry-after': '1' });
    answer.end(isFirst ? '{"code":"database_busy","detail":"Too many."}' : '{"seq":1,"id":"x"}');
  });
  const connection = open(t, { url: busy.url, token });
  assert.deepEqual(await connection.append({ type: 'a.b' }), { seq: 1, id: 'x' });
  assert.equal(asked.length, 2);
  const [[, firstKey, first], [, secondKey, second]] = asked.map((line) => line.split(' '));
  assert.equal(firstKey, secondKey);
  assert.ok(Number(second) - Number(first) >= 990, `after ${second - first} ms`);
  await assert.rejects(connection.request('/v1/config/x', { method: 'PUT', body: {} }), { name: 'UnavailableError', retryAfter: 1 });
  assert.equal(asked.length, 3);
});

test('no server is a network error that names it, and says what may be the reason in a page of another origin', async (t) => {
  const connection = open(t, { url: 'http://127.0.0.1:9' });
  await assert.rejects(connection.request('/v1/me', { retries: 0 }), { name: 'NetworkError', code: 'network', message: /127\.0\.0\.1:9/ });
  if (globalThis.location === undefined) {
    globalThis.location = { origin: 'http://localhost:5173', href: 'http://localhost:5173/' };
    t.after(() => delete globalThis.location);
  }
  await assert.rejects(connection.request('/v1/me', { retries: 0 }), { message: /add that to ROWCAST_ALLOWED_ORIGINS/ });
});

test('a server that has answered before is not suspected of refusing the page', async (t) => {
  const node = await serve(server);
  const connection = open(t, { url: node.url, token });
  await connection.request('/v1/me');
  await node.kill();
  await assert.rejects(connection.request('/v1/me', { retries: 0 }), { name: 'NetworkError', message: `No connection to ${new URL(node.url).origin}.` });
});

test('without a token and a public stream one is told what is missing', async (t) => {
  const connection = open(t, { url: `${server.url}/nothing`, token: '', transports: ['sse'] });
  const failed = next(connection, 'error');
  connection.on('event', () => {});
  const error = await failed;
  assert.deepEqual([error.name, error.message], ['NotFoundError', 'There is no token, and this server has no public stream.']);
  assert.equal(connection.state.status, 'failed');
});
