// Waits of the tests: for signals of a connection, with a deadline that names the signal that did not come.

import { connect } from '../../client.js';
import { WebSocket } from './websocket.js';

export { WebSocket };

const DEADLINE_MS = 40_000;

/** A connection that ends with the test. */
export function open(t, options) {
  const connection = connect({ WebSocket, ...options });
  t.after(() => connection.close());
  return connection;
}

/** Resolves with the first value of this event that fits. The waiter is there before this returns. */
export function next(connection, name, fits = () => true) {
  return within(new Promise((resolve) => {
    const off = connection.on(name, (value) => {
      if (!fits(value)) return;
      off();
      resolve(value);
    });
  }), `${name} did not come; the state is ${JSON.stringify(connection.state)}`, connection);
}

/** A browser that has seen many WebSockets fail within a moment lets the next ones wait for seconds. */
const IMPATIENT_MS = 40;

/** Waits hardly for the next try: for tests of what a loss does, where many follow each other. */
export function impatient(connection) {
  connection.on('state', ({ status: now }) => now === 'waiting' && setTimeout(() => connection.retry(), IMPATIENT_MS));
  return connection;
}

/** Resolves with the state once it is one of these, which it may be already. */
export function status(connection, ...wanted) {
  return wanted.includes(connection.state.status) ? Promise.resolve(connection.state) : next(connection, 'state', (state) => wanted.includes(state.status));
}

export function within(promise, what, connection) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(connection === undefined ? what : `${what}; at the end ${JSON.stringify(connection.state)}`)), DEADLINE_MS);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

/** Keeps each event of a connection as `seq.id`. */
export class Record {
  events = [];
  #waiting = [];

  constructor(connection) {
    this.connection = connection;
    connection.on('event', (event) => {
      this.events.push(event);
      this.#waiting = this.#waiting.filter(({ fits, resolve }) => !fits(this.events) || resolve());
    });
  }

  get seqs() {
    return this.events.map(({ seq }) => seq);
  }

  /** Resolves once the events fit. */
  until(fits, what) {
    if (fits(this.events)) return Promise.resolve();
    const promise = new Promise((resolve) => this.#waiting.push({ fits, resolve }));
    return within(promise, what ?? `events did not come; there are ${this.events.length}`, this.connection);
  }

  count(wanted) {
    return this.until((events) => events.length >= wanted, `${wanted} events did not come`);
  }
}
