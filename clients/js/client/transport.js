// Opens the transport of a stream. Both kinds take the same hooks and tell the same frames.

import { SseTransport } from './sse.js';
import { WebSocketTransport } from './websocket.js';

/** Hooks: `onFrame(frame)`, `onGarbled()`, `onEnd(error)`, and `room()`: null, or a promise of room for the next event. */
export function openTransport(kind, { endpoint, WebSocket, fetch, parse }, { token, selection }, hooks) {
  const isPublic = token === null;
  if (kind === 'sse') return new SseTransport({ fetch, url: endpoint.eventStream(isPublic, selection), token, parse }, hooks);
  return new WebSocketTransport({ WebSocket, url: endpoint.socket(isPublic, selection), token, parse }, hooks);
}
