// Who is looking: the token (in memory alone), the view that it opens, and the connections of the page.

import { connect } from './client.js';
import { parseExact } from './exact.js';

/** What the views of trading and chat follow. One connection carries it, and tells how the server is. */
const APPLICATION_TYPES = 'trade.*,order.*,snapshot.*,chat.*';
/** How long before its end a person is asked for the next token. */
const ASK_BEFORE_MS = 45_000;
/** Timers of browsers wrap beyond this. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

/** The claims of a token, to show who it speaks for. The server alone decides whether it is good. */
export function claimsOf(token) {
  try {
    const part = token.split('.')[1].replaceAll('-', '+').replaceAll('_', '/');
    return JSON.parse(new TextDecoder().decode(Uint8Array.from(atob(part), (letter) => letter.charCodeAt(0))));
  } catch {
    return null;
  }
}

/** Takes the token out of the address at once, so that it is in no bookmark and behind no "back". The list of visited addresses of a
 *  browser may keep what was opened all the same. */
export function tokenOfAddress() {
  const found = /^#\/?(?:[^/]*&)?token=([^&]+)/.exec(location.hash);
  if (!found) return null;
  const view = /[#/&]view=([a-z]+)/.exec(location.hash)?.[1] ?? 'events';
  history.replaceState(null, '', `${location.pathname}#/${view}`);
  try {
    return decodeURIComponent(found[1]);
  } catch {
    // No token has a broken escape. The server says that it is none.
    return found[1];
  }
}

/** The server has answered another connection of the page: these need not wait for their next try. */
function wake(connections) {
  for (const connection of connections) if (connection.state.status === 'waiting') connection.retry();
}

export class Session {
  #token = null;
  #feeds = new Set();
  #listeners = new Map();
  #expiry = 0;

  /** What the server says of the token: `{subject, role, expires}`; null in the public view. */
  me = null;
  /** The connection that is always there: applications, tables, requests, the state of the server. */
  main = null;

  constructor(token) {
    this.#token = token;
    this.main = connect({ token, type: APPLICATION_TYPES, cursor: 'latest', onCursorExpired: 'latest', parse: parseExact });
    this.#stream();
    this.main.on('state', (state) => this.#stateChanged(state));
    this.main.on('gap', () => this.#tell('reload'));
    this.main.on('auth_expiring', () => this.#tell('ask', 'expiring'));
    this.#identify();
  }

  /** False in the public view of a server that streams to those with a token alone. */
  get hasStream() {
    return this.isPrivate || document.documentElement.dataset.publicStream === 'on';
  }

  #isStreaming = false;

  /** Listening to events opens the stream, so it waits until there is one. */
  #stream() {
    if (this.#isStreaming || !this.hasStream) return;
    this.#isStreaming = true;
    this.main.on('event', (event) => this.#tell('application', event));
  }

  /** Calls back: `identity`, `state`, `application` (an event), `reload` (some of these were lost), `ask` (for a token, with the reason). */
  on(name, listener) {
    if (!this.#listeners.has(name)) this.#listeners.set(name, new Set());
    this.#listeners.get(name).add(listener);
    return () => this.#listeners.get(name).delete(listener);
  }

  #tell(name, value) {
    for (const listener of this.#listeners.get(name) ?? []) listener(value);
  }

  get isPrivate() {
    return this.#token !== null;
  }

  /** True once the time is over for which the token was made. */
  get hasEnded() {
    return Boolean(this.me?.expires) && this.me.expires < Date.now();
  }

  get isAdmin() {
    return this.me?.role === 'admin';
  }

  /** A stream of its own, for the list of events. It follows the session from the public view to the private one. */
  feed(subscription) {
    const feed = connect({ token: this.#token, onCursorExpired: 'earliest', parse: parseExact, ...subscription });
    this.#feeds.add(feed);
    feed.on('live', () => wake([this.main]));
    return {
      connection: feed,
      close: () => {
        this.#feeds.delete(feed);
        feed.close();
      },
    };
  }

  /** Asks a route of the server. Without a token the public one of the same name answers. */
  request(path, options) {
    return this.main.request(path, options);
  }

  /** Goes on with this token where the page stands. */
  use(token) {
    const before = this.#token;
    this.#token = token;
    for (const connection of [this.main, ...this.#feeds]) connection.setToken(token);
    this.#stream();
    this.#identify(before === null);
  }

  /** Forgets the token, and all that was seen with it. */
  end() {
    location.reload();
  }

  async #identify(viewChanged = true) {
    clearTimeout(this.#expiry);
    const token = this.#token;
    if (token === null) {
      this.me = null;
      return this.#tell('identity', { viewChanged });
    }
    const claims = claimsOf(token);
    this.me = { subject: claims?.sub ?? '', role: claims?.role ?? '', expires: claims?.exp ? claims.exp * 1000 : null };
    this.#tell('identity', { viewChanged });
    if (this.me.expires) {
      const wait = Math.max(0, this.me.expires - Date.now() - ASK_BEFORE_MS);
      if (wait < LONGEST_TIMER_MS) this.#expiry = setTimeout(() => this.#tell('ask', 'expiring'), wait);
    }
    try {
      const { subject, role, expires } = await this.request('/v1/me');
      if (this.#token !== token) return;
      this.me = { subject, role, expires: Date.parse(expires) };
      this.#tell('identity', { viewChanged: false });
    } catch (error) {
      if (this.#token === token && error.status === 401) this.#refused(error);
    }
  }

  #stateChanged(state) {
    if (state.status === 'failed' && state.error?.name === 'UnauthorizedError') this.#refused(state.error);
    if (state.status === 'live') wake(this.#feeds);
    this.#tell('state', state);
  }

  #refused(error) {
    if (this.#token !== null) this.#tell('ask', error.code === 'token_expired' || this.hasEnded ? 'expired' : 'refused');
  }
}
