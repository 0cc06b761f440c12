// One stream of events: connects, comes back after a loss, and hands each event to its sink once. It knows the protocol and nothing
// of who consumes the events; what is asked for and how far it has come is in subscription.js.

import { cursorOf } from './cursor.js';
import { subjectOf } from './credentials.js';
import { MismatchError, NetworkError, TimeoutError } from './errors.js';
import { placeRefusal } from './place.js';
import { Liveness } from './liveness.js';
import { Recovery } from './recovery.js';
import { NEW_STATE, isRunning, isWaiting } from './state.js';
import { Subscription } from './subscription.js';
import { Syncs, deferred } from './syncs.js';
import { openTransport } from './transport.js';
import { TransportChoice } from './transports.js';
import { Upgrade } from './upgrade.js';

/** From the first byte that is sent to `hello`. */
const HELLO_MS = 10_000;
/** However often the page is shown or the network comes back, this long lies between two tries. */
const MIN_WAKE_MS = 1_000;

export class Stream {
  #context;
  #sink;
  #subscription;
  #choice;
  #upgrade;
  #liveness;
  #recovery = new Recovery();
  #syncs = new Syncs();
  #state = NEW_STATE;
  #transport = null;
  #timer = null;
  /** Grows with each connect and stop, so that what was begun before counts no more. */
  #attempt = 0;
  /** The token of this connection. */
  #token = null;
  /** How many `hello` are still to come: one for the connection, and one for each `subscribe`. */
  #hellosDue = 0;
  /** When this connection had its first `hello`. */
  #connectedAt = null;
  #triedAt = -Infinity;
  #isLive = false;
  /** The next connection is over the transport that waits for its consumer. */
  #isUnhurried = false;
  #waitsAsAsked = false;
  #subscribing = null;
  #detach = () => {};

