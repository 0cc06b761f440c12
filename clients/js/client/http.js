// Requests to the routes of the server: token, errors, retries. Streams have a module of their own.

import { problemOf, retryAfterOf } from './answer.js';
import { Backoff } from './backoff.js';
import { ClosedError, NetworkError, TimeoutError, brokenOff, errorOfAnswer, hasAnswered, unreachable } from './errors.js';
import { pause, timeLimit } from './waits.js';

const REQUEST_MS = 30_000;
/** Retries where nothing else is said: of what is safe to repeat, and of an append. */
const SAFE_RETRIES = 2;
const APPEND_RETRIES = 6;
const MAX_RETRIES = 20;
/** A retry that would begin later than this after the first try is not made. */
const MAX_RETRYING_MS = 120_000;
const WORTH_REPEATING = new Set([408, 429, 502, 503, 504]);

export class Api {
  #endpoint;
  #credentials;
  #fetch;
  #closing;
  #parse;

  constructor({ endpoint, credentials, fetch, closing, parse }) {
    this.#parse = parse;
    this.#closing = closing;
    this.#endpoint = endpoint;
    this.#credentials = credentials;
    this.#fetch = fetch;
  }

  /** A text of JSON as a value, as the application wants it. */
  parse(text) {
    return this.#parse(text);
  }

  /** The JSON of an answer; null of one without. */
  async request(path, options = {}) {
    const isSafe = ['GET', 'HEAD'].includes(options.method ?? 'GET') || options.idempotencyKey !== undefined;
    const retries = Math.min(MAX_RETRIES, options.retries ?? (isSafe ? SAFE_RETRIES : 0));
    const [backoff, began] = [new Backoff(), performance.now()];
    for (;;) {
      try {
        return await this.#once(path, options);
      } catch (error) {
        const isWorthIt = error instanceof NetworkError || error instanceof TimeoutError || WORTH_REPEATING.has(error.status);
        if (!isWorthIt || backoff.failures >= retries) throw error;
        const wait = backoff.next(error.retryAfter);
        if (performance.now() - began + wait > MAX_RETRYING_MS) throw error;
        await pause(wait, [options.signal, this.#closing]);
      }
    }
  }

  append(events, { idempotencyKey, retries = APPEND_RETRIES, signal } = {}) {
    const list = Array.isArray(events) ? events : [events];
    // The two ways to make retries safe exclude each other.
    const hasOwnKeys = list.some((event) => event?.dedupe_key !== undefined);
    const key = idempotencyKey ?? (hasOwnKeys ? undefined : newKey());
    const isRepeatable = key !== undefined || list.every((event) => event?.dedupe_key !== undefined);
    const options = { method: 'POST', body: events, idempotencyKey: key, retries: isRepeatable ? retries : 0, signal };
    return this.request('/v1/events', options);
  }

  /** An answer that is good, its body not read yet. It has no time limit but that of `signal`. */
  async open(path, options) {
    const token = await this.#credentials.get();
    try {
      return await this.#send(path, options, token);
    } catch (error) {
      if (error.status !== 401 || token === null || !this.#credentials.canRenew) throw error;
      const renewed = await this.#credentials.renew(token);
      if (renewed === token) throw error;
      return this.#send(path, options, renewed);
    }
  }

  async #once(path, options) {
    const limit = timeLimit(options.timeoutMs ?? REQUEST_MS, [options.signal, this.#closing]);
    try {
      const answer = await this.open(path, { ...options, signal: limit.signal });
      const text = await limit.guard(answer.text());
      if (text !== '') return this.#parse(text);
      // A browser takes headers that were cut for whole ones, and then there is no body.
      if (answer.status !== 204) throw brokenOff();
      return null;
    } finally {
      limit.stop();
    }
  }

  async #send(path, { method = 'GET', query, body, headers = {}, idempotencyKey, signal }, token) {
    if (this.#closing.aborted) throw this.#closing.reason;
    const isPublic = token === null && path.startsWith('/v1/');
    const url = this.#endpoint.http(isPublic ? `/public${path}` : path, query);
    const sent = { accept: 'application/json', ...headers };
    if (token !== null) sent.authorization = `Bearer ${token}`;
    if (body !== undefined) sent['content-type'] ??= 'application/json';
    if (idempotencyKey !== undefined) sent['idempotency-key'] = idempotencyKey;
    const text = body === undefined || typeof body === 'string' ? body : JSON.stringify(body);
    let answer;
    try {
      // What is written goes to the server that was named, and never to where that one points.
      const redirect = text === undefined ? 'follow' : 'manual';
      answer = await this.#fetch(url, { method, headers: sent, body: text, signal, redirect, cache: 'no-store' });
    } catch (cause) {
      throw signal?.aborted ? signal.reason : unreachable(url, cause);
    }
    hasAnswered(url);
    if (answer.ok) return answer;
    if (answer.type === 'opaqueredirect' || (text !== undefined && answer.status >= 300 && answer.status < 400)) {
      answer.body?.cancel().catch(() => {});
      throw errorOfAnswer(answer.status, { code: 'redirected', detail: `${url} leads elsewhere, and a request with a body does not follow: give the address where the server is as url.` });
    }
    const about = { retryAfter: retryAfterOf(answer), requestId: answer.headers.get('x-request-id') };
    throw errorOfAnswer(answer.status, await problemOf(answer), about);
  }
}

/** A name for a request that nobody else gives. `randomUUID` is there in secure contexts alone. */
function newKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

export function closedError() {
  return new ClosedError('The connection was closed.', { code: 'closed' });
}
