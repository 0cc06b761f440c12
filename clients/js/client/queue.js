// The bounded buffer of one async iterator. It knows which events its consumer has finished with: an event counts as done when the
// consumer comes back for the next one.

const DONE = Object.freeze({ value: undefined, done: true });
/** Room is told again when the buffer is half empty, so that reading does not stop and go for each event. */
const ROOM_SHARE = 0.5;

export class EventQueue {
  #capacity;
  #items = [];
  #head = 0;
  #waiting = [];
  #hand = null;
  /** The cursor before the oldest event that is not done. */
  #settled = null;
  #pushed = 0;
  #taken = 0;
  #drains = [];
  #end = null;
  #onTaken;

  /** `onTaken()` is called whenever the consumer went on. */
  constructor(capacity, onTaken) {
    this.#capacity = capacity;
    this.#onTaken = onTaken;
  }

  get length() {
    return this.#items.length - this.#head;
  }

  get isFull() {
    return this.length >= this.#capacity;
  }

  get hasRoom() {
    return this.length <= this.#capacity * ROOM_SHARE;
  }

  /** The cursor up to which the consumer is done; null if it is done with everything. */
  get settled() {
    return this.length > 0 || this.#hand !== null ? this.#settled : null;
  }

  /** `before` is the cursor before this event. */
  push(event, cursor, before) {
    if (this.settled === null) this.#settled = before;
    this.#items.push({ event, cursor });
    this.#pushed += 1;
    if (this.#waiting.length > 0) this.#waiting.shift().resolve({ value: this.#take(), done: false });
  }

  next() {
    if (this.#hand !== null) this.#finishHand();
    if (this.length > 0) {
      const value = this.#take();
      this.#onTaken();
      return Promise.resolve({ value, done: false });
    }
    this.#onTaken();
    if (this.#end !== null) {
      const { error } = this.#end;
      this.#end.error = null;
      return error === null ? Promise.resolve(DONE) : Promise.reject(error);
    }
    return new Promise((resolve, reject) => this.#waiting.push({ resolve, reject }));
  }

  /** The consumer leaves. What it was given is done, what is left stays for the next one. */
  leave() {
    if (this.#hand !== null) this.#finishHand();
    for (const one of this.#waiting.splice(0)) one.resolve(DONE);
    this.#drained();
    this.#onTaken();
  }

  /** No more events come. What is buffered is handed out before the end, or the error, shows. */
  end(error) {
    if (this.#end !== null) return;
    const [first, ...others] = this.#waiting.splice(0);
    this.#end = { error: first === undefined ? error : null };
    if (first !== undefined) error === null ? first.resolve(DONE) : first.reject(error);
    for (const one of others) one.resolve(DONE);
  }

  clear() {
    this.#taken += this.length;
    this.#items = [];
    this.#head = 0;
    this.#drained();
  }

  /** Everything that is left, for a consumer of another kind. */
  *drain() {
    while (this.length > 0) {
      const event = this.#take();
      this.#finishHand();
      yield event;
    }
  }

  /** Resolves once everything that is in it now was handed out. */
  handedOut() {
    const target = this.#pushed;
    if (this.#taken >= target) return Promise.resolve();
    return new Promise((resolve) => this.#drains.push({ target, resolve }));
  }

  #take() {
    const item = this.#items[this.#head];
    this.#items[this.#head] = undefined;
    this.#head += 1;
    if (this.#head === this.#items.length || this.#head > this.#capacity) {
      this.#items = this.#items.slice(this.#head);
      this.#head = 0;
    }
    this.#hand = item;
    this.#taken += 1;
    if (this.#drains.length > 0) this.#drained();
    return item.event;
  }

  #finishHand() {
    this.#settled = this.#hand.cursor;
    this.#hand = null;
  }

  #drained() {
    const due = this.#drains.filter(({ target }) => target <= this.#taken);
    this.#drains = this.#drains.filter(({ target }) => target > this.#taken);
    for (const { resolve } of due) resolve();
  }
}
