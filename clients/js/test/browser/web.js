// Serves the client and its tests to a browser, and connects each page with Node. Modules of Node that the tests use are replaced by an
// import map: the runner and the assertions by small ones of page/, servers and proxies by calls.

import { createServer } from 'node:http';
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import path from 'node:path';
import { mint } from '../support/rowcast.js';
import { Calls } from './calls.js';
import { remoteFunctions } from './remote.js';

const require = createRequire(import.meta.url);
const { WebSocketServer } = require('ws');
const PACKAGE = fileURLToPath(new URL('../../', import.meta.url));
const LIBRARIES = {
  react: 'react/cjs/react.production.min.js',
  'react-dom': 'react-dom/cjs/react-dom.production.min.js',
  'react-dom/client': 'react-dom/client.js',
  scheduler: 'scheduler/cjs/scheduler.production.min.js',
};
/** Of the support of the tests, what is made of calls in a page. */
const REPLACED = ['played', 'proxy', 'rowcast', 'websocket'];
const IMPORTS = {
  'node:test': '/js/test/browser/page/node_test.js',
  'node:assert/strict': '/js/test/browser/page/assert.js',
  ...Object.fromEntries(REPLACED.map((name) => [`/js/test/support/${name}.js`, `/js/test/browser/page/${name}.js`])),
  ...Object.fromEntries(Object.keys(LIBRARIES).map((name) => [name, `/library/${name}`])),
};
const PAGE = `<!doctype html><meta charset="utf-8"><title>Tests of the client</title><link rel="icon" href="data:,">
<script type="importmap">${JSON.stringify({ imports: IMPORTS })}</script>
<body><script type="module" src="/js/test/browser/page/main.js"></script></body>`;

/** `work(lane)` is asked by the page of a lane for the next file, `report(lane, result)` is told of each test. */
export async function startWeb(shared, { work, report }) {
  const web = createServer((request, response) => {
    answer(request).then(
      ([type, body]) => response.writeHead(200, { 'content-type': type, 'cache-control': 'no-store' }).end(body),
      (error) => response.writeHead(404).end(error.message),
    );
  });
  const sockets = new WebSocketServer({ server: web, path: '/control', verifyClient: ({ origin }) => origin === url });
  sockets.on('connection', (socket, request) => {
    const lane = Number(new URL(request.url, url).searchParams.get('lane'));
    const { functions, endAll } = remoteFunctions(shared);
    const named = { ...functions, nextFile: () => work(lane), report: (result) => report(lane, result) };
    const calls = new Calls((text) => socket.send(text), named);
    socket.on('message', (data) => calls.take(String(data)));
    socket.on('close', () => {
      calls.close();
      endAll();
    });
  });
  await new Promise((resolve) => web.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${web.address().port}`;
  const close = () => {
    for (const socket of sockets.clients) socket.terminate();
    web.closeAllConnections();
    return new Promise((resolve) => web.close(resolve));
  };
  return { url, close };
}

/** Type and body for a request. */
async function answer(request) {
  const { pathname } = new URL(request.url, 'http://page');
  if (pathname === '/run') return ['text/html', PAGE];
  if (pathname === '/mint') return ['text/plain', await mintFor(request)];
  if (pathname.startsWith('/library/')) return ['text/javascript', await library(pathname.slice('/library/'.length))];
  const file = path.join(PACKAGE, path.normalize(pathname).replace(/^\/js\//, ''));
  if (!pathname.startsWith('/js/') || !file.startsWith(PACKAGE) || !file.endsWith('.js')) throw new Error('not here');
  return ['text/javascript', await readFile(file)];
}

/** Signs a token for a page, whose own cryptography is asynchronous. */
async function mintFor(request) {
  let body = '';
  for await (const part of request) body += part;
  const { server, claims } = JSON.parse(body);
  return mint(server, claims);
}

/** A library in the form of CommonJS as a module, with each of its exports by name. */
async function library(name) {
  const source = await readFile(path.join(PACKAGE, 'node_modules', LIBRARIES[name] ?? 'none'), 'utf8');
  const needed = [...new Set([...source.matchAll(/require\(["']([^"']+)["']\)/g)].map(([, from]) => from))].filter((from) => from in LIBRARIES);
  const names = Object.keys(require(name)).filter((one) => /^[A-Za-z_$][\w$]*$/.test(one) && one !== 'default');
  const imports = needed.map((from, at) => `import needed${at} from '${from}';`);
  const given = needed.map((from, at) => `'${from}': needed${at}`);
  const [taken, told] = [names.map((one) => `${one}: own_${one}`), names.map((one) => `own_${one} as ${one}`)];
  return `${imports.join('\n')}
const [given, process, module] = [{ ${given.join(', ')} }, { env: { NODE_ENV: 'production' } }, { exports: {} }];
((module, exports, require) => {
${source}
})(module, module.exports, (from) => given[from]);
export default module.exports;
const { ${taken.join(', ')} } = module.exports;
export { ${told.join(', ')} };
`;
}
