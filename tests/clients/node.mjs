// Follows the stream with `ws` of Node. Run by scripts/clients, which says where that is.

import assert from 'node:assert/strict';
import { createRequire } from 'node:module';

const home = createRequire(process.env.CLIENTS_MODULES + '/');
const WebSocket = home('ws');
const URL = process.env.CLIENTS_URL;
const TOKEN = process.env.CLIENTS_TOKEN;
// Beyond it something that should have come is missing.
const PATIENCE = 20_000;

async function request(path, body) {
  const answer = await fetch(URL + path, {
    method: body ? 'POST' : 'GET',
    headers: { authorization: `Bearer ${TOKEN}`, ...(body && { 'content-type': 'application/json' }) },
    body: body && JSON.stringify(body),
  });
  assert.ok(answer.ok, `${path}: ${answer.status}`);
  return answer.json();
}

// The newest event that was appended here.
let newest = 0;

// So many events, five in a transaction; every seventh is long and in several scripts.
async function append(many, type, begin = 0) {
  for (let n = begin; n < begin + many; n += 5) {
    const events = [];
    for (let m = n; m < Math.min(n + 5, begin + many); m++) {
      const text = m % 7 === 3 ? 'žluťoučký 🐎 \u2028"\\' + '…'.repeat(20_000) : 'x';
      events.push({ type, payload: { n: m, text } });
    }
    newest = (await request('/v1/events', events)).at(-1).seq;
  }
}

// All events, page by page. What was appended is asked for until the stream has come to it.
async function truth(type) {
  const found = [];
  for (let cursor = 'earliest'; ; ) {
    const page = await request(`/v1/events?limit=1000&cursor=${cursor}${type ? `&type=${type}` : ''}`);
    found.push(...page.events);
    ({ cursor } = page);
    if (!page.more && page.head >= newest) return found;
  }
}

const cursorOf = (event) => `${event.seq}.${event.id.slice(-8)}`;

// One session: events in order, and the count and sum that every heartbeat states.
class Session {
  constructor(query = '', { protocols = [], headers = { Authorization: `Bearer ${TOKEN}` } } = {}) {
    this.ws = new WebSocket(URL.replace('http', 'ws') + '/ws' + query, protocols, { headers });
    this.queue = [];
    this.pings = 0;
    this.events = [];
    this.forget();
    const put = (word) => {
      this.queue.push(word);
      this.wake?.();
    };
    this.ws.on('message', (data, binary) => put(binary ? { binary } : JSON.parse(data.toString())));
    this.ws.on('close', (code, reason) => put({ op: 'close', code, reason: reason.toString() }));
    this.ws.on('unexpected-response', (_, answer) => put({ op: 'refused', status: answer.statusCode }));
    this.ws.on('error', (error) => put({ op: 'broken', error: error.message }));
    this.ws.on('ping', () => this.pings++);
    this.ws.on('pong', () => put({ op: 'rfc-pong' }));
  }

  forget() {
    this.count = 0;
    this.sum = 0;
    this.last = 0;
  }

  async next() {
    const late = setTimeout(() => {
      console.log('FAILED  node ws: nothing came for too long');
      process.exit(1);
    }, PATIENCE);
    while (this.queue.length === 0) await new Promise((resolve) => (this.wake = resolve));
    clearTimeout(late);
    return this.queue.shift();
  }

  async read() {
    let said = await this.next();
    // No token came with the upgrade; it comes as a message.
    if (said.op === 'auth_required') said = await this.next();
    if (said.op === 'event') {
      assert.ok(said.event.seq > this.last, `the order: ${said.event.seq} after ${this.last}`);
      this.last = said.event.seq;
      this.count++;
      this.sum = (this.sum + said.event.seq) % 2 ** 32;
      this.events.push(said.event);
    } else if (said.op === 'heartbeat') {
      assert.deepEqual([said.events, said.check, said.stalled], [this.count, this.sum, null], 'events and check');
    }
    return said;
  }

  // The next of this kind; only what the stream itself says may come before it.
  async until(op) {
    for (;;) {
      const said = await this.read();
      if (said.op === op) return said;
      assert.ok(['event', 'heartbeat', 'live'].includes(said.op), `${op} was expected, and ${JSON.stringify(said)} came`);
    }
  }

  async hello() {
    const said = await this.read();
    assert.deepEqual([said.op, said.view], ['hello', 'private']);
    this.forget();
  }

  // Until so many events have come in all, and a heartbeat has confirmed them.
  async take(many) {
    while (this.events.length < many) await this.read();
    await this.until('heartbeat');
    assert.equal(this.events.length, many, 'no event more');
    return this.events;
  }

  say(message) {
    this.ws.send(typeof message === 'string' ? message : JSON.stringify(message));
  }

