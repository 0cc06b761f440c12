// The constructor that the tests give the client: that of the package `ws`, since Node has none before version 22.

import { createRequire } from 'node:module';

export const WebSocket = createRequire(import.meta.url)('ws');
