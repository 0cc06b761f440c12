// A headless Chromium of this machine, with a profile of its own.

import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

const NAMES = ['chromium', 'chromium-browser', 'google-chrome'];
/** It gets so long to end by itself. */
const END_MS = 3_000;

/** Where it is, or undefined. */
export function findChromium() {
  const folders = (process.env.PATH ?? '').split(path.delimiter);
  const candidates = NAMES.flatMap((name) => folders.map((folder) => path.join(folder, name)));
  return [process.env.ROWCAST_CHROMIUM, ...candidates].find((file) => file !== undefined && existsSync(file));
}

/** Opens a page. Returns how to end the browser, and a promise of its end. */
export function openChromium(program, url) {
  const profile = mkdtempSync(path.join(tmpdir(), 'rowcast-chromium-'));
  const flags = ['--headless=new', '--no-first-run', '--disable-gpu', '--disable-dev-shm-usage', '--disable-background-networking',
    '--disable-background-timer-throttling', '--disable-renderer-backgrounding', `--user-data-dir=${profile}`];
  // Chromium refuses its own sandbox to root. Only pages of these tests are opened.
  if (process.getuid?.() === 0) flags.push('--no-sandbox');
  // A group of its own, since its processes do not all end with the first one.
  const child = spawn(program, [...flags, url], { stdio: 'ignore', detached: true });
  const gone = new Promise((resolve) => {
    child.once('exit', resolve);
    child.once('error', resolve);
  });
  const signal = (name) => {
    try {
      process.kill(-child.pid, name);
    } catch {
      // It has ended already.
    }
  };
  const end = async () => {
    signal('SIGTERM');
    const timer = setTimeout(signal, END_MS, 'SIGKILL');
    await gone;
    clearTimeout(timer);
    signal('SIGKILL');
    rmSync(profile, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 });
  };
  return { end, gone };
}
