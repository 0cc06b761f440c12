// A server that a test plays itself: what it answers, and what it says over WebSockets.

import { createServer } from 'node:http';
import { WebSocket } from './websocket.js';

const { WebSocketServer } = WebSocket;

/** A server that ends with its test. `answer(request, response)` for HTTP, `greet(socket, number)` for each WebSocket. */
export async function play(t, answer, greet) {
  const server = createServer(answer);
  const told = { sockets: 0 };
  if (greet) {
    const sockets = new WebSocketServer({ server, handleProtocols: () => 'rowcast.v1' });
    sockets.on('connection', (socket) => greet((frame) => socket.send(typeof frame === 'string' ? frame : JSON.stringify(frame)), told.sockets++, socket));
  }
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => {
    server.close();
    server.closeAllConnections();
  });
  return Object.assign(told, { url: `http://127.0.0.1:${server.address().port}` });
}
