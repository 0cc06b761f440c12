// Decides what to do after a loss, and after how long. No socket and no timer.

import { Backoff, pauseAsked } from './backoff.js';
import { CursorExpiredError, CursorInvalidError, UnauthorizedError, isPassing } from './errors.js';

/** A connection that lasted so long was a good one: the next pause is short again. */
const STABLE_MS = 5_000;

export class Recovery {
  #backoff = new Backoff();
  /** The pause that the server asked for before it left. */
  #drainMs = null;
  /** A refused token is replaced once; then it takes a connection that holds until the next one is. */
  #isRenewed = false;

  drained(ms) {
    this.#drainMs = pauseAsked(ms);
  }

  connected() {
    this.#drainMs = null;
  }

  /** Events come. */
  progressed() {
    this.#backoff.ease();
  }

  /** A heartbeat agreed, or somebody wants to try all the same. */
  held() {
    this.#backoff.reset();
    this.#isRenewed = false;
  }

  lasted(ms) {
    if (ms > STABLE_MS) this.#backoff.reset();
  }

  /** `wait`, `relocate` (the place is lost), `renew` (the token is refused) or `fail`. */
  decide(error, canRenew) {
    if (error instanceof CursorExpiredError || error instanceof CursorInvalidError) return 'relocate';
    if (isPassing(error)) return 'wait';
    if (!(error instanceof UnauthorizedError) || !canRenew || this.#isRenewed) return 'fail';
    this.#isRenewed = true;
    return 'renew';
  }

  /** How long to wait, and if that is what the server asked for. */
  pause(error) {
    const drainMs = this.#drainMs;
    this.#drainMs = null;
    return { ms: drainMs ?? this.#backoff.next(error.retryAfter), isAsked: drainMs !== null || error.retryAfter !== null };
  }
}
