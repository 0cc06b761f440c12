// After `close()`, or once the last iterator was left, nothing keeps a process from ending.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { mint, sharedServer } from './support/rowcast.js';

const ENDS_WITHIN_MS = 20_000;
let server, token;
before(async () => {
  server = await sharedServer({ after: () => {} });
  token = mint(server);
});

/** Runs a program of its own, and fails if that does not end by itself. */
function program(body) {
  const imports = ['client.js', 'test/support/record.js'].map((name) => new URL(`../${name}`, import.meta.url).href);
  const source = `import { connect } from '${imports[0]}';
    import { WebSocket, next } from '${imports[1]}';
    const [url, token] = ${JSON.stringify([server.url, token])};
    ${body}`;
  return new Promise((resolve, reject) => {
    const options = { timeout: ENDS_WITHIN_MS, cwd: fileURLToPath(new URL('.', import.meta.url)) };
    execFile(process.execPath, ['--input-type=module', '--eval', source], options, (error, out) => (error ? reject(error) : resolve(out.trim())));
  });
}

for (const transports of ['websocket', 'sse']) {
  test(`over ${transports} a process ends by itself after close, whatever was going on`, async () => {
    const out = await program(`
      const connection = connect({ url, token, WebSocket, transports: ['${transports}'], resume: { load: () => null, save: () => {} } });
      connection.on('event', () => {});
      const table = connection.table('trading.trades');
      await Promise.all([next(connection, 'live'), table.ready]);
      const left = connection.sync().catch((error) => error.name);
      const lost = connection.request('/v1/events', { query: { wait: 30, type: 'closing.never' } }).catch((error) => error.name);
      const iterating = (async () => { for await (const event of connection) event; return 'ended'; })();
      setTimeout(() => connection.close(), 20);
      console.log([await iterating, connection.state.status, await lost].join(' '));
    `);
    assert.equal(out, 'ended closed ClosedError');
  });

  test(`over ${transports} a process ends while a server is away, and after the last iterator was left`, async () => {
    const out = await program(`
      const away = connect({ url: 'http://127.0.0.1:9', WebSocket, transports: ['${transports}'] });
      away.on('event', () => {});
      const waiting = away.table('public.none');
      waiting.ready.catch((error) => console.log(error.name));
      await next(away, 'state', ({ status }) => status === 'waiting');
      away.close();
      const connection = connect({ url, token, WebSocket, transports: ['${transports}'], cursor: 'earliest' });
      await connection.append({ type: 'closing.written' });
      for await (const event of connection) break;
    `);
    assert.equal(out, 'ClosedError');
  });
}
