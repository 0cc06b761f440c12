// Follows the stream with two EventSources on fetch: `eventsource`, which takes an id with the blank line, as the standard says,
// and `@microsoft/fetch-event-source`, which takes it as soon as its line is there. Each is cut at every byte of the stream, through
// a proxy, and goes on by itself. Run by scripts/clients, which says where they are.

import assert from 'node:assert/strict';
import http from 'node:http';
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';

const home = createRequire(process.env.CLIENTS_MODULES + '/');
const { EventSource } = home('eventsource');
// It was made for browsers, asks for its timers there, and whether the page is seen.
globalThis.window = globalThis;
globalThis.document = { hidden: false, addEventListener() {}, removeEventListener() {} };
const { fetchEventSource } = await import(pathToFileURL(home.resolve('@microsoft/fetch-event-source')));
const SERVER = process.env.CLIENTS_URL;
const authorization = `Bearer ${process.env.CLIENTS_TOKEN}`;
const PATH = '/v1/events/stream?cursor=earliest&type=eventsource.*';
// Beyond it something that should have come is missing.
const PATIENCE = 20_000;
// So many clients at once.
const TOGETHER = 200;

async function append(events) {
  const answer = await fetch(SERVER + '/v1/events', {
    method: 'POST',
    headers: { authorization, 'content-type': 'application/json' },
    body: JSON.stringify(events),
  });
  assert.ok(answer.ok, `append: ${answer.status}`);
  return (await answer.json()).map(({ seq }) => seq);
}

// Hands on what the server says, but for the first connection of each client: that ends after so many bytes.
const seen = new Set();
const proxy = http.createServer((request, answer) => {
  const { 'x-client': client, 'x-cut': cut, host, connection, ...headers } = request.headers;
  let left = seen.has(client) ? Infinity : Number(cut);
  seen.add(client);
  const upstream = http.get(SERVER + request.url, { headers, agent: false }, (from) => {
    answer.writeHead(from.statusCode, { 'content-type': from.headers['content-type'] });
    answer.flushHeaders();
    from.on('data', (bytes) => {
      if (left <= 0) return;
      const part = bytes.subarray(0, left);
      left -= part.length;
      answer.write(part, () => left <= 0 && answer.destroy());
    });
    from.on('error', () => {});
  });
  answer.on('close', () => upstream.destroy());
  upstream.on('error', () => answer.destroy());
});
await new Promise((resolve) => proxy.listen(0, '127.0.0.1', resolve));
const url = `http://127.0.0.1:${proxy.address().port}${PATH}`;

// Each begins to follow, tells each seq, and returns how to stop it.
const clients = {
  eventsource(headers, told) {
    const source = new EventSource(url, {
      fetch: (input, init) => fetch(input, { ...init, headers: { ...init.headers, authorization, ...headers } }),
    });
    source.onmessage = ({ data }) => told(JSON.parse(data).seq);
    return () => source.close();
  },
  fetchEventSource(headers, told) {
    const stop = new AbortController();
    fetchEventSource(url, {
      fetch,
      headers: { authorization, ...headers },
      signal: stop.signal,
      openWhenHidden: true,
      onmessage: ({ data }) => data && told(JSON.parse(data).seq),
      onerror: () => 50,
    });
    return () => stop.abort();
  },
};

// The seqs that a client is told whose first connection is cut after so many bytes, up to this seq.
function follow(name, cut, last) {
  return new Promise((resolve, reject) => {
    const seqs = [];
    const late = setTimeout(() => reject(new Error(`${name} cut after ${cut} bytes has only ${seqs}`)), PATIENCE);
    const stop = clients[name]({ 'x-client': `${name} ${cut}`, 'x-cut': `${cut}` }, (seq) => {
      seqs.push(seq);
      if (seq !== last) return;
      clearTimeout(late);
      // What comes twice would come now.
      setTimeout(() => resolve((stop(), seqs)), 100);
    });
  });
}

// The stream up to its `live`, as bytes. A pause has always four digits.
async function whole() {
  const answer = await fetch(SERVER + PATH, { headers: { authorization } });
  let text = '';
  for await (const bytes of answer.body.pipeThrough(new TextDecoderStream())) {
    text += bytes;
    if (text.endsWith(': live\n\n')) return Buffer.from(text);
  }
  throw new Error('the stream ended');
}

async function work() {
  const some = (type, many) => Array.from({ length: many }, (_, n) => ({ type, payload: { n, text: 'two\nlines, ž' } }));
  const seqs = await append(some('eventsource.cut', 4));
  await append(some('other.hidden', 2));
  let stream;
  do stream = await whole();
  while (!stream.includes(`"seq":${seqs.at(-1)}`));
  // Where the line of an event's id has ended, and its blank line has not.
  const gaps = new Map();
  for (const { 1: seq, 0: line, index } of stream.toString('latin1').matchAll(/data: [^\n]*\nid: (\d+)[^\n]*\n/g)) {
    gaps.set(index + line.length, Number(seq));
  }
  assert.deepEqual([...gaps.values()], seqs);
  // The last event is one that comes after all cuts, so that each has something to come back for.
  const [last] = await append(some('eventsource.last', 1));
  const expected = [...seqs, last];
  let lost = 0;
  for (const name of Object.keys(clients)) {
    for (let from = 1; from <= stream.length; from += TOGETHER) {
      const cuts = Array.from({ length: Math.min(TOGETHER, stream.length + 1 - from) }, (_, n) => from + n);
      await Promise.all(
        cuts.map(async (cut) => {
          const got = await follow(name, cut, last);
          // Nothing that a server may send helps a client that has taken the id and throws the data in its hand away.
          const thrown = name === 'fetchEventSource' ? gaps.get(cut) : undefined;
          lost += thrown !== undefined && !got.includes(thrown);
          assert.deepEqual(got, expected.filter((seq) => seq !== thrown || got.includes(seq)), `${name} cut after ${cut} bytes`);
        }),
      );
    }
  }
  return `cut at each of ${stream.length} bytes, nothing lost or repeated; fetch-event-source itself drops what it holds at ${lost} of them`;
}

try {
  const said = await work();
  const version = (name) => home(`${name}/package.json`).version;
  console.log(
    `ok  node eventsource ${version('eventsource')}, fetch-event-source ${version('@microsoft/fetch-event-source')}: ${said}`,
  );
  process.exit(0);
} catch (error) {
  console.log(`FAILED  node eventsource: ${error.message.slice(0, 800)}`);
  process.exit(1);
}
