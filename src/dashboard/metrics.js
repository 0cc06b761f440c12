// The numbers of the server: `/metrics` in Prometheus' text format, asked for every few seconds, and kept as series.

/** How often the server is asked while its numbers are looked at, and otherwise. */
const LOOK_MS = 2000;
const GLANCE_MS = 10_000;
/** How often it is tried where the numbers are kept apart. */
const SELDOM_MS = 60_000;
const PATIENCE_MS = 5000;
/** The charts show so much; the samples of it are kept. */
export const SPAN_MS = 180_000;
const MOST_SAMPLES = 200;

/** The samples of a page in the text format: name with labels, and value. */
export function parse(text) {
  const samples = new Map();
  for (const line of text.split('\n')) {
    if (line === '' || line.startsWith('#')) continue;
    const cut = line.lastIndexOf(' ');
    samples.set(line.slice(0, cut), Number(line.slice(cut + 1)));
  }
  return samples;
}

/** The sum over all labels of a name. */
export function total(samples, name) {
  let sum = 0;
  for (const [key, value] of samples) if (key === name || key.startsWith(`${name}{`)) sum += value;
  return sum;
}

/** The value below which a share of what a histogram counted between two samples lies: the upper bound of its bucket. */
function quantile(now, before, name, share) {
  const prefix = `${name}_bucket{le="`;
  const buckets = [...now].filter(([key]) => key.startsWith(prefix)).map(([key, value]) => [Number(key.slice(prefix.length, -2).replace('+Inf', 'Infinity')), value - (before.get(key) ?? 0)]);
  buckets.sort((one, other) => one[0] - other[0]);
  const all = buckets.at(-1)?.[1] ?? 0;
  return all > 0 ? buckets.find(([, many]) => many >= all * share)[0] : null;
}

/** What a histogram counted between two samples: how many, and their mean. */
function mean(now, before, name) {
  const many = (now.get(`${name}_count`) ?? 0) - (before.get(`${name}_count`) ?? 0);
  return many > 0 ? ((now.get(`${name}_sum`) ?? 0) - (before.get(`${name}_sum`) ?? 0)) / many : null;
}

/** One point of every series, out of two samples that are `seconds` apart. */
function pointOf(now, before, seconds) {
  const rate = (name) => Math.max(0, (total(now, name) - total(before, name)) / seconds);
  return {
    events: Math.max(0, ((now.get('rowcast_tail_newest') ?? 0) - (before.get('rowcast_tail_newest') ?? 0)) / seconds),
    lag: mean(now, before, 'rowcast_tail_delivery_seconds'),
    lag99: quantile(now, before, 'rowcast_tail_delivery_seconds', 0.99),
    fence: Math.max(mean(now, before, 'rowcast_tail_fence_wait_seconds') ?? 0, total(now, 'rowcast_tail_stalled_seconds')),
    sessions: now.get('rowcast_sessions') ?? 0,
    sent: rate('rowcast_events_sent_total'),
    requests: rate('rowcast_http_answers_total'),
    pool: (now.get('rowcast_db_connections') ?? 0) - (now.get('rowcast_db_connections_free') ?? 0),
    head: now.get('rowcast_tail_head') ?? 0,
  };
}

export class Metrics {
  points = [];
  samples = null;
  /** Who holds the stream back, as far as the server tells it here. */
  blockers = [];
  /** Why there are no numbers: an operator may keep them off the network. */
  error = null;
  isLooking = false;

  #listeners = new Set();
  #at = 0;
  #timer = 0;

  #connection;

  /** The connection has a latency of its own, which no server knows; while it is lost the server is not asked either. */
  constructor(connection) {
    this.#connection = connection;
    document.addEventListener('visibilitychange', () => this.look(this.isLooking));
    this.look(false);
  }

  onChange(listener) {
    this.#listeners.add(listener);
  }

  /** Asks often while somebody looks, and not at all while the page is hidden. */
  look(isLooking) {
    this.isLooking = isLooking;
    clearTimeout(this.#timer);
    if (!document.hidden) this.#ask();
  }

  async #ask() {
    if (['waiting', 'offline', 'connecting'].includes(this.#connection.state.status)) {
      this.#push(null);
      return this.#again();
    }
    try {
      const metrics = await this.#fetch('/metrics');
      if (!metrics.ok) throw new Error(`/metrics answers ${metrics.status}`);
      this.#take(parse(await metrics.text()));
      this.error = null;
      this.blockers = await this.#askWhoHolds();
    } catch (error) {
      this.error = error;
      this.#push(null);
    }
    this.#again();
  }

  #again() {
    for (const listener of this.#listeners) listener();
    clearTimeout(this.#timer);
    const pause = this.isLooking ? LOOK_MS : this.error && !this.samples ? SELDOM_MS : GLANCE_MS;
    if (!document.hidden) this.#timer = setTimeout(() => this.#ask(), pause);
  }

  /** Readiness names those who hold the stream back. It is asked only when somebody does. */
  async #askWhoHolds() {
    if (!this.isLooking || !(this.heldBack('transaction') > 0)) return [];
    const ready = await this.#fetch('/health/ready');
    return ready.ok ? ((await ready.json()).tail?.stalled?.blockers ?? []) : [];
  }

  /** For how many seconds something has held the stream back. */
  heldBack(reason) {
    return this.samples?.get(`rowcast_tail_stalled_seconds{reason="${reason}"}`) ?? 0;
  }

  #fetch(path) {
    return fetch(path, { cache: 'no-store', credentials: 'omit', signal: AbortSignal.timeout(PATIENCE_MS) });
  }

  #take(samples) {
    const now = performance.now();
    const seconds = (now - this.#at) / 1000;
    if (this.samples && seconds > 0.2) this.#push(pointOf(samples, this.samples, seconds));
    this.samples = samples;
    this.#at = now;
  }

  #push(point) {
    const { latencyMs } = this.#connection.state;
    this.points.push({ ...point, at: Date.now(), latency: latencyMs === null ? null : latencyMs / 1000 });
    if (this.points.length > MOST_SAMPLES) this.points.shift();
  }

  /** One series as `[milliseconds, value]`, with null where it is not known. */
  series(name) {
    return this.points.map((point) => [point.at, point[name] ?? null]);
  }
}
