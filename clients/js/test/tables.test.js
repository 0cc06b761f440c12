// Live tables equal the tables, whatever happens on the way; notifications tell exactly what changed.

import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { isEventFrame } from './support/frames.js';
import { startProxy } from './support/proxy.js';
import { impatient, next, open, within } from './support/record.js';
import { mint, psql, serve, sharedServer } from './support/rowcast.js';

let server, token;
before(async () => {
  server = await sharedServer({ after: () => {} });
  token = mint(server);
});

async function publish(name, more = '') {
  await psql(server, `create table ${name} (id bigint primary key, status text, total numeric);
    select rowcast.publish('${name}', columns => '{id,status,total}'${more});`);
  return `public.${name}`;
}

/** The rows as Postgres has them, in the form in which they are sent. */
async function rowsOf(name) {
  const lines = await psql(server, `select json_build_object('id', id::text, 'total', total::text, 'status', status) from ${name} order by id`);
  return lines.map((line) => JSON.parse(line));
}

const sorted = (table) => [...table.values()].sort((a, b) => Number(a.id) - Number(b.id));

/** So many changes of both tables, in transactions of a few, some rolled back, now and then a truncate. */
function changes(names, count) {
  return `do $$ declare name text; n int; begin
    for n in 1..${count} loop
      -- Writers take turns by transactions, since deadlocks are not what is tested here.
      perform pg_advisory_xact_lock(7);
      name := (array['${names.join("','")}'])[1 + floor(random() * ${names.length})];
      case floor(random() * 4)
        when 0, 1 then execute format('insert into %I values ($1, $2, $3) on conflict (id) do update set status = excluded.status, total = excluded.total', name)
          using floor(random() * 200), 'new', round(random()::numeric * 1000, 2);
        when 2 then execute format('update %I set status = $1 where id = $2', name) using 'paid ' || n, floor(random() * 200);
        else execute format('delete from %I where id = $1', name) using floor(random() * 200);
      end case;
      if random() < 0.002 then commit; perform pg_advisory_xact_lock(7); execute format('truncate %I', name); end if;
      if random() < 0.05 then rollback; elsif random() < 0.3 then commit; end if;
    end loop; end $$;`;
}

/** Keeps a copy that is made of notifications alone, and holds them to what they promise. */
function mirror(table) {
  const copy = new Map(table);
  table.onChange(({ inserted, updated, removed }) => {
    for (const { key, old } of removed) assert.equal(copy.get(key), old) || copy.delete(key);
    for (const { key, row } of inserted) assert.ok(!copy.has(key)) || copy.set(key, row);
    for (const { key, row, old } of updated) assert.equal(copy.get(key), old) || copy.set(key, row);
  });
  return copy;
}

for (const transports of [['websocket'], ['sse']]) {
  test(`over ${transports} tables equal the tables after 4000 random changes with cuts and kills`, async (t) => {
    const names = ['a', 'b'].map((name) => `cl_${transports}_${name}`);
    const full = [];
    for (const name of names) full.push(await publish(name));
    await psql(server, changes(names, 300));
    let node = await serve(server);
    t.after(() => node.stop());
    let isOver = false;
    const proxy = await startProxy(node.url, () => (isOver ? {} : { cutAfter: Math.floor(Math.random() * 60_000) }));
    t.after(() => proxy.close());
    const connection = impatient(open(t, { url: proxy.url, token, transports }));
    const group = await within(connection.tables(full).ready, 'the group is not ready', connection);
    const copies = [...group].map(mirror);
    const writing = Promise.all([1, 2].map(() => psql(server, changes(names, 2000))));
    for (let kills = 0; kills < 2; kills += 1) {
      await node.kill();
      node = await serve(server, { port: node.port });
      await next(connection, 'state', ({ status }) => status === 'live');
    }
    await writing;
    isOver = true;
    await connection.sync();
    for (const [index, table] of [...group].entries()) {
      assert.deepEqual(sorted(table), await rowsOf(names[index]));
      assert.deepEqual(new Map(copies[index]), new Map(table));
    }
  });
}

test('a table is a Map, whose rows and lists stay the same objects until they change', async (t) => {
  const name = await publish('cl_map');
  await psql(server, `insert into cl_map values (1, 'new', 1), (2, 'new', 2)`);
  // Notifications wait for `sync`, however slowly the events come.
  const connection = open(t, { url: server.url, token, batchMs: 60_000 });
  const table = connection.table(name);
  assert.equal(connection.table(name), table);
  assert.equal(table.isReady, false);
  await table.ready;
  assert.deepEqual(table.get('1'), { id: '1', total: '1', status: 'new' });
  assert.deepEqual([table.size, table.has('2'), table.has('3')], [2, true, false]);
  assert.deepEqual([...table].map(([key]) => key), [...table.keys()]);
  assert.deepEqual(table.columns.map((column) => column.name), ['id', 'status', 'total']);
  const [rows, second, version] = [table.rows(), table.get('2'), table.version];
  assert.equal(table.rows(), rows);
  const batches = [];
  table.onChange((batch) => batches.push(batch));
  await psql(server, `begin; update cl_map set status = 'paid' where id = 1; insert into cl_map values (3, 'new', 3); delete from cl_map where id = 3; commit`);
  await connection.sync();
  assert.equal(batches.length, 1, 'what has come until then is told at once');
  assert.deepEqual(batches[0].updated, [{ key: '1', row: { id: '1', total: '1', status: 'paid' }, old: { id: '1', total: '1', status: 'new' } }]);
  assert.deepEqual([batches[0].inserted, batches[0].removed, batches[0].reset], [[], [], false]);
  assert.notEqual(table.rows(), rows);
  assert.equal(table.get('2'), second);
  assert.equal(table.version, version + 1);
});

