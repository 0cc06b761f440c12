// Connections that break anywhere, servers that are killed, frames that are lost or altered: each client's record equals the table.

import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { startProxy } from './support/proxy.js';
import { isEventFrame } from './support/frames.js';
import { Record, impatient, next, open, within } from './support/record.js';
import { mint, psql, serve, sharedServer } from './support/rowcast.js';

/** Chromium opens WebSockets the later the more are being opened: 20 at once wait for seconds. */
const CLIENTS = 12;
/** A browser opens at most six connections of HTTP/1.1 to one address, and a client over server-sent events may need two at once. */
const CLIENTS_OF_A_PROXY = 4;
/** 200, and for each client a last one that may come to nothing, when everything was read before so many bytes were sent. */
const CUTS = 200 + CLIENTS;
const FAULTS = 40;
const HEAD_BYTES = 32;
/** A hello, a few events and a heartbeat or two. */
const MOST_BYTES = 4000;

let server, token;
before(async () => {
  server = await sharedServer({ after: () => {} });
  token = mint(server);
});

/** The seqs of this type, as the table has them. */
async function table(type) {
  return (await psql(server, `select seq from rowcast.events where type like '${type}%' order by seq`)).map(Number);
}

/** Appends in small transactions, some rolled back, until `isOver`. */
async function write(type, isOver) {
  const insert = (payload) => `insert into rowcast.events (type, payload) values ('${type}', '{"text":"${payload}"}');`;
  for (let round = 0; !isOver(); round += 1) {
    const size = 1 + Math.floor(Math.random() * 5);
    const rows = Array.from({ length: size }, () => insert('x'.repeat(Math.floor(Math.random() * 400)))).join('');
    await psql(server, `begin; ${rows} ${round % 4 === 3 ? 'rollback' : 'commit'};`);
  }
}

for (const transports of [['websocket'], ['sse'], ['websocket', 'sse']]) {
  test(`over ${transports.join(' and ')} ${CUTS} cuts after random bytes lose and repeat nothing`, async (t) => {
    const type = `cuts_${transports.join('_')}.written`;
    let cuts = 0;
    const faults = () => {
      if (cuts >= CUTS) return {};
      cuts += 1;
      return { cutAfter: Math.floor(Math.random() * MOST_BYTES), delayMs: Math.random() < 0.2 ? 5 : 0 };
    };
    const proxies = await Promise.all(Array.from({ length: CLIENTS / CLIENTS_OF_A_PROXY }, () => startProxy(server.url, faults)));
    t.after(() => Promise.all(proxies.map((proxy) => proxy.close())));
    const client = (_, n) => open(t, { url: proxies[n % proxies.length].url, token, type, cursor: 'latest', transports });
    const records = Array.from({ length: CLIENTS }, client).map((connection) => new Record(impatient(connection)));
    // Before the first `hello` a client that begins at the end has no place to come back to.
    await Promise.all(records.map(({ connection }) => next(connection, 'subscribed')));
    await write(type, () => cuts >= CUTS);
    const wanted = await table(type);
    await Promise.all(records.map((record) => record.count(wanted.length)));
    for (const record of records) assert.deepEqual(record.seqs, wanted);
  });
}

test('a server that is killed and comes back is followed without a loss', async (t) => {
  const type = 'killed.written';
  let node = await serve(server);
  t.after(() => node.stop());
  const records = ['websocket', 'sse'].map((name) => new Record(open(t, { url: node.url, token, type, cursor: 'latest', transports: [name] })));
  await Promise.all(records.map(({ connection }) => next(connection, 'live')));
  for (let kills = 0; kills < 3; kills += 1) {
    let isBack = false;
    const writing = write(type, () => isBack);
    await node.kill();
    node = await serve(server, { port: node.port });
    await Promise.all(records.map(({ connection }) => next(connection, 'live')));
    isBack = true;
    await writing;
  }
  const wanted = await table(type);
  await Promise.all(records.map((record) => record.count(wanted.length)));
  for (const record of records) assert.deepEqual(record.seqs, wanted);
});

