/**
 * Types of `rowcast-client`: rows in Postgres as ordered, resumable live streams.
 * The guide is docs/CLIENT.md; what the server says is in docs/03_API_SPEC.md.
 */

/** The version of this client. */
export const VERSION: string;

/** Opens a connection. Returns at once; nothing is sent before the first consumer, table or request. */
export function connect(options?: ConnectOptions): Connection;

// ---- What is asked for ---------------------------------------------------------------------------------------------

export type Level = 'debug' | 'info' | 'warn' | 'error' | 'critical';

/** `<seq>.<tag>` as the server sends it, a bare seq, `earliest` or `latest`. */
export type Cursor = string;

/** All conditions that are given must hold. The public view takes `type`, `level` and `symbol` alone. */
export interface Filter {
  /** Exact types or `prefix.*`; a comma list or an array. */
  type?: string | readonly string[];
  /** A minimum. */
  level?: Level;
  symbol?: string;
  trade_id?: string;
  subject?: string;
}

/** A filter, and where to begin. Without `cursor` and `last`, `subscribe` goes on where the stream is. */
export interface Subscription extends Filter {
  cursor?: Cursor;
  /** Begins with the newest N events that match, 0 to 10000. Excludes `cursor`. */
  last?: number;
}

export type TransportName = 'websocket' | 'sse';

/** A token, or a function that is asked for one when it is needed: at first, before it expires, and once after a refusal. No token: the public view. */
export type TokenSource = string | null | (() => string | null | Promise<string | null>);

/** Where a cursor outlives the page or the process. */
export interface CursorStore {
  load(): Cursor | null | undefined | Promise<Cursor | null | undefined>;
  save(cursor: Cursor): void | Promise<void>;
}

export interface ConnectOptions extends Subscription {
  /** `http:`, `https:`, `ws:` or `wss:`. Default: the origin of the page. A path is a prefix of all routes. */
  url?: string | URL;
  token?: TokenSource;
  /** A key of `localStorage`, or a store. Its cursor goes before `cursor` and `last`. Without it the place is kept in memory. */
  resume?: string | CursorStore;
  /** Says where to go on when the place can no longer be resumed (trimmed, or another history). Default `fail`: the stream stops with the error. Tables take a new snapshot in any case. */
  onCursorExpired?: 'fail' | 'earliest' | 'latest';
  /** In order of preference. Default: `['websocket', 'sse']`, or `['sse']` where there is no WebSocket. */
  transports?: readonly TransportName[];
  /** A constructor as that of browsers, for Node before 22: that of the package `ws`. */
  WebSocket?: unknown;
  fetch?: typeof globalThis.fetch;
  /** Makes values of the JSON that the server sends: frames, rows and answers. Default: `JSON.parse`, which rounds numbers beyond 2^53. What it throws counts as a frame that was garbled. */
  parse?: (text: string) => unknown;
  /** How many events one iterator holds before reading stops. Default 1024. */
  bufferSize?: number;
  /** Milliseconds between two notifications of tables. Default: one animation frame in a page, 10 ms elsewhere. */
  batchMs?: number;
}

// ---- What comes ----------------------------------------------------------------------------------------------------

/** An event. In the public view there is no `subject` and no `trade_id`. */
export interface RowcastEvent<Payload = Record<string, unknown>> {
  readonly seq: number;
  readonly id: string;
  /** When the row was written, by the clock of the database (RFC 3339). */
  readonly at: string;
  readonly type: string;
  readonly level: Level;
  readonly symbol?: string;
  readonly trade_id?: string;
  readonly subject?: string;
  readonly payload: Payload;
}

/** The cursor with which a stream goes on behind this event. */
export function cursorOf(event: Pick<RowcastEvent, 'seq' | 'id'>): Cursor;

