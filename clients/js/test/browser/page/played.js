// A server that a test plays itself, for a page: as support/played.js, by calls.

import { call } from './control.js';

export async function play(t, answer, greet) {
  const told = { sockets: 0 };
  // What they return is nothing to Node.
  const onRequest = (request, response) => void answer(request, chained(response));
  const onSocket = greet && ((send, _, socket) => {
    const number = told.sockets;
    told.sockets += 1;
    greet(send, number, socket);
  });
  const { url, stop } = await call('play', onRequest, onSocket);
  t.after(stop);
  return Object.assign(told, { url });
}

/** A response whose calls can stand behind each other. They arrive in this order. */
function chained(response) {
  const calls = Object.entries(response).map(([name, fn]) => [name, (...args) => {
    fn(...args);
    return chain;
  }]);
  const chain = Object.fromEntries(calls);
  return chain;
}
