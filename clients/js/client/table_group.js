// Several tables that are told of together.

import { Emitter } from './emitter.js';

export class TableGroup {
  #tables;
  #emitter = new Emitter();
  #onClose;

  constructor(tables, onClose) {
    this.#tables = new Map(tables.map((table) => [table.name, table]));
    this.#onClose = onClose;
  }

  get ready() {
    return Promise.all([...this].map(({ ready }) => ready)).then(() => this);
  }

  get(name) {
    return this.#tables.get(name);
  }

  [Symbol.iterator]() {
    return this.#tables.values();
  }

  onChange(listener) {
    return this.#emitter.on('change', listener);
  }

  close() {
    this.#onClose();
    this.#emitter.clear();
    for (const table of this) table.close();
  }

  // ---- For the owner ----

  /** `batches`: what changed, by the name of the table. */
  notify(batches) {
    const own = [...batches.values()].filter(({ table }) => this.#tables.has(table));
    if (own.length > 0) this.#emitter.emit('change', own);
  }
}
