// What the tests use of `node:test`, in a page: tests one after the other, `describe`, hooks, `t.after`, and `skip`.

/** Beyond it a test hangs. */
const TEST_MS = 60_000;

/** The suite that is being described: its name, its hooks and what is in it, in order. */
let suite = newSuite('');
/** Rejects with the first error that nobody has caught. */
let uncaught = null;

function newSuite(name) {
  return { name, before: [], after: [], children: [] };
}

export function test(name, options, body) {
  const [{ skip = false }, run] = typeof options === 'function' ? [{}, options] : [options, body];
  suite.children.push({ name, skip, run });
}

export function describe(name, body) {
  const outer = suite;
  suite = newSuite(name);
  outer.children.push({ name, suite });
  body();
  suite = outer;
}

export const before = (hook) => void suite.before.push(hook);
export const after = (hook) => void suite.after.push(hook);

/** Runs all that was described. `nodeOnly` are names of tests that are left out, each with its reason. */
export async function run(report, nodeOnly) {
  const left = new Map(Object.entries(nodeOnly));
  await runSuite(suite, '', report, left);
  for (const name of left.keys()) report({ kind: 'fail', name, why: 'is listed in node_only.js, and there is no such test' });
}

async function runSuite({ before: hooks, after: last, children }, prefix, report, left) {
  for (const hook of hooks) await hook({ after: (end) => last.push(end) });
  for (const { name, suite: inner, skip, run: body } of children) {
    const whole = `${prefix}${name}`;
    if (inner !== undefined) await runSuite(inner, `${whole}: `, report, left);
    else if (left.has(whole)) {
      report({ kind: 'skip', name: whole, why: left.get(whole) });
      left.delete(whole);
    } else if (skip) report({ kind: 'skip', name: whole, why: String(skip) });
    else await runTest(whole, body, report);
  }
  for (const hook of last) await hook();
}

async function runTest(name, body, report) {
  const ends = [];
  const began = performance.now();
  let result = { kind: 'pass' };
  let timer;
  const late = new Promise((_, reject) => { timer = setTimeout(() => reject(new Error(`not over after ${TEST_MS / 1000} s`)), TEST_MS); });
  const escaped = new Promise((_, reject) => { uncaught = reject; });
  try {
    await Promise.race([body({ name, after: (end) => ends.push(end) }), late, escaped]);
  } catch (error) {
    result = { kind: 'fail', why: error?.stack ?? String(error) };
  }
  clearTimeout(timer);
  for (const end of ends) {
    try {
      await end();
    } catch (error) {
      if (result.kind === 'pass') result = { kind: 'fail', why: `at its end: ${error.stack}` };
    }
  }
  report({ ...result, name, ms: performance.now() - began });
}

addEventListener('error', ({ error, message }) => uncaught?.(error ?? new Error(message)));
addEventListener('unhandledrejection', ({ reason }) => uncaught?.(reason));
