// Counts what a stream brings and compares it with what the server says to have sent. Knows which events were handed on since the two
// last agreed, so that reading again from there hands nothing on twice. No socket and no clock.
//
// Events are known by cursor (seq and tag of the id), not by seq alone: a seq that was garbled on its way must not stand for the
// event that really has it.

import { cursorOf, seqOf } from './cursor.js';

/** Cursors that are remembered until a heartbeat confirms them. Beyond it the older half counts as confirmed. */
const MAX_UNVERIFIED = 100_000;
/** After an ordinary loss up to this many events that no heartbeat has confirmed are read again, to be sure. */
const MAX_REREAD = 1_000;
const CHECK_MODULUS = 2 ** 32;

export class Ledger {
  /** The last place at which both sides agreed. */
  #verified = null;
  /** Cursors of events handed on behind that place. */
  #unverified = [];
  /** Those among them that come again in this subscription. */
  #repeats = null;
  #complete = true;
  #lastSeq = 0;
  #events = 0;
  #check = 0;

  get verified() {
    return this.#verified;
  }

  /** False if events behind the last agreement were forgotten, because there were too many. */
  get isComplete() {
    return this.#complete;
  }

  get tally() {
    return { events: this.#events, check: this.#check };
  }

  /** Where to read on after a loss that gives no reason to doubt what came. */
  resumePoint(place) {
    return this.#verified !== null && this.#unverified.length <= MAX_REREAD ? this.#verified : place;
  }

  /** A subscription begins behind `cursor`. `rereads` says that it begins at the last agreement, before events that were handed on. */
  begin(cursor, rereads) {
    this.#events = 0;
    this.#check = 0;
    this.#lastSeq = seqOf(cursor) ?? 0;
    if (rereads) {
      this.#repeats = new Set(this.#unverified);
    } else {
      this.#confirm(cursor);
    }
  }

  /** What to do with an event: `new`, `repeated`, or `disorder` if it cannot come at this place. */
  receive(event, isVerifiable) {
    if (!Number.isSafeInteger(event?.seq) || typeof event.id !== 'string' || event.seq <= this.#lastSeq) return 'disorder';
    this.#lastSeq = event.seq;
    this.#events += 1;
    this.#check = (this.#check + (event.seq % CHECK_MODULUS)) % CHECK_MODULUS;
    const cursor = cursorOf(event);
    if (this.#repeats?.has(cursor)) return 'repeated';
    if (isVerifiable || this.#repeats !== null) this.#remember(cursor);
    else this.#verified = cursor;
    return 'new';
  }

  /** True if a heartbeat says the same. One over SSE has no tally, and is believed. */
  agrees(heartbeat) {
    const isAhead = (seqOf(heartbeat.cursor) ?? 0) >= this.#lastSeq;
    const isTold = heartbeat.events !== undefined;
    if (!isAhead || (isTold && (heartbeat.events !== this.#events || heartbeat.check !== this.#check))) return false;
    this.#confirm(heartbeat.cursor);
    return true;
  }

  /** Nothing else was sent up to here. With nothing in doubt there is no reason to read again what the filter left out. */
  pass(cursor) {
    if (this.#unverified.length === 0) this.#verified = cursor;
  }

  /** The next subscription begins somewhere else: nothing that was handed on is expected again. */
  forget() {
    this.#verified = null;
    this.#unverified = [];
    this.#repeats = null;
    this.#complete = true;
  }

  #confirm(cursor) {
    this.#verified = cursor;
    this.#unverified = [];
    this.#repeats = null;
    this.#complete = true;
  }

  #remember(cursor) {
    this.#unverified.push(cursor);
    if (this.#unverified.length <= MAX_UNVERIFIED) return;
    const forgotten = this.#unverified.splice(0, MAX_UNVERIFIED / 2);
    this.#verified = forgotten.at(-1);
    this.#complete = false;
  }
}
