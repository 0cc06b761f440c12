// Numbers that JavaScript cannot hold: rounded by default, and exact with a `parse` of the application's own.

import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { Record, open } from './support/record.js';
import { mint, psql, sharedServer } from './support/rowcast.js';

const LARGE = '9007199254740993';
const knowsSource = JSON.parse('1', (_, value, context) => context?.source === '1');
const skip = knowsSource ? false : 'this runtime does not say how a number was written: Node 22 does';

let server, token;
before(async () => {
  server = await sharedServer({ after: () => {} });
  token = mint(server);
  await psql(server, `create table if not exists cl_numbers (id bigint primary key, data jsonb); select rowcast.publish('cl_numbers', columns => '{id,data}');
    insert into cl_numbers values (${LARGE}, '{"n": ${LARGE}}') on conflict do nothing`);
});

/** Texts instead of numbers of 16 and more digits, for runtimes of any age. The payloads here have no such digits in a text. */
const quoting = (text) => JSON.parse(text.replace(/(?<=[:[,]\s*)\d{16,}(?=\s*[,\]}])/g, '"$&"'));

for (const transports of [['websocket'], ['sse']]) {
  test(`over ${transports} large numbers are rounded, or as the application parses them`, async (t) => {
    const type = `numbers_${transports}.written`;
    const [plain, exact] = [undefined, quoting].map((parse) => open(t, { url: server.url, token, transports, type, cursor: 'earliest', parse }));
    const records = [plain, exact].map((connection) => new Record(connection));
    await psql(server, `insert into rowcast.events (type, payload) values ('${type}', '{"n": ${LARGE}, "text": "1"}')`);
    await Promise.all(records.map((record) => record.count(1)));
    assert.deepEqual(records.map(({ events: [{ payload }] }) => payload), [{ n: 9007199254740992, text: '1' }, { n: LARGE, text: '1' }]);
    const { events: [read] } = await exact.request('/v1/events', { query: { type, cursor: 'earliest' } });
    assert.equal(read.payload.n, LARGE);
    const table = await exact.table('public.cl_numbers').ready;
    assert.deepEqual(table.get(LARGE), { id: LARGE, data: { n: LARGE } });
    await psql(server, `update cl_numbers set data = '{"n": ${LARGE}0, "by": "${transports}"}'`);
    await exact.sync();
    assert.deepEqual(table.get(LARGE).data, { n: `${LARGE}0`, by: transports[0] });
    await psql(server, `update cl_numbers set data = '{"n": ${LARGE}}'`);
  });
}

test('the parser of the documentation makes a BigInt of each whole number that would be rounded', { skip }, async (t) => {
  const type = 'numbers_documented.written';
  const connection = open(t, {
    url: server.url, token, type, cursor: 'earliest',
    parse: (text) => JSON.parse(text, (name, value, { source }) => (Number.isSafeInteger(value) || !/^-?\d+$/.test(source) ? value : BigInt(source))),
  });
  const record = new Record(connection);
  await psql(server, `insert into rowcast.events (type, payload) values ('${type}', '{"n": -${LARGE}, "list": [1, 1.5, "${LARGE}", null, 9007199254740993.5]}')`);
  await record.count(1);
  assert.deepEqual(record.events[0].payload, { n: -9007199254740993n, list: [1, 1.5, LARGE, null, 9007199254740994] });
});
