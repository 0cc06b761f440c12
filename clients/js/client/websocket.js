// A stream over a WebSocket: opens it, reads frames, and tells once how it ended.

import { isEvent } from './cursor.js';
import { errorOfClose, hasAnswered, unreachable } from './errors.js';

/** A peer that does not answer the close is left after this, where the implementation can do that. */
const CLOSE_WAIT_MS = 1_000;
const PROTOCOL = 'rowcast.v1';

export class WebSocketTransport {
  kind = 'websocket';
  isVerifiable = true;
  #socket;
  #hooks;
  #parse;
  #errorFrame = null;
  #opened = false;

  /** `onFrame(frame)`, `onGarbled()`, `onEnd(error, {opened})`. */
  constructor({ WebSocket, url, token, parse }, hooks) {
    this.#hooks = hooks;
    this.#parse = parse;
    const protocols = token === null ? [PROTOCOL] : [PROTOCOL, `bearer.${token}`];
    try {
      this.#socket = new WebSocket(url, protocols);
    } catch (error) {
      this.#socket = null;
      queueMicrotask(() => this.#end(unreachable(url, error)));
      return;
    }
    this.#socket.onopen = () => {
      this.#opened = true;
      hasAnswered(url);
    };
    this.#socket.onmessage = ({ data }) => this.#read(data);
    // A close always follows, and says no less.
    this.#socket.onerror = () => {};
    this.#socket.onclose = ({ code }) => {
      this.#end(this.#opened ? errorOfClose(code, this.#errorFrame) : unreachable(url));
    };
  }

  /** Others take over what comes from now on. */
  handOver(hooks) {
    this.#hooks = hooks;
  }

  send(frame) {
    if (this.#socket?.readyState !== 1) return false;
    this.#socket.send(JSON.stringify(frame));
    return true;
  }

  close() {
    this.#hooks = null;
    const socket = this.#socket;
    if (socket === null) return;
    this.#socket = null;
    socket.onopen = socket.onmessage = null;
    let timer = null;
    socket.onclose = () => clearTimeout(timer);
    if (typeof socket.terminate === 'function') timer = setTimeout(() => socket.terminate(), CLOSE_WAIT_MS);
    socket.close(1000);
  }

  #read(data) {
    if (this.#hooks === null) return;
    let frame = null;
    try {
      frame = typeof data === 'string' ? this.#parse(data) : null;
    } catch {
      // Told below: a frame without JSON was garbled on its way.
    }
    if (frame === null || typeof frame !== 'object' || (frame.op === 'event' && !isEvent(frame.event))) return this.#hooks.onGarbled();
    if (frame.op === 'error') this.#errorFrame = frame;
    else this.#hooks.onFrame(frame);
  }

  #end(error) {
    const hooks = this.#hooks;
    this.#hooks = this.#socket = null;
    hooks?.onEnd(error, { opened: this.#opened });
  }
}
