// The live events: a list that follows the stream, stands still while one reads, and can be moved over the whole journal.

import { cursorOf } from './client.js';
import { announce, blank, button, h, icon, paced, say, snippet, toast } from './dom.js';
import { AROUND, EventLog } from './eventlog.js';
import { FilterBar } from './filter.js';
import { clock, count, day, isToday, oneLine, shortId } from './format.js';
import { Inspector } from './inspector.js';
import { TimeTravel, USUAL_NEWEST } from './travel.js';
import { VirtualList } from './virtual.js';

/** A sign beside the colour: not everybody sees colours. */
const SIGNS = { debug: '·', info: '○', warn: '▲', error: '✕', critical: '■' };
const TRY_THIS = `insert into rowcast.events (type, payload) values ('note.added', '{"text":"hello"}');`;
/** Rows before either end at which more are read. */
const NEAR_THE_EDGE = 40;
const RATE_WINDOW_MS = 2000;
/** Between two drawings of what comes live, and of a backlog, which nobody reads while it rushes by. */
const PAUSE_MS = 50;
const BACKLOG_PAUSE_MS = 300;

export class EventsView {
  #session;
  #log;
  #list;
  #filter;
  #inspector;
  #travel;
  #chosen = null;
  #isFollowing = true;
  #since = 0;
  #counted = 0;
  #samples = [];
  #notice = '';
  #isShown = false;