export type Status =
  /** Nobody asks for anything yet, or any more. */
  | 'idle'
  | 'connecting'
  /** Connected, and behind the head. */
  | 'catching_up'
  | 'live'
  /** Connected; something at the server holds the stream back, see `stalled`. */
  | 'stalled'
  /** The connection is lost; the next try is at `retryAt`. */
  | 'waiting'
  /** As `waiting`, and the browser says that there is no network. */
  | 'offline'
  /** Stopped by `error`, which does not heal by itself. `setToken`, `subscribe` or `retry` go on. */
  | 'failed'
  /** By `close()`. */
  | 'closed';

/** The reason why the stream is held back, as the server says it. Administrators alone get the last three. */
export interface Stalled {
  readonly since: string;
  readonly reason: 'transaction' | 'database';
  readonly pid?: number;
  readonly gid?: string;
  readonly application?: string;
}

/** A new object with each change; compare with `===`. Changes are told at most once per microtask, and not for each event. */
export interface ConnectionState {
  readonly status: Status;
  readonly transport: TransportName | null;
  /** As the server says; null before. */
  readonly view: 'private' | 'public' | null;
  /** The place of the stream when the state last changed. `connection.cursor` is exact. */
  readonly cursor: Cursor | null;
  /** The seq of the newest event at the last heartbeat; null over SSE. */
  readonly head: number | null;
  /** The time of the last ping and its answer; null over SSE. */
  readonly latencyMs: number | null;
  readonly stalled: Stalled | null;
  /** `Date.now()` of the next try. */
  readonly retryAt: number | null;
  /** The error that ended the last connection; null once it is back. */
  readonly error: RowcastError | null;
}

/** The place was lost. Events between `cursor` and the new beginning may be missing. */
export interface Gap {
  readonly code: 'cursor_expired' | 'cursor_invalid';
  /** The place that cannot be resumed. */
  readonly cursor: Cursor | null;
  /** The seq of the oldest event that is kept, with `cursor_expired`. */
  readonly oldest: number | null;
  /** Where the stream begins now. */
  readonly resumesFrom: 'earliest' | 'latest';
}

/** The events that came are not those that the server says to have sent. The stream is read again from the last place where both agreed. A missing event comes late, and none comes twice. */
export interface Mismatch {
  readonly reason: 'tally' | 'order' | 'frame';
  readonly expected: { readonly events: number; readonly check: number } | null;
  readonly received: { readonly events: number; readonly check: number };
  readonly resumesFrom: Cursor;
  /** False if more events than are remembered came since the two last agreed: then what was missing before `resumesFrom` stays missing. */
  readonly complete: boolean;
}

export interface ConnectionEvents {
  event: RowcastEvent;
  state: ConnectionState;
  /** The stream has come to the head. */
  live: { readonly cursor: Cursor };
  /** A subscription begins: after each connect and each `subscribe`. */
  subscribed: { readonly cursor: Cursor; readonly head: number | null; readonly oldest: number | null; readonly resumed: boolean };
  gap: Gap;
  mismatch: Mismatch;
  /** The token ends soon and no function was given to ask for the next: call `setToken`. */
  auth_expiring: { readonly at: string };
  /** The stream stopped, and does not go on by itself. */
  error: RowcastError;
}

export interface RequestOptions {
  method?: string;
  /** Sent as JSON, unless it is a string. */
  body?: unknown;
  query?: Readonly<Record<string, string | number | boolean | readonly string[] | null | undefined>>;
  headers?: Readonly<Record<string, string>>;
  idempotencyKey?: string;
  /** How often to try again after a lost connection, 408, 429 or 503. Default 2 where it is safe (GET, or with a key), else 0. */
  retries?: number;
  timeoutMs?: number;
  signal?: AbortSignal;
}

/** An event to append. */
export interface NewEvent {
  type: string;
  payload?: Record<string, unknown>;
  level?: Level;
  public_safe?: boolean;
  symbol?: string;
  trade_id?: string;
  subject?: string;
  owner?: string;
  /** Names the event for retries. Not together with an idempotency key. */
  dedupe_key?: string;
}

