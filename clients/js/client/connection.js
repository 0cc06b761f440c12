// A connection as the caller has it: events, tables and requests under one address and one token.

import { selectionOf, filterOf, Endpoint } from './endpoint.js';
import { Credentials } from './credentials.js';
import { Emitter } from './emitter.js';
import { TimeoutError } from './errors.js';
import { Events } from './events.js';
import { Api, closedError } from './http.js';
import { mergedState } from './state.js';
import { Tables } from './tables.js';
import { Closing, limited } from './waits.js';
import { watchPage } from './wakeups.js';

/** How long a `sync` waits where nothing else is said. */
const SYNC_MS = 30_000;
export class Connection {
  #endpoint;
  #credentials;
  #emitter = new Emitter();
  #api;
  #events;
  #tables;
  #unwatch;
  #state = null;
  #isTelling = false;
  #closing = new Closing();

  constructor(options = {}) {
    const { token = null, transports, batchMs } = options;
    const parse = parserOf(options);
    this.#endpoint = new Endpoint(options.url);
    this.#credentials = new Credentials(token);
    const fetch = options.fetch ?? ((input, init) => globalThis.fetch(input, init));
    const [endpoint, credentials] = [this.#endpoint, this.#credentials];
    this.#api = new Api({ endpoint, credentials, fetch, closing: this.#closing, parse });
    const request = (path, asked) => this.#api.request(path, asked);
    const { WebSocket = globalThis.WebSocket } = options;
    const context = { endpoint, credentials, fetch, parse, WebSocket, transports, api: this.#api, request, closed: closedError };
    const onState = () => this.#stateChanged();
    const { resume, onCursorExpired, bufferSize } = options;
    const start = startOf(options) ?? {};
    this.#events = new Events(context, this.#emitter, { start, filter: filterOf(options), resume, onCursorExpired, bufferSize, onState });
    this.#tables = new Tables(context, this.#emitter, { batchMs, onState });
    this.#state = this.#events.stream.state;
    this.#unwatch = watchPage({
      onWake: () => {
        this.#events.stream.wake();
        this.#tables.wake();
      },
      onLeave: () => this.#events.save(),
    });
  }

  get url() {
    return this.#endpoint.base;
  }

  get state() {
    return this.#state;
  }

  get cursor() {
    return this.#events.cursor;
  }

  get filter() {
    return this.#events.stream.filter;
  }

  on(name, listener) {
    const before = this.#emitter.count('event');
    this.#emitter.on(name, listener);
    if (this.#emitter.count('event') > before) this.#events.listenerAdded();
    return () => this.off(name, listener);
  }

  off(name, listener) {
    const before = this.#emitter.count('event');
    this.#emitter.off(name, listener);
    if (this.#emitter.count('event') < before) this.#events.listenerRemoved();
  }

  [Symbol.asyncIterator]() {
    return this.#events.iterate();
  }

  async subscribe(subscription) {
    this.#mustBeOpen();
    await this.#events.subscribe({ start: startOf(subscription), filter: filterOf(subscription) });
  }

  setToken(token) {
    this.#mustBeOpen();
    this.#credentials.replace(token);
    this.retry();
  }

  retry() {
    this.#events.stream.retry();
    this.#tables.retry();
  }

  async sync({ timeoutMs = SYNC_MS, signal } = {}) {
    this.#mustBeOpen();
    const late = new TimeoutError(`Not in step within ${timeoutMs / 1000} s.`, { code: 'timeout' });
    return limited(this.#sync(), { timeoutMs, late, signals: [signal, this.#closing] });
  }

  append(events, options) {
    if (this.#closing.aborted) return Promise.reject(closedError());
    return this.#api.append(events, options);
  }

  request(path, options) {
    if (this.#closing.aborted) return Promise.reject(closedError());
    return this.#api.request(path, options);
  }

  table(name, options) {
    this.#mustBeOpen();
    return this.#tables.table(name, options);
  }

  hasTable(name) {
    return this.#tables.has(name);
  }

  tables(names, options) {
    this.#mustBeOpen();
    return this.#tables.group(names, options);
  }

  close() {
    if (this.#closing.aborted) return;
    this.#unwatch();
    const error = closedError();
    this.#tables.closeAll(error);
    this.#events.close(error);
    this.#closing.close(error);
  }

  async #sync() {
    const asked = [];
    if (this.#events.stream.isRunning) asked.push(this.#events.stream.sync());
    if (this.#tables.isUsed) asked.push(this.#tables.sync());
    const [cursor] = await Promise.all(asked);
    await this.#events.handedOut();
    // Nothing follows the stream: the server says how far it has come.
    return cursor ?? (await this.#api.request('/v1/events', { query: { cursor: 'latest', limit: 1, sync: true } })).cursor;
  }

  #mustBeOpen() {
    if (this.#closing.aborted) throw closedError();
  }

  /** Told once, after everything that belongs to a change has changed. */
  #stateChanged() {
    if (this.#events === undefined || this.#tables === undefined) return;
    this.#state = mergedState(this.#events.stream.state, this.#tables.state);
    if (this.#isTelling) return;
    this.#isTelling = true;
    queueMicrotask(() => {
      this.#isTelling = false;
      this.#emitter.emit('state', this.#state);
    });
  }
}

/** What makes values of the JSON of the server. */
function parserOf({ parse = JSON.parse }) {
  if (typeof parse !== 'function') throw new TypeError('parse must be a function');
  // The text alone: a second argument would be something else to JSON.parse.
  return (text) => parse(text);
}

/** Where a subscription shall begin; null if it does not say. */
function startOf(options) {
  const { cursor, last } = selectionOf(options);
  if (cursor !== undefined && last !== undefined) throw new TypeError('cursor and last exclude each other');
  if (cursor !== undefined) return { cursor };
  return last === undefined ? null : { last };
}
