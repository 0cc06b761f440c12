// The consumers of the events of a connection: listeners and iterators. Each event goes to all that are there; the cursor that is kept
// moves behind it once all have had it.
//
// It is the sink of a stream. A sink has: `accept(event, cursor)`; `isFull()` and `whenRoom()`, a promise; `moved(place)` past what
// was filtered out; `subscribed(hello)`, `live(at)`, `mismatch(report)`, `authExpiring(frame)`, `failed(error)` and `stateChanged()`;
// `placeLost(error, place)`, which returns where to begin instead, or null to fail.

import { seqOf } from './cursor.js';
import { EventQueue } from './queue.js';
import { ResumePoint } from './resume.js';
import { Stream } from './stream.js';
import { deferred } from './syncs.js';
import { CursorExpiredError } from './errors.js';

/** Events that an iterator holds before reading stops. */
const BUFFERED_EVENTS = 1024;
/** A stream without consumers is let go after this: one iterator may follow another, as components of a page do. */
const LINGER_MS = 1_000;
const POLICIES = ['fail', 'earliest', 'latest'];

export class Events {
  #emitter;
  #stream;
  #onState;
  #capacity;
  #onLost;
  #resume;
  #loading = null;
  #queues = new Set();
  /** Buffers that get no more events, whose consumers have not had everything yet. */
  #ended = new Set();
  /** The buffer of an iterator that left as the last consumer; the next one goes on with it. */
  #orphan = null;
  #listeners = 0;
  #linger = null;
  #seen = null;
  #room = null;
  #isClosed = false;

  constructor(context, emitter, { start, filter, resume, onCursorExpired = 'fail', bufferSize = BUFFERED_EVENTS, onState }) {
    if (!POLICIES.includes(onCursorExpired)) throw new TypeError(`onCursorExpired must be one of ${POLICIES.join(', ')}`);
    if (!Number.isInteger(bufferSize) || bufferSize < 1) throw new TypeError('bufferSize must be a whole number from 1 on');
    this.#emitter = emitter;
    this.#onState = onState;
    this.#onLost = onCursorExpired;
    this.#capacity = bufferSize;
    this.#resume = new ResumePoint(resume, () => this.cursor);
    this.#stream = new Stream(context, this, { start, filter });
  }

  get stream() {
    return this.#stream;
  }

