// Questions of `sync` that are not answered yet: asked over a WebSocket, asked again after a loss, or over HTTP where there is none.

/** The server closes a session at the 65th without an answer. Beyond this many, callers share one that is asked later. */
const MAX_OPEN = 32;
/** Events that one page of a sync over HTTP looks at. */
const PAGE_EVENTS = 1000;
const HTTP_RETRIES = 5;

export class Syncs {
  #open = new Map();
  #later = null;
  #missed = new Set();
  #isAsking = false;
  #lastId = 0;

  /** A promise of the cursor behind everything that was committed before now. `send(frame)` may do nothing while there is no connection. */
  ask(send) {
    if (this.#open.size >= MAX_OPEN) return (this.#later ??= deferred()).promise;
    return this.#put(deferred(), send);
  }

  /** Asks all of them again, on a new connection. What was committed before the first question was so before this one. */
  resend(send) {
    this.#missed.clear();
    for (const id of this.#open.keys()) send({ op: 'sync', id });
  }

  /** The answer came while the stream was changing what it asks for, so that events before it were left aside. */
  miss(id) {
    this.#missed.add(id);
  }

  resendMissed(send) {
    for (const id of this.#missed) if (this.#open.has(id)) send({ op: 'sync', id });
    this.#missed.clear();
  }

  answer(id, cursor, send) {
    this.#open.get(id)?.resolve(cursor);
    this.#open.delete(id);
    if (this.#later === null) return;
    const later = this.#later;
    this.#later = null;
    this.#put(later, send);
  }

  /** Over HTTP: one question at a time, each for all that were asked before it. */
  async askOverHttp({ request, subscription, passed }) {
    if (this.#isAsking) return;
    this.#isAsking = true;
    for (let asked = this.#take(); asked.length > 0; asked = this.#take()) {
      try {
        const cursor = await caughtUp({ request, subscription });
        passed(cursor);
        for (const one of asked) one.resolve(cursor);
      } catch (error) {
        for (const one of asked) one.reject(error);
      }
    }
    this.#isAsking = false;
  }

  fail(error) {
    for (const one of this.#take()) one.reject(error);
  }

  /** The questions that were asked before this call, for one answer to all. */
  #take() {
    const taken = [...this.#open.values()];
    if (this.#later !== null) taken.push(this.#later);
    this.#open.clear();
    this.#missed.clear();
    this.#later = null;
    return taken;
  }

  #put(one, send) {
    this.#lastId += 1;
    const id = String(this.#lastId);
    this.#open.set(id, one);
    send({ op: 'sync', id });
    return one.promise;
  }
}

/** Reads what was committed before now, and waits until the stream has come behind the last event of it. */
async function caughtUp({ request, subscription }) {
  let from = subscription.place ?? 'latest';
  for (;;) {
    const query = { ...subscription.filter, cursor: from, limit: PAGE_EVENTS, sync: true };
    const page = await request('/v1/events', { query, retries: HTTP_RETRIES });
    const last = page.events.at(-1);
    if (last !== undefined) await subscription.reached(last.seq);
    from = page.cursor;
    if (!page.more) return from;
  }
}

export function deferred() {
  const one = {};
  one.promise = new Promise((resolve, reject) => Object.assign(one, { resolve, reject }));
  // Whoever waits has a promise of their own that follows this one; a failure that nobody waits for is no fault.
  one.promise.catch(() => {});
  return one;
}
