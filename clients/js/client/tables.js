// The live tables of a connection: takes snapshots, follows the events of all tables over one stream, and tells what changed. Each
// table knows up to which seq it is, so that a table that comes later, with a snapshot of another moment, joins the others.

import { Backoff } from './backoff.js';
import { Batcher } from './batcher.js';
import { seqOf } from './cursor.js';
import { identityOf } from './credentials.js';
import { isPassing } from './errors.js';
import { TableRows } from './fold.js';
import { LiveTable } from './live_table.js';
import { BrokenOffError, readSnapshot } from './snapshot.js';
import { Stream } from './stream.js';
import { TableGroup } from './table_group.js';
import { pause } from './waits.js';

/** The server takes so many in one request. */
const TABLES_PER_SNAPSHOT = 16;
const MAX_TABLES = 64;
/** So many events are applied at once, without waiting for a frame. */
const MAX_PENDING = 10_000;
/** Rows that could be followed for so long after their snapshot were good: the pause before the next snapshot is short again. */
const STABLE_MS = 5_000;
/** A snapshot that breaks off so many times in a row is told: at the same row, or wherever it is. */
const BREAKS_AT_ONE_ROW = 3;
const MOST_BREAKS = 10;
/** Then the table is tried alone, after pauses that double. */
const LATER_MS = 5_000;
const MAX_LATER_MS = 60_000;

export class Tables {
  #context;
  #emitter;
  #onState;
  #stream;
  #batcher;
  #entries = new Map();
  #groups = new Set();
  /** The state while snapshots are taken and the stream does not run. */
  #loading = null;
  /** Ends the snapshots that are under way, when all are to be taken anew. */
  #reading = new AbortController();
  #loads = new Set();
  #recovery = new Backoff();
  #readAt = 0;
  /** Events that the rows do not show yet. */
  #pending = [];
  /** Of the last snapshot: where the rows are while the stream has no place. */
  #snapshotCursor = null;
  #unlisten;

  constructor(context, emitter, { batchMs, onState }) {
    this.#context = context;
    this.#emitter = emitter;
    this.#onState = onState;
    this.#batcher = new Batcher(() => this.flush(), batchMs);
    this.#stream = new Stream(context, this, { start: {}, filter: {} });
    this.#unlisten = context.credentials.onChange((change) => this.#tokenChanged(change));
  }

  get state() {
    return this.#stream.isRunning || this.#loading === null ? this.#stream.state : { ...this.#stream.state, ...this.#loading };
  }

  get isUsed() {
    return this.#entries.size > 0;
  }

  has(name) {
    return this.#entries.has(name);
  }

  table(name, options = {}) {
    return this.#add([name], { [name]: options })[0];
  }