  /** Every consumer is done with what comes before. */
  get cursor() {
    let least = this.#stream.place;
    for (const { settled } of [...this.#buffers(), ...this.#ended]) {
      if (settled !== null && (seqOf(settled) ?? 0) < (seqOf(least) ?? 0)) least = settled;
    }
    return least;
  }

  save() {
    this.#resume.save();
  }

  listenerAdded() {
    this.#listeners += 1;
    this.#wanted();
    if (this.#orphan === null) return;
    const orphan = this.#orphan;
    this.#orphan = null;
    // Not before the listener's owner has gone on: nothing calls back while it is being added.
    queueMicrotask(() => {
      for (const event of orphan.drain()) this.#emitter.emit('event', event);
      this.#makeRoom();
    });
  }

  listenerRemoved() {
    this.#listeners -= 1;
    if (this.#listeners === 0 && this.#queues.size === 0) this.#leave(this.#newQueue());
  }

  iterate() {
    const queue = this.#orphan ?? this.#newQueue();
    this.#orphan = null;
    if (this.#isClosed) queue.end(null);
    else this.#queues.add(queue);
    // Whoever asks for more after a failure wants another try.
    if (this.#stream.state.status === 'failed') this.#stream.retry();
    this.#wanted();
    const leave = () => {
      this.#ended.delete(queue);
      if (!this.#queues.delete(queue)) return;
      queue.leave();
      if (this.#queues.size === 0 && this.#listeners === 0) this.#leave(queue);
    };
    return {
      next: () => queue.next(),
      return: (value) => {
        leave();
        return Promise.resolve({ value, done: true });
      },
      throw: (error) => {
        leave();
        return Promise.reject(error);
      },
      [Symbol.asyncIterator]() {
        return this;
      },
    };
  }

  async subscribe({ start, filter }) {
    if (start !== null) {
      for (const queue of this.#buffers()) queue.clear();
      // Goes before a cursor that was saved.
      if (this.#loading === null) this.#loading = Promise.resolve(null);
    }
    await this.#loading;
    return this.#stream.subscribe({ start, filter });
  }

  /** Resolves once what is buffered now was handed out. */
  async handedOut() {
    await Promise.all([...this.#queues].map((queue) => queue.handedOut()));
  }

  close(error) {
    this.#isClosed = true;
    clearTimeout(this.#linger);
    this.#resume.save();
    this.#resume.stop();
    this.#stream.close(error);
    this.#end(null);
    this.#makeRoom();
  }

  // ---- The sink ----

  accept(event, cursor) {
    const before = this.#seen ?? cursor;
    this.#seen = cursor;
    for (const queue of this.#buffers()) queue.push(event, cursor, before);
    if (this.#listeners > 0) this.#emitter.emit('event', event);
    this.#resume.moved();
  }

  isFull() {
    for (const queue of this.#buffers()) if (queue.isFull) return true;
    return false;
  }

  whenRoom() {
    this.#room ??= deferred();
    const { promise } = this.#room;
    this.#makeRoom();
    return promise;
  }

  moved(place) {
    this.#seen = place;
    this.#resume.moved();
  }

  subscribed(hello) {
    this.#seen = this.#stream.place;
    this.#emitter.emit('subscribed', hello);
  }

  live(at) {
    this.#emitter.emit('live', at);
  }

  mismatch(report) {
    this.#emitter.emit('mismatch', report);
  }

  authExpiring(frame) {
    this.#emitter.emit('auth_expiring', frame);
  }

  placeLost(error, cursor) {
    if (this.#onLost === 'fail') return null;
    const code = error instanceof CursorExpiredError ? 'cursor_expired' : 'cursor_invalid';
    this.#emitter.emit('gap', { code, cursor, oldest: error.oldest ?? null, resumesFrom: this.#onLost });
    return this.#onLost;
  }

  failed(error) {
    this.#end(error);
    this.#emitter.emit('error', error);
  }

  stateChanged() {
    this.#onState();
  }

  // ---- Consumers ----

  #buffers() {
    return this.#orphan === null ? this.#queues : [...this.#queues, this.#orphan];
  }

  #newQueue() {
    const queue = new EventQueue(this.#capacity, () => {
      if (queue.settled === null) this.#ended.delete(queue);
      this.#makeRoom();
      this.#resume.moved();
    });
    return queue;
  }

  /** The iterators get what is buffered, and then the end or the error. */
  #end(error) {
    for (const queue of this.#queues) {
      queue.end(error);
      if (queue.settled !== null) this.#ended.add(queue);
    }
    this.#queues.clear();
  }

  #makeRoom() {
    if (this.#room === null) return;
    for (const queue of this.#buffers()) if (!queue.hasRoom) return;
    this.#room.resolve();
    this.#room = null;
  }

  async #wanted() {
    clearTimeout(this.#linger);
    if (this.#isClosed) return;
    if (this.#loading === null) {
      this.#loading = this.#resume.load();
      const cursor = await this.#loading;
      if (cursor !== null && this.#stream.place === null) this.#stream.moveTo({ cursor });
    } else {
      await this.#loading;
    }
    if (!this.#isClosed && this.#listeners + this.#queues.size > 0) this.#stream.start();
  }

  /** The last consumer has gone. What comes in a moment is kept for the next one, then the stream stops. */
  #leave(queue) {
    if (this.#isClosed) return;
    this.#orphan = queue;
    clearTimeout(this.#linger);
    this.#linger = setTimeout(() => this.#stream.stop(), LINGER_MS);
  }
}
