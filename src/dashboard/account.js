// The account behind the trading view: open trades, orders and snapshots, read once and then followed by their events. Bounded: what is
// closed or done is forgotten beyond a number, and read again with the page.

/** Of each list that is read at first. */
const MOST_OPEN = 500;
const MOST_DONE = 60;
const MOST_POINTS = 2000;
const DAYS = 14;
const DAY_MS = 86_400_000;
const WORKING = ['new', 'partially_filled'];

const newestFirst = (field) => (one, other) => (one[field] < other[field] ? 1 : one[field] > other[field] ? -1 : 0);

/** Times come with `Z` from the lists and with `+00:00` in events. */
const time = (text) => (text ? new Date(text).toISOString() : null);

export class Account {
  #session;
  #trades = new Map();
  #orders = new Map();
  points = [];
  latest = null;
  /** Equity at the end of each day: `[midnight, number or null]`, the oldest first. */
  closings = [];
  isLoaded = false;

  constructor(session) {
    this.#session = session;
  }

  async load() {
    const list = async (path, query) => (await this.#session.request(path, { query })).items;
    const [open, closed, snapshots, recent, ...working] = await Promise.all([
      list('/v1/trades', { status: 'open', limit: MOST_OPEN }),
      list('/v1/trades', { status: 'closed', limit: MOST_DONE }),
      list('/v1/snapshots', { limit: 1000 }),
      list('/v1/orders', { limit: MOST_DONE }),
      ...WORKING.map((status) => list('/v1/orders', { status, limit: MOST_OPEN })),
    ]);
    // Events that came while the lists were read are newer than what the lists say.
    for (const trade of [...open, ...closed]) if (!this.#trades.has(trade.id)) this.#trades.set(trade.id, trade);
    for (const order of [...recent, ...working.flat()]) if (!this.#orders.has(order.id)) this.#orders.set(order.id, order);
    const begun = this.points.at(0)?.[0] ?? Infinity;
    this.points = snapshots.map(point).reverse().filter(([at]) => at < begun).concat(this.points);
    this.latest ??= snapshots[0] ?? null;
    this.isLoaded = true;
    await this.#readClosings();
  }

  /** Asks for the last snapshot of each of the last days, the newest first, until there is none. */
  async #readClosings() {
    const midnight = new Date().setHours(24, 0, 0, 0);
    const ends = Array.from({ length: DAYS + 1 }, (_, ago) => new Date(midnight - ago * DAY_MS).setHours(0, 0, 0, 0));
    const found = [];
    for (const end of ends) {
      const { items } = await this.#session.request('/v1/snapshots', { query: { until: new Date(end).toISOString(), limit: 1 } });
      found.push([end, items.length > 0 ? Number(items[0].equity) : null]);
      if (items.length === 0) break;
    }
    this.closings = found.reverse();
  }

  /** Takes an event of trading. */
  apply({ type, payload }) {
    const [kind, what] = type.split('.');
    if (kind === 'snapshot') this.#snapshot(what, payload);
    const map = { trade: this.#trades, order: this.#orders }[kind];
    if (!map) return;
    if (what === 'truncated') map.clear();
    else if (what === 'deleted') map.delete(payload.id);
    else map.set(payload.id, payload);
    this.#forget();
  }

  #snapshot(what, payload) {
    if (what !== 'taken') return;
    this.latest = payload;
    this.points.push(point(payload));
    if (this.points.length > MOST_POINTS) this.points.splice(0, this.points.length - MOST_POINTS);
  }

  #forget() {
    const trim = (map, isDone, field) => {
      if (map.size < MOST_OPEN + 4 * MOST_DONE) return;
      const done = [...map.values()].filter(isDone).sort(newestFirst(field));
      for (const { id } of done.slice(MOST_DONE)) map.delete(id);
    };
    trim(this.#trades, ({ status }) => status === 'closed', 'closed_at');
    trim(this.#orders, ({ status }) => !WORKING.includes(status), 'updated_at');
  }

  get openTrades() {
    return [...this.#trades.values()].filter(({ status }) => status === 'open').sort(newestFirst('opened_at'));
  }

  get closedTrades() {
    return [...this.#trades.values()].filter(({ status }) => status === 'closed').sort(newestFirst('closed_at')).slice(0, MOST_DONE);
  }

  get workingOrders() {
    return [...this.#orders.values()].filter(({ status }) => WORKING.includes(status)).length;
  }

  /** Orders that work first, then those that are done, the newest first. */
  get orders() {
    const works = ({ status }) => (WORKING.includes(status) ? 0 : 1);
    return [...this.#orders.values()].sort((one, other) => works(one) - works(other) || (time(one.created_at) < time(other.created_at) ? 1 : -1)).slice(0, MOST_DONE);
  }

  /** The result of each day: the equity at its end, less that at the end of the day before. Of today, so far. */
  get days() {
    const bars = [];
    for (let at = 1; at < this.closings.length; at += 1) {
      const [end] = this.closings[at];
      const isToday = at === this.closings.length - 1;
      const equity = isToday && this.latest ? Number(this.latest.equity) : this.closings[at][1];
      // On its first day an account begins with what it has; the result is what came since.
      const before = this.closings[at - 1][1] ?? (isToday ? this.points[0]?.[1] : null);
      bars.push([end - DAY_MS / 2, equity === null || before === null || before === undefined ? null : equity - before]);
    }
    while (bars.length < DAYS && bars.length > 0) bars.unshift([bars[0][0] - DAY_MS, null]);
    return bars;
  }
}

/** A snapshot as a point of the curve. */
export const point = ({ taken_at: at, equity }) => [Date.parse(at), Number(equity)];
