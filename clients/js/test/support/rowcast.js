// A real server on a real Postgres for the tests. `test/run.js` starts one for all files and names it in the environment; a file that
// runs alone starts its own.

import { execFile, spawn } from 'node:child_process';
import { createHmac, randomBytes } from 'node:crypto';
import { chmodSync, existsSync, mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { fileURLToPath } from 'node:url';
import path from 'node:path';

const START_MS = 90_000;
const PSQL_MS = 30_000;
const NO_LIMITS = ['public', 'private', 'connect', 'append', 'chat', 'snapshot'].map((name) => `${name}=1000000/s`).join(',');
/** Where the tests of the browser come from. */
const ORIGINS = 'http://127.0.0.1:*';
const repository = fileURLToPath(new URL('../../../../', import.meta.url));

/** The server of this run. */
export async function sharedServer(t) {
  const shared = process.env.ROWCAST_TEST_SERVER;
  if (shared !== undefined) return JSON.parse(shared);
  const own = await startDev();
  t.after(() => own.stop());
  return own;
}

export function binary() {
  const candidates = [process.env.ROWCAST_BIN, path.join(repository, 'target/release/rowcast'), path.join(repository, 'target/debug/rowcast')];
  const found = candidates.find((candidate) => candidate !== undefined && existsSync(candidate));
  if (found === undefined) throw new Error('no server binary: set ROWCAST_BIN, or build with cargo');
  return found;
}

/** `rowcast dev` in a folder of its own: a private Postgres and a server. */
export async function startDev(flags = []) {
  const folder = mkdtempSync(path.join(tmpdir(), 'rowcast-client-'));
  // Postgres runs as another user where this is root, and passes through.
  chmodSync(folder, 0o711);
  const secret = randomBytes(32).toString('hex');
  const settings = ['--listen', '127.0.0.1:0', '--jwt-secret', secret, '--public-stream', 'on', '--heartbeat', '200ms', '--rate-limits', NO_LIMITS, '--allowed-origins', ORIGINS];
  const child = spawn(binary(), ['dev', '--dir', path.join(folder, 'dev'), ...settings, ...flags], { stdio: ['ignore', 'pipe', 'pipe'], env: cleanEnvironment() });
  const lines = await readUntil(child, /^ready /m);
  const said = (name) => new RegExp(`^${name} +(.*)$`, 'm').exec(lines)[1];
  const stop = async () => {
    await ended(child, 'SIGTERM');
    rmSync(folder, { recursive: true, force: true });
  };
  return { url: said('server'), database: said('database'), folder: path.join(folder, 'dev'), secret, stop };
}

/** Another server on the same database, which a test may kill. With `port` it comes back at the same address. */
export async function serve({ database, secret }, { port = 0, drain = '500ms', flags = [] } = {}) {
  const address = `127.0.0.1:${port === 0 ? await freePort() : port}`;
  const settings = ['--listen', address, '--public-stream', 'on', '--heartbeat', '200ms', '--drain', drain, '--rate-limits', NO_LIMITS, '--allowed-origins', ORIGINS];
  const child = spawn(binary(), ['serve', ...settings, ...flags], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...cleanEnvironment(), DATABASE_URL: database, ROWCAST_JWT_SECRET: secret },
  });
  await readUntil(child, /^listening on /m);
  return { url: `http://${address}`, port: Number(address.split(':')[1]), kill: () => ended(child, 'SIGKILL'), stop: () => ended(child, 'SIGTERM') };
}

/** Runs SQL and returns its rows, each a line with `|` between the columns. */
export function psql({ database }, sql) {
  return new Promise((resolve, reject) => {
    const child = execFile('psql', ['-X', '-A', '-t', '-q', '-v', 'ON_ERROR_STOP=1', '-d', database], { timeout: PSQL_MS, maxBuffer: 64 << 20 }, (error, out) => {
      if (error !== null) reject(error);
      else resolve(out.split('\n').filter((line) => line !== ''));
    });
    child.stdin.end(sql);
  });
}

/** Begins a transaction and holds it open. Returns how to commit it. */
export function hold({ database }, sql) {
  const child = spawn('psql', ['-X', '-q', '-v', 'ON_ERROR_STOP=1', '-d', database], { stdio: ['pipe', 'ignore', 'inherit'] });
  child.stdin.write(`${sql}\n`);
  const gone = new Promise((resolve, reject) => child.once('exit', (code) => (code === 0 ? resolve() : reject(new Error(`psql ended with ${code}`)))));
  return () => {
    child.stdin.end('commit;\n');
    return gone;
  };
}

/** Runs a command of the server's binary. */
export function rowcast(args, env = {}) {
  return new Promise((resolve, reject) => {
    execFile(binary(), args, { env: { ...cleanEnvironment(), ...env }, timeout: PSQL_MS }, (error, out) => (error ? reject(error) : resolve(out)));
  });
}

/** A token as an issuer would sign it. `exp` and others may be given; the server has 60 s of leeway. */
export function mint({ secret }, claims = {}) {
  const now = Math.floor(Date.now() / 1000);
  const part = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const body = `${part({ alg: 'HS256', typ: 'JWT' })}.${part({ sub: 'tester', role: 'admin', iat: now, exp: now + 3600, ...claims })}`;
  return `${body}.${createHmac('sha256', secret).update(body).digest('base64url')}`;
}

/** Settings of the machine's own server must not reach those of the tests. */
function cleanEnvironment() {
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^(ROWCAST_(?!PG_BIN)|DATABASE_URL|PG)/.test(name)));
}

export function freePort() {
  return new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}

function readUntil(child, pattern) {
  return new Promise((resolve, reject) => {
    let [out, errors] = ['', ''];
    const fail = (why) => {
      child.kill('SIGTERM');
      reject(new Error(`${why}\n${out}${errors}`));
    };
    const timer = setTimeout(() => fail('the server did not start in time'), START_MS);
    child.once('exit', (code) => fail(`the server ended with ${code}`));
    child.stderr.on('data', (bytes) => { errors = (errors + bytes).slice(-4000); });
    child.stdout.on('data', (bytes) => {
      out += bytes;
      if (!pattern.test(out)) return;
      clearTimeout(timer);
      resolve(out);
    });
  });
}

function ended(child, signal) {
  if (child.exitCode !== null || child.signalCode !== null) return Promise.resolve();
  const gone = new Promise((resolve) => child.once('exit', resolve));
  child.kill(signal);
  return gone;
}
