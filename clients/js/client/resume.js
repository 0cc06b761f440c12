// Keeps a cursor beyond the life of the page: in `localStorage`, or wherever the caller wants it.

/** The cursor is written at most this often, and when the page goes. */
const SAVE_MS = 1_000;

export class ResumePoint {
  #store;
  #current;
  #timer = null;
  #saved = null;

  /** `resume`: nothing, a key of `localStorage`, or `{load, save}`. `current()` is the cursor to save. */
  constructor(resume, current) {
    this.#store = typeof resume === 'string' ? localStore(resume) : (resume ?? null);
    this.#current = current;
    if (this.#store !== null && (typeof this.#store.load !== 'function' || typeof this.#store.save !== 'function')) {
      throw new TypeError('resume must be a key of localStorage, or have load and save');
    }
  }

  /** The cursor to begin with, or null. A store that fails has none. */
  async load() {
    try {
      this.#saved = (await this.#store?.load()) ?? null;
    } catch {
      this.#saved = null;
    }
    return this.#saved;
  }

  /** The cursor has moved. */
  moved() {
    if (this.#store !== null && this.#timer === null) this.#timer = setTimeout(() => this.save(), SAVE_MS);
  }

  /** Nothing is written any more. */
  stop() {
    clearTimeout(this.#timer);
    this.#store = null;
  }

  /** Writes the cursor now; into `localStorage` before this returns, since a page that goes waits for nothing. */
  save() {
    clearTimeout(this.#timer);
    this.#timer = null;
    const cursor = this.#current();
    if (this.#store === null || cursor === null || cursor === this.#saved) return;
    this.#saved = cursor;
    // A full or forbidden storage must not stop the stream: the place in memory goes on, and is written again with the next move.
    const forget = () => { this.#saved = null; };
    try {
      Promise.resolve(this.#store.save(cursor)).catch(forget);
    } catch {
      forget();
    }
  }
}

function localStore(key) {
  let storage;
  try {
    storage = globalThis.localStorage;
  } catch {
    // A browser that forbids storage: the place is kept in memory alone.
    return null;
  }
  if (storage === undefined) throw new TypeError('resume: there is no localStorage here; give an object with load and save');
  return { load: () => storage.getItem(key), save: (cursor) => storage.setItem(key, cursor) };
}
