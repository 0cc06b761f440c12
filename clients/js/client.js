// The client of Rowcast: rows in Postgres as ordered, resumable live streams. No dependencies and no build step, for browsers and
// Node 20 or newer. Guide: docs/CLIENT.md. This file says what there is; how it works is in the folder client/.

import { Connection } from './client/connection.js';

export { cursorOf } from './client/cursor.js';
export {
  BadRequestError, ClosedError, ConflictError, CursorExpiredError, CursorInvalidError, ForbiddenError, InvalidError, MismatchError,
  NetworkError, NotFoundError, RateLimitedError, RowcastError, StalledError, TimeoutError, TokenError, UnauthorizedError, UnavailableError,
} from './client/errors.js';

export const VERSION = '0.1.0';

/** Opens a connection. Nothing is sent before the first consumer, table or request. */
export function connect(options) {
  return new Connection(options);
}