  async leave() {
    this.ws.close(1000, 'bye');
    const { code, reason } = await this.until('close');
    assert.deepEqual([code, reason], [1000, 'bye'], 'the answer to a close');
  }

  // Ends the connection, as a program does that crashes.
  drop() {
    this.ws.on('error', () => {});
    this.ws.terminate();
  }
}

async function tokens() {
  let session = new Session();
  await session.hello();
  assert.equal(session.ws.protocol, '');
  await session.leave();
  session = new Session('', { protocols: ['rowcast.v1', `bearer.${TOKEN}`], headers: {} });
  await session.hello();
  assert.equal(session.ws.protocol, 'rowcast.v1');
  await session.leave();
  session = new Session('', { headers: {} });
  session.ws.on('open', () => session.say({ op: 'auth', token: TOKEN }));
  await session.hello();
  await session.leave();
  session = new Session('', { headers: { Authorization: `Bearer ${TOKEN.slice(0, -4)}AAAA` } });
  assert.equal((await session.until('refused')).status, 401);
  session.drop();
  // As a browser sends it, it is told where a browser can read it.
  session = new Session('', { protocols: ['rowcast.v1', `bearer.${TOKEN.slice(0, -4)}AAAA`], headers: {} });
  assert.equal((await session.until('error')).code, 'unauthorized');
  assert.equal((await session.until('close')).code, 4401);
}

async function follow() {
  await append(60, 'node.backlog');
  const session = new Session('?cursor=earliest');
  let expected = await truth();
  await session.hello();
  await session.until('live');
  assert.deepEqual(await session.take(expected.length), expected, 'the backlog');
  await append(25, 'node.live');
  expected = await truth();
  assert.deepEqual(await session.take(expected.length), expected, 'backlog and live');
  session.say({ op: 'ping' });
  await session.until('pong');
  session.ws.ping('are you there');
  await session.until('rfc-pong');
  assert.ok(session.pings > 0, 'the server pings');
  // Another subscription in the same session, from the beginning.
  session.say({ op: 'subscribe', cursor: 'earliest', type: 'node.live' });
  while ((await session.read()).op !== 'hello');
  session.events = [];
  session.forget();
  await append(3, 'node.other');
  await append(2, 'node.live');
  expected = await truth('node.live');
  assert.deepEqual(await session.take(expected.length), expected, 'the new subscription');
  assert.equal(expected.length, 27);
  await session.leave();
}

// Dropped again and again in the middle of it, while more is appended.
async function resume() {
  await append(40, 'node.resume');
  const got = [];
  let cursor = 'earliest';
  for (let times = 0; times < 8; times++) {
    const session = new Session(`?type=node.resume&cursor=${cursor}`);
    await session.hello();
    while (session.events.length < 7) await session.read();
    session.drop();
    got.push(...session.events);
    cursor = cursorOf(got.at(-1));
    await append(5, 'node.resume', 100 + 5 * times);
  }
  const expected = await truth('node.resume');
  const session = new Session(`?type=node.resume&cursor=${cursor}`);
  await session.hello();
  got.push(...(await session.take(expected.length - got.length)));
  await session.leave();
  assert.deepEqual(got, expected, 'what was resumed');
}

async function refused(query, code, reason, first) {
  const session = new Session(query);
  if (first !== undefined) {
    await session.hello();
    session.ws.send(first);
  }
  let said;
  do said = await session.read();
  while (['live', 'heartbeat'].includes(said.op));
  assert.deepEqual([said.op, said.code], ['error', reason], `${query} ${first}`);
  const close = await session.next();
  assert.deepEqual([close.op, close.code, close.reason], ['close', code, reason], `${query} ${first}`);
}

async function ends() {
  await refused('?cursor=nonsense', 4400, 'bad_request');
  await refused('?typ=a.b', 4400, 'bad_request');
  await refused('?cursor=1.00000000', 4411, 'cursor_invalid');
  await refused('?cursor=999999999', 4411, 'cursor_invalid');
  await refused('', 4400, 'bad_request', Buffer.from([0, 1]));
  await refused('', 4400, 'bad_request', '[]');
  await refused('', 1009, 'message_too_big', ' '.repeat(65_537));
  await refused('', 4401, 'unauthorized', '{"op":"auth","token":"a.b.c"}');
}

try {
  await tokens();
  await follow();
  await resume();
  await ends();
} catch (error) {
  console.log(`FAILED  node ws: ${error.message.slice(0, 800)}`);
  process.exit(1);
}
const { version } = home('ws/package.json');
console.log(`ok  node ${process.versions.node} ws ${version}: tokens, backlog, live, subscribe, 8 drops, heartbeats, closes`);
process.exit(0);
