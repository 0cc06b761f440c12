// Events, filters, places and iterators, where nothing goes wrong.

import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import { Record, next, open, status } from './support/record.js';
import { mint, psql, sharedServer } from './support/rowcast.js';

for (const transports of [['websocket'], ['sse']]) {
  describe(`over ${transports}`, () => {
    let server, token;
    const type = (name) => `events_${transports}.${name}`;
    before(async (t) => {
      server = await sharedServer({ after: () => {} });
      token = mint(server);
    });
    const client = (t, options) => open(t, { url: server.url, token, transports, ...options });

    test('what is inserted by SQL comes to a listener and to two iterators, in order', async (t) => {
      const connection = client(t, { type: type('*') });
      const record = new Record(connection);
      const iterators = [collect(connection, 3), collect(connection, 3)];
      await next(connection, 'live');
      await psql(server, `insert into rowcast.events (type, payload) select '${type('sql')}', jsonb_build_object('n', n) from generate_series(1, 3) n`);
      await record.count(3);
      assert.deepEqual(record.events.map(({ payload }) => payload.n), [1, 2, 3]);
      for (const seqs of await Promise.all(iterators)) assert.deepEqual(seqs, record.seqs);
    });

    test('a filter is changed in place, and what was passed by stays passed', async (t) => {
      const connection = client(t, { type: type('one'), level: 'info' });
      const record = new Record(connection);
      await next(connection, 'live');
      await connection.append([{ type: type('one') }, { type: type('two') }, { type: type('one'), level: 'debug' }]);
      await record.count(1);
      await connection.sync();
      await connection.subscribe({ type: [type('two'), type('three')] });
      assert.deepEqual(connection.filter, { type: `${type('two')},${type('three')}` });
      await connection.append([{ type: type('one') }, { type: type('two') }, { type: type('three') }]);
      await record.count(3);
      assert.deepEqual(record.events.map((event) => event.type), [type('one'), type('two'), type('three')]);
    });

    test('a place is taken by cursor, and by the newest that match', async (t) => {
      const writer = client(t);
      const appended = await writer.append(Array.from({ length: 5 }, () => ({ type: type('place') })));
      await writer.sync();
      const connection = client(t, { type: type('place'), last: 2 });
      const record = new Record(connection);
      await record.count(2);
      assert.deepEqual(record.seqs, appended.slice(3).map(({ seq }) => seq));
      await connection.subscribe({ type: type('place'), cursor: `${appended[0].seq}.${appended[0].id.slice(-8)}` });
      await record.count(6);
      assert.deepEqual(record.seqs.slice(2), appended.slice(1).map(({ seq }) => seq));
    });

    test('an iterator that another follows leaves nothing out', async (t) => {
      const connection = client(t, { type: type('relay'), bufferSize: 4 });
      const first = connection[Symbol.asyncIterator]();
      await next(connection, 'live');
      const appended = await connection.append(Array.from({ length: 20 }, () => ({ type: type('relay') })));
      const seqs = [];
      for await (const { seq } of first) {
        seqs.push(seq);
        if (seqs.length === 3) break;
      }
      for await (const { seq } of connection) {
        seqs.push(seq);
        if (seqs.length === 20) break;
      }
      assert.deepEqual(seqs, appended.map(({ seq }) => seq));
    });

    test('the state says how it goes', async (t) => {
      const connection = client(t);
      assert.equal(connection.state.status, 'idle');
      const off = connection.on('event', () => {});
      await status(connection, 'live');
      assert.equal(connection.state.transport, transports[0]);
      assert.equal(connection.state.view, 'private');
      await next(connection, 'state', ({ latencyMs }) => transports[0] === 'sse' || latencyMs > 0);
      off();
      await status(connection, 'idle');
      connection.close();
      await status(connection, 'closed');
      assert.throws(() => connection.table('x'), { code: 'closed' });
    });
  });
}

async function collect(connection, count) {
  const seqs = [];
  for await (const { seq } of connection) {
    seqs.push(seq);
    if (seqs.length === count) return seqs;
  }
  throw new Error('the iterator ended early');
}
