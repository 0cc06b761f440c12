// Calls back once for many changes: with the next animation frame of a page, or after a moment where there is none.

/** A page that is hidden has no frames; it is told after this. */
const HIDDEN_MS = 250;
/** Where there are no frames at all. */
const TIMER_MS = 10;

export class Batcher {
  #flush;
  #ms;
  #frame = null;
  #timer = null;

  /** `ms`: a fixed time instead of frames. */
  constructor(flush, ms) {
    this.#flush = flush;
    this.#ms = ms;
  }

  get isPlanned() {
    return this.#timer !== null;
  }

  plan() {
    if (this.isPlanned) return;
    const hasFrames = this.#ms === undefined && typeof globalThis.requestAnimationFrame === 'function';
    if (hasFrames) this.#frame = requestAnimationFrame(() => this.now());
    this.#timer = setTimeout(() => this.now(), hasFrames ? HIDDEN_MS : (this.#ms ?? TIMER_MS));
  }

  now() {
    this.stop();
    this.#flush();
  }

  stop() {
    clearTimeout(this.#timer);
    if (this.#frame !== null) cancelAnimationFrame(this.#frame);
    this.#timer = this.#frame = null;
  }
}
