// A TCP proxy that misbehaves as networks do, and worse: it delays, cuts after any byte, refuses upgrades, drops and garbles frames.

import { connect, createServer } from 'node:net';
import { FrameSplitter } from './frame_splitter.js';

/** `faults` is asked for each connection, by its number from 0; it returns any of
 *  `delayMs`, `cutAfter` (bytes from the server), `refuseUpgrade`, `frame(bytes, number)` (a WebSocket frame of the server, or null to drop it).
 *  Both functions may be async: in the browser the test that gives them is in a page. */
export async function startProxy(target, faults = () => ({})) {
  const { hostname, port } = new URL(target);
  const open = new Set();
  const proxy = { connections: 0, faults, isDown: false };
  const server = createServer(async (client) => {
    client.on('error', () => client.destroy());
    if (proxy.isDown) return client.destroy();
    const asked = proxy.faults(proxy.connections);
    proxy.connections += 1;
    const fault = (await asked) ?? {};
    if (proxy.isDown || client.destroyed) return client.destroy();
    const upstream = connect(Number(port), hostname);
    const both = { client, upstream };
    open.add(both);
    const end = () => {
      open.delete(both);
      client.destroy();
      upstream.destroy();
    };
    for (const socket of [client, upstream]) socket.setNoDelay().on('error', end);
    client.on('close', end);
    carryRequests(both, fault);
    carryAnswers(both, fault, end);
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  proxy.url = `http://127.0.0.1:${server.address().port}`;
  proxy.cut = () => { for (const { client, upstream } of [...open]) { client.destroy(); upstream.destroy(); } };
  proxy.close = () => new Promise((resolve) => {
    server.close(resolve);
    proxy.cut();
  });
  return proxy;
}

function carryRequests({ client, upstream }, { refuseUpgrade }) {
  client.on('data', (bytes) => {
    if (refuseUpgrade && /^upgrade: *websocket/im.test(bytes.toString('latin1'))) {
      client.end('HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\nconnection: close\r\n\r\n');
      return;
    }
    if (!upstream.destroyed) upstream.write(bytes);
  });
  client.on('end', () => upstream.end());
}

function carryAnswers({ client, upstream }, { delayMs = 0, cutAfter = Infinity, frame }, end) {
  let left = cutAfter;
  const write = (bytes) => {
    if (client.destroyed) return;
    const part = bytes.subarray(0, left);
    left -= part.length;
    const hasRoom = client.write(part, () => left <= 0 && end());
    if (!hasRoom) {
      upstream.pause();
      client.once('drain', () => upstream.resume());
    }
  };
  const carry = (bytes) => {
    if (bytes.length === 0) return;
    if (delayMs > 0) setTimeout(write, delayMs, bytes);
    else write(bytes);
  };
  if (frame === undefined) {
    upstream.on('data', carry).on('end', () => client.end()).on('close', end);
    return;
  }
  // Frames go on one after the other, however long each is looked at.
  const splitter = new FrameSplitter(frame);
  let before = Promise.resolve();
  const next = (step) => { before = before.then(step).catch(end); };
  upstream.on('data', (bytes) => next(async () => carry(await splitter.carry(bytes))));
  upstream.on('end', () => next(() => client.end())).on('close', () => next(end));
}
