// The state of a stream, and that of a connection with two of them.

export const NEW_STATE = Object.freeze({
  status: 'idle', transport: null, view: null, cursor: null, head: null, latencyMs: null, stalled: null, retryAt: null, error: null,
});

const AT_REST = new Set(['idle', 'failed', 'closed']);
/** Of two streams, the state of the one that is worse off is the state of the connection. */
const BEST_FIRST = ['idle', 'live', 'catching_up', 'stalled', 'connecting', 'waiting', 'offline', 'failed', 'closed'];

export function isRunning({ status }) {
  return !AT_REST.has(status);
}

export function isWaiting({ status }) {
  return status === 'waiting' || status === 'offline';
}

export function mergedState(events, tables) {
  if (tables.status === 'idle') return events;
  if (events.status === 'idle') return tables;
  if (BEST_FIRST.indexOf(tables.status) <= BEST_FIRST.indexOf(events.status)) return events;
  const { status, stalled, retryAt, error } = tables;
  return Object.freeze({ ...events, status, stalled, retryAt, error });
}
