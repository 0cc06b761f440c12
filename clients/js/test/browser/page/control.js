// The connection of a page with Node, which does what a page cannot: it starts and kills servers, asks psql, runs proxies.

import { Calls } from '../calls.js';

const socket = new WebSocket(`${location.origin.replace('http', 'ws')}/control${location.search}`);
const calls = new Calls((text) => socket.send(text));
socket.onmessage = ({ data }) => calls.take(data);
socket.onclose = () => calls.close();
const open = new Promise((resolve) => { socket.onopen = resolve; });

/** Calls a function of Node. In this order they are begun there. */
export function call(name, ...args) {
  return socket.readyState === WebSocket.OPEN ? calls.call(name, ...args) : open.then(() => calls.call(name, ...args));
}
