// Looks into WebSocket frames of the server, for tests that drop or alter them. Runs in Node and in a page.

const text = new TextDecoder('latin1');

/** True if these bytes are a whole frame with an event in it. */
export function isEventFrame(bytes) {
  return (bytes[0] & 0x0f) === 1 && text.decode(bytes).includes('"op":"event"');
}
