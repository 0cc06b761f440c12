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
  /** Those among them that come again in this subscription, until the last of them has. */
  #repeats = null;
  /** How far a subscription that reads them again has come. */
  #rereadTo = null;
  /** They were read twice, and that is enough: else connections that all break soon would never get further. */
  #isReread = false;
  #isComplete = true;
  #lastSeq = 0;
  #events = 0;
  #check = 0;

  get verified() {
    return this.#verified;
  }

  /** False if events behind the last agreement were forgotten, because there were too many. */
  get isComplete() {
    return this.#isComplete;
  }

  get tally() {
    return { events: this.#events, check: this.#check };
  }

  /** Where to read on after a loss that gives no reason to doubt what came. */
  resumePoint(place) {
    if (this.#rereadTo !== null) return this.#rereadTo;
    const isWorthIt = this.#verified !== null && !this.#isReread && this.#unverified.length <= MAX_REREAD;
    return isWorthIt ? this.#verified : place;
  }

  /** A subscription begins behind `cursor`. `rereads` says that events come again that were handed on. */
  begin(cursor, rereads) {
    this.#events = 0;
    this.#check = 0;
    this.#lastSeq = seqOf(cursor) ?? 0;
    if (!rereads || this.#unverified.length === 0) return this.#confirm(cursor);
    this.#repeats = new Set(this.#unverified);
    this.#rereadTo = cursor;
    return undefined;
  }

  /** Counts an event. Returns `new`, `repeated`, or `disorder` if it cannot come at this place. */
  receive(event, isVerifiable) {
    if (!Number.isSafeInteger(event?.seq) || typeof event.id !== 'string' || event.seq <= this.#lastSeq) return 'disorder';
    this.#lastSeq = event.seq;
    this.#events += 1;
    this.#check = (this.#check + (event.seq % CHECK_MODULUS)) % CHECK_MODULUS;
    const cursor = cursorOf(event);
    const isRepeated = this.#repeats !== null && this.#repeats.delete(cursor);
    if (this.#repeats !== null) this.#reread(cursor);
    if (isRepeated) return 'repeated';
    if (isVerifiable || this.#unverified.length > 0) this.#remember(cursor);
    else this.#verified = cursor;
    return 'new';
  }

  /** True if a heartbeat says the same. One over SSE has no tally, and is believed. */
  agrees(heartbeat) {
    const isAhead = (seqOf(heartbeat.cursor) ?? 0) >= this.#lastSeq;
    const isTold = heartbeat.events !== undefined;
    if (!isAhead || (isTold && (heartbeat.events !== this.#events || heartbeat.check !== this.#check))) return false;
    this.#confirmUpTo(heartbeat.cursor);
    return true;
  }

  /** Nothing else was sent up to here. That holds without a heartbeat only where no frame can be lost: over server-sent events. */
  pass(cursor, isVerifiable) {
    if (!isVerifiable && this.#unverified.length === 0) this.#verified = cursor;
  }

  /** The next subscription begins somewhere else: nothing that was handed on is expected again. */
  forget() {
    this.#confirm(null);
  }

  #confirm(cursor) {
    this.#verified = cursor;
    this.#unverified = [];
    this.#repeats = this.#rereadTo = null;
    this.#isReread = false;
    this.#isComplete = true;
  }

  /** Both sides agree up to here. Events that were handed on before and lie behind it are still to come again. */
  #confirmUpTo(cursor) {
    const seq = seqOf(cursor) ?? 0;
    const rest = this.#repeats === null ? [] : this.#unverified.filter((one) => seqOf(one) > seq);
    if (rest.length === 0) return this.#confirm(cursor);
    this.#verified = this.#rereadTo = cursor;
    this.#unverified = rest;
    this.#repeats = new Set(rest.filter((one) => this.#repeats.has(one)));
    if (this.#repeats.size === 0) this.#repeats = this.#rereadTo = null;
    return undefined;
  }

  /** One more event came of those that are read again. Behind the last of them the stream goes on as ever. */
  #reread(cursor) {
    this.#rereadTo = cursor;
    if (this.#repeats.size > 0) return;
    this.#repeats = this.#rereadTo = null;
    this.#isReread = true;
  }

  #remember(cursor) {
    this.#unverified.push(cursor);
    if (this.#unverified.length <= MAX_UNVERIFIED) return;
    const forgotten = this.#unverified.splice(0, MAX_UNVERIFIED / 2);
    this.#verified = forgotten.at(-1);
    this.#isComplete = false;
  }
}
