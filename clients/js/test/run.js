// Runs all tests against one server. `node --test test/<name>.test.js` runs a file alone, with a server of its own.

import { spawn } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import path from 'node:path';
import { startDev } from './support/rowcast.js';

/** Beyond it a file hangs. */
const FILE_MS = 90_000;

const folder = path.dirname(fileURLToPath(import.meta.url));
const wanted = process.argv.slice(2);
const files = readdirSync(folder).filter((name) => name.endsWith('.test.js') && (wanted.length === 0 || wanted.some((part) => name.includes(part))));
const { stop, ...server } = await startDev();
try {
  const flags = ['--test', '--test-reporter=spec', '--test-concurrency=2', `--test-timeout=${FILE_MS}`];
  const env = { ...process.env, ROWCAST_TEST_SERVER: JSON.stringify(server) };
  const child = spawn(process.execPath, [...flags, ...files.map((name) => path.join(folder, name))], { stdio: 'inherit', env });
  process.exitCode = await new Promise((resolve) => child.once('exit', (code) => resolve(code ?? 1)));
} finally {
  await stop();
}
