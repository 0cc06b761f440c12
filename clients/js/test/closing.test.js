// After `close()` nothing is left: iterators end, and calls are refused. process.test.js holds that a process ends, too.

import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { next, open, within } from './support/record.js';
import { mint, sharedServer } from './support/rowcast.js';

let server, token;
before(async () => {
  server = await sharedServer({ after: () => {} });
  token = mint(server);
});

test('close is told, may be repeated, and refuses what comes after it', async (t) => {
  const connection = open(t, { url: server.url, token });
  const states = [];
  connection.on('event', () => {});
  connection.on('state', ({ status }) => states.push(status));
  await next(connection, 'live');
  const closed = next(connection, 'state', ({ status }) => status === 'closed');
  connection.close();
  connection.close();
  await within(closed, 'not told');
  for (const act of ['append', 'request', 'sync', 'subscribe']) await assert.rejects(connection[act]({}), { name: 'ClosedError', code: 'closed' });
  assert.deepEqual(await connection[Symbol.asyncIterator]().next(), { value: undefined, done: true });
  assert.equal(states.at(-1), 'closed');
});