test('a truncated table is told as removals and a reset', async (t) => {
  const name = await publish('cl_truncated');
  await psql(server, `insert into cl_truncated values (1, 'new', 1)`);
  const connection = open(t, { url: server.url, token });
  const table = await connection.table(name).ready;
  const batches = [];
  table.onChange((batch) => batches.push(batch));
  await psql(server, 'truncate cl_truncated');
  await connection.sync();
  assert.deepEqual(batches.map(({ reset, removed }) => [reset, removed.map(({ key }) => key)]), [[true, ['1']]]);
  assert.equal(table.size, 0);
});

test('a table that comes later joins the stream of the others, and events of both are applied once', async (t) => {
  const [first, second] = [await publish('cl_first'), await publish('cl_second')];
  const proxy = await startProxy(server.url);
  t.after(() => proxy.close());
  const connection = open(t, { url: proxy.url, token, transports: ['websocket'] });
  const early = await connection.table(first).ready;
  await psql(server, `insert into cl_first values (1, 'new', 1); insert into cl_second values (1, 'new', 1)`);
  const copy = mirror(early);
  const late = await connection.table(second).ready;
  await psql(server, `insert into cl_first values (2, 'new', 2); insert into cl_second values (2, 'new', 2); delete from cl_first where id = 1`);
  await connection.sync();
  assert.deepEqual([[...early.keys()], [...late.keys()]], [['2'], ['1', '2']]);
  assert.deepEqual(copy, new Map(early));
  early.close();
  assert.equal(connection.hasTable(first), false);
  await psql(server, `insert into cl_first values (3, 'new', 3); insert into cl_second values (3, 'new', 3)`);
  await connection.sync();
  assert.deepEqual([[...early.keys()], [...late.keys()]], [['2'], ['1', '2', '3']]);
});

for (const isCut of [false, true]) {
  test(`a table of which a frame was lost${isCut ? ', and then the connection,' : ''} is read anew, and then equals the table`, async (t) => {
    const short = `cl_lossy_${isCut}`;
    const name = await publish(short);
    let events = 0;
    const frame = (bytes) => (isEventFrame(bytes) && events++ === 1 ? null : bytes);
    const proxy = await startProxy(server.url, () => ({ frame }));
    t.after(() => proxy.close());
    const connection = impatient(open(t, { url: proxy.url, token, transports: ['websocket'] }));
    const table = await connection.table(name).ready;
    const copy = mirror(table);
    await connection.sync();
    const isFound = isCut ? new Promise((resolve) => table.onChange(resolve)).then(() => proxy.cut()) : next(connection, 'mismatch');
    await psql(server, `begin; insert into ${short} select n, 'new', n from generate_series(1, 3) n; update ${short} set status = 'paid' where id = 2; commit`);
    await isFound;
    await psql(server, `insert into ${short} values (9, 'new', 9)`);
    await within(settled(table, 4), 'not all rows came', connection);
    await connection.sync();
    assert.deepEqual(sorted(table), await rowsOf(short));
    assert.deepEqual(copy, new Map(table));
  });
}

/** Resolves once a table has so many rows. */
function settled(table, size) {
  if (table.size === size) return Promise.resolve();
  return new Promise((resolve) => table.onChange(() => table.size === size && resolve()));
}

test('one table that cannot be read does not keep the others from being read', async (t) => {
  const name = await publish('cl_readable');
  const connection = open(t, { url: server.url, token });
  const group = connection.tables([name, 'public.nowhere']);
  await assert.rejects(group.get('public.nowhere').ready, { name: 'NotFoundError', code: 'not_found', status: 404 });
  await assert.rejects(group.ready, { code: 'not_found' });
  await group.get(name).ready;
  assert.equal(group.get('public.nowhere').error.status, 404);
  await psql(server, `insert into cl_readable values (1, 'new', 1)`);
  await connection.sync();
  assert.equal(group.get(name).size, 1);
});

test('the public view of a table follows its key, and another token shows other rows in place', async (t) => {
  const name = await publish('cl_public', `, public_safe => true, state_key => '{id}'`);
  const listed = ['inserted', 'updated', 'deleted', 'truncated'].map((word) => `('${name}.${word}', 'For a test.', '{id,status}')`);
  await psql(server, `insert into rowcast.event_types values ${listed.join()}; insert into cl_public values (1, 'new', 1)`);
  const connection = open(t, { url: server.url });
  // The server reads its list of public types once a second.
  const table = connection.table(name);
  const isReady = () => table.ready.then(() => true, ({ code }) => assert.equal(code, 'not_snapshottable') ?? connection.retry());
  for (let tries = 0; !(await isReady()); tries += 1) assert.ok(tries < 1000, 'the types are not public');
  await psql(server, `insert into cl_public values (2, 'new', 2); delete from cl_public where id = 1`);
  await connection.sync();
  assert.deepEqual([...table], [['2', { id: '2', status: 'new' }]]);
  assert.equal(connection.state.view, 'public');
  const changed = new Promise((resolve) => table.onChange(resolve));
  connection.setToken(token);
  const { updated, reset } = await within(changed, 'no private rows', connection);
  assert.deepEqual([reset, updated.map(({ row }) => row)], [true, [{ id: '2', total: '2', status: 'new' }]]);
  await connection.sync();
  assert.equal(connection.state.view, 'private');
});
