// Reads one durable stream with @durable-streams/client, and a table with @durable-streams/state, until the mark of the end comes.
// Arguments: URL, what (events or table), live mode (long-poll or sse), file for what was read. The token is in CLIENTS_TOKEN.
// When a session ends with an error, another one begins at the offset that was kept.

import { createRequire } from "node:module";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const [url, what, live, file] = process.argv.slice(2);
const modules = join(process.env.CLIENTS_MODULES, "node_modules");
const { DurableStream, stream } = await import(pathToFileURL(join(modules, "@durable-streams/client/dist/index.js")));
const headers = url.includes("/public/") ? {} : { authorization: `Bearer ${process.env.CLIENTS_TOKEN}` };
const counts = { sessions: 0, repeated: 0 };
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

function finish(read) {
  writeFileSync(file, JSON.stringify({ ...counts, read }));
  process.exit(0);
}

async function readEvents() {
  const events = [];
  let offset = "-1";
  for (;;) {
    counts.sessions += 1;
    try {
      const session = await stream({ url, headers, offset, live, json: true });
      session.subscribeJson((batch) => {
        for (const event of batch.items) {
          // A session that is cut between a batch and its offset brings the batch again: events say by their seq that they came before.
          if (events.length > 0 && event.seq <= events.at(-1).seq) counts.repeated += 1;
          else events.push(event);
        }
        offset = batch.offset;
        if (events.at(-1)?.payload?.end) finish(events);
      });
      await session.closed;
    } catch (error) {
      console.error(`events over ${live}: ${String(error).slice(0, 200)}`);
    }
    await pause(100);
  }
}

async function readTable() {
  // Both packages must share one @tanstack/db.
  const require = createRequire(join(modules, "@durable-streams/state/package.json"));
  const { createStreamDB, createStateSchema } = await import(pathToFileURL(require.resolve("@durable-streams/state/db")));
  const row = { "~standard": { version: 1, vendor: "test", validate: (value) => ({ value }) } };
  for (;;) {
    counts.sessions += 1;
    const state = createStateSchema({ rows: { schema: row, type: "shop.orders", primaryKey: "key" } });
    // A StreamDB whose session has ended stays as it is and says so on the console only, so the session is watched.
    const handle = new DurableStream({ url, headers, contentType: "application/json" });
    const open = handle.stream.bind(handle);
    let over = false;
    handle.stream = async (options) => {
      const session = await open(options);
      const ended = () => (over = true);
      session.closed.then(ended, ended);
      return session;
    };
    const db = createStreamDB({ stream: handle, state, live });
    try {
      await db.preload();
      while (!over) {
        const rows = db.collections.rows.toArray;
        if (rows.some((each) => each.state === "end")) {
          // StreamDB adds the key and its own marks to each row.
          const isOwn = ([name]) => name !== "key" && name !== "_seq" && !name.startsWith("$");
          finish(rows.map((each) => ({ key: each.key, value: Object.fromEntries(Object.entries(each).filter(isOwn)) })));
        }
        await pause(100);
      }
    } catch (error) {
      console.error(`table over ${live}: ${String(error).slice(0, 200)}`);
    }
    db.close();
    await pause(100);
  }
}

await (what === "events" ? readEvents() : readTable());
