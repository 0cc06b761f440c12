// While a stream runs over server-sent events: tries from time to time whether a WebSocket gets through, beside the stream and without
// disturbing it.

/** From the first byte to `hello`. */
const HELLO_MS = 10_000;

export class Upgrade {
  #choice;
  #stream;
  #timer = null;
  #candidate = null;

  /** `stream`: `open(hooks)` a WebSocket, `isLive()`, `adopt(transport)`. */
  constructor(choice, stream) {
    this.#choice = choice;
    this.#stream = stream;
  }

  /** A stream of this transport has begun. */
  plan(kind) {
    this.stop();
    const wait = this.#choice.upgradeAfter(kind);
    if (wait !== null) this.#timer = setTimeout(() => this.#try(kind), wait);
  }

  stop() {
    clearTimeout(this.#timer);
    this.#timer = null;
    this.#candidate?.close();
    this.#candidate = null;
  }

  #try(kind) {
    // A stream that is behind may have a consumer that is slow, and keeps the transport that waits for it.
    if (!this.#stream.isLive()) return this.plan(kind);
    const fail = () => {
      this.#choice.upgradeFailed();
      this.plan(kind);
    };
    this.#timer = setTimeout(fail, HELLO_MS);
    this.#candidate = this.#stream.open({ onFrame: (frame) => frame.op === 'hello' && this.#succeed(), onGarbled: fail, onEnd: fail });
  }

  #succeed() {
    const candidate = this.#candidate;
    this.#candidate = null;
    this.stop();
    this.#stream.adopt(candidate);
  }
}
