// The subscription of one stream: its filter, its beginning, its place, and the ledger that proves the place. No socket and no clock.

import { cursorOf, seqOf } from './cursor.js';
import { Ledger } from './ledger.js';

export class Subscription {
  filter;
  /** Where to begin while there is no place. */
  #start;
  /** The cursor of the last event or heartbeat that was handed on. */
  #place = null;
  #placeSeq = -1;
  #ledger = new Ledger();
  /** Something that came was wrong: until both sides agree again, subscriptions begin where they last did. */
  #doubts = false;
  #asked = { place: null, rereads: false };
  #waiting = [];

  constructor({ start, filter }) {
    this.#start = start;
    this.filter = filter;
  }

  get place() {
    return this.#place;
  }

  get position() {
    return this.#place ?? this.#start.cursor ?? null;
  }

  moveTo(start) {
    this.#start = start;
    this.#place = null;
    this.#placeSeq = -1;
    this.#ledger.forget();
    this.#doubts = false;
    // Whoever waits for the former place waits for what is not asked for any more.
    for (const { resolve } of this.#waiting.splice(0)) resolve();
  }

  /** From now on another filter holds: what was handed on under the former one is not asked for again. */
  settle() {
    if (this.#place !== null) this.#ledger.begin(this.#place, false);
    this.#doubts = false;
  }

  /** The parameters to subscribe with now. */
  selection() {
    const { verified } = this.#ledger;
    const place = this.#doubts && verified !== null ? verified : this.#ledger.resumePoint(this.#place);
    this.#asked = { place, rereads: place !== null && place !== this.#place };
    return place === null ? { ...this.filter, ...this.#start } : { ...this.filter, cursor: place };
  }

  /** The place, if the subscription began before it and the server was not asked for it; else null. */
  get unaskedPlace() {
    return this.#asked.rereads && !this.#doubts ? this.#place : null;
  }

  /** The subscription that was asked for last begins behind `cursor`. True if it goes on where the stream was. */
  begin(cursor) {
    const isResumed = this.#place !== null;
    this.#ledger.begin(cursor, this.#asked.rereads);
    if (!this.#asked.rereads) this.#move(cursor, seqOf(cursor) ?? -1);
    return isResumed;
  }

  /** `new`, `repeated` or `disorder`. */
  receive(event, isVerifiable) {
    const verdict = this.#ledger.receive(event, isVerifiable);
    if (verdict === 'new' && event.seq > this.#placeSeq) this.#move(cursorOf(event), event.seq);
    return verdict;
  }

  /** Everything up to here was sent. */
  advance(cursor, isVerifiable) {
    const seq = seqOf(cursor) ?? -1;
    if (seq < this.#placeSeq) return;
    this.#move(cursor, seq);
    this.#ledger.pass(cursor, isVerifiable);
  }

  /** True if a heartbeat says the same as what came. */
  agrees(heartbeat) {
    if (!this.#ledger.agrees(heartbeat)) return false;
    this.#doubts = false;
    return true;
  }

  /** Something is wrong with what came: the next subscription begins where both sides last agreed. Returns what to say of it. */
  doubt(reason, heartbeat) {
    this.#doubts = true;
    const expected = heartbeat?.events === undefined ? null : { events: heartbeat.events, check: heartbeat.check };
    const resumesFrom = this.#ledger.verified ?? this.#place;
    return { reason, expected, received: this.#ledger.tally, resumesFrom, complete: this.#ledger.isComplete };
  }

  /** Resolves once the place is at or behind this seq. */
  reached(seq) {
    if (seq <= this.#placeSeq) return Promise.resolve();
    return new Promise((resolve) => this.#waiting.push({ seq, resolve }));
  }

  #move(cursor, seq) {
    this.#place = cursor;
    this.#placeSeq = seq;
    if (this.#waiting.length === 0) return;
    const waiting = this.#waiting;
    this.#waiting = waiting.filter(({ seq }) => seq > this.#placeSeq);
    for (const { seq, resolve } of waiting) if (seq <= this.#placeSeq) queueMicrotask(resolve);
  }
}
