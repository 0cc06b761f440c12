// A window on the journal: events in order, without a gap between the first and the last. It follows the stream, or is moved over the
// journal page by page. It keeps at most MOST events; those that fall out are read again when one comes back to them.

import { cursorOf } from './client.js';

/** Events that are kept while one follows. */
const MOST = 20_000;
/** Events that are kept while one reads and more come. Then the stream is let go, and taken up again at its place. */
const MOST_WHILE_READING = 40_000;
/** Events of one page of the journal. */
const PAGE = 500;
/** How far back a search for older events looks at first, and how often it looks four times as far. */
const LOOK_BACK = 600;
const LOOKS = 10;
/** Pages that one look may take. */
const PAGES_OF_A_LOOK = 12;

export class EventLog {
  items = [];
  /** The place of the first event: it falls when older ones are put before it, and grows when it is let go. */
  base = 0;
  filter = {};
  /** True once there is nothing older. */
  isAtStart = false;
  /** True while the stream is followed; false while pages are read. */
  isLive = false;
  /** True once the stream has come to the newest event. */
  isSettled = false;
  /** True while something is fetched. */
  isLoading = true;
  error = null;
  /** True where there is no stream, and the last page has been read. */
  hasEnded = false;
  /** True while one reads: then nothing is let go at the front. */
  isReading = false;

  #session;
  #onChange;
  #feed = null;
  #end = 'earliest';
  #run = 0;
  #busy = false;
  #again = false;

  constructor(session, onChange) {
    this.#session = session;
    this.#onChange = onChange;
  }

  /** Begins anew: `{last: n}` with the newest, or `{cursor}` behind that place. */
  async start(from) {
    this.#run += 1;
    this.#letGo();
    this.#busy = false;
    Object.assign(this, { items: [], base: 0, error: null, isLoading: true, isAtStart: false, hasEnded: false });
    if (from.last !== undefined) {
      this.#follow({ last: from.last });
      return;
    }
    this.isAtStart = from.cursor === 'earliest';
    this.#end = from.cursor;
    // The page is asked for before anybody is told: the list asks too, and whoever begins waits for the rows.
    const read = this.newer();
    this.#changed();
    await read;
  }

  /** Ends everything that is under way. */
  stop() {
    this.#run += 1;
    this.#letGo();
  }

