// Takes the bytes of a server after an upgrade apart into WebSocket frames, for a proxy that drops or alters them.

const HEAD_END = Buffer.from('\r\n\r\n');

export class FrameSplitter {
  #frame;
  #rest = Buffer.alloc(0);
  #isUpgraded = false;
  #isPlain = false;
  #count = 0;

  /** `frame(bytes, number)` returns what goes on instead of a frame, or null for nothing. */
  constructor(frame) {
    this.#frame = frame;
  }

  /** Resolves with the part of these bytes that goes on. To be called again once that is there. */
  async carry(bytes) {
    if (this.#isPlain) return bytes;
    this.#rest = Buffer.concat([this.#rest, bytes]);
    const carried = [];
    if (!this.#isUpgraded) {
      const end = this.#rest.indexOf(HEAD_END);
      if (end < 0) return Buffer.alloc(0);
      const head = this.#rest.subarray(0, end + HEAD_END.length);
      this.#isUpgraded = head.toString('latin1').startsWith('HTTP/1.1 101');
      this.#isPlain = !this.#isUpgraded;
      if (this.#isPlain) return this.#rest;
      carried.push(head);
      this.#rest = this.#rest.subarray(head.length);
    }
    for (let length = frameLength(this.#rest); length <= this.#rest.length; length = frameLength(this.#rest)) {
      const frame = await this.#frame(Buffer.from(this.#rest.subarray(0, length)), this.#count);
      this.#count += 1;
      if (frame !== null) carried.push(frame);
      this.#rest = this.#rest.subarray(length);
    }
    return Buffer.concat(carried);
  }
}

/** The length of the frame that begins here; infinite while its head is not all there. A server masks nothing. */
function frameLength(bytes) {
  if (bytes.length < 2) return Infinity;
  const short = bytes[1] & 0x7f;
  if (short < 126) return 2 + short;
  if (short === 126) return bytes.length < 4 ? Infinity : 4 + bytes.readUInt16BE(2);
  return bytes.length < 10 ? Infinity : 10 + Number(bytes.readBigUInt64BE(2));
}
