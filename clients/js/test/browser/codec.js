// What crosses between a page and Node, as JSON: plain values, `undefined`, bytes, and functions, which the other side calls by number.
// Used by both sides.

/** Makes a value ready for JSON. `keep(fn)` returns the number under which a function can be called. */
export function encode(value, keep) {
  if (typeof value === 'function') return { $call: keep(value) };
  if (value === undefined) return { $undefined: true };
  if (value === null || typeof value !== 'object') return value;
  if (value instanceof Uint8Array) return { $bytes: btoa(Array.from(value, (byte) => String.fromCharCode(byte)).join('')) };
  if (Array.isArray(value)) return value.map((one) => encode(one, keep));
  return Object.fromEntries(Object.entries(value).map(([name, one]) => [name, encode(one, keep)]));
}

/** The value again. `reach(number)` returns a function that calls the one of the other side. */
export function decode(value, reach) {
  if (value === null || typeof value !== 'object') return value;
  if (value.$undefined === true) return undefined;
  if (typeof value.$call === 'number') return reach(value.$call);
  if (typeof value.$bytes === 'string') return Uint8Array.from(atob(value.$bytes), (char) => char.charCodeAt(0));
  if (Array.isArray(value)) return value.map((one) => decode(one, reach));
  return Object.fromEntries(Object.entries(value).map(([name, one]) => [name, decode(one, reach)]));
}
