// Which transport is next: the preferred one, or the other where that does not get through, and when the preferred one is tried again.

/** Failures of the preferred transport before the other one is tried: where it never worked, and where it did. */
const MISSES_UNPROVEN = 1;
const MISSES_PROVEN = 3;
/** The pause before the preferred transport is tried again beside the other, where it never worked and where it did. Doubles with each failure. */
const RETRY_UNPROVEN_MS = 60_000;
const RETRY_PROVEN_MS = 5_000;
const MAX_RETRY_MS = 600_000;
const NAMES = ['websocket', 'sse'];

export class TransportChoice {
  #allowed;
  #misses = 0;
  #isProven = false;
  #failedUpgrades = 0;

  constructor(wanted, hasWebSocket) {
    const names = wanted ?? NAMES;
    for (const name of names) {
      if (!NAMES.includes(name)) throw new TypeError(`transports: ${name} is none; there are ${NAMES.join(' and ')}`);
    }
    this.#allowed = names.filter((name) => name !== 'websocket' || hasWebSocket);
    if (this.#allowed.length === 0) throw new TypeError('transports: there is no WebSocket here; give a constructor as option WebSocket, or allow sse');
  }

  get #limit() {
    return this.#isProven ? MISSES_PROVEN : MISSES_UNPROVEN;
  }

  next() {
    return this.#allowed.length > 1 && this.#misses >= this.#limit ? this.#allowed[1] : this.#allowed[0];
  }

  /** The transport that reads no faster than its consumer; it is used after a consumer fell behind. */
  get unhurried() {
    return this.#allowed.includes('sse') ? 'sse' : this.#allowed[0];
  }

  worked(name) {
    if (name !== this.#allowed[0]) return;
    this.#misses = this.#failedUpgrades = 0;
    this.#isProven = true;
  }

  /** Not reached. When the other does not get through either, the preferred one has its turn again. */
  missed(name) {
    this.#misses = name === this.#allowed[0] ? this.#misses + 1 : 0;
  }

  upgradeFailed() {
    this.#failedUpgrades += 1;
  }

  /** Milliseconds until the preferred transport should be tried beside this one; null if it need not be. */
  upgradeAfter(name) {
    if (name === this.#allowed[0] || this.#allowed[0] !== 'websocket') return null;
    const first = this.#isProven ? RETRY_PROVEN_MS : RETRY_UNPROVEN_MS;
    return Math.min(MAX_RETRY_MS, first * 2 ** Math.min(this.#failedUpgrades, 10));
  }
}
