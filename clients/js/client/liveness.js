// Notices that a connection has gone silent, and shows the server that this side is alive. Browsers cannot send the pings of the
// WebSocket protocol, so the client sends `{"op":"ping"}`; the answers measure the latency.

/** A stream is silent after two heartbeats and this much. */
const MIN_SLACK_MS = 1_000;
/** After a sleep of the machine, or when the network came back, an answer must come within this. */
const PROBE_MS = 5_000;
/** Server-sent events do not say how often heartbeats come. This is assumed, and learned. */
const ASSUMED_HEARTBEAT_MS = 15_000;
const MAX_HEARTBEAT_MS = 300_000;
const MIN_TICK_MS = 50;
const MAX_TICK_MS = 15_000;
/** A timer that is so many ticks late was stopped: the machine slept, or the page was frozen. */
const SLEPT_TICKS = 3;

export class Liveness {
  #hooks;
  #timer = null;
  #probeTimer = null;
  #heartbeatMs = ASSUMED_HEARTBEAT_MS;
  #isTold = false;
  #lastBeat = null;
  #tickMs = 0;
  #lastHeard = 0;
  #lastTick = 0;
  #lastPing = 0;
  #pingSentAt = null;

  /** `ping()` sends one and returns false where that cannot be; `onSilent()`, `onLatency(ms)`. */
  constructor(hooks) {
    this.#hooks = hooks;
  }

  /** Begins to listen. `heartbeatMs` is how often the server shows that it is alive, null if it has not said. */
  start(heartbeatMs) {
    this.stop();
    this.#isTold ||= heartbeatMs !== null;
    this.#heartbeatMs = heartbeatMs ?? this.#heartbeatMs;
    this.#tickMs = Math.min(MAX_TICK_MS, Math.max(MIN_TICK_MS, this.#heartbeatMs / 2));
    this.#lastBeat = null;
    this.#lastHeard = this.#lastTick = performance.now();
    this.#timer = setInterval(() => this.#tick(), this.#tickMs);
    this.#ping();
  }

  stop() {
    clearInterval(this.#timer);
    clearTimeout(this.#probeTimer);
    this.#timer = this.#probeTimer = this.#pingSentAt = null;
  }

  heard() {
    this.#lastHeard = performance.now();
  }

  /** A heartbeat came; where nobody says how often they do, the time between two tells. */
  beat() {
    const now = performance.now();
    if (!this.#isTold && this.#lastBeat !== null) this.#heartbeatMs = Math.min(MAX_HEARTBEAT_MS, now - this.#lastBeat);
    this.#lastBeat = now;
  }

  ponged() {
    if (this.#pingSentAt === null) return;
    this.#hooks.onLatency(performance.now() - this.#pingSentAt);
    this.#pingSentAt = null;
  }

  /** Asks for a sign of life now: a connection may have died while nobody looked. */
  probe() {
    if (this.#timer === null || this.#probeTimer !== null) return;
    const asked = performance.now();
    if (!this.#ping()) return;
    this.#probeTimer = setTimeout(() => {
      this.#probeTimer = null;
      if (this.#lastHeard < asked) this.#hooks.onSilent();
    }, PROBE_MS);
  }

  /** If the interval was a guess, it may have been too short. */
  #silent() {
    if (!this.#isTold) this.#heartbeatMs = Math.min(MAX_HEARTBEAT_MS, 2 * this.#heartbeatMs);
    this.#hooks.onSilent();
  }

  #ping() {
    this.#lastPing = performance.now();
    if (!this.#hooks.ping()) return false;
    this.#pingSentAt ??= this.#lastPing;
    return true;
  }

  #tick() {
    const now = performance.now();
    const slept = now - this.#lastTick > SLEPT_TICKS * this.#tickMs + MIN_SLACK_MS;
    this.#lastTick = now;
    if (slept) {
      // Frames that came meanwhile are still to be read, so silence is counted anew.
      this.#lastHeard = now;
      this.probe();
      return;
    }
    const silence = 2 * this.#heartbeatMs + Math.max(MIN_SLACK_MS, this.#heartbeatMs / 2);
    if (now - this.#lastHeard > silence) this.#silent();
    else if (now - this.#lastPing >= this.#heartbeatMs) this.#ping();
  }
}
