// The servers of the tests, for a page: as support/rowcast.js, by calls.

import { call } from './control.js';

export const sharedServer = () => call('sharedServer');
export const startDev = (flags) => call('startDev', flags);
export const serve = (server, options) => call('serve', server, options);
export const psql = (server, sql) => call('psql', server, sql);
export const rowcast = (args, env) => call('rowcast', args, env);

export function hold(server, sql) {
  const held = call('hold', server, sql);
  return async () => (await held)();
}

/** Tests sign tokens in the middle of what is synchronous, and the cryptography of a page is not. So it waits for an answer here. */
export function mint(server, claims) {
  const request = new XMLHttpRequest();
  request.open('POST', '/mint', false);
  request.send(JSON.stringify({ server, claims }));
  return request.responseText;
}
