// Listeners by name. An error in a listener is the page's, and stops neither the stream nor the other listeners.

export class Emitter {
  #listeners = new Map();

  on(name, listener) {
    if (typeof listener !== 'function') throw new TypeError('a listener must be a function');
    const listeners = this.#listeners.get(name) ?? new Set();
    this.#listeners.set(name, listeners.add(listener));
    return () => this.off(name, listener);
  }

  off(name, listener) {
    this.#listeners.get(name)?.delete(listener);
  }

  count(name) {
    return this.#listeners.get(name)?.size ?? 0;
  }

  emit(name, value) {
    const listeners = this.#listeners.get(name);
    if (listeners === undefined) return;
    for (const listener of [...listeners]) call(listener, value);
  }

  clear() {
    this.#listeners.clear();
  }
}

/** Calls a listener; what it throws is reported as the platform reports errors of event listeners. */
export function call(listener, value) {
  try {
    listener(value);
  } catch (error) {
    if (typeof globalThis.reportError === 'function') globalThis.reportError(error);
    else queueMicrotask(() => { throw error; });
  }
}
