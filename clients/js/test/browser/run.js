// Runs the tests of the client in Chromium: the same files as in Node, against the same real servers, through the same proxies.

import { readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import path from 'node:path';
import { startDev } from '../support/rowcast.js';
import { findChromium, openChromium } from './chromium.js';
import { NODE_ONLY_FILES, NODE_ONLY_TESTS } from './node_only.js';
import { startWeb } from './web.js';

/** Beyond it a file hangs. */
const FILE_MS = 180_000;
/** Browsers that run beside each other. A browser opens few connections to one address, so they share none. */
const LANES = 2;

const folder = fileURLToPath(new URL('../', import.meta.url));
const say = (line) => process.stdout.write(`${line}\n`);
const counts = { pass: 0, fail: 0, skip: 0 };

function tell(file, { kind, name, ms = 0, why = '' }) {
  counts[kind] += 1;
  const sign = { pass: '✔', fail: '✖', skip: '﹣' }[kind];
  const more = { pass: `(${ms.toFixed(0)} ms)`, fail: `(${ms.toFixed(0)} ms)\n${why.replaceAll(/^/gm, '    ')}`, skip: `# skipped in the browser: ${why}` }[kind];
  say(`${sign} ${file}: ${name} ${more}`);
}

/** A browser that runs one file after the other. */
class Lane {
  #program;
  #web;
  #number;
  #browser = null;
  #file = null;
  #handOut = null;
  #finish = null;

  constructor(program, web, number) {
    this.#program = program;
    this.#web = web;
    this.#number = number;
  }

  /** Resolves once the tests of this file are over. */
  async run(file) {
    this.#file = file;
    let timer;
    const over = new Promise((resolve) => {
      this.#finish = resolve;
      timer = setTimeout(resolve, FILE_MS, 'the file does not end');
    });
    if (this.#browser === null) this.#open();
    this.#handOut?.();
    const why = await over;
    clearTimeout(timer);
    this.#file = null;
    if (why === undefined) return;
    tell(file, { kind: 'fail', name: 'all tests', why });
    await this.end();
  }

  #open() {
    const browser = openChromium(this.#program, `${this.#web.url}/run?lane=${this.#number}`);
    this.#browser = browser;
    browser.gone.then(() => this.#browser === browser && this.#finish?.('Chromium has ended'));
  }

  /** The page asks for its next file. */
  async nextFile() {
    if (this.#file === null) await new Promise((resolve) => { this.#handOut = resolve; });
    this.#handOut = null;
    return { file: this.#file, nodeOnly: NODE_ONLY_TESTS[this.#file] ?? {} };
  }

  report(result) {
    if (result.kind !== 'end') return tell(this.#file, result);
    // The page is loaded anew for the next file, which it asks for then.
    this.#file = null;
    return this.#finish(result.why);
  }

  async end() {
    const browser = this.#browser;
    this.#browser = this.#handOut = null;
    await browser?.end();
  }
}

async function runAll(program, wanted) {
  const isWanted = (name) => wanted.length === 0 || wanted.some((part) => name.includes(part));
  const files = readdirSync(folder).filter((name) => name.endsWith('.test.js') && isWanted(name));
  for (const file of files.filter((name) => name in NODE_ONLY_FILES)) tell(file, { kind: 'skip', name: 'all tests', why: NODE_ONLY_FILES[file] });
  // The longest first, so that no lane begins it when the other has nothing more to do.
  const longest = ['cuts.test.js', 'tokens.test.js', 'tables.test.js'];
  const rank = (file) => (longest.includes(file) ? longest.indexOf(file) : longest.length);
  const queue = files.filter((name) => !(name in NODE_ONLY_FILES)).sort((a, b) => rank(a) - rank(b));
  const { stop, ...shared } = await startDev();
  const lanes = [];
  const web = await startWeb(shared, { work: (lane) => lanes[lane].nextFile(), report: (lane, result) => lanes[lane].report(result) });
  for (let number = 0; number < Math.min(LANES, queue.length); number += 1) lanes.push(new Lane(program, web, number));
  try {
    await Promise.all(lanes.map(async (lane) => {
      for (let file = queue.shift(); file !== undefined; file = queue.shift()) await lane.run(file);
    }));
  } finally {
    await Promise.all(lanes.map((lane) => lane.end()));
    await web.close();
    await stop();
  }
}

const program = findChromium();
if (program === undefined) {
  say('skipped: all tests of the client in the browser, since Chromium is not installed (Debian: apt-get install chromium)');
} else {
  const began = performance.now();
  await runAll(program, process.argv.slice(2));
  say(`in Chromium: ${counts.pass} passed, ${counts.fail} failed, ${counts.skip} skipped, ${((performance.now() - began) / 1000).toFixed(0)} s`);
  process.exitCode = counts.fail > 0 ? 1 : 0;
}
