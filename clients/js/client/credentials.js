// The token of a connection: where it comes from, when the next one is asked for, and who is told of it. One question at a time,
// whoever needs the answer.

import { Emitter } from './emitter.js';
import { TimeoutError, TokenError } from './errors.js';

/** How long the function that gives tokens may take. */
const ASK_MS = 30_000;
/** The next token is asked for this long before the end of the last one, or in the last fifth of a short life. */
const REFRESH_LEAD_MS = 60_000;
const REFRESH_SHARE = 0.2;
/** The shortest pause between two questions that no refusal caused. */
const MIN_PAUSE_MS = 2_000;
/** `setTimeout` takes no longer ones. */
const MAX_TIMER_MS = 2 ** 31 - 1;

export class Credentials {
  #source;
  #token = null;
  /** The last token that there was, whatever its source; undefined before the first. */
  #last = undefined;
  /** The end of a token that cannot be read here, as the server said it. */
  #toldEnd = null;
  #isKnown = false;
  #asking = null;
  #askedAt = -Infinity;
  #users = 0;
  #timer = null;
  /** Grows with each source, so that the answer of a former one is left aside. */
  #generation = 0;
  #events = new Emitter();

  constructor(source) {
    this.#set(source);
  }

  get canRenew() {
    return typeof this.#source === 'function';
  }

  /** Tells `{token, before}` when another token is there; `before` is undefined with the first one. */
  onChange(listener) {
    return this.#events.on('change', listener);
  }

  /** The token to use now; null for the public view. */
  async get() {
    const ends = this.#ends();
    const isOver = ends !== null && ends <= Date.now() && performance.now() - this.#askedAt > MIN_PAUSE_MS;
    return this.#isKnown && !(isOver && this.canRenew) ? this.#token : this.#ask();
  }

  /** Another token than this one, which was refused. Resolves with the one there is if nobody can give another. */
  async renew(refused) {
    if (this.#token !== refused || !this.canRenew) return this.#token;
    // If this question fails, the next `get` asks again.
    this.#isKnown = false;
    return this.#ask();
  }

  /** Asks for the next token, before the end of this one. Failures are asked again by the timer, or show when this one is refused. */
  refresh() {
    if (!this.canRenew || this.#users === 0) return;
    const pause = MIN_PAUSE_MS - (performance.now() - this.#askedAt);
    if (pause > 0) {
      clearTimeout(this.#timer);
      this.#timer = setTimeout(() => this.refresh(), pause);
      return;
    }
    this.#ask().catch(() => {}).finally(() => this.#schedule());
  }

  /** The server says when a token ends. */
  learnEnd(token, expires) {
    const ends = Date.parse(expires);
    if (token !== this.#token || Number.isNaN(ends)) return;
    this.#toldEnd = ends;
    this.#schedule();
  }

  replace(source) {
    const before = this.#last;
    this.#set(source);
    if (this.canRenew) this.#ask().catch((error) => this.#events.emit('failed', error));
    else this.#events.emit('change', { token: this.#token, before });
  }

  /** A stream that lives with the token keeps it fresh; `attach` returns how to let go. */
  attach({ onToken, onFailed }) {
    const offs = [this.onChange(({ token }) => onToken(token)), this.#events.on('failed', onFailed)];
    this.#users += 1;
    this.#schedule();
    return () => {
      if (offs.length === 0) return;
      for (const off of offs.splice(0)) off();
      this.#users -= 1;
      this.#schedule();
    };
  }

  #set(source) {
    if (source !== null && !['string', 'function'].includes(typeof source)) throw new TypeError('token must be a string, a function or null');
    this.#generation += 1;
    this.#source = source === '' ? null : source;
    this.#asking = null;
    this.#isKnown = !this.canRenew;
    if (this.#isKnown) this.#token = this.#last = this.#source;
    this.#toldEnd = null;
    this.#schedule();
  }

  #ends() {
    return expiryOf(this.#token) ?? this.#toldEnd;
  }

  #ask() {
    if (!this.canRenew) return Promise.resolve(this.#token);
    if (this.#asking !== null) return this.#asking;
    this.#askedAt = performance.now();
    const generation = this.#generation;
    const asking = withLimit(this.#source).then(
      (token) => {
        if (generation !== this.#generation) return this.get();
        this.#asking = null;
        this.#learn(token === '' || token === undefined ? null : token);
        return this.#token;
      },
      (cause) => {
        if (generation === this.#generation) this.#asking = null;
        throw cause instanceof TimeoutError ? cause : new TokenError(`No token: ${cause?.message ?? cause}`, { code: 'token', cause });
      },
    );
    this.#asking = asking;
    return asking;
  }

  #learn(token) {
    if (token !== null && typeof token !== 'string') throw new TokenError('The function that gives tokens returned no text.', { code: 'token' });
    const [before, wasKnown] = [this.#last, this.#isKnown];
    if (token !== before) this.#toldEnd = null;
    this.#token = this.#last = token;
    this.#isKnown = true;
    this.#schedule();
    if (!wasKnown || token !== before) this.#events.emit('change', { token, before });
  }

  /** The clock of this machine may be wrong: an end that seems to have passed is left to the server, which warns and refuses. */
  #schedule() {
    clearTimeout(this.#timer);
    this.#timer = null;
    const ends = this.#ends();
    if (this.#users === 0 || !this.canRenew || ends === null) return;
    const life = ends - (claimsOf(this.#token).iat ?? 0) * 1000;
    const wait = ends - Math.min(REFRESH_LEAD_MS, life * REFRESH_SHARE) - Date.now();
    const sinceAsked = performance.now() - this.#askedAt;
    if (ends <= Date.now()) return;
    this.#timer = setTimeout(() => this.refresh(), Math.min(MAX_TIMER_MS, Math.max(wait, MIN_PAUSE_MS - sinceAsked, 0)));
  }
}

/** The subject of a token; null if it cannot be read. It is not checked here: the server does that. */
export function subjectOf(token) {
  return claimsOf(token).sub ?? null;
}

/** The claims that decide who one is and what one may see, as one text to compare. */
export function identityOf(token) {
  const { sub, role, roles } = claimsOf(token);
  return JSON.stringify([token !== null, sub, role, roles]);
}

function expiryOf(token) {
  const { exp } = claimsOf(token);
  return Number.isFinite(exp) ? exp * 1000 : null;
}

function claimsOf(token) {
  try {
    const part = token.split('.')[1].replaceAll('-', '+').replaceAll('_', '/');
    return JSON.parse(new TextDecoder().decode(Uint8Array.from(atob(part), (char) => char.charCodeAt(0)))) ?? {};
  } catch {
    return {};
  }
}

function withLimit(source) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new TimeoutError(`No token within ${ASK_MS / 1000} s.`, { code: 'timeout' })), ASK_MS);
    const settle = (act) => (value) => {
      clearTimeout(timer);
      act(value);
    };
    Promise.resolve().then(source).then(settle(resolve), settle(reject));
  });
}
