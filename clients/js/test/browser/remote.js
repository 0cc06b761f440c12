// What a page may ask of Node: servers, psql, proxies. Whatever a page has started and not ended is ended when it goes.

import { play } from '../support/played.js';
import { startProxy } from '../support/proxy.js';
import { hold, psql, rowcast, serve, startDev } from '../support/rowcast.js';

/** Headers that the client sends and reads, which a browser lets through to another origin only if they are named. */
const CROSS_ORIGIN = {
  'access-control-allow-origin': '*',
  'access-control-allow-methods': 'GET, POST, PUT, DELETE',
  'access-control-allow-headers': 'accept, authorization, content-type, idempotency-key',
  'access-control-expose-headers': 'retry-after, x-request-id',
};

/** The functions for one page, and how to end what they have started. */
export function remoteFunctions(shared) {
  const ends = new Set();
  /** Ends once, by the test or with the page. */
  const ending = (end) => {
    const once = () => (ends.delete(once) ? end() : undefined);
    ends.add(once);
    return once;
  };
  const functions = {
    sharedServer: () => shared,
    psql,
    rowcast,
    startDev: async (flags) => {
      const server = await startDev(flags);
      return { ...server, stop: ending(server.stop) };
    },
    serve: async (server, options) => {
      const { url, port, kill, stop } = await serve(server, options);
      const forget = ending(stop);
      return { url, port, kill: () => kill().then(forget), stop: forget };
    },
    hold: (server, sql) => ending(hold(server, sql)),
    startProxy: async (target, faults) => {
      const proxy = await startProxy(target, faults);
      return { url: proxy.url, cut: () => proxy.cut(), close: ending(proxy.close), setDown: (isDown) => { proxy.isDown = isDown; } };
    },
    play: async (answer, greet) => {
      const stops = [];
      const { url } = await play({ after: (stop) => stops.push(stop) }, (request, response) => answerFor(answer, request, response), greetingFor(greet));
      return { url, stop: ending(() => stops.forEach((stop) => stop())) };
    },
  };
  return { functions, endAll: () => Promise.allSettled([...ends].map((end) => end())) };
}

function answerFor(answer, { method, url, headers }, response) {
  for (const [name, value] of Object.entries(CROSS_ORIGIN)) response.setHeader(name, value);
  if (method === 'OPTIONS') return response.writeHead(204).end();
  const controls = ['writeHead', 'write', 'end', 'destroy'].map((name) => [name, (...args) => void response[name](...args)]);
  return answer({ method, url, headers }, Object.fromEntries(controls));
}

function greetingFor(greet) {
  return greet && ((send, number, socket) => greet((frame) => send(frame), number, { close: (code) => socket.close(code) }));
}
