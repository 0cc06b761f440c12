// Waits that have a limit in time and can be ended from outside.

import { TimeoutError, brokenOff } from './errors.js';

/** As an `AbortSignal`, for any number of listeners: everything of a connection that waits ends when it is closed. */
export class Closing {
  aborted = false;
  reason = undefined;
  #listeners = new Set();

  close(reason) {
    this.aborted = true;
    this.reason = reason;
    for (const listener of [...this.#listeners]) listener();
    this.#listeners.clear();
  }

  addEventListener(_, listener) {
    this.#listeners.add(listener);
  }

  removeEventListener(_, listener) {
    this.#listeners.delete(listener);
  }
}

/** A signal that aborts after a time, or when one of the others does. Those that are undefined are none. */
export function timeLimit(ms, signals) {
  const controller = new AbortController();
  const late = () => controller.abort(new TimeoutError(`No answer within ${ms / 1000} s.`, { code: 'timeout' }));
  const timer = setTimeout(late, ms);
  const unfollow = follow(signals, (reason) => controller.abort(reason));
  return {
    signal: controller.signal,
    /** A body that breaks off fails with the reason why. */
    guard: (promise) => promise.catch((cause) => {
      throw controller.signal.aborted ? controller.signal.reason : brokenOff(cause);
    }),
    stop() {
      clearTimeout(timer);
      unfollow();
    },
  };
}

/** Waits, or rejects with the reason of the first signal that aborts. */
export function pause(ms, signals) {
  return new Promise((resolve, reject) => {
    let unfollow = () => {};
    const timer = setTimeout(() => {
      unfollow();
      resolve();
    }, ms);
    unfollow = follow(signals, (reason) => {
      clearTimeout(timer);
      unfollow();
      reject(reason);
    });
  });
}

/** Follows the promise, but rejects with `late` after a time, or with the reason of a signal. */
export function limited(promise, { timeoutMs, late, signals }) {
  const ended = new Promise((_, reject) => {
    const timer = setTimeout(() => reject(late), timeoutMs);
    const unfollow = follow(signals, reject);
    const stop = () => {
      clearTimeout(timer);
      unfollow();
    };
    promise.then(stop, stop);
  });
  return Promise.race([promise, ended]);
}

/** Calls `act(reason)` once one of the signals aborts, which may be at once. Returns how to stop it. */
function follow(signals, act) {
  const given = signals.filter((signal) => signal !== undefined);
  const already = given.find(({ aborted }) => aborted);
  if (already !== undefined) {
    act(already.reason);
    return () => {};
  }
  const listeners = given.map((signal) => [signal, () => act(signal.reason)]);
  for (const [signal, listener] of listeners) signal.addEventListener('abort', listener);
  return () => {
    for (const [signal, listener] of listeners) signal.removeEventListener('abort', listener);
  };
}
