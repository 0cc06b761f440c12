// The conformance suite of the Durable Streams protocol (@durable-streams/server-conformance-tests), as far as it concerns reading JSON and
// text. Every test of it makes streams of its own and appends to them, which /v1/stream does not do. So this lends it a write side: a
// stream of the suite is one type of event, a message is the `v` of a payload, and what is read is taken out of the events again. Offsets,
// headers, tags, waits and control events are Rowcast's own.

import { spawn } from "node:child_process";
import { writeFileSync } from "node:fs";
import http from "node:http";
import { join } from "node:path";

const { CLIENTS_URL: base, CLIENTS_TOKEN: token, CLIENTS_MODULES: home } = process.env;
const authorization = { authorization: `Bearer ${token}` };
/** The parts of the suite that are run. */
const PARTS = "Read Operations|Long-Poll|HEAD Metadata|Offset Validation|Caching and ETag|JSON Mode|SSE Mode|Read-Your-Writes|Chunking";
/** Left out: streams of bytes, times to live, events larger than an event may be, and preflights, which the write side does not pass on. */
const LEFT_OUT = "base64|binary|Data-Encoding|TTL|large payload|chunk-size|preflight";

const streams = new Map();
const path = (stream, query = "") => `${base}/v1/stream/events?${query}type=${stream.event}`;
const isJson = (stream) => stream.type.toLowerCase().startsWith("application/json");
const kindOf = (type) => type.split(";")[0].trim().toLowerCase();
const items = (value) => (Array.isArray(value) ? value : [value]);

async function tail(stream) {
  const answer = await fetch(path(stream), { method: "HEAD", headers: authorization });
  return { "stream-next-offset": answer.headers.get("stream-next-offset") };
}

async function append(stream, messages) {
  const headers = { ...authorization, "content-type": "application/json" };
  for (let at = 0; at < messages.length; at += 100) {
    const events = messages.slice(at, at + 100).map((v) => ({ type: stream.event, payload: { v } }));
    const answer = await fetch(`${base}/v1/events`, { method: "POST", headers, body: JSON.stringify(events) });
    if (answer.status !== 201) throw new Error(`${answer.status} ${await answer.text()}`);
  }
  await fetch(`${base}/v1/events?sync=true`, { headers: authorization });
}

/** The messages in a body; none if it is not what the stream takes. */
function parse(stream, body) {
  if (!isJson(stream)) return [body];
  try {
    return items(JSON.parse(body));
  } catch {
    return [];
  }
}

function unwrap(stream, events) {
  const messages = events.map((event) => event.payload.v);
  return isJson(stream) ? JSON.stringify(messages) : messages.join("");
}

async function write(request, response, name) {
  const parts = [];
  for await (const part of request) parts.push(part);
  const [body, stream] = [Buffer.concat(parts).toString(), streams.get(name)];
  const type = request.headers["content-type"];
  const end = (status, headers) => response.writeHead(status, headers).end();
  if (request.method === "PUT") {
    const made = stream ?? { event: `conformance.s${process.pid}_${streams.size}`, type: type ?? "application/octet-stream" };
    streams.set(name, made);
    if (!stream && body) await append(made, parse(made, body));
    const location = `http://${request.headers.host}${name}`;
    return end(stream ? 200 : 201, { "content-type": made.type, location, ...(await tail(made)) });
  }
  if (!stream) return end(404);
  if (!body || !type) return end(400);
  if (kindOf(type) !== kindOf(stream.type)) return end(409);
  const messages = parse(stream, body);
  if (messages.length === 0) return end(400);
  await append(stream, messages);
  end(204, await tail(stream));
}

async function passEvents(answer, response, stream) {
  let text = "";
  const decoder = new TextDecoder();
  for await (const chunk of answer.body) {
    const blocks = (text + decoder.decode(chunk, { stream: true })).split("\n\n");
    text = blocks.pop();
    for (const block of blocks) {
      const lines = block.split("\n");
      if (lines[0] === "event: data") {
        const events = JSON.parse(lines.slice(1).map((line) => line.slice("data:".length)).join("\n"));
        const content = unwrap(stream, events).split(/\r\n|\n|\r/).map((line) => `data:${line}`);
        response.write(`event: data\n${content.join("\n")}\n\n`);
      } else response.write(`${block}\n\n`);
    }
  }
  response.end();
}

async function read(request, response, url) {
  const stream = streams.get(url.pathname);
  if (!stream) return response.writeHead(404).end();
  const known = request.headers["if-none-match"];
  const headers = known ? { ...authorization, "if-none-match": known } : authorization;
  const gone = new AbortController();
  response.on("close", () => gone.abort());
  const query = url.search ? `${url.search.slice(1)}&` : "";
  const answer = await fetch(path(stream, query), { method: request.method, headers, signal: gone.signal });
  const own = ["content-length", "transfer-encoding", "connection", "keep-alive"];
  const passed = Object.fromEntries([...answer.headers].filter(([name]) => !own.includes(name)));
  if (passed["content-type"]?.startsWith("text/event-stream")) {
    response.writeHead(answer.status, passed).flushHeaders();
    return passEvents(answer, response, stream);
  }
  if (answer.status !== 200) return response.writeHead(answer.status, passed).end(await answer.text());
  response.writeHead(200, { ...passed, "content-type": stream.type });
  response.end(request.method === "HEAD" ? "" : unwrap(stream, await answer.json()));
}

const server = http.createServer((request, response) => {
  const url = new URL(request.url, "http://localhost");
  const isWrite = request.method === "PUT" || request.method === "POST";
  const done = isWrite ? write(request, response, url.pathname) : read(request, response, url);
  done.catch((error) => (response.headersSent ? response.destroy() : response.writeHead(500).end(String(error))));
});
server.listen(0, "127.0.0.1", () => {
  const suiteFile = "node_modules/@durable-streams/server-conformance-tests/dist/test-runner.js";
  const options = `include: ["${suiteFile}"], exclude: [], testTimeout: 60_000, server: { deps: { inline: [/server-conformance/] } }`;
  writeFileSync(join(home, "vitest.config.mjs"), `export default { test: { ${options} } };\n`);
  const CONFORMANCE_TEST_URL = `http://127.0.0.1:${server.address().port}`;
  const chosen = `^(?!.*(${LEFT_OUT}))(${PARTS})`;
  const suite = spawn(join(home, "node_modules/.bin/vitest"), ["run", "--config", "vitest.config.mjs", "-t", chosen], {
    cwd: home,
    env: { ...process.env, CONFORMANCE_TEST_URL, NO_COLOR: "1" },
    stdio: ["ignore", "pipe", "inherit"],
  });
  let said = "";
  suite.stdout.on("data", (text) => (said += text));
  suite.on("close", (code) => {
    const tests = said.split("\n").find((line) => line.trim().startsWith("Tests"));
    console.log(code === 0 ? `conformance of reading: ${tests?.trim()}` : said.slice(-6000));
    process.exit(code === 0 ? 0 : 1);
  });
});
