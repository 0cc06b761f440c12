// The rows of one table: a snapshot and the events behind it, folded as docs/LIVE_TABLES.md says, and what changed since it was last
// asked. No socket and no clock.

import { InvalidError } from './errors.js';

/** A page cannot hold more rows than this. */
const MAX_ROWS = 1_000_000;

/** Throws if a table that has so many rows cannot take one more. */
export function mustHaveRoom(name, size) {
  if (size >= MAX_ROWS) throw new InvalidError(`${name} has more than ${MAX_ROWS} rows.`, { code: 'too_many_rows' });
}

export class TableRows {
  #definition = null;
  #rows = new Map();
  /** The row before the first change of this batch, undefined if there was none, by key. */
  #before = new Map();
  #isReset = false;

  constructor(name) {
    this.name = name;
  }

  get all() {
    return this.#rows;
  }

  get definition() {
    return this.#definition;
  }

  /** `{prefix, key, removes, columns}` as `GET /v1/tables` says. */
  define(definition) {
    this.#definition = definition;
  }

  /** True if an event of this type belongs to the table: its prefix and one more word. */
  covers(type) {
    const { prefix } = this.#definition;
    return type.startsWith(prefix) && type[prefix.length] === '.' && !type.includes('.', prefix.length + 1);
  }

  apply(event) {
    const { prefix, removes } = this.#definition;
    if (event.type === `${prefix}.truncated`) return this.clear();
    const key = this.keyOf(event);
    if (removes.includes(event.type)) this.#remove(key);
    else this.#set(key, event.payload);
  }

  /** The rows of a newer snapshot. What is the same stays the same object. */
  replace(rows) {
    this.#isReset = true;
    for (const key of [...this.#rows.keys()]) if (!rows.has(key)) this.#remove(key);
    for (const [key, row] of rows) this.#set(key, row);
  }

  clear() {
    this.#isReset = true;
    for (const key of [...this.#rows.keys()]) this.#remove(key);
  }

  /** The key of the row of an event, or of a line of a snapshot. */
  keyOf({ subject, payload }) {
    const { key } = this.#definition;
    const name = key === 'subject' ? subject : key.length === 1 ? plain(payload[key[0]]) : textOf(key.map((field) => payload[field]));
    if (name !== undefined) return name;
    const lacks = key === 'subject' ? 'its subject' : key[0];
    throw new InvalidError(`A row of ${this.name} lacks ${lacks}, which names it: give its key as an option.`, { code: 'bad_key' });
  }

  /** The changes since the last call, or null. */
  takeBatch(cursor) {
    if (!this.#isReset && this.#before.size === 0) return null;
    const [inserted, updated, removed] = [[], [], []];
    for (const [key, old] of this.#before) {
      const row = this.#rows.get(key);
      if (row === old) continue;
      if (old === undefined) inserted.push({ key, row });
      else if (row === undefined) removed.push({ key, old });
      else updated.push({ key, row, old });
    }
    const batch = Object.freeze({ table: this.name, inserted, updated, removed, reset: this.#isReset, cursor });
    this.#before = new Map();
    this.#isReset = false;
    return batch.reset || inserted.length + updated.length + removed.length > 0 ? batch : null;
  }

  #set(key, row) {
    const old = this.#rows.get(key);
    if (old !== undefined && isEqual(old, row)) return;
    if (old === undefined) mustHaveRoom(this.name, this.#rows.size);
    if (!this.#before.has(key)) this.#before.set(key, old);
    this.#rows.set(key, row);
  }

  #remove(key) {
    const old = this.#rows.get(key);
    if (old === undefined) return;
    if (!this.#before.has(key)) this.#before.set(key, old);
    this.#rows.delete(key);
  }
}

/** A value that a `Map` finds again; objects and arrays by their text. */
function plain(value) {
  return value !== null && typeof value === 'object' ? textOf(value) : value;
}

/** JSON, also of a BigInt, which an application's own `parse` may make. */
function textOf(value) {
  return JSON.stringify(value, (_, one) => (typeof one === 'bigint' ? String(one) : one));
}

/** Of two values of JSON. */
function isEqual(a, b) {
  if (a === b) return true;
  if (a === null || b === null || typeof a !== 'object' || typeof b !== 'object' || Array.isArray(a) !== Array.isArray(b)) return false;
  const [left, right] = [Object.keys(a), Object.keys(b)];
  return left.length === right.length && left.every((name) => Object.hasOwn(b, name) && isEqual(a[name], b[name]));
}
