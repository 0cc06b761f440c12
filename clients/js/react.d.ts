/** React hooks on a connection of `rowcast-client`. React 18 or newer. At most one render per animation frame. */
import type { Batch, Connection, ConnectionState, LiveTable, RowcastError, RowcastEvent, RowKey, TableOptions } from './client.js';

export interface TableView<Row extends object> {
  /** Stays one array object until something changes. */
  readonly rows: readonly Row[];
  readonly ready: boolean;
  readonly error: RowcastError | null;
  /** The last change; null before the first one. */
  readonly batch: Batch<Row> | null;
  readonly table: LiveTable<Row> | null;
  get(key: RowKey): Row | undefined;
}

/** A live table. It is closed a moment after the last component that uses it is gone. A null connection or name gives no rows. */
export function useTable<Row extends object = Record<string, unknown>>(
  connection: Connection | null,
  name: string | null,
  options?: TableOptions,
): TableView<Row>;

export interface EventsOptions {
  /** How many of the newest are kept. Default 200, at most 10000. */
  limit?: number;
  /** Keeps only these. May be a new function with each render. */
  where?: (event: RowcastEvent) => boolean;
}

/** The newest events since the component is there, in order. Stays one array object until another event comes. */
export function useEvents(connection: Connection | null, options?: EventsOptions): readonly RowcastEvent[];

/** The state of a connection. */
export function useConnection(connection: Connection | null): ConnectionState;