  #letGo() {
    this.#feed?.close();
    this.#feed = null;
    this.isLive = false;
    this.isSettled = false;
  }

  #follow(place) {
    if (!this.#session.hasStream) {
      // Pages can be read all the same; nothing tells of what comes after the last.
      this.isLoading = false;
      this.hasEnded = true;
      this.#changed();
      return;
    }
    const { connection, close } = this.#session.feed({ ...this.filter, ...place });
    this.#feed = { connection, close };
    this.isLive = true;
    const run = this.#run;
    const still = () => run === this.#run && this.#feed?.connection === connection;
    connection.on('event', (event) => still() && this.#came(event));
    connection.on('live', () => still() && this.#settled());
    connection.on('gap', (gap) => still() && this.#lost(gap));
    connection.on('error', (error) => still() && this.#failed(error));
    this.#changed();
  }

  #came(event) {
    const { items } = this;
    if (items.length > 0 && event.seq <= items.at(-1).seq) return;
    items.push(event);
    this.isLoading = false;
    this.error = null;
    if (this.isReading && items.length >= MOST_WHILE_READING) {
      // Nobody waits for what comes next, and the place is known: it is read when one gets there.
      this.#end = cursorOf(event);
      this.#letGo();
    } else if (!this.isReading && items.length >= MOST * 1.1) {
      this.#dropFirst(items.length - MOST);
    }
    this.#changed({ event });
  }

  /** The place is of no use any more. In another history the seqs begin anew, so what was shown says nothing of it. */
  #lost(gap) {
    const after = this.items.at(-1)?.at ?? null;
    if (gap.code === 'cursor_invalid') Object.assign(this, { items: [], base: 0, isAtStart: true });
    this.#changed({ gap: { code: gap.code, after } });
  }

  #settled() {
    this.isSettled = true;
    this.isLoading = false;
    this.error = null;
    this.#changed();
  }

  #failed(error) {
    this.isLoading = false;
    this.error = error;
    this.#changed();
  }

  #dropFirst(many) {
    this.items.splice(0, many);
    this.base += many;
    this.isAtStart = false;
  }

  #changed(detail = {}) {
    this.#onChange(detail);
  }

  /** Goes on from the last event to the newest, through all that lie between. */
  catchUp() {
    if (this.isLive) return;
    this.isLoading = true;
    this.#follow({ cursor: this.#end });
  }

  /** Reads the next page; with the last one the stream is taken up. */
  async newer() {
    if (this.isLive || this.hasEnded || this.#busy) return;
    const run = this.#run;
    this.#busy = true;
    try {
      const page = await this.#page(this.#end, PAGE);
      if (run !== this.#run) return;
      const last = this.items.at(-1)?.seq ?? 0;
      this.items.push(...page.events.filter((event) => event.seq > last));
      if (this.items.length > MOST) this.#dropFirst(this.items.length - MOST);
      this.#changed({ read: page.events });
      this.#end = page.cursor;
      this.isLoading = false;
      this.error = null;
      if (!page.more) this.#follow({ cursor: page.cursor });
    } catch (error) {
      if (run === this.#run) this.#refused(error);
    }
    this.#free(run);
    if (run === this.#run && this.#again) {
      this.#again = false;
      await this.newer();
    }
  }

  /** Ends one reading, unless another beginning has ended it already. */
  #free(run) {
    if (run !== this.#run) return;
    this.#busy = false;
    this.#changed();
  }

  /** Retention has taken what one asked for: begins with the oldest that is kept, and says so. */
  #refused(error) {
    if (error.status !== 410 || this.#end === 'earliest') {
      this.isLoading = false;
      this.error = error;
      return;
    }
    this.#end = 'earliest';
    this.isAtStart = true;
    this.#again = true;
    this.#changed({ gap: { code: 'cursor_expired', after: this.items.at(-1)?.at ?? null } });
  }

  #page(cursor, limit) {
    const query = { ...this.filter, cursor, limit };
    return this.#session.request('/v1/events', { query });
  }

  /** Puts older events before the first one. */
  async older() {
    if (this.#busy || this.isAtStart || this.items.length === 0) return;
    const run = this.#run;
    this.#busy = true;
    try {
      const found = await this.#before(this.items[0].seq);
      if (run !== this.#run) return;
      this.#prepend(found);
    } catch (error) {
      // What is older than the oldest that is kept is gone; anything else may work the next time.
      if (run === this.#run && error.status === 410) this.isAtStart = true;
    }
    this.#free(run);
  }

  #prepend(found) {
    if (found.length === 0) this.isAtStart = true;
    this.#changed({ read: found });
    this.items = found.concat(this.items);
    this.base -= found.length;
    if (this.items.length > MOST_WHILE_READING) {
      this.items.length = MOST_WHILE_READING;
      this.#end = cursorOf(this.items.at(-1));
      this.#letGo();
    }
  }

  /** The newest events before a seq. The journal is read forwards alone, so it looks from further and further back. */
  async #before(seq) {
    for (let look = 0, span = LOOK_BACK; look < LOOKS; look += 1, span *= 4) {
      const from = seq - 1 - span;
      const found = await this.#between(from > 0 ? String(from) : 'earliest', seq);
      if (found.length > 0 || from <= 0) {
        if (from <= 0) this.isAtStart = true;
        return found;
      }
    }
    return [];
  }

  async #between(cursor, seq) {
    let found = [];
    let place = cursor;
    for (let pages = 0; pages < PAGES_OF_A_LOOK; pages += 1) {
      const page = await this.#page(place, 1000).catch((error) => {
        if (error.status !== 410 || place === 'earliest') throw error;
        this.isAtStart = true;
        return this.#page('earliest', 1000);
      });
      found = found.concat(page.events.filter((event) => event.seq < seq)).slice(-MOST);
      place = page.cursor;
      if (!page.more || (page.events.at(-1)?.seq ?? 0) >= seq || Number.parseInt(place, 10) >= seq - 1) break;
    }
    return found;
  }

  /** The place of an event in the list, or null. The seqs grow, so it is found by halves. */
  placeOf(seq) {
    let low = 0;
    let high = this.items.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.items[middle].seq < seq) low = middle + 1;
      else high = middle;
    }
    return this.items[low]?.seq === seq ? this.base + low : null;
  }

  at(place) {
    return this.items[place - this.base] ?? null;
  }
}

/** A page that begins a little before an event, so that one sees it among its neighbours. */
export const AROUND = 120;

/** The seq behind which the events of a time begin, found by halves over the whole journal. Times follow the seqs but for transactions that were open long. */
export async function seqOfTime(session, time) {
  const first = await session.request('/v1/events', { query: { cursor: 'earliest', limit: 1 } });
  if (first.events.length === 0 || Date.parse(first.events[0].at) >= time) return 0;
  let low = first.events[0].seq;
  let high = first.head;
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2);
    const { events } = await session.request('/v1/events', { query: { cursor: String(middle), limit: 1 } });
    if (events.length === 0 || Date.parse(events[0].at) >= time) high = middle;
    else low = Math.max(middle, events[0].seq);
  }
  return low;
}
