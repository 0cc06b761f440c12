// Calls in both directions over one WebSocket, between a page and Node. The frames are `{id, call, args}`, answered by `{id, value}` or
// `{id, error}`. What one side sends is handled by the other in this order.

import { decode, encode } from './codec.js';

export class Calls {
  #send;
  #functions = new Map();
  #waiting = new Map();
  #lastId = 0;
  #isClosed = false;

  /** `send(text)` sends a frame; `named` are the functions that the other side may call by name. */
  constructor(send, named = {}) {
    this.#send = send;
    for (const [name, fn] of Object.entries(named)) this.#functions.set(name, fn);
  }

  /** Calls a function of the other side, by its name or number. */
  call(name, ...args) {
    if (this.#isClosed) return Promise.reject(new Error('the other side has gone'));
    this.#lastId += 1;
    const id = this.#lastId;
    const answered = new Promise((resolve, reject) => this.#waiting.set(id, { resolve, reject }));
    // Many calls are made for what they do: the failure of one that nobody waits for is no failure of the test.
    answered.catch(() => {});
    this.#write({ id, call: name, args });
    return answered;
  }

  async take(text) {
    const { id, call, args, value, error } = this.#decode(JSON.parse(text));
    if (call !== undefined) return this.#answer(id, call, args);
    const waiting = this.#waiting.get(id);
    this.#waiting.delete(id);
    if (error === undefined) waiting?.resolve(value);
    else waiting?.reject(Object.assign(new Error(error.message), error));
    return undefined;
  }

  /** The other side is gone: whoever waits for it is told. */
  close() {
    this.#isClosed = true;
    for (const { reject } of this.#waiting.values()) reject(new Error('the other side has gone'));
    this.#waiting.clear();
    this.#functions.clear();
  }

  async #answer(id, name, args) {
    try {
      const fn = this.#functions.get(name);
      if (fn === undefined) throw new Error(`there is no function ${name} to call`);
      this.#write({ id, value: await fn(...args) });
    } catch (error) {
      this.#write({ id, error: { name: error.name, message: error.message, code: error.code, stack: error.stack } });
    }
  }

  #write(frame) {
    if (!this.#isClosed) this.#send(JSON.stringify(encode(frame, (fn) => this.#keep(fn))));
  }

  #decode(value) {
    return decode(value, (number) => (...args) => this.call(number, ...args));
  }

  #keep(fn) {
    const number = this.#functions.size;
    this.#functions.set(number, fn);
    return number;
  }
}
