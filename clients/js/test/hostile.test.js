// What a server that is broken, or means harm, can do to the client: not much. It is played here, so no server is needed.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { problemOf } from '../client/answer.js';
import { Recovery } from '../client/recovery.js';
import { readSnapshot } from '../client/snapshot.js';
import { TableRows } from '../client/fold.js';
import { NetworkError, UnauthorizedError, errorOfAnswer } from '../client/errors.js';
import { play } from './support/played.js';
import { next, open, within } from './support/record.js';

const id = (seq) => `0a6c7c1e-8f53-4c43-9a55-${String(seq).padStart(12, '0')}`;
const cursor = (seq) => `${seq}.${id(seq).slice(-8)}`;
const event = (seq, more = {}) => ({ seq, id: id(seq), at: '2026-01-01T00:00:00Z', type: 'shop.a.added', level: 'info', payload: { id: seq }, ...more });
const hello = { op: 'hello', cursor: cursor(1), head: cursor(1), heartbeat_ms: 15_000, view: 'public' };
const beat = (seq, events, check) => ({ op: 'heartbeat', cursor: cursor(seq), head: cursor(seq), events, check });

const tablesOf = (...names) => JSON.stringify({ tables: names.map((name) => ({ table: name, prefix: name, key: ['id'], removes: [], columns: [] })) });

/** A stream of server-sent events that says `frames` and then nothing. */
function stream(response, frames = '') {
  response.writeHead(200, { 'content-type': 'text/event-stream' });
  response.write(`id: ${cursor(1)}\n: hello\n\n${frames}`);
}

for (const transports of [['websocket'], ['sse']]) {
  test(`over ${transports} an event without a type is refused, and the rest is not lost`, async (t) => {
    const block = (one) => `id: ${cursor(one.seq)}\ndata: ${JSON.stringify(one)}\n\n`;
    const [good, bad, last] = [event(2), event(3, { type: undefined }), event(4)];
    let streams = 0;
    const server = await play(t, (request, response) => {
      const { pathname, searchParams } = new URL(request.url, 'http://x');
      if (pathname.endsWith('/v1/tables')) return response.end(tablesOf('shop.a'));
      if (pathname.endsWith('/v1/snapshot')) return response.end(`${JSON.stringify({ cursor: streams === 0 ? cursor(1) : cursor(3) })}\n`);
      assert.equal(searchParams.get('type'), 'shop.a.*');
      return stream(response, streams++ === 0 ? block(good) + block(bad) + block(last) : block(last));
    }, (send) => {
      send({ ...hello, cursor: streams === 0 ? cursor(1) : cursor(3) });
      for (const one of streams++ === 0 ? [good, bad, last] : [last]) send({ op: 'event', event: one });
    });
    const connection = open(t, { url: server.url, transports });
    const mismatch = next(connection, 'mismatch');
    const table = connection.table('shop.a');
    await within(table.ready, 'the table is not ready', connection);
    assert.equal((await mismatch).reason, 'frame');
    if (!table.has(4)) await within(new Promise((resolve) => table.onChange(() => table.has(4) && resolve())), 'the last event did not come', connection);
  });
}

test('of the body of an error no more is read than a problem document has', async () => {
  let [pulled, isCancelled] = [0, false];
  const body = new ReadableStream({
    pull(controller) {
      pulled += 1;
      if (pulled > 1000) controller.close();
      else controller.enqueue(new Uint8Array(16 * 1024).fill(32));
    },
    cancel() { isCancelled = true; },
  });
  assert.equal(await problemOf(new Response(body, { status: 500 })), null);
  assert.ok(pulled < 20 && isCancelled, `${pulled} pieces`);
  assert.deepEqual(await problemOf(new Response('{"code":"ü"}', { status: 400 })), { code: 'ü' });
  assert.equal(await problemOf(new Response(null, { status: 500 })), null);
});

test('what is appended follows no redirect', async (t) => {
  const got = [];
  const other = await play(t, (request, response) => {
    got.push(request.url);
    response.end('{}');
  });
  const server = await play(t, (_, response) => response.writeHead(307, { location: `${other.url}/v1/events` }).end());
  const connection = open(t, { url: server.url, token: 'x' });
  await assert.rejects(connection.append({ type: 'a.b', payload: {} }), { code: 'redirected' });
  assert.deepEqual(got, []);
  assert.deepEqual(await connection.request('/v1/events'), {});
});

test('an answer that ends behind its headers, or within its first line, is one that broke off', async (t) => {
  let asked = 0;
  const server = await play(t, (_, response) => {
    asked += 1;
    if (asked > 1) return response.end('{"seq":1,"id":"x"}');
    return response.writeHead(201).end();
  });
  const connection = open(t, { url: server.url, token: 'x' });
  assert.deepEqual(await connection.append({ type: 'a.b', payload: {} }), { seq: 1, id: 'x' });
  assert.equal(asked, 2);
  assert.equal(errorOfAnswer(20, null).name, 'NetworkError');
});