  group(names, options = {}) {
    const group = new TableGroup(this.#add([...new Set(names)], options), () => this.#groups.delete(group));
    this.#groups.add(group);
    return group;
  }

  /** Resolves with the cursor once the tables hold everything that was committed before, and it was told. */
  async sync() {
    await Promise.all(this.#loads);
    const cursor = this.#stream.isRunning ? await this.#stream.sync() : this.#stream.place;
    this.flush();
    return cursor;
  }

  wake() {
    this.#stream.wake();
  }

  retry() {
    const broken = [...this.#entries.values()].filter(({ isBroken }) => isBroken);
    if (broken.length > 0) this.#load(broken);
    this.#stream.retry();
  }

  refresh(name) {
    const entry = this.#entries.get(name);
    return entry === undefined ? Promise.resolve() : this.#load([entry]);
  }

  close(name) {
    const entry = this.#entries.get(name);
    if (entry === undefined) return;
    this.#entries.delete(name);
    entry.table.end(this.#context.closed());
    if (this.#entries.size > 0) return;
    this.#interrupt();
    this.#stream.stop();
  }

  closeAll(error) {
    this.#unlisten();
    this.flush();
    this.#interrupt();
    this.#stream.close(error);
    for (const { table } of this.#entries.values()) table.end(error);
    this.#entries.clear();
    this.#groups.clear();
  }

  /** Applies what has come to the rows, and tells of it. Rows change here alone, so that all tables show one moment. */
  flush() {
    this.#batcher.stop();
    this.#applyPending();
    const batches = new Map();
    for (const [name, { rows }] of this.#entries) {
      const batch = rows.takeBatch(this.#stream.place ?? this.#snapshotCursor);
      if (batch !== null) batches.set(name, batch);
    }
    for (const [name, batch] of batches) this.#entries.get(name)?.table.notify(batch);
    if (batches.size > 0) for (const group of this.#groups) group.notify(batches);
  }

  #applyPending() {
    const pending = this.#pending;
    this.#pending = [];
    let isLate = false;
    for (const event of pending) {
      for (const entry of this.#entries.values()) {
        if (!entry.table.isReady || entry.isBroken || event.seq <= entry.seq) continue;
        // What one table cannot take must cost neither the others nor the events behind it.
        try {
          isLate = this.#apply(entry, event) || isLate;
        } catch (error) {
          this.#fail([entry], error);
        }
      }
    }
    if (isLate) this.#startOver();
  }

  /** True if the event comes too late: it was lost on its way and came when it was asked for again. A fold needs its events in order. */
  #apply(entry, event) {
    if (!entry.rows.covers(event.type)) return false;
    if (event.seq < entry.last) return true;
    entry.last = event.seq;
    entry.rows.apply(event);
    return false;
  }

  // ---- Snapshots ----

  #add(names, options) {
    const added = [];
    for (const name of names) {
      if (this.#entries.has(name)) continue;
      if (this.#entries.size >= MAX_TABLES) throw new RangeError(`a connection follows at most ${MAX_TABLES} tables`);
      const rows = new TableRows(name);
      const entry = { name, rows, given: options[name] ?? {}, seq: -1, last: -1, isBroken: false, table: new LiveTable(rows, this) };
      this.#entries.set(name, entry);
      added.push(entry);
    }
    if (added.length > 0) this.#load(added);
    return names.map((name) => this.#entries.get(name).table);
  }

  /** Takes snapshots of these, until it has them or cannot. */
  #load(entries) {
    for (const entry of entries) {
      entry.isBroken = false;
      entry.table.revive();
    }
    const { signal } = this.#reading;
    const loading = Promise.all(parts(entries).map((part) => this.#loadPart(part, signal))).then(() => {});
    this.#loads.add(loading);
    return loading.finally(() => {
      this.#loads.delete(loading);
      if (this.#loads.size === 0) this.#say(null);
    });
  }

  async #loadPart(entries, signal) {
    const [backoff, breaks] = [new Backoff(), []];
    for (;;) {
      const part = this.#stillThere(entries);
      if (part.length === 0 || signal.aborted) return undefined;
      try {
        if (!this.#stream.isRunning) this.#say({ status: 'connecting', retryAt: null });
        return this.#integrate(part, await this.#read(part, signal));
      } catch (error) {
        if (signal.aborted) return undefined;
        if (isStuck(breaks, error)) return part.length > 1 ? this.#loadEach(part, signal) : this.#giveUpForNow(part[0], error, signal);
        if (!isPassing(error)) return part.length > 1 ? this.#loadEach(part, signal) : this.#fail(part, error);
        const wait = backoff.next(error.retryAfter);
        this.#say({ status: 'waiting', retryAt: Date.now() + wait, error });
        await pause(wait, [signal]).catch(() => {});
      }
    }
  }

  #stillThere(entries) {
    return entries.filter((entry) => this.#entries.get(entry.name) === entry);
  }

  /** One of them cannot be read; the others can. */
  #loadEach(entries, signal) {
    return Promise.all(entries.map((entry) => this.#loadPart([entry], signal)));
  }

  /** Says that the snapshot of this table always breaks off, and tries again ever more seldom. Nobody who waits for the other tables waits for it. */
  async #giveUpForNow(entry, error, signal) {
    this.#fail([entry], error);
    if (!entry.isTriedLater) this.#tryLater(entry, signal);
  }

  async #tryLater(entry, signal) {
    entry.isTriedLater = true;
    const isWanted = () => !signal.aborted && entry.isBroken && this.#stillThere([entry]).length > 0;
    for (let wait = LATER_MS; isWanted(); wait = Math.min(MAX_LATER_MS, 2 * wait)) {
      try {
        await pause(wait, [signal]);
        const read = isWanted() ? await this.#read([entry], signal) : null;
        if (read === null || !isWanted()) break;
        entry.isBroken = false;
        entry.table.revive();
        this.#integrate([entry], read);
      } catch (error) {
        if (!signal.aborted && !isPassing(error) && this.#stillThere([entry]).length > 0) {
          this.#fail([entry], error);
          break;
        }
      }
    }
    entry.isTriedLater = false;
  }

  #read(entries, signal) {
    // Into rows of their own: what there is stays until the whole snapshot is there.
    const tables = entries.map(({ name }) => new TableRows(name));
    const given = (name) => this.#entries.get(name)?.given ?? {};
    return readSnapshot({ api: this.#context.api, tables, given, signal }).then((read) => ({ ...read, tables }));
  }

  #integrate(asked, { cursor, rows, tables }) {
    const entries = this.#stillThere(asked);
    if (entries.length === 0) return;
    this.#applyPending();
    const seq = seqOf(cursor) ?? 0;
    const place = seqOf(this.#stream.position);
    this.#snapshotCursor = cursor;
    this.#readAt = performance.now();
    // The others have had everything up to the place, and do not get it again if the stream goes back to this snapshot.
    for (const entry of this.#entries.values()) entry.seq = Math.max(entry.seq, place ?? -1);
    for (const entry of entries) {
      entry.rows.define(tables.find(({ name }) => name === entry.name).definition);
      entry.rows.replace(rows.get(entry.name));
      entry.seq = entry.last = seq;
      entry.table.settle();
    }
    this.#follow(place === null || seq < place ? { cursor } : null);
    this.flush();
  }

  /** Follows the events of all tables, from here or from where the stream is. */
  #follow(start) {
    const prefixes = [...this.#entries.values()].filter(({ rows }) => rows.definition !== null).map(({ rows }) => `${rows.definition.prefix}.*`);
    const filter = Object.freeze({ type: [...new Set(prefixes)].sort().join(',') });
    if (start === null && filter.type === this.#stream.filter.type && this.#stream.isRunning) return;
    this.#stream.subscribe({ start, filter }).catch(() => {});
    this.#stream.start();
  }

  /** The stream is of no use any more: all rows are read anew, and told as differences. */
  #startOver() {
    this.#interrupt();
    this.#applyPending();
    this.#stream.stop();
    this.#stream.moveTo({});
    for (const entry of this.#entries.values()) entry.seq = -1;
    const { signal } = this.#reading;
    const wait = this.#recovery.next();
    const waited = pause(wait, [signal]).then(() => this.#load([...this.#entries.values()]), () => {});
    this.#loads.add(waited);
    waited.finally(() => this.#loads.delete(waited));
  }

  #interrupt() {
    this.#reading.abort();
    this.#reading = new AbortController();
  }

  #fail([entry], error) {
    entry.rows.clear();
    entry.isBroken = true;
    entry.table.fail(error);
    this.#batcher.plan();
    this.#emitter.emit('error', error);
  }

  #say(loading) {
    this.#loading = loading;
    this.#onState();
  }

  #tokenChanged({ token, before }) {
    // Somebody else may see other rows. A token that was only renewed shows the same.
    if (before !== undefined && identityOf(before) !== identityOf(token) && this.isUsed) this.#startOver();
  }

  // ---- The sink of the stream ----

  accept(event) {
    this.#pending.push(event);
    if (this.#pending.length >= MAX_PENDING) this.flush();
    else this.#batcher.plan();
  }

  isFull() {
    return false;
  }

  whenRoom() {
    return Promise.resolve();
  }

  moved() {
    if (performance.now() - this.#readAt > STABLE_MS) this.#recovery.reset();
  }

  subscribed() {
    for (const { table, isBroken } of this.#entries.values()) if (table.isReady && !isBroken) table.settle();
  }

  live() {}

  mismatch(report) {
    this.#emitter.emit('mismatch', report);
    this.#startOver();
  }

  placeLost() {
    this.#startOver();
    return null;
  }

  authExpiring(frame) {
    this.#emitter.emit('auth_expiring', frame);
  }

  failed(error) {
    for (const { table } of this.#entries.values()) table.fail(error);
    this.#emitter.emit('error', error);
  }

  stateChanged() {
    this.#onState();
  }
}

/** Adds this error to the breaks of one snapshot. True if they are so many that another try at once is of no use. */
function isStuck(breaks, error) {
  if (!(error instanceof BrokenOffError)) return false;
  breaks.push(error.rowsRead);
  const last = breaks.slice(-BREAKS_AT_ONE_ROW);
  return breaks.length >= MOST_BREAKS || (last.length === BREAKS_AT_ONE_ROW && last.every((rows) => rows === last[0]));
}

/** As many snapshots as it takes. */
function parts(entries) {
  const all = [];
  for (let at = 0; at < entries.length; at += TABLES_PER_SNAPSHOT) all.push(entries.slice(at, at + TABLES_PER_SNAPSHOT));
  return all;
}
