// A program that uses every export with its types. `tsc --strict` must accept it, and refuse what is marked.

import {
  BadRequestError, ClosedError, ConflictError, CursorExpiredError, CursorInvalidError, ForbiddenError, InvalidError, MismatchError,
  NetworkError, NotFoundError, RateLimitedError, RowcastError, StalledError, TimeoutError, TokenError, UnauthorizedError,
  UnavailableError, VERSION, connect, cursorOf,
} from 'rowcast-client';
import type {
  Appended, AppendOptions, Batch, Column, Connection, ConnectionEvents, ConnectionState, ConnectOptions, Cursor, CursorStore, ErrorDetails,
  Filter, Gap, Inserted, Level, LiveTable, Mismatch, NewEvent, Removed, RequestOptions, RowcastEvent, RowKey, Stalled, Status, Subscription,
  TableGroup, TableOptions, TokenSource, TransportName, Updated,
} from 'rowcast-client';
import { useConnection, useEvents, useTable } from 'rowcast-client/react';
import type { EventsOptions, TableView } from 'rowcast-client/react';

interface Order {
  id: string;
  status: string;
}

const store: CursorStore = { load: async () => null, save: (cursor: Cursor) => void cursor };
const source: TokenSource = async () => 'token';
const transports: readonly TransportName[] = ['sse', 'websocket'];
const level: Level = 'warn';
const filter: Filter = { type: ['trade.*', 'note.added'], level, symbol: 'BTC-USD' };
const options: ConnectOptions = {
  ...filter, url: new URL('https://db.example'), token: source, resume: store, onCursorExpired: 'latest', transports, WebSocket: class {}, bufferSize: 10,
  batchMs: 5, fetch: globalThis.fetch, last: 10, parse: (text: string): unknown => JSON.parse(text),
};
const connection: Connection = connect(options);
const off: () => void = connection.on('event', (event: RowcastEvent) => console.log(cursorOf(event), event.payload['text'], VERSION));
connection.on('state', ({ status, transport, stalled, retryAt, latencyMs }: ConnectionState) => {
  const said: Status = status;
  const held: Stalled | null = stalled;
  console.log(said, transport, held?.reason, retryAt?.toFixed(), latencyMs?.toFixed());
});
connection.on('gap', ({ oldest, resumesFrom }: Gap) => console.log(oldest?.toFixed(), resumesFrom));
connection.on('mismatch', ({ expected, received }: Mismatch) => console.log(expected?.check, received.events));
connection.on('auth_expiring', ({ at }: ConnectionEvents['auth_expiring']) => connection.setToken(at));
connection.on('subscribed', ({ head, resumed }) => console.log(head, resumed));
connection.on('live', ({ cursor }) => console.log(cursor));
connection.on('error', (error: RowcastError) => console.log(error.code, error.status, error.closeCode, error.retryAfter, error.requestId));
off();
// @ts-expect-error there is no such event
connection.on('evnt', () => {});
// @ts-expect-error a filter has no such condition
connect({ typ: 'a.b' });

export async function use(): Promise<void> {
  const wanted: Subscription = { type: 'a.b', cursor: 'earliest' };
  await connection.subscribe(wanted);
  for await (const { seq, payload } of connection) console.log(seq + 1, payload);
  const news: NewEvent = { type: 'note.added', payload: { text: 'hello' }, level: 'info' };
  const how: AppendOptions = { idempotencyKey: 'one', retries: 3 };
  const one: Appended = await connection.append(news, how);
  const many: Appended[] = await connection.append([news, news]);
  const asked: RequestOptions = { method: 'POST', body: { symbol: 'BTC-USD' }, query: { limit: 3, table: ['a', 'b'] } };
  const trades = await connection.request<{ items: Order[] }>('/v1/trades', asked);
  console.log(one.seq, many.length, trades.items[0]?.status, await connection.sync({ timeoutMs: 100 }));
  const tableOptions: TableOptions = { key: ['id'], prefix: 'shop.orders' };
  const orders: LiveTable<Order> = await connection.table<Order>('shop.orders', tableOptions).ready;
  const map: ReadonlyMap<RowKey, Order> = orders;
  const columns: readonly Column[] = orders.columns;
  console.log(map.size, columns[0]?.name, orders.rows()[0]?.status, orders.version, orders.error?.code, connection.hasTable('x'));
  // @ts-expect-error rows are read-only
  orders.set('1', { id: '1', status: 'x' });
  orders.onChange(({ inserted, updated, removed, reset, cursor }: Batch<Order>) => {
    const came: Inserted<Order> | undefined = inserted[0];
    const changed: Updated<Order> | undefined = updated[0];
    const went: Removed<Order> | undefined = removed[0];
    console.log(came?.row.status, changed?.old.status, changed?.row.id, went?.old.id, reset, cursor);
  });
  orders.onError((error) => console.log(error.message));
  await orders.refresh();
  const group: TableGroup = await connection.tables(['shop.orders', 'shop.items']).ready;
  for (const table of group) console.log(table.name, group.get<Order>(table.name)?.get('1')?.status);
  group.onChange((batches) => console.log(batches.map(({ table }) => table)));
  group.close();
  connection.retry();
  connection.close();
}

export function describe(error: unknown): string {
  if (error instanceof ConflictError) return String(error.state);
  if (error instanceof InvalidError) return String(error.index);
  if (error instanceof CursorExpiredError) return String(error.oldest);
  const kinds = [BadRequestError, ClosedError, CursorInvalidError, ForbiddenError, MismatchError, NetworkError, NotFoundError, RateLimitedError,
    StalledError, TimeoutError, TokenError, UnauthorizedError, UnavailableError];
  const details: ErrorDetails = { code: 'own', status: 418 };
  return kinds.find((kind) => error instanceof kind)?.name ?? new RowcastError('none', details).message;
}

export function useAll(): string {
  const { rows, ready, get, batch, error, table }: TableView<Order> = useTable<Order>(connection, 'shop.orders');
  const kept: EventsOptions = { limit: 10, where: ({ type }) => type === 'a.b' };
  const events: readonly RowcastEvent[] = useEvents(connection, kept);
  const { status }: ConnectionState = useConnection(connection);
  return `${rows.length} ${ready} ${get('1')?.status} ${batch?.updated.length} ${error?.code} ${table?.name} ${events.length} ${status}`;
}
