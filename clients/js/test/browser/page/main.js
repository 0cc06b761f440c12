// Runs one file of tests in this page, tells how it went, and loads the page anew for the next one.

import { run } from 'node:test';
import { call } from './control.js';

const { file, nodeOnly } = await call('nextFile');
let why;
try {
  await import(`/js/test/${file}`);
  await run((result) => call('report', result), nodeOnly);
} catch (error) {
  why = error.stack;
}
await call('report', { kind: 'end', why });
location.reload();
