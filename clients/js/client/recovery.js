// Decides what to do after a loss, and after how long. No socket and no timer.

import { Backoff, pauseAsked } from './backoff.js';
import { CursorExpiredError, CursorInvalidError, UnauthorizedError, isPassing } from './errors.js';

/** A connection that lasted so long was a good one: the next pause is short again. */
const STABLE_MS = 5_000;
/** So many tokens are asked for at once, one after the other, while no connection lasts. Then there are pauses between. */
const RENEWALS_AT_ONCE = 3;

export class Recovery {
  #backoff = new Backoff();
  /** The pause that the server asked for before it left. */
  #drainMs = null;
  /** Such pauses since a connection was stable. */
  #drains = 0;
  #renewals = 0;
  /** A refused token is replaced once; then it takes a connection that holds until the next one is. */
  #isRenewed = false;
  #isRelocated = false;

  drained(ms) {
    this.#drainMs = ms ?? 0;
  }

  connected() {
    this.#drainMs = null;
  }

  /** Events come. */
  progressed() {
    this.#backoff.ease();
  }

  /** Somebody wants to try all the same, or the connection was stable. */
  held() {
    this.#isRenewed = false;
    this.#forgetPauses();
  }

  /** A heartbeat agreed, so many milliseconds after the `hello`. Soon after it this says little: a server may be good for a moment each time. */
  agreed(ms) {
    this.#isRenewed = this.#isRelocated = false;
    this.lasted(ms);
  }

  /** Another place was chosen. True if it may be tried at once: the server has answered, so the pauses before say nothing. Only the first time, until a
   *  connection holds. */
  relocated() {
    const isFirst = !this.#isRelocated;
    this.#isRelocated = true;
    return isFirst;
  }

  lasted(ms) {
    if (ms >= STABLE_MS) this.#forgetPauses();
  }

  #forgetPauses() {
    this.#backoff.reset();
    this.#drains = this.#renewals = 0;
  }

  /** `wait`, `relocate` (the place is lost), `renew` (the token is refused) or `fail`. */
  decide(error, canRenew) {
    if (error instanceof CursorExpiredError || error instanceof CursorInvalidError) return 'relocate';
    if (isPassing(error)) return 'wait';
    if (!(error instanceof UnauthorizedError) || !canRenew || this.#isRenewed) return 'fail';
    this.#renewals += 1;
    if (this.#renewals > RENEWALS_AT_ONCE && this.#renewals % 2 === 0) return 'wait';
    this.#isRenewed = true;
    return 'renew';
  }

  /** How long to wait, and if that is what the server asked for. */
  pause(error) {
    const drainMs = this.#drainMs;
    if (drainMs === null) return { ms: this.#backoff.next(error.retryAfter), isAsked: error.retryAfter !== null };
    this.#drainMs = null;
    this.#drains += 1;
    return { ms: pauseAsked(drainMs, this.#drains - 1), isAsked: true };
  }
}