test('a drain is followed by the pause that the server asks for', async (t) => {
  let node = await serve(server, { drain: '900ms' });
  t.after(() => node.stop());
  const connection = open(t, { url: node.url, token });
  connection.on('event', () => {});
  await next(connection, 'live');
  const waiting = next(connection, 'state', ({ status }) => status === 'waiting');
  await node.stop();
  const { error, retryAt } = await waiting;
  assert.equal(error.closeCode, 1012);
  assert.ok(retryAt - Date.now() < 1000, `the pause is within the drain: ${retryAt - Date.now()}`);
  node = await serve(server, { port: node.port });
  await next(connection, 'live');
});

test('a frame that was lost is found by the next heartbeat, asked for again and handed out late', async (t) => {
  const type = 'dropped.written';
  let dropped = 0;
  const frame = (bytes) => (isEventFrame(bytes) && dropped++ === 2 ? null : bytes);
  const proxy = await startProxy(server.url, () => ({ frame }));
  t.after(() => proxy.close());
  const connection = open(t, { url: proxy.url, token, type, transports: ['websocket'] });
  const record = new Record(connection);
  const mismatch = next(connection, 'mismatch');
  await next(connection, 'live');
  const appended = await connection.append(Array.from({ length: 6 }, () => ({ type })));
  const seqs = appended.map(({ seq }) => seq);
  const report = await mismatch;
  assert.equal(report.reason, 'tally');
  assert.equal(report.expected.events, 6);
  assert.equal(report.received.events, 5);
  assert.equal(report.complete, true);
  await record.count(6);
  assert.deepEqual(record.seqs, [...seqs.slice(0, 2), ...seqs.slice(3), seqs[2]]);
});

test('a frame that was lost before the stream was live is asked for again', async (t) => {
  const type = 'dropped_early.written';
  const writer = open(t, { url: server.url, token });
  const { seq } = await writer.append({ type });
  let dropped = 0;
  const frame = (bytes) => (isEventFrame(bytes) && dropped++ === 0 ? null : bytes);
  const proxy = await startProxy(server.url, () => ({ frame }));
  t.after(() => proxy.close());
  const connection = open(t, { url: proxy.url, token, type, cursor: 'earliest', transports: ['websocket'] });
  const record = new Record(connection);
  await next(connection, 'live');
  await record.count(1);
  assert.deepEqual(record.seqs, [seq]);
});

test('garbled bytes and lost frames: in the end each real event was handed out once', async (t) => {
  const type = 'garbled.written';
  let faults = 0;
  const frame = (bytes) => {
    if (faults >= FAULTS || !isEventFrame(bytes) || Math.random() > 0.15) return bytes;
    faults += 1;
    if (Math.random() < 0.5) return null;
    // The head of the frame, its kind and its seq. The sums of a heartbeat say nothing of what stands behind: there TLS must help.
    bytes[Math.floor(Math.random() * HEAD_BYTES)] ^= 1 << Math.floor(Math.random() * 8);
    return bytes;
  };
  const proxy = await startProxy(server.url, () => ({ frame }));
  t.after(() => proxy.close());
  const connection = impatient(open(t, { url: proxy.url, token, type, transports: ['websocket'] }));
  const record = new Record(connection);
  await within(new Promise((resolve) => connection.on('subscribed', resolve)), 'no beginning', connection);
  await write(type, () => faults >= FAULTS || connection.state.status === 'failed');
  const wanted = await psql(server, `select seq || '.' || id from rowcast.events where type = '${type}' order by seq`);
  const heard = () => record.events.map(({ seq, id }) => `${seq}.${id}`);
  await record.until(() => new Set(heard()).isSupersetOf?.(new Set(wanted)) ?? wanted.every((name) => heard().includes(name)));
  const counts = new Map();
  for (const name of heard()) counts.set(name, (counts.get(name) ?? 0) + 1);
  assert.deepEqual(wanted.filter((name) => counts.get(name) !== 1), []);
});