test('a snapshot with too many rows is given up where it has them', async () => {
  const [table, size, line] = [new TableRows('shop.a'), 10_000, new TextEncoder()];
  let rows = 0;
  const body = new ReadableStream({
    pull(controller) {
      if (rows > 1_200_000) return controller.close();
      controller.enqueue(line.encode(Array.from({ length: size }, (_, n) => `{"table":"shop.a","payload":{"id":${rows + n}}}\n`).join('')));
      rows += size;
    },
  });
  const api = { parse: JSON.parse, request: async () => JSON.parse(tablesOf('shop.a')), open: async () => ({ body }) };
  const read = readSnapshot({ api, tables: [table], given: () => ({}), signal: new AbortController().signal });
  await assert.rejects(read, { code: 'too_many_rows' });
  assert.ok(rows < 1_100_000, `${rows} rows were read`);
});

const tricks = {
  'a good heartbeat and then garbage': (send) => {
    send(hello);
    send(beat(1, 0, 0));
    send('garbage');
  },
  'a drain without a pause': (send, _, socket) => {
    send(hello);
    send({ op: 'drain', retry_ms: 0 });
    socket.close(1012);
  },
  'a place that is said to be lost': (send, _, socket) => {
    send({ op: 'error', code: 'cursor_expired', message: 'Trimmed.' });
    socket.close(4410);
  },
};
for (const [name, greet] of Object.entries(tricks)) {
  test(`${name}, each time, does not make the client come back many times a second`, async (t) => {
    const server = await play(t, (_, response) => response.writeHead(404).end(), greet);
    const connection = open(t, { url: server.url, transports: ['websocket'], onCursorExpired: 'earliest' });
    connection.on('event', () => {});
    await new Promise((resolve) => setTimeout(resolve, 4000));
    assert.ok(server.sockets > 1 && server.sockets <= 20, `${server.sockets} connections`);
  });
}

test('pauses are short again only after a connection that was stable', () => {
  const recovery = new Recovery();
  for (let failure = 0; failure < 12; failure += 1) recovery.pause(new NetworkError('away'));
  const longest = () => Math.max(...Array.from({ length: 40 }, () => recovery.pause(new NetworkError('away')).ms));
  recovery.agreed(100);
  assert.ok(longest() > 2000);
  const drains = Array.from({ length: 4 }, () => {
    recovery.connected();
    recovery.agreed(100);
    recovery.drained(0);
    return recovery.pause(new NetworkError('away')).ms;
  });
  assert.deepEqual(drains, [100, 200, 400, 800]);
  recovery.agreed(6000);
  assert.ok(recovery.pause(new NetworkError('away')).ms <= 250);
  const decided = Array.from({ length: 8 }, () => {
    recovery.agreed(100);
    return recovery.decide(new UnauthorizedError('no'), true);
  });
  assert.deepEqual(decided.slice(0, 4), ['renew', 'renew', 'renew', 'wait']);
});

test('a snapshot that always breaks off is told, and costs the other tables nothing', async (t) => {
  let asked = 0;
  const server = await play(t, (request, response) => {
    const { pathname, searchParams } = new URL(request.url, 'http://x');
    if (pathname.endsWith('/v1/tables')) return response.end(tablesOf('shop.a', 'shop.b'));
    if (pathname.endsWith('/v1/events')) return response.end(JSON.stringify({ events: [], cursor: cursor(1), more: false }));
    if (!pathname.endsWith('/v1/snapshot')) return stream(response);
    response.write(`{"table":"shop.${/shop.a/.test(searchParams) ? 'a' : 'b'}","payload":{"id":1}}\n`);
    if (!/shop.b/.test(searchParams)) return response.end(`${JSON.stringify({ cursor: cursor(1) })}\n`);
    asked += 1;
    return setTimeout(() => response.destroy(), 10);
  });
  const connection = open(t, { url: server.url, transports: ['sse'] });
  const told = next(connection, 'error');
  const group = connection.tables(['shop.a', 'shop.b']);
  await within(group.get('shop.a').ready, 'the good table is not ready', connection);
  await assert.rejects(within(group.get('shop.b').ready, 'the broken table says nothing', connection), { code: 'network', message: /broke off/ });
  assert.equal(await told, group.get('shop.b').error);
  assert.equal(await connection.sync({ timeoutMs: 5000 }), cursor(1));
  const before = asked;
  await new Promise((resolve) => setTimeout(resolve, 1500));
  assert.equal(asked, before);
});
