// Tokens: by value, by function, renewed before they end, refused, replaced in place.

import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { Record, next, open, status, within } from './support/record.js';
import { mint, rowcast, sharedServer } from './support/rowcast.js';

let server;
before(async () => {
  server = await sharedServer({ after: () => {} });
});

/** The server takes a token for 60 s longer than it says, so this one, which ended `life` seconds ago, has a few seconds left. */
function shortToken(claims, life = 57) {
  const now = Math.floor(Date.now() / 1000);
  return mint(server, { iat: now - 100, exp: now - life, ...claims });
}

for (const transports of [['websocket'], ['sse']]) {
  test(`over ${transports} a token that ends is renewed by its function, and no event is lost`, async (t) => {
    const type = `tokens_${transports}.written`;
    let asked = 0;
    const token = async () => (asked++ === 0 ? shortToken({}, 55) : mint(server));
    const connection = open(t, { url: server.url, token, type, cursor: 'latest', transports });
    const record = new Record(connection);
    const states = [];
    connection.on('state', ({ status: now, error }) => states.push(`${now} ${error?.message ?? ''}`));
    await next(connection, 'live');
    const writer = open(t, { url: server.url, token: mint(server) });
    const seqs = [];
    const began = Date.now();
    // Past the end of the first token.
    while (Date.now() - began < 6500) {
      seqs.push((await writer.append({ type })).seq);
      await record.count(seqs.length);
    }
    assert.deepEqual(record.seqs, seqs);
    assert.equal(asked, 2);
    if (transports[0] === 'websocket') assert.deepEqual(states.filter((state) => /expired/i.test(state)), [], 'the session went on');
  });

  test(`over ${transports} a refused token stops the stream; another one goes on at the same place`, async (t) => {
    const type = `refused_${transports}.written`;
    const writer = open(t, { url: server.url, token: mint(server) });
    const connection = open(t, { url: server.url, token: shortToken({ sub: 'short' }), type, cursor: 'latest', transports });
    const expiring = transports[0] === 'sse' ? null : next(connection, 'auth_expiring');
    const record = new Record(connection);
    await next(connection, 'live');
    await writer.append({ type });
    await record.count(1);
    await expiring;
    const error = await next(connection, 'error');
    assert.equal(error.name, 'UnauthorizedError');
    assert.equal(error.code, 'token_expired');
    assert.equal(connection.state.status, 'failed');
    await writer.append({ type });
    connection.setToken(mint(server, { sub: 'short' }));
    await record.count(2);
    assert.equal(connection.state.status === 'failed', false);
  });

  test(`over ${transports} a function whose tokens are refused is asked once more and then no longer`, async (t) => {
    let asked = 0;
    const connection = open(t, { url: server.url, token: () => `forged.${asked++}.token`, transports });
    const error = await (async () => {
      try {
        for await (const event of connection) assert.fail(`an event without a good token: ${event.seq}`);
      } catch (failure) {
        return failure;
      }
    })();
    assert.equal(error.name, 'UnauthorizedError');
    assert.equal(asked, 2);
    await assert.rejects(connection.request('/v1/me'), { name: 'UnauthorizedError', status: 401 });
  });

  test(`over ${transports} a role that may not read stops the stream`, async (t) => {
    const connection = open(t, { url: server.url, token: mint(server, { role: 'nobody' }), transports });
    connection.on('event', () => {});
    assert.equal((await next(connection, 'error')).name, 'ForbiddenError');
  });

  test(`over ${transports} the public view becomes private and public again in place`, async (t) => {
    const type = 'note.added';
    const writer = open(t, { url: server.url, token: mint(server) });
    const connection = open(t, { url: server.url, type, cursor: 'latest', transports });
    const record = new Record(connection);
    await next(connection, 'live');
    assert.equal(connection.state.view, 'public');
    const [shown] = await writer.append([{ type, public_safe: true, payload: { text: 'public', more: 1 } }, { type, payload: { text: 'hidden' } }]);
    await connection.sync();
    assert.deepEqual(record.events.map(({ seq, payload }) => ({ seq, payload })), [{ seq: shown.seq, payload: { text: 'public' } }]);
    connection.setToken(mint(server));
    await next(connection, 'state', ({ view, status: now }) => view === 'private' && now === 'live');
    const hidden = await writer.append({ type, payload: { text: 'private' } });
    await record.count(2);
    assert.equal(record.events[1].seq, hidden.seq);
    connection.setToken(null);
    await next(connection, 'state', ({ view, status: now }) => view === 'public' && now === 'live');
    await writer.append([{ type, payload: {} }, { type, public_safe: true, payload: { text: 'again' } }]);
    await record.count(3);
    assert.equal(record.events[2].payload.text, 'again');
  });
}

test('a function that fails is asked again; requests renew a refused token once', async (t) => {
  let asked = 0;
  const token = () => {
    asked += 1;
    if (asked === 1) throw new Error('the sign-in is away');
    return asked === 2 ? mint(server, { exp: 1 }) : mint(server, { sub: 'late' });
  };
  const connection = open(t, { url: server.url, token });
  connection.on('event', () => {});
  const { error } = await next(connection, 'state', ({ status: now }) => now === 'waiting');
  assert.equal(error.name, 'TokenError');
  await status(connection, 'live');
  assert.equal((await connection.request('/v1/me')).subject, 'late');
  assert.equal(asked, 3);
});

test('a subject that is revoked is told so', async (t) => {
  const connection = open(t, { url: server.url, token: mint(server, { sub: 'revoked one' }) });
  connection.on('event', () => {});
  await next(connection, 'live');
  const failed = next(connection, 'error');
  await rowcast(['revoke', '--sub', 'revoked one'], { DATABASE_URL: server.database });
  assert.equal((await within(failed, 'not told')).code, 'revoked');
});

test('after a failure an iterator gets what it holds, then the error, and the cursor waits for that', async (t) => {
  const type = 'held.written';
  const connection = open(t, { url: server.url, token: mint(server, { sub: 'held one' }), type, cursor: 'latest' });
  const iterator = connection[Symbol.asyncIterator]();
  await next(connection, 'live');
  const seqs = (await connection.append(Array.from({ length: 3 }, () => ({ type })))).map(({ seq }) => seq);
  const failed = next(connection, 'error');
  assert.equal((await iterator.next()).value.seq, seqs[0]);
  await rowcast(['revoke', '--sub', 'held one'], { DATABASE_URL: server.database });
  await failed;
  for (const at of [1, 2]) {
    assert.equal((await iterator.next()).value.seq, seqs[at]);
    assert.equal(Number(connection.cursor.split('.')[0]), seqs[at - 1], 'behind the event before');
  }
  await assert.rejects(iterator.next(), { code: 'revoked' });
  assert.ok(Number(connection.cursor.split('.')[0]) >= seqs[2]);
  assert.deepEqual(await iterator.next(), { value: undefined, done: true });
});
