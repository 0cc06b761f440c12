// Runs the programs of docs/CLIENT.md exactly as they are printed, against the package as `npm pack` makes it.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { after, before, test } from 'node:test';
import { fileURLToPath, pathToFileURL } from 'node:url';
import path from 'node:path';
import { WebSocket, within } from './support/record.js';
import { mint, psql, sharedServer } from './support/rowcast.js';

const PACKAGE = fileURLToPath(new URL('..', import.meta.url));
const LIBRARIES = ['react', 'react-dom', 'happy-dom', 'typescript'];
const missing = LIBRARIES.filter((name) => !existsSync(path.join(PACKAGE, 'node_modules', name)));
const skip = missing.length > 0 ? `${missing.join(', ')} not installed` : false;
const page = readFileSync(new URL('../../../docs/CLIENT.md', import.meta.url), 'utf8');

let server, folder, connections;
before(async () => {
  server = await sharedServer({ after: () => {} });
  await psql(server, `create table if not exists shop_orders (id bigint primary key, status text, total numeric);
    select rowcast.publish('shop_orders', columns => '{id,status,total}'); insert into shop_orders values (1, 'new', 9.99) on conflict do nothing`);
  folder = mkdtempSync(path.join(tmpdir(), 'rowcast-package-'));
  const npm = (...args) => execFileSync('npm', [...args, '--silent', '--offline', '--no-audit', '--no-fund'], { cwd: folder, encoding: 'utf8' });
  const packed = npm('pack', PACKAGE).trim();
  writeFileSync(path.join(folder, 'package.json'), '{"type":"module","private":true}');
  npm('install', `./${packed}`);
  for (const name of skip ? [] : LIBRARIES) symlinkSync(path.join(PACKAGE, 'node_modules', name), path.join(folder, 'node_modules', name));
  connections = [];
});
after(() => {
  for (const connection of connections ?? []) connection.close();
  if (folder !== undefined) rmSync(folder, { recursive: true, force: true });
});

/** The one block of this language under a heading, and how many lines it has. */
function block(heading, language) {
  const [, section] = page.split(`## ${heading}\n`);
  const [, text] = new RegExp(`\`\`\`${language}\n([\\s\\S]*?)\`\`\``).exec(section);
  return text;
}

/** A document, and connections that go to the server of this test and end with it. */
async function browser(t, html) {
  const { Window } = await import(pathToFileURL(path.join(folder, 'node_modules/happy-dom/lib/index.js')));
  const window = new Window({ url: 'http://localhost:5173/page.html' });
  window.document.write(html);
  const stored = new Map();
  const localStorage = { getItem: (key) => stored.get(key) ?? null, setItem: (key, value) => stored.set(key, value) };
  const given = { window, document: window.document, navigator: window.navigator, prompt: () => mint(server), localStorage, WebSocket };
  const before_ = new Map(Object.keys(given).map((name) => [name, Object.getOwnPropertyDescriptor(globalThis, name)]));
  for (const [name, value] of Object.entries(given)) Object.defineProperty(globalThis, name, { value, configurable: true, writable: true });
  t.after(async () => {
    for (const [name, was] of before_) was === undefined ? delete globalThis[name] : Object.defineProperty(globalThis, name, was);
    await window.happyDOM.abort();
  });
  return { document: window.document, stored };
}

/** Runs a printed module. It is printed with the address of a server on this machine, which is another one here; `ends` lets its connection end. */
function run(name, source, replaced) {
  const text = replaced.reduce((all, [from, to]) => {
    assert.ok(all.includes(from), `${name} no longer says ${from}`);
    return all.replaceAll(from, to);
  }, source);
  const file = path.join(folder, name);
  writeFileSync(file, `${text}\nexport { db };\n`);
  return import(pathToFileURL(file)).then(({ db }) => connections.push(db) && db);
}

function seen(document, id, pattern) {
  const look = async () => {
    while (!pattern.test(document.getElementById(id).textContent)) await new Promise((resolve) => setTimeout(resolve, 20));
  };
  return within(look(), `${id} does not show ${pattern}`);
}

