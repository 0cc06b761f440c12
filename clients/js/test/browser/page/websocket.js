// The browser's own, which the client would use by itself, too.

export const { WebSocket } = globalThis;
