// React hooks on a connection: no component renders more often than once per animation frame, however much comes.
// For React 18 or newer. Guide: docs/CLIENT.md.

import { useCallback, useEffect, useMemo, useRef, useSyncExternalStore } from 'react';

/** A table whose last component is gone is closed after this: a page that is rebuilt often uses it again at once. */
const LINGER_MS = 2_000;
const KEPT_EVENTS = 200;
const MAX_KEPT_EVENTS = 10_000;
/** A page that is hidden has no frames; it renders after this. */
const HIDDEN_MS = 250;
const TIMER_MS = 10;

const NO_ROWS = Object.freeze([]);
const NO_TABLE = Object.freeze({ rows: NO_ROWS, ready: false, error: null, batch: null, table: null, get: () => undefined });
const NO_STATE = Object.freeze({
  status: 'idle', transport: null, view: null, cursor: null, head: null, latencyMs: null, stalled: null, retryAt: null, error: null,
});
const nothing = () => () => {};

/** The tables in use, by connection and name: components share them. */
const inUse = new WeakMap();

export function useTable(connection, name, options) {
  const wanted = useRef(options);
  wanted.current = options;
  const use = useMemo(() => (connection === null || name === null ? null : tableUse(connection, name)), [connection, name]);
  const subscribe = useCallback((notify) => (use === null ? () => {} : use.subscribe(notify, wanted.current)), [use]);
  const snapshot = () => (use === null ? NO_TABLE : use.view);
  return useSyncExternalStore(subscribe, snapshot, () => NO_TABLE);
}

export function useEvents(connection, { limit = KEPT_EVENTS, where } = {}) {
  const condition = useRef(where);
  useEffect(() => { condition.current = where; });
  const kept = Math.min(MAX_KEPT_EVENTS, Math.max(1, limit));
  const store = useMemo(() => (connection === null ? null : newestEvents(connection, kept, condition)), [connection, kept]);
  return useSyncExternalStore(store?.subscribe ?? nothing, store?.snapshot ?? (() => NO_ROWS), () => NO_ROWS);
}

export function useConnection(connection) {
  const subscribe = useCallback((notify) => (connection === null ? () => {} : connection.on('state', notify)), [connection]);
  return useSyncExternalStore(subscribe, () => (connection === null ? NO_STATE : connection.state), () => NO_STATE);
}

function tableUse(connection, name) {
  const uses = inUse.get(connection) ?? new Map();
  inUse.set(connection, uses);
  if (!uses.has(name)) uses.set(name, new TableUse(connection, name));
  return uses.get(name);
}

/** A table while components use it. */
class TableUse {
  view = NO_TABLE;
  #connection;
  #name;
  #table = null;
  #isOwn = false;
  #offs = [];
  #listeners = new Set();
  #linger = null;

  constructor(connection, name) {
    this.#connection = connection;
    this.#name = name;
  }

  subscribe(notify, options) {
    clearTimeout(this.#linger);
    this.#listeners.add(notify);
    if (this.#table === null) this.#open(options);
    return () => {
      this.#listeners.delete(notify);
      if (this.#listeners.size > 0) return;
      this.#linger = setTimeout(() => this.#close(), LINGER_MS);
      this.#linger.unref?.();
    };
  }

  #open(options) {
    let table;
    try {
      // A table that the application follows by itself is not closed with the last component.
      this.#isOwn = !this.#connection.hasTable(this.#name);
      table = this.#connection.table(this.#name, options);
    } catch (error) {
      this.view = Object.freeze({ ...NO_TABLE, error });
      return;
    }
    this.#table = table;
    const show = (batch) => {
      if (this.#table !== table) return;
      this.view = Object.freeze({
        rows: table.rows(), ready: table.isReady, error: table.error, batch: batch ?? this.view.batch, table, get: (key) => table.get(key),
      });
      for (const notify of [...this.#listeners]) notify();
    };
    this.#offs = [table.onChange(show), table.onError(() => show())];
    // An empty table has no change that would tell of it.
    table.ready.then(() => show(), () => show());
    show();
  }

  #close() {
    for (const off of this.#offs.splice(0)) off();
    if (this.#isOwn) this.#table?.close();
    this.#table = null;
    this.view = NO_TABLE;
  }
}

/** The newest events of a connection, as an array that is replaced once per frame. */
function newestEvents(connection, limit, condition) {
  let events = NO_ROWS;
  let waiting = [];
  const snapshot = () => events;
  const subscribe = (notify) => {
    const show = once(() => {
      events = Object.freeze([...events, ...waiting].slice(-limit));
      waiting = [];
      notify();
    });
    const off = connection.on('event', (event) => {
      if (condition.current !== undefined && !condition.current(event)) return;
      waiting.push(event);
      // Between two frames no more than is kept has to be remembered.
      if (waiting.length >= 2 * limit) waiting = waiting.slice(-limit);
      show.plan();
    });
    return () => {
      off();
      show.stop();
    };
  };
  return { subscribe, snapshot };
}

/** Runs `act` once for any number of plans: with the next frame, or after a moment where there are none. */
function once(act) {
  let frame = null;
  let timer = null;
  const stop = () => {
    if (frame !== null) cancelAnimationFrame(frame);
    clearTimeout(timer);
    frame = timer = null;
  };
  const run = () => {
    stop();
    act();
  };
  const plan = () => {
    if (timer !== null) return;
    const hasFrames = typeof requestAnimationFrame === 'function';
    if (hasFrames) frame = requestAnimationFrame(run);
    timer = setTimeout(run, hasFrames ? HIDDEN_MS : TIMER_MS);
  };
  return { plan, stop };
}