test('the package that npm packs can be installed and runs', async () => {
  const source = `import { connect } from 'rowcast-client';
    const db = connect({ url: ${JSON.stringify(server.url)}, token: ${JSON.stringify(mint(server))} });
    const { seq } = await db.append({ type: 'packed.written' });
    await db.sync();
    const orders = await db.table('public.shop_orders').ready;
    console.log(seq > 0, orders.get('1').status);
    db.close();`;
  const out = execFileSync(process.execPath, ['--input-type=module', '--eval', source], { cwd: folder, encoding: 'utf8', timeout: 10_000 });
  assert.equal(out, 'true new\n');
});

test('the parser for exact numbers is printed as it is tested', () => {
  const [, tested] = /^ *(parse: .*),?$/m.exec(readFileSync(new URL('numbers.test.js', import.meta.url), 'utf8'));
  assert.ok(page.includes(`\n${tested}\n`), tested);
});

test('the page of one\'s own has 20 lines and does what it says', { skip }, async (t) => {
  const html = block('A page of your own', 'html');
  assert.ok(html.split('\n').filter((line) => line !== '').length <= 20, 'it grew');
  const [head, source] = /^([\s\S]*)<script type="module">\n([\s\S]*)<\/script>/.exec(html).slice(1);
  const { document, stored } = await browser(t, head);
  const client = pathToFileURL(path.join(folder, 'node_modules/rowcast-client/client.js')).href;
  const db = await run('page.mjs', source, [['http://127.0.0.1:8080/client.js', client], ['http://127.0.0.1:8080', server.url]]);
  await seen(document, 'orders', /1: new/);
  await seen(document, 'state', /live/);
  await psql(server, `update shop_orders set status = 'paid' where id = 1`);
  await seen(document, 'orders', /1: paid/);
  await seen(document, 'log', /public\.shop_orders\.updated/);
  db.close();
  assert.equal(stored.get('orders-page'), db.cursor);
});

test('the modules of the page can be served by any web server', { skip }, async (t) => {
  const files = path.join(folder, 'node_modules/rowcast-client');
  const types = { '.js': 'text/javascript' };
  const web = createServer(({ url }, answer) => {
    const body = readFileSync(path.join(files, url));
    answer.writeHead(200, { 'content-type': types[path.extname(url)] }).end(body);
  });
  await new Promise((resolve) => web.listen(0, '127.0.0.1', resolve));
  t.after(() => web.close());
  const origin = `http://127.0.0.1:${web.address().port}`;
  const [asked, found] = [['/client.js'], new Set()];
  for (let at = asked.pop(); at !== undefined; at = asked.pop()) {
    if (found.has(at)) continue;
    found.add(at);
    const text = await (await fetch(origin + at)).text();
    for (const [, from] of text.matchAll(/from '(\.[^']+)'/g)) asked.push(new URL(from, origin + at).pathname);
  }
  assert.ok(found.has('/client/stream.js'), [...found].join());
});

test('the table in React has 15 lines and does what it says', { skip }, async (t) => {
  const jsx = block('A table in React', 'jsx');
  assert.ok(jsx.split('\n').filter((line) => line !== '').length <= 15, 'it grew');
  await psql(server, `update shop_orders set status = 'new' where id = 1`);
  const { default: ts } = await import(pathToFileURL(path.join(folder, 'node_modules/typescript/lib/typescript.js')));
  const { outputText } = ts.transpileModule(jsx, { compilerOptions: { jsx: ts.JsxEmit.ReactJSX, module: ts.ModuleKind.ESNext, target: ts.ScriptTarget.ES2022 } });
  const { document } = await browser(t, '<div id="root"></div>');
  const db = await run('table.mjs', outputText, [['http://127.0.0.1:8080', server.url]]);
  await seen(document, 'root', /1: new/);
  await psql(server, `insert into shop_orders values (2, 'sent', 1) on conflict do nothing`);
  await seen(document, 'root', /1: new2: sent/);
  db.close();
});
