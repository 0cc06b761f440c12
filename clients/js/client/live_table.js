// A live table as the caller has it: a read-only `Map` with notifications. The rows behind it are in fold.js.

import { Emitter } from './emitter.js';
import { deferred } from './syncs.js';

export class LiveTable {
  #rows;
  #owner;
  #emitter = new Emitter();
  #ready = deferred();
  #isReady = false;
  #error = null;
  #version = 0;
  #list = null;

  /** `owner`: `refresh(table)` and `close(table)`. */
  constructor(rows, owner) {
    this.#rows = rows;
    this.#owner = owner;
  }

  get name() {
    return this.#rows.name;
  }

  get ready() {
    return this.#ready.promise;
  }

  get isReady() {
    return this.#isReady;
  }

  get error() {
    return this.#error;
  }

  get columns() {
    return this.#rows.definition?.columns ?? [];
  }

  get version() {
    return this.#version;
  }

  get size() {
    return this.#rows.all.size;
  }

  get(key) {
    return this.#rows.all.get(key);
  }

  has(key) {
    return this.#rows.all.has(key);
  }

  keys() {
    return this.#rows.all.keys();
  }

  values() {
    return this.#rows.all.values();
  }

  entries() {
    return this.#rows.all.entries();
  }

  [Symbol.iterator]() {
    return this.#rows.all.entries();
  }

  forEach(callback, self) {
    for (const [key, row] of this.#rows.all) callback.call(self, row, key, this);
  }

  rows() {
    this.#list ??= [...this.#rows.all.values()];
    return this.#list;
  }

  onChange(listener) {
    return this.#emitter.on('change', listener);
  }

  onError(listener) {
    return this.#emitter.on('error', listener);
  }

  refresh() {
    return this.#owner.refresh(this.name);
  }

  close() {
    this.#owner.close(this.name);
  }

  // ---- For the owner ----

  /** The first snapshot is there, or the table is well again. */
  settle() {
    this.#error = null;
    if (this.#isReady) return;
    this.#isReady = true;
    this.#ready.resolve(this);
  }

  fail(error) {
    this.#error = error;
    if (!this.#isReady) this.#ready.reject(error);
    this.#emitter.emit('error', error);
  }

  /** After a failure another snapshot is tried. */
  revive() {
    if (this.#error === null) return;
    this.#error = null;
    if (!this.#isReady) this.#ready = deferred();
  }

  notify(batch) {
    this.#version += 1;
    this.#list = null;
    this.#emitter.emit('change', batch);
  }

  end(error) {
    if (!this.#isReady) this.#ready.reject(error);
    this.#emitter.clear();
  }
}
