// How long to wait before the next try: exponential with full jitter, and at least what the server asked for.

const BASE_MS = 250;
const CAP_MS = 10_000;
/** A pause of zero would be a busy loop where the first tries fail at once. */
const FLOOR_MS = 50;
/** The shortest pause that a server may ask for. */
const ASKED_FLOOR_MS = 100;
/** A longer pause is not believed, whoever asks for it. */
const MAX_ASKED_MS = 600_000;
/** Spreads those who were all told the same `Retry-After`. */
const ASKED_JITTER_MS = 1_000;
const MAX_DOUBLINGS = 10;
const EASED_FAILURES = 2;

export class Backoff {
  #failures = 0;

  get failures() {
    return this.#failures;
  }

  /** The wait after one more failure. */
  next(retryAfterSeconds = null) {
    const ceiling = Math.min(CAP_MS, BASE_MS * 2 ** Math.min(this.#failures, MAX_DOUBLINGS));
    this.#failures += 1;
    const wait = Math.max(FLOOR_MS, Math.random() * ceiling);
    if (retryAfterSeconds === null || !(retryAfterSeconds >= 0)) return wait;
    return Math.max(wait, Math.min(MAX_ASKED_MS, retryAfterSeconds * 1000) + Math.random() * ASKED_JITTER_MS);
  }

  /** Something came: the next pause is at most a second, which is short for one client and long for a server. */
  ease() {
    this.#failures = Math.min(this.#failures, EASED_FAILURES);
  }

  reset() {
    this.#failures = 0;
  }
}

/** A pause that the server has chosen for this client alone: it needs no jitter. One that asks again and again is given ever longer ones. */
export function pauseAsked(ms, timesBefore) {
  const floor = Math.min(CAP_MS, ASKED_FLOOR_MS * 2 ** Math.min(timesBefore, MAX_DOUBLINGS));
  return Math.min(MAX_ASKED_MS, Math.max(floor, Number(ms) || 0));
}