export interface Appended {
  readonly seq: number;
  readonly id: string;
}

export interface AppendOptions {
  /** Default: a new one for each call, so that retries store nothing twice. */
  idempotencyKey?: string;
  retries?: number;
  signal?: AbortSignal;
}

export interface Connection extends AsyncIterable<RowcastEvent> {
  readonly url: string;
  readonly state: ConnectionState;
  /** Everything up to here was handed to the consumers. */
  readonly cursor: Cursor | null;
  /** The present filter of the events. */
  readonly filter: Readonly<Filter>;

  /** Calls back from now on. Returns how to stop it. A first listener of `event` starts the stream. */
  on<Name extends keyof ConnectionEvents>(name: Name, listener: (value: ConnectionEvents[Name]) => void): () => void;
  off<Name extends keyof ConnectionEvents>(name: Name, listener: (value: ConnectionEvents[Name]) => void): void;

  /** The events from now on, in a bounded buffer of its own; several may run. `break` ends the iterator, not the connection. */
  [Symbol.asyncIterator](): AsyncIterableIterator<RowcastEvent>;

  /** Replaces filter and, if given, place, in the running session. Resolves once the new subscription has begun. */
  subscribe(subscription: Subscription): Promise<void>;

  /** Replaces the token. Null goes to the public view. The place is kept. */
  setToken(token: TokenSource): void;

  /** Tries at once, also after `failed`. */
  retry(): void;

  /** Resolves with the cursor once everything that was committed before the call was handed to the consumers of this connection, its tables included. */
  sync(options?: { timeoutMs?: number; signal?: AbortSignal }): Promise<Cursor>;

  append(event: NewEvent, options?: AppendOptions): Promise<Appended>;
  append(events: readonly NewEvent[], options?: AppendOptions): Promise<Appended[]>;

  /** Any other route, `/v1/trades` for example. Without a token `/v1/…` becomes `/public/v1/…`. Resolves with the JSON of the answer, rejects with a `RowcastError`. */
  request<Answer = unknown>(path: string, options?: RequestOptions): Promise<Answer>;

  /** A published table as it is and as it changes. The same name gives the same object until it is closed. */
  table<Row extends object = Record<string, unknown>>(name: string, options?: TableOptions): LiveTable<Row>;
  /** True while this table is followed. */
  hasTable(name: string): boolean;
  /** Several tables, from one snapshot of one moment. */
  tables(names: readonly string[], options?: Readonly<Record<string, TableOptions>>): TableGroup;

  /** Ends everything: iterators end, tables stay as they are, waiting calls reject with `ClosedError`. */
  close(): void;
}

// ---- Tables --------------------------------------------------------------------------------------------------------

/** How rows are named and removed, instead of what the server says of the table. */
export interface TableOptions {
  prefix?: string;
  key?: 'subject' | readonly string[];
  removes?: readonly string[];
}

export interface Column {
  readonly name: string;
  readonly type: string;
}

/** Names a row: the subject; the value of a key of one field; the JSON array of the values of several. */
export type RowKey = string | number | bigint | boolean | null;

export interface Inserted<Row> {
  readonly key: RowKey;
  readonly row: Row;
}

export interface Updated<Row> {
  readonly key: RowKey;
  readonly row: Row;
  readonly old: Row;
}

export interface Removed<Row> {
  readonly key: RowKey;
  readonly old: Row;
}

/** The changes since the last notification. A row is in one of the lists at most. */
export interface Batch<Row = Record<string, unknown>> {
  readonly table: string;
  readonly inserted: readonly Inserted<Row>[];
  readonly updated: readonly Updated<Row>[];
  readonly removed: readonly Removed<Row>[];
  /** A snapshot was taken or the table emptied; the lists still say how it differs from before. */
  readonly reset: boolean;
  /** The rows are as of here. */
  readonly cursor: Cursor | null;
}