  constructor(session) {
    this.#session = session;
    this.#log = new EventLog(session, (detail) => this.#logChanged(detail));
    this.#filter = new FilterBar((filter) => this.#begin({ last: USUAL_NEWEST }, filter));
    this.#filter.allow(session.isPrivate);
    this.#inspector = new Inspector({ label: 'The chosen event', onClose: (hadFocus) => this.#closed(hadFocus), onFilter: (filter) => this.#filter.set(filter) });
    this.#travel = new TimeTravel(session, (from, words) => this.#go(from, words));
    this.#build();
    session.on('identity', ({ viewChanged }) => viewChanged && this.#viewChanged());
    this.#begin({ last: USUAL_NEWEST });
  }

  #build() {
    this.pause = h('button', { type: 'button', class: 'button', 'aria-pressed': 'false', data: { hook: 'pause' }, onclick: () => this.togglePause() });
    this.facts = h('span', { class: 'fact', data: { hook: 'events-facts' } });
    const travel = h('button', { type: 'button', class: 'button', 'aria-label': 'Go to another time', title: 'Go to another time (t)', data: { hook: 'travel-open' }, onclick: () => this.#travel.open() }, icon('clock'), h('span', { class: 'wide', text: 'Time' }));
    const toolbar = h('div', { class: 'toolbar events-bar' }, this.#filter.node, h('span', { class: 'spring' }), this.facts, travel, this.pause);
    this.list = h('div', { class: 'event-list', role: 'listbox', tabindex: '0', 'aria-label': 'Events, newest last', data: { hook: 'events' } });
    this.overlay = h('div', { class: 'list-overlay' });
    this.jump = h('button', { type: 'button', class: 'button primary jump', hidden: true, data: { hook: 'follow' }, onclick: () => this.follow() });
    const pane = h('div', { class: 'list-pane' }, this.list, this.overlay, this.jump);
    this.node = h('section', { class: 'view', 'aria-label': 'Live events', data: { view: 'events' } }, toolbar, h('div', { class: 'split' }, pane, this.#inspector.node));
    this.#list = new VirtualList(this.list, { create: () => this.#row(), draw: (row, event, place) => this.#draw(row, event, place), item: (place) => this.#log.at(place), rowHeight: 28, onScroll: () => this.#scrolled(), onResize: () => this.#resized() });
    const narrow = matchMedia('(max-width: 639px)');
    const fit = () => { this.#list.rowHeight = narrow.matches ? 46 : 28; };
    narrow.addEventListener('change', fit);
    fit();
    this.#listen();
    this.#render = paced(() => this.#redraw(), () => (this.#log.isLive && !this.#log.isSettled ? BACKLOG_PAUSE_MS : PAUSE_MS));
    setInterval(() => this.#isShown && this.#tellFacts(), 500);
  }

  #render = () => {};

  #listen() {
    this.list.addEventListener('click', (event) => {
      const row = event.target.closest('.event');
      if (row) this.#choose(row.drawn.item?.seq ?? null, true);
    });
    // A wheel or a finger that goes up wants to read, before the list has moved so far that it is seen.
    this.list.addEventListener('wheel', (event) => event.deltaY < 0 && this.#read(), { passive: true });
    this.list.addEventListener('touchmove', () => !this.#list.isAtEnd && this.#read(), { passive: true });
    this.list.addEventListener('keydown', (event) => this.#key(event));
  }

  show() {
    this.#isShown = true;
    this.#redraw();
    if (this.#isFollowing) this.#list.toEnd();
  }

  hide() {
    this.#isShown = false;
  }

  focus() {
    this.list.focus();
  }

  focusFilter() {
    this.#filter.focus();
  }

  openTravel() {
    this.#travel.open();
  }

  // ---- Where the list stands ------------------------------------------------------------------------------------

  #begin(from, filter = this.#filter.value) {
    this.#log.filter = filter;
    this.#choose(null);
    this.#inspector.close();
    this.#isFollowing = from.last !== undefined;
    this.#log.isReading = !this.#isFollowing;
    this.#since = 0;
    this.#notice = '';
    return this.#log.start(from);
  }

  #go(from, words) {
    announce(`Events ${words}`);
    if (location.hash !== '#/events') history.replaceState(null, '', '#/events');
    return this.#begin(from);
  }

  /** Opens one event among its neighbours, as a link names it. */
  async open(cursor) {
    const seq = Number.parseInt(cursor, 10);
    if (this.#chosen === seq || !Number.isSafeInteger(seq)) return;
    try {
      await this.#session.request('/v1/events', { query: { cursor, limit: 1 } });
    } catch (error) {
      toast(error.code === 'cursor_invalid' ? 'This event is of another history of the database' : error.message);
      if (error.status === 400) return;
    }
    if (!this.#filter.isEmpty) this.#filter.set({});
    await this.#begin({ cursor: seq > AROUND ? String(seq - AROUND) : 'earliest' });
    // The rows are there before one of them is brought into sight.
    this.#redraw();
    const place = this.#log.placeOf(seq);
    if (place === null) {
      toast('This event cannot be seen in this view, or is no longer kept');
      return;
    }
    this.#choose(seq, true);
    history.replaceState(null, '', `#/events/${cursorOf(this.#log.at(place))}`);
  }

  /** The session went from the public view to the private one, or back. The place is kept. */
  #viewChanged() {
    this.#filter.allow(this.#session.isPrivate);
    const seen = this.#log.at(this.#list.first);
    if (this.#isFollowing || !seen) this.#begin({ last: USUAL_NEWEST });
    else this.#begin({ cursor: seen.seq > 1 ? String(seen.seq - 1) : 'earliest' });
  }

  get #isPaused() {
    return !this.#isFollowing;
  }

  #read() {
    if (!this.#isFollowing || this.#log.items.length === 0) return;
    this.#isFollowing = false;
    this.#log.isReading = true;
    this.#since = 0;
    this.#tellFacts();
  }

  /** The inspector takes room on a small screen: what one reads stays in sight. */
  #resized() {
    const place = this.#chosen === null ? null : this.#log.placeOf(this.#chosen);
    if (place !== null) this.#list.reveal(place);
    else if (this.#isFollowing) this.#list.toEnd();
  }

  /** Follows the newest: what came meanwhile is shown, all of it. */
  follow() {
    this.#isFollowing = true;
    this.#log.isReading = false;
    this.#since = 0;
    this.#log.catchUp();
    this.#redraw();
    this.#list.toEnd();
  }

  togglePause() {
    if (this.#isPaused) this.follow();
    else this.#read();
    announce(this.#isPaused ? 'Paused' : 'Following the newest events');
  }

  #scrolled() {
    if (this.#isPaused && this.#log.isLive && this.#list.isAtEnd && this.#chosen === null && this.#since === 0) this.follow();
    if (!this.#isPaused && !this.#list.isAtEnd && !this.#log.isLoading) this.#read();
    if (this.#isPaused) {
      if (this.#list.first - this.#log.base < NEAR_THE_EDGE) this.#log.older();
      const end = this.#log.base + this.#log.items.length;
      if (end - this.#list.first < NEAR_THE_EDGE + this.list.clientHeight / this.#list.rowHeight) this.#log.newer();
    }
  }

  // ---- What has come --------------------------------------------------------------------------------------------

  #logChanged({ event, gap, read }) {
    for (const one of read ?? []) this.#filter.seen.add(one);
    if (event) {
      this.#filter.seen.add(event);
      // The backlog comes as fast as it can, which is not the pace of the journal.
      if (this.#log.isSettled) this.#counted += 1;
      if (this.#isPaused) this.#since += 1;
    }
    if (gap) this.#lost(gap);
    this.#render();
  }

  /** Events between what is shown and what comes next are gone, or what is shown says nothing of what comes. */
  #lost({ code, after }) {
    if (code === 'cursor_expired') {
      this.#notice = after === null ? 'Older events are no longer kept: this is the oldest.' : `Events after ${clock(after)} are missing: retention removed them before they were read.`;
      return;
    }
    this.#notice = 'The database has another history: this is its beginning.';
    this.#since = 0;
    this.#inspector.close();
  }

  #redraw() {
    if (!this.#isShown) return;
    const { items, base } = this.#log;
    this.#list.resize(base, items.length, this.#isFollowing);
    this.#showOverlay();
    this.#tellFacts();
  }

  #tellFacts() {
    const { items, isLive, isAtStart } = this.#log;
    const rate = this.#rate();
    const kept = `${count(items.length)} ${items.length === 1 ? 'event' : 'events'}${isAtStart ? ' from the first' : ''}`;
    say(this.facts, isLive ? `${kept} · ${rate < 10 ? rate.toFixed(1) : count(Math.round(rate))}/s` : kept);
    const pressed = String(this.#isPaused);
    if (this.pause.getAttribute('aria-pressed') !== pressed || !this.pause.firstChild) {
      this.pause.setAttribute('aria-pressed', pressed);
      this.pause.replaceChildren(icon(this.#isPaused ? 'play' : 'pause'), h('span', { class: 'wide', text: this.#isPaused ? 'Follow' : 'Pause' }));
      this.pause.setAttribute('aria-label', this.#isPaused ? 'Follow the newest events' : 'Pause');
      this.pause.title = this.#isPaused ? 'Follow the newest (space)' : 'Stand still (space)';
    }
    this.jump.hidden = !this.#isPaused || items.length === 0 || this.#log.hasEnded || (isLive && this.#since === 0);
    if (!this.jump.hidden) this.jump.replaceChildren(icon('down'), this.#since > 0 ? `${count(this.#since)}${isLive ? '' : ' and more'} new` : 'To the newest');
  }

  /** Events per second, over about the last two seconds. */
  #rate() {
    const now = performance.now();
    const samples = this.#samples;
    if (samples.length === 0 || now - samples.at(-1)[0] > 200) samples.push([now, this.#counted]);
    while (samples.length > 2 && samples[1][0] < now - RATE_WINDOW_MS) samples.shift();
    const [begun, before] = samples[0];
    return now - begun > 200 ? ((this.#counted - before) * 1000) / (now - begun) : 0;
  }

  #showOverlay() {
    const { items, isLoading, error } = this.#log;
    const isClosed = this.#log.hasEnded && items.length === 0 && !this.#log.isAtStart;
    // What is shown stays while the banner says what is wrong.
    const state = error && items.length === 0 ? `error ${error.code}` : isClosed ? 'closed' : items.length > 0 ? `rows ${this.#notice}` : isLoading ? 'loading' : this.#filter.isEmpty ? 'empty' : 'none';
    if (this.overlay.dataset.state === state) return;
    this.overlay.dataset.state = state;
    this.list.setAttribute('aria-busy', String(isLoading));
    this.overlay.replaceChildren(...this.#overlayOf(state, items.length === 0 ? error : null));
  }

  #overlayOf(state, error) {
    if (error) return [this.#explain(error)];
    if (state.startsWith('rows')) return this.#notice ? [h('p', { class: 'notice', text: this.#notice })] : [];
    if (state === 'closed') return [this.#explainPublic()];
    if (state === 'loading') return [h('div', { class: 'loading', role: 'progressbar', 'aria-label': 'Loading events' })];
    if (state === 'none') return [blank('No event matches', 'Nothing in the journal fits this filter yet. It goes on looking as events come.', button('Clear the filter', () => this.#filter.set({})))];
    return [blank('No events yet', this.#session.isPrivate ? 'The journal is empty. Insert the first event with psql and see it here at once:' : 'Nothing that everyone may see has happened yet. Sign in to see the rest.', this.#session.isPrivate ? snippet(TRY_THIS) : null)];
  }

  /** The public view of a server that streams to those with a token alone. */
  #explainPublic() {
    const look = button('Read the journal so far', () => this.#begin({ cursor: 'earliest' }));
    const ask = button('Sign in', () => document.dispatchEvent(new CustomEvent('sign-in')), { class: 'button primary' });
    return blank('The public stream is not opened', 'This server streams to those with a token alone; what is public can be read in pages. Sign in to follow. Whoever runs the server opens the public stream with ROWCAST_PUBLIC_STREAM=on.', h('div', { class: 'row-of' }, ask, look));
  }

  #explain(error) {
    const again = button('Try again', () => this.#begin({ last: USUAL_NEWEST }));
    if (error.name === 'BadRequestError') return blank('The server refuses this filter', error.message, button('Clear the filter', () => this.#filter.set({})));
    return blank('The events cannot be read', error.message, again);
  }

  // ---- One row --------------------------------------------------------------------------------------------------

  #row() {
    const cells = Object.fromEntries(['time', 'level', 'type', 'symbol', 'subject', 'payload'].map((name) => [name, h('span', { class: `cell ${name}` })]));
    const sign = h('span', { class: 'sign', 'aria-hidden': 'true' });
    const word = h('span', { class: 'word' });
    cells.level.append(sign, word);
    const row = h('div', { class: 'event', role: 'option', 'aria-selected': 'false' }, ...Object.values(cells));
    return Object.assign(row, { cells, sign, word });
  }

  #draw(row, event, place) {
    const { cells, sign, word } = row;
    row.id = `event-${event.seq}`;
    row.dataset.seq = event.seq;
    row.dataset.level = event.level;
    row.setAttribute('aria-posinset', String(place - this.#log.base + 1));
    row.setAttribute('aria-setsize', String(this.#log.items.length));
    row.setAttribute('aria-selected', String(event.seq === this.#chosen));
    say(cells.time, isToday(event.at) ? clock(event.at) : `${day(event.at)} ${clock(event.at).slice(0, 8)}`);
    cells.time.title = event.at;
    say(sign, SIGNS[event.level] ?? '?');
    say(word, event.level);
    say(cells.type, event.type);
    say(cells.symbol, event.symbol ?? '');
    say(cells.subject, event.subject ? shortId(event.subject) : '');
    cells.payload.replaceChildren(...oneLine(event).flatMap(([name, value]) => [h('i', { text: `${name} ` }), `${value}   `]));
  }

  // ---- Choosing -------------------------------------------------------------------------------------------------

  #choose(seq, mayScroll = false) {
    this.#chosen = seq;
    if (seq === null) {
      this.list.removeAttribute('aria-activedescendant');
      if (location.hash.startsWith('#/events/')) history.replaceState(null, '', '#/events');
    } else {
      this.#read();
      const place = this.#log.placeOf(seq);
      this.#inspector.event(this.#log.at(place));
      if (mayScroll) this.#list.reveal(place);
      this.list.setAttribute('aria-activedescendant', `event-${seq}`);
    }
    this.#list?.refresh(true);
  }

  #closed(hadFocus) {
    this.#choose(null);
    if (hadFocus) this.list.focus();
  }

  #move(by) {
    const { base, items } = this.#log;
    if (items.length === 0) return;
    const at = this.#chosen === null ? null : this.#log.placeOf(this.#chosen);
    const from = at ?? (by > 0 ? this.#list.first - 1 : base + items.length);
    const place = Math.min(base + items.length - 1, Math.max(base, from + by));
    this.#choose(items[place - base].seq, true);
    if (place - base < NEAR_THE_EDGE) this.#log.older();
  }

  /** Keys of the list. True if one was used. */
  #key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const page = Math.max(1, Math.floor(this.list.clientHeight / this.#list.rowHeight) - 1);
    const moves = { j: 1, ArrowDown: 1, k: -1, ArrowUp: -1, PageDown: page, PageUp: -page };
    if (moves[event.key]) this.#move(moves[event.key]);
    else if (event.key === 'End' || event.key === 'G') this.follow();
    else if (event.key === 'Home') this.#move(-this.#log.items.length);
    else if (event.key === 'Escape') this.#inspector.close();
    else if (event.key === 'Enter') this.#inspector.node.querySelector('button')?.focus();
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  /** j and k work wherever the focus is in this view. */
  key(event) {
    if (event.key === ' ') this.togglePause();
    else if (event.key === 't') this.openTravel();
    else if (['j', 'k', 'G'].includes(event.key)) {
      this.list.focus();
      this.#key(event);
    } else return false;
    return true;
  }
}
