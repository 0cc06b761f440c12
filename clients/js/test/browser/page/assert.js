// What the tests use of `node:assert/strict`, in a page.

export class AssertionError extends Error {
  constructor(message) {
    super(message);
    this.name = 'AssertionError';
  }
}

const MOST_CHARS = 2_000;

/** A value as text, for a message. */
function show(value) {
  if (value instanceof Error) return `${value.name}: ${value.message} ${JSON.stringify(value)}`;
  if (value instanceof Map || value instanceof Set) return `${value.constructor.name} ${show([...value])}`;
  return (JSON.stringify(value, (_, one) => (typeof one === 'bigint' ? `${one}n` : one)) ?? String(value)).slice(0, MOST_CHARS);
}

/** `said` is what a test says of its assertion; an error stands for itself. */
function fails(what, said) {
  throw said instanceof Error ? said : new AssertionError(said === undefined ? what : `${said}: ${what}`);
}

/** As `assert.deepStrictEqual` decides it, for values without cycles. */
function isDeepEqual(a, b) {
  if (Object.is(a, b)) return true;
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false;
  if (Object.getPrototypeOf(a) !== Object.getPrototypeOf(b)) return false;
  if (a instanceof Map) return a.size === b.size && [...a].every(([key, value]) => b.has(key) && isDeepEqual(value, b.get(key)));
  if (a instanceof Set) return a.size === b.size && [...a].every((value) => b.has(value));
  if (a instanceof Date) return a.getTime() === b.getTime();
  const [left, right] = [Object.keys(a), Object.keys(b)];
  return a.length === b.length && left.length === right.length && left.every((name) => Object.hasOwn(b, name) && isDeepEqual(a[name], b[name]));
}

/** Fails unless an error is as expected: a class, a pattern, a function that looks at it, or the fields that it shall have. */
function expectError(error, expected, said) {
  if (expected === undefined || typeof expected === 'string') return;
  if (expected instanceof RegExp) {
    if (!expected.test(String(error))) fails(`${show(error)} does not match ${expected}`, said);
  } else if (typeof expected === 'function') {
    const isClass = expected === Error || expected.prototype instanceof Error;
    if (isClass ? !(error instanceof expected) : expected(error) !== true) fails(`${show(error)} is not as expected`, said);
  } else {
    for (const [name, value] of Object.entries(expected)) {
      const isGood = value instanceof RegExp ? value.test(error?.[name]) : isDeepEqual(error?.[name], value);
      if (!isGood) fails(`${name} is ${show(error?.[name])}, not ${show(value instanceof RegExp ? String(value) : value)}, in ${show(error)}`, said);
    }
  }
}

const assert = {
  AssertionError,
  fail: (said) => fails('fails', said),
  ok: (value, said) => void (value || fails(`${show(value)} is not true`, said)),
  equal: (a, b, said) => void (Object.is(a, b) || fails(`${show(a)} is not ${show(b)}`, said)),
  notEqual: (a, b, said) => void (!Object.is(a, b) || fails(`both are ${show(a)}`, said)),
  deepEqual: (a, b, said) => void (isDeepEqual(a, b) || fails(`${show(a)} is not ${show(b)}`, said)),
  match: (text, pattern, said) => void (pattern.test(text) || fails(`${show(text)} does not match ${pattern}`, said)),
  throws(act, expected, said) {
    try {
      act();
    } catch (error) {
      return expectError(error, expected, said);
    }
    return fails('nothing was thrown', said);
  },
  async rejects(promise, expected, said) {
    try {
      await (typeof promise === 'function' ? promise() : promise);
    } catch (error) {
      return expectError(error, expected, said);
    }
    return fails('nothing was rejected', said);
  },
};
export default assert;