/** A table as a read-only `Map`. Rows are plain objects that are replaced, never altered. */
export interface LiveTable<Row extends object = Record<string, unknown>> extends ReadonlyMap<RowKey, Row> {
  readonly name: string;
  /** Resolves with the table once its first snapshot is there. */
  readonly ready: Promise<LiveTable<Row>>;
  readonly isReady: boolean;
  /** Why there are no rows, or why they are not renewed: not published, not visible, not snapshottable. */
  readonly error: RowcastError | null;
  /** In the order of the table; empty before the table is ready. */
  readonly columns: readonly Column[];
  /** Grows with each batch. */
  readonly version: number;
  /** The rows as an array that stays the same object until the next batch. */
  rows(): readonly Row[];
  /** At most once per animation frame, for all that changed. Returns how to stop it. */
  onChange(listener: (batch: Batch<Row>) => void): () => void;
  onError(listener: (error: RowcastError) => void): () => void;
  /** Takes a new snapshot now, applied as differences. */
  refresh(): Promise<void>;
  close(): void;
}

export interface TableGroup extends Iterable<LiveTable> {
  readonly ready: Promise<TableGroup>;
  get<Row extends object = Record<string, unknown>>(name: string): LiveTable<Row> | undefined;
  /** One call for what changed in all of them, at most once per animation frame. */
  onChange(listener: (batches: readonly Batch[]) => void): () => void;
  close(): void;
}

// ---- Errors --------------------------------------------------------------------------------------------------------

export interface ErrorDetails {
  code?: string;
  status?: number | null;
  closeCode?: number | null;
  retryAfter?: number | null;
  requestId?: string | null;
  oldest?: number | null;
  index?: number | null;
  state?: unknown;
  cause?: unknown;
}

export class RowcastError extends Error {
  constructor(message: string, details?: ErrorDetails);
  /** The server's code (`rate_limited`), or `network`, `timeout`, `closed`, `mismatch`, `token` of the client's own. */
  readonly code: string;
  readonly status: number | null;
  readonly closeCode: number | null;
  /** Seconds. */
  readonly retryAfter: number | null;
  readonly requestId: string | null;
}
/** 400, 4400: the request makes no sense. */
export class BadRequestError extends RowcastError {}
/** 401, 4401: no token, or one that is not accepted, or its end. */
export class UnauthorizedError extends RowcastError {}
/** 403, 4403: the role may not do this, or the subject was revoked. */
export class ForbiddenError extends RowcastError {}
/** 404. */
export class NotFoundError extends RowcastError {}
/** 409. */
export class ConflictError extends RowcastError {
  /** The present state, where the server says it: that of a trade, or the version of a setting. */
  readonly state: unknown;
}
/** 413, 415, 422: the content is refused. */
export class InvalidError extends RowcastError {
  /** Which event of an append, from 0. */
  readonly index: number | null;
}
/** 410, 4410: retention has taken what comes next. */
export class CursorExpiredError extends RowcastError {
  readonly oldest: number | null;
}
/** `cursor_invalid`, 4411: ahead of the head, or of another history. */
export class CursorInvalidError extends RowcastError {}
/** 429, 4429. */
export class RateLimitedError extends RowcastError {}
/** 503 `stalled`, 4409: something holds the stream back. */
export class StalledError extends RowcastError {}
/** 5xx, 1011, 1012: the server cannot at this moment. */
export class UnavailableError extends RowcastError {}
/** No connection. A page of a foreign origin is told no more than this. */
export class NetworkError extends RowcastError {}
/** Nothing came in time. */
export class TimeoutError extends RowcastError {}
/** The bytes that came are not those that were sent. */
export class MismatchError extends RowcastError {}
/** The function that was asked for a token failed. */
export class TokenError extends RowcastError {}
/** `close()` was called. */
export class ClosedError extends RowcastError {}
