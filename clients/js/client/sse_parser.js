// Server-sent events out of text that comes in pieces of any size. A block counts when its blank line is there, as the standard says.

/** An event is at most 256 KiB of JSON; escapes make it longer. A longer block does not come from this server. */
const MAX_BLOCK_CHARS = 8 * 1024 * 1024;

export class SseParser {
  /** The pieces of the line that is not complete. */
  #line = [];
  #chars = 0;
  #endedWithCr = false;
  #block = null;

  /** Yields `{data, id, event, retry, comment}` for each block that the text completes; what a block does not have is null. */
  *feed(text) {
    let from = 0;
    if (this.#endedWithCr && text.startsWith('\n')) from = 1;
    if (text !== '') this.#endedWithCr = text.endsWith('\r');
    const end = /\r\n|\n|\r/g;
    for (end.lastIndex = from; ;) {
      const found = end.exec(text);
      if (found === null) break;
      const line = this.#line.join('') + text.slice(from, found.index);
      from = end.lastIndex;
      this.#line = [];
      const block = this.#take(line);
      if (block !== null) yield block;
    }
    if (from < text.length) this.#line.push(text.slice(from));
    this.#grow(text.length - from);
  }

  #grow(chars) {
    this.#chars += chars;
    if (this.#chars > MAX_BLOCK_CHARS) throw new RangeError('a block of the event stream is too long');
  }

  #take(line) {
    if (line === '') {
      const block = this.#block;
      this.#block = null;
      this.#chars = 0;
      return block;
    }
    this.#grow(line.length);
    this.#block ??= { data: null, id: null, event: null, retry: null, comment: null };
    const colon = line.indexOf(':');
    const name = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? '' : line.slice(colon + (line[colon + 1] === ' ' ? 2 : 1));
    if (name === '') this.#block.comment = value;
    else if (name === 'data') this.#block.data = this.#block.data === null ? value : `${this.#block.data}\n${value}`;
    else if (name === 'id') this.#block.id = value;
    else if (name === 'event') this.#block.event = value;
    else if (name === 'retry' && /^\d+$/.test(value)) this.#block.retry = Number(value);
    return null;
  }
}