  /** `context`: endpoint, credentials, request, fetch, WebSocket, transports. What a sink has is written above the one in events.js. */
  constructor(context, sink, { start, filter }) {
    this.#context = context;
    this.#sink = sink;
    this.#subscription = new Subscription({ start, filter });
    this.#choice = new TransportChoice(context.transports, context.WebSocket !== undefined);
    this.#liveness = new Liveness({
      ping: () => this.#connectedAt !== null && this.#transport.send({ op: 'ping' }),
      onSilent: () => this.#lost(new NetworkError('Nothing came for more than two heartbeats.', { code: 'network' })),
      onLatency: (latencyMs) => this.#set({ latencyMs }),
    });
    const [open, adopt] = [(hooks) => this.#open('websocket', hooks), (transport) => this.#adopt(transport)];
    this.#upgrade = new Upgrade(this.#choice, { open, adopt, isLive: () => this.#isLive });
  }

  get state() {
    return this.#state;
  }

  get filter() {
    return this.#subscription.filter;
  }

  get place() {
    return this.#subscription.place;
  }

  /** The place, or where the next subscription shall begin. */
  get position() {
    return this.#subscription.position;
  }

  get isRunning() {
    return isRunning(this.#state);
  }

  start() {
    if (this.#state.status !== 'idle') return;
    this.#attach();
    this.#connect();
  }

  /** Lets go of the connection; `start` goes on from the place. */
  stop() {
    if (['idle', 'closed'].includes(this.#state.status)) return;
    this.#release();
    this.#set({ ...NEW_STATE, cursor: this.place });
  }

  close(error) {
    this.#release();
    this.#set({ ...NEW_STATE, status: 'closed', cursor: this.place, error: this.#state.error });
    this.#endWaiting('reject', error);
  }

  /** Tries at once, whatever is waited for. */
  retry() {
    if (this.#state.status === 'failed') this.#attach();
    else if (!isWaiting(this.#state)) return;
    this.#recovery.held();
    this.#connect();
  }

  /** The network is back, or the page is seen again. */
  wake() {
    if (!isWaiting(this.#state)) this.#liveness.probe();
    else if (!this.#waitsAsAsked && performance.now() - this.#triedAt > MIN_WAKE_MS) this.#connect();
  }

  /** Another filter, and with `start` another place. Resolves once that subscription has begun. */
  subscribe({ start = null, filter }) {
    this.#subscription.filter = filter;
    if (start !== null) this.#subscription.moveTo(start);
    if (['idle', 'closed'].includes(this.#state.status)) return Promise.resolve();
    const { promise } = (this.#subscribing ??= deferred());
    if (this.#state.status === 'failed') {
      this.retry();
    } else if (this.#transport?.kind === 'websocket' && this.#connectedAt !== null) {
      this.#subscription.settle();
      this.#resubscribe();
    } else {
      this.#connect();
    }
    return promise;
  }

  /** The next subscription begins here. */
  moveTo(start) {
    this.#subscription.moveTo(start);
  }

  /** A promise of the cursor behind everything that was committed before now, once all of it was handed to the sink. */
  sync() {
    const asked = this.#syncs.ask((frame) => this.#connectedAt !== null && this.#transport.send(frame));
    if (this.#transport?.kind === 'sse' && this.#connectedAt !== null) this.#syncOverHttp();
    return asked;
  }

  async #connect() {
    if (this.#sink.isFull()) return this.#pause();
    this.#disconnect();
    const attempt = this.#attempt;
    this.#triedAt = performance.now();
    this.#set({ status: 'connecting', transport: null, retryAt: null, stalled: null, latencyMs: null });
    const token = await this.#context.credentials.get().catch((error) => error);
    if (attempt !== this.#attempt) return;
    if (token instanceof Error) return this.#lost(token);
    this.#token = token;
    const kind = this.#isUnhurried ? this.#choice.unhurried : this.#choice.next();
    this.#isUnhurried = false;
    this.#expectHello(1);
    this.#transport = this.#open(kind, this.#hooks());
  }

  #open(kind, hooks) {
    const selection = this.#subscription.selection();
    return openTransport(kind, this.#context, { token: this.#token, selection }, hooks);
  }

  #hooks() {
    return {
      onFrame: (frame) => this.#onFrame(frame),
      onGarbled: () => this.#mismatch('frame', null),
      onEnd: (error) => this.#lost(error),
      room: () => this.#room(),
    };
  }

  #expectHello(hellos) {
    this.#hellosDue = hellos;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#lost(new TimeoutError('The server did not answer in time.', { code: 'timeout' })), HELLO_MS);
  }

  #resubscribe() {
    this.#expectHello(this.#hellosDue + 1);
    this.#transport.send({ op: 'subscribe', ...this.#subscription.selection() });
  }

  /** A WebSocket that was opened beside the stream takes its place. */
  #adopt(transport) {
    this.#transport.close();
    this.#transport = transport;
    this.#hellosDue = 0;
    transport.handOver(this.#hooks());
    this.#resubscribe();
  }

  #disconnect() {
    this.#attempt += 1;
    clearTimeout(this.#timer);
    this.#liveness.stop();
    this.#upgrade.stop();
    this.#transport?.close();
    this.#transport = null;
    this.#hellosDue = 0;
    this.#isLive = false;
    this.#connectedAt = null;
  }

  #attach() {
    const onFailed = (error) => this.#set({ error });
    this.#detach = this.#context.credentials.attach({ onToken: (token) => this.#tokenChanged(token), onFailed });
  }

  #release() {
    this.#disconnect();
    this.#detach();
  }

  #tokenChanged(token) {
    // A connect that waits for its token takes this one.
    if (this.#transport === null && this.#state.status === 'connecting') return;
    if (!this.isRunning || (this.#transport !== null && token === this.#token)) return;
    const isSame = token !== null && (this.#token === null || subjectOf(token) === subjectOf(this.#token));
    if (isSame && this.#connectedAt !== null && this.#transport.send({ op: 'auth', token })) this.#token = token;
    else this.#connect();
  }

  #onFrame(frame) {
    this.#liveness.heard();
    const send = (next) => this.#transport.send(next);
    if (frame.op === 'hello') return this.#onHello(frame);
    if (frame.op === 'pong') return this.#liveness.ponged();
    if (frame.op === 'auth_required') return this.#token !== null && send({ op: 'auth', token: this.#token });
    if (frame.op === 'auth_ok') return this.#onAuthenticated(frame);
    if (frame.op === 'auth_expiring') return this.#onExpiring(frame);
    if (frame.op === 'drain') return this.#recovery.drained(frame.retry_ms);
    // Everything else that comes before the `hello` belongs to the former subscription.
    if (this.#hellosDue > 0) return frame.op === 'synced' && this.#syncs.miss(frame.id);
    if (frame.op === 'event') this.#onEvent(frame.event);
    else if (frame.op === 'live') this.#onLive(frame);
    else if (frame.op === 'heartbeat') this.#onHeartbeat(frame);
    else if (frame.op === 'synced') {
      this.#passed(frame.cursor);
      this.#syncs.answer(frame.id, frame.cursor, send);
    }
  }

  #onHello(frame) {
    this.#hellosDue -= 1;
    if (this.#hellosDue > 0) return;
    const [{ kind }, isNew, attempt] = [this.#transport, this.#connectedAt === null, this.#attempt];
    clearTimeout(this.#timer);
    // A stream that begins before the place may go on in another history without a word.
    placeRefusal(this.#context.request, isNew ? this.#subscription.unaskedPlace : null).then((refusal) => refusal !== null && attempt === this.#attempt && this.#lost(refusal));
    const resumed = this.#subscription.begin(frame.cursor);
    this.#connectedAt ??= performance.now();
    this.#recovery.connected();
    this.#isLive = false;
    this.#choice.worked(kind);
    this.#liveness.start(frame.heartbeat_ms ?? null);
    this.#upgrade.plan(kind);
    const [{ latencyMs }, { view = null, head = null }] = [this.#state, frame];
    this.#set({ ...NEW_STATE, status: 'catching_up', transport: kind, view, cursor: this.place, head, latencyMs });
    if (kind === 'sse') this.#syncOverHttp();
    else if (isNew) this.#syncs.resend((sync) => this.#transport.send(sync));
    else this.#syncs.resendMissed((sync) => this.#transport.send(sync));
    this.#sink.subscribed({ cursor: frame.cursor, head, oldest: frame.oldest ?? null, resumed });
    this.#endWaiting('resolve');
  }

  #onEvent(event) {
    const verdict = this.#subscription.receive(event, this.#transport.isVerifiable);
    if (verdict === 'disorder') return this.#mismatch('order', null);
    if (verdict === 'repeated') return;
    this.#recovery.progressed();
    this.#sink.accept(event, cursorOf(event));
    if (this.#transport?.kind === 'websocket' && this.#sink.isFull()) this.#pause();
  }

  #onLive(frame) {
    this.#isLive = true;
    this.#passed(frame.cursor);
    if (this.#state.status !== 'stalled') this.#set({ status: 'live', cursor: this.place });
    this.#sink.live({ cursor: frame.cursor });
  }

  #onHeartbeat(frame) {
    if (!this.#subscription.agrees(frame)) return this.#mismatch('tally', frame);
    this.#passed(frame.cursor);
    this.#recovery.agreed(performance.now() - this.#connectedAt);
    this.#liveness.beat();
    const stalled = frame.stalled ?? null;
    const status = stalled !== null ? 'stalled' : this.#isLive ? 'live' : 'catching_up';
    this.#set({ status, stalled, cursor: this.place, head: frame.head ?? null });
  }

  /** Everything up to here was sent; what the filter left out is passed by. */
  #passed(cursor) {
    this.#subscription.advance(cursor, this.#transport.isVerifiable);
    this.#sink.moved(this.place);
  }

  #onExpiring({ at }) {
    if (this.#context.credentials.canRenew) this.#context.credentials.refresh();
    else this.#sink.authExpiring({ at });
  }

  #onAuthenticated({ expires }) {
    this.#context.credentials.learnEnd(this.#token, expires);
    this.#set({ view: 'private' });
  }

  /** Null, or a promise of room. Nothing is read meanwhile, so silence says nothing. */
  #room() {
    if (!this.#sink.isFull()) return null;
    this.#liveness.stop();
    const attempt = this.#attempt;
    return this.#sink.whenRoom().then(() => attempt === this.#attempt && this.#liveness.start(null));
  }

  /** A WebSocket cannot be told to wait. So it is closed, and once there is room the stream goes on over what can. */
  #pause() {
    this.#disconnect();
    const attempt = this.#attempt;
    this.#set({ status: 'catching_up', transport: null, latencyMs: null });
    this.#isUnhurried = true;
    this.#sink.whenRoom().then(() => attempt === this.#attempt && this.#connect());
  }

  #mismatch(reason, frame) {
    this.#sink.mismatch(this.#subscription.doubt(reason, frame));
    if (this.isRunning) this.#lost(new MismatchError('What came is not what the server has sent.', { code: 'mismatch' }));
  }

  #lost(error) {
    const [kind, connectedAt] = [this.#transport?.kind, this.#connectedAt];
    const isUnreached = error instanceof NetworkError || error instanceof TimeoutError;
    if (connectedAt !== null) this.#recovery.lasted(performance.now() - connectedAt);
    else if (kind !== undefined && isUnreached) this.#choice.missed(kind);
    this.#disconnect();
    const what = this.#recovery.decide(error, this.#token !== null && this.#context.credentials.canRenew);
    if (what === 'wait') this.#wait(error);
    else if (what === 'relocate') this.#relocate(error);
    else if (what === 'renew') this.#renew(error);
    else this.#fail(error);
  }

  #wait(error) {
    const { ms, isAsked } = this.#recovery.pause(error);
    this.#waitsAsAsked = isAsked;
    const status = globalThis.navigator?.onLine === false ? 'offline' : 'waiting';
    this.#set({ status, transport: null, latencyMs: null, stalled: null, retryAt: Date.now() + ms, error });
    this.#timer = setTimeout(() => this.#connect(), ms);
  }

  async #renew(refusal) {
    const [attempt, refused] = [this.#attempt, this.#token];
    this.#set({ status: 'connecting', transport: null, latencyMs: null, error: refusal });
    const renewed = await this.#context.credentials.renew(refused).catch((error) => error);
    if (attempt !== this.#attempt) return;
    if (renewed === refused) this.#fail(refusal);
    else if (renewed instanceof Error) this.#wait(renewed);
    else this.#connect();
  }

  #relocate(error) {
    const start = this.#sink.placeLost(error, this.place);
    if (!this.isRunning) return;
    if (start === null) return this.#fail(error);
    this.#subscription.moveTo({ cursor: start });
    if (this.#recovery.relocated()) this.#connect();
    else this.#wait(error);
  }

  #fail(error) {
    this.#release();
    this.#set({ ...NEW_STATE, status: 'failed', cursor: this.place, error });
    this.#endWaiting('reject', error);
    this.#sink.failed(error);
  }

  #endWaiting(how, error) {
    if (how === 'reject') this.#syncs.fail(error);
    this.#subscribing?.[how](error);
    this.#subscribing = null;
  }

  #syncOverHttp() {
    const [subscription, attempt, { filter }] = [this.#subscription, this.#attempt, this];
    const passed = (cursor) => attempt === this.#attempt && filter === this.filter && this.#passed(cursor);
    this.#syncs.askOverHttp({ request: this.#context.request, subscription, passed });
  }

  #set(patch) {
    this.#state = Object.freeze({ ...this.#state, ...patch });
    this.#sink.stateChanged();
  }
}
