// The hooks, in React on a DOM, against a real server.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { connect } from '../client.js';
import { openDom } from './support/dom.js';
import { WebSocket, within } from './support/record.js';
import { mint, psql, sharedServer } from './support/rowcast.js';

const libraries = await Promise.all([import('react'), import('react-dom/client'), openDom()]).catch((error) => error);
const skip = libraries instanceof Error ? `react, react-dom or happy-dom is not installed: ${libraries.message}` : false;

let server, connection, hooks, React, createRoot, dom;
before(async () => {
  if (skip) return;
  [React, { createRoot }, dom] = libraries;
  globalThis.IS_REACT_ACT_ENVIRONMENT = false;
  hooks = await import('../react.js');
  server = await sharedServer({ after: () => {} });
  connection = connect({ url: server.url, token: mint(server), cursor: 'latest', WebSocket });
});
after(() => {
  connection?.close();
  dom?.end();
});

/** Renders a component until the test ends; `until(fits)` resolves with what it rendered, once that fits. */
function render(t, useValue) {
  const rendered = [];
  let waiting = [];
  const Show = () => {
    const value = useValue();
    React.useEffect(() => {
      rendered.push(value);
      waiting = waiting.filter(({ fits, resolve }) => !fits(value) || resolve(value));
    });
    return null;
  };
  const root = createRoot(document.body.appendChild(document.createElement('div')));
  root.render(React.createElement(React.StrictMode, null, React.createElement(Show)));
  t.after(() => root.unmount());
  const until = (fits) => {
    const last = rendered.at(-1);
    if (rendered.length > 0 && fits(last)) return Promise.resolve(last);
    return within(new Promise((resolve) => waiting.push({ fits, resolve })), 'not rendered', connection);
  };
  return { rendered, until, root };
}

test('useTable renders the rows and then their changes', { skip }, async (t) => {
  await psql(server, `create table cl_react (id bigint primary key, status text); select rowcast.publish('cl_react', columns => '{id,status}');
    insert into cl_react values (1, 'new'), (2, 'new')`);
  const { until, rendered } = render(t, () => hooks.useTable(connection, 'public.cl_react'));
  const first = await until(({ ready, rows }) => ready && rows.length === 2);
  assert.deepEqual(rendered[0], { ...rendered[0], rows: [], ready: false, error: null });
  assert.deepEqual(first.get('1'), { id: '1', status: 'new' });
  await psql(server, `update cl_react set status = 'paid' where id = 1`);
  const second = await until(({ rows }) => rows.some(({ status }) => status === 'paid'));
  assert.deepEqual(second.batch.updated.map(({ key }) => key), ['1']);
  assert.equal(second.get('2'), first.rows[1], 'a row that did not change is the same object');
  const refused = render(t, () => hooks.useTable(connection, 'public.nowhere'));
  assert.equal((await refused.until(({ error }) => error !== null)).error.code, 'not_found');
});

test('useEvents keeps the newest, and renders far less often than events come', { skip }, async (t) => {
  const where = ({ type }) => type === 'react.written';
  const { until, rendered } = render(t, () => hooks.useEvents(connection, { limit: 100, where }));
  await until(() => true);
  await within(new Promise((resolve) => connection.on('live', resolve)), 'not live', connection);
  await connection.append(Array.from({ length: 1000 }, (_, n) => ({ type: 'react.written', payload: { n } })));
  await connection.append({ type: 'react.other' });
  const events = await until((all) => all.at(-1)?.payload.n === 999);
  assert.deepEqual(events.map(({ payload }) => payload.n), Array.from({ length: 100 }, (_, n) => 900 + n));
  assert.ok(rendered.length < 100, `${rendered.length} renders for 1000 events`);
});

test('useConnection renders the state, and a component without a connection is idle', { skip }, async (t) => {
  const { until } = render(t, () => hooks.useConnection(connection));
  await until(({ status }) => status === 'live');
  assert.equal((await render(t, () => hooks.useConnection(null)).until(() => true)).status, 'idle');
  assert.deepEqual(await render(t, () => hooks.useEvents(null)).until(() => true), []);
  assert.equal((await render(t, () => hooks.useTable(null, null)).until(() => true)).ready, false);
});

test('a table is closed a moment after its last component, and kept for one that comes at once', { skip }, async (t) => {
  await psql(server, `create table cl_linger (id bigint primary key); select rowcast.publish('cl_linger', columns => '{id}')`);
  const first = render(t, () => hooks.useTable(connection, 'public.cl_linger'));
  const { table } = await first.until(({ ready }) => ready);
  first.root.unmount();
  const second = render(t, () => hooks.useTable(connection, 'public.cl_linger'));
  assert.equal((await second.until(({ ready }) => ready)).table, table);
  second.root.unmount();
  const isGone = async () => { while (connection.hasTable('public.cl_linger')) await new Promise((resolve) => setTimeout(resolve, 50)); };
  await within(isGone(), 'the table is still followed', connection);
});
