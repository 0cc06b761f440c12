// A stream as server-sent events over `fetch`. It tells the same frames as a WebSocket does; comments of the stream become `hello`,
// `live`, `heartbeat` and `drain`. It reads only while there is room, so that a slow consumer slows the server down.

import { isEvent } from './cursor.js';
import { NotFoundError, errorOfAnswer, errorOfClose, hasAnswered, unreachable } from './errors.js';
import { problemOf, retryAfterOf } from './answer.js';
import { SseParser } from './sse_parser.js';

const TOLD_BY_COMMENT = new Set(['hello', 'live', 'heartbeat', 'drain']);

export class SseTransport {
  kind = 'sse';
  isVerifiable = false;
  #hooks;
  #parse;
  #abort = new AbortController();
  #view;
  #errorFrame = null;
  #opened = false;

  /** `onFrame(frame)`, `onGarbled()`, `onEnd(error, {opened})`, and `room()`: null, or a promise of room. */
  constructor({ fetch, url, token, parse }, hooks) {
    this.#hooks = hooks;
    this.#parse = parse;
    this.#view = token === null ? 'public' : 'private';
    this.#run(fetch, url, token).then(
      (error) => this.#end(error),
      (error) => this.#end(unreachable(url, error)),
    );
  }

  send() {
    return false;
  }

  close() {
    this.#hooks = null;
    this.#abort.abort();
  }

  /** Reads to the end, and returns why that came. */
  async #run(fetch, url, token) {
    const headers = { accept: 'text/event-stream' };
    if (token !== null) headers.authorization = `Bearer ${token}`;
    const answer = await fetch(url, { headers, signal: this.#abort.signal, cache: 'no-store' });
    hasAnswered(url);
    if (answer.status === 404 && token === null) {
      answer.body?.cancel().catch(() => {});
      return new NotFoundError('There is no token, and this server has no public stream.', { code: 'not_found', status: 404 });
    }
    if (!answer.ok || answer.body === null) {
      const requestId = answer.headers.get('x-request-id');
      return errorOfAnswer(answer.status, await problemOf(answer), { retryAfter: retryAfterOf(answer), requestId });
    }
    this.#opened = true;
    const reader = answer.body.getReader();
    const [parser, decoder] = [new SseParser(), new TextDecoder()];
    for (;;) {
      const { done, value } = await reader.read();
      if (done || this.#hooks === null) break;
      for (const block of parser.feed(decoder.decode(value, { stream: true }))) {
        const room = this.#hooks?.room() ?? null;
        if (room !== null) await room;
        if (this.#hooks === null) break;
        this.#tell(block);
      }
    }
    // Half a block has no blank line behind it, and is read again behind the last whole one.
    return errorOfClose(null, this.#errorFrame);
  }

  #tell({ data, id, event, retry, comment }) {
    const hooks = this.#hooks;
    if (data !== null) {
      let content;
      try {
        content = this.#parse(data);
      } catch {
        return hooks.onGarbled();
      }
      if (event === 'error') this.#errorFrame = content;
      else if (event === null && !isEvent(content)) hooks.onGarbled();
      else if (event === null) hooks.onFrame({ op: 'event', event: content, cursor: id });
    } else if (TOLD_BY_COMMENT.has(comment)) {
      const frame = { op: comment, cursor: id };
      if (comment === 'hello') frame.view = this.#view;
      if (comment === 'drain') frame.retry_ms = retry;
      hooks.onFrame(frame);
    }
  }

  #end(error) {
    const hooks = this.#hooks;
    this.#hooks = null;
    this.#abort.abort();
    hooks?.onEnd(error, { opened: this.#opened });
  }
}
