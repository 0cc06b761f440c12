// Reads the rows of tables as of one moment, and what the tables are.

import { InvalidError, NetworkError, TimeoutError } from './errors.js';
import { mustHaveRoom } from './fold.js';

/** A snapshot of which nothing came for so long is given up. Before its first byte the server may wait 10 s for writers. */
const SILENCE_MS = 30_000;
/** A row is an event's payload, at most 256 KiB, with its table and subject. */
const MAX_LINE_CHARS = 4 * 1024 * 1024;
/** The key of a table that is not listed, which the snapshot then refuses. */
const USUAL_KEY = Object.freeze(['id']);

/** Reads `tables` (instances of TableRows, which it defines): resolves with `{cursor, rows}`, a map of rows for each table by name. */
export async function readSnapshot({ api, tables, given, signal }) {
  const names = tables.map(({ name }) => name);
  const { tables: definitions } = await api.request('/v1/tables', { signal });
  for (const table of tables) {
    const found = definitions.find(({ table: name }) => name === table.name) ?? {};
    // One that is not listed, or cannot be read, is refused by the snapshot, which says why.
    table.define({ columns: [], ...usual(table.name), ...given(table.name), ...defined(found) });
  }
  const rows = new Map(names.map((name) => [name, new Map()]));
  const byName = new Map(tables.map((table) => [table.name, table]));
  const cursor = await readLines({ api, names, signal }, (row) => put(byName.get(row.table), rows.get(row.table), row));
  return { cursor, rows };
}

function put(table, rows, row) {
  if (table === undefined) throw new InvalidError(`The snapshot has rows of ${row.table}, which was not asked for.`, { code: 'bad_frame' });
  const key = table.keyOf(row);
  if (rows.has(key)) {
    throw new InvalidError(`Two rows of ${table.name} have the key ${key}: give what names its rows as the option key.`, { code: 'bad_key' });
  }
  mustHaveRoom(table.name, rows.size);
  rows.set(key, row.payload);
}

/** A snapshot that ended before its last line. Another try may end at the same row. */
export class BrokenOffError extends NetworkError {
  constructor(rowsRead, cause) {
    super('The snapshot broke off.', { code: 'network', cause });
    this.name = 'NetworkError';
    this.rowsRead = rowsRead;
  }
}

/** Reads lines until the one that says that the snapshot is complete; resolves with its cursor. */
async function readLines({ api, names, signal }, onRow) {
  const silence = watchSilence(signal);
  let rowsRead = 0;
  try {
    const headers = { accept: 'application/x-ndjson' };
    const answer = await api.open('/v1/snapshot', { query: { table: names }, headers, signal: silence.signal });
    const [reader, decoder] = [answer.body.getReader(), new TextDecoder()];
    let rest = '';
    for (;;) {
      const { done, value } = await reader.read();
      silence.heard();
      const lines = (rest + (done ? '' : decoder.decode(value, { stream: true }))).split('\n');
      rest = lines.pop();
      if (rest.length > MAX_LINE_CHARS) throw new RangeError('a row of the snapshot is too long');
      for (const line of lines) {
        if (line === '') continue;
        const row = api.parse(line);
        if (row.cursor !== undefined && row.table === undefined) return row.cursor;
        onRow(row);
        rowsRead += 1;
      }
      if (done) throw new BrokenOffError(rowsRead);
    }
  } catch (error) {
    if (silence.signal.aborted) throw silence.signal.reason;
    // A body that breaks off makes the platform throw a TypeError, and leaves JSON that was cut.
    const brokeOff = error instanceof TypeError || error instanceof SyntaxError;
    throw brokeOff ? new BrokenOffError(rowsRead, error) : error;
  } finally {
    silence.stop();
  }
}

/** A signal that aborts after a silence, or with another one. */
function watchSilence(signal) {
  const controller = new AbortController();
  const follow = () => controller.abort(signal.reason);
  signal.addEventListener('abort', follow);
  if (signal.aborted) follow();
  let timer = null;
  const heard = () => {
    clearTimeout(timer);
    timer = setTimeout(() => controller.abort(new TimeoutError('The snapshot came to a halt.', { code: 'timeout' })), SILENCE_MS);
  };
  heard();
  const stop = () => {
    clearTimeout(timer);
    signal.removeEventListener('abort', follow);
    // Lets go of an answer that was not read to its end.
    controller.abort();
  };
  return { signal: controller.signal, heard, stop };
}

function usual(prefix) {
  return { prefix, key: USUAL_KEY, removes: [`${prefix}.deleted`, `${prefix}.removed`] };
}

/** Without the fields that are null: a table that cannot be read has no key. */
function defined({ prefix, key, removes, columns }) {
  return Object.fromEntries(Object.entries({ prefix, key, removes, columns }).filter(([, value]) => value !== undefined && value !== null));
}
