// Trading: what is open, what was ordered, how the account goes, and beside it what everyone else can see of it.

import { Account, point } from './account.js';
import { blank, button, h, paced, say } from './dom.js';
import { amount, clock, count, day, isToday, moment, percent, signed } from './format.js';
import { BarPlot, LinePlot } from './plot.js';
import { Rows } from './rows.js';

/** The public lists are read again at most this often, when something public has happened. */
const PUBLIC_PAUSE_MS = 3000;
/** Without a public stream nothing tells of changes: then they are read at this pace. */
const PUBLIC_POLL_MS = 15_000;
const MOST_PUBLIC = 24;

const ORDER_STATES = {
  new: ['○', 'new', 'info'],
  partially_filled: ['◐', 'part filled', 'info'],
  filled: ['●', 'filled', 'good'],
  cancelled: ['–', 'cancelled', ''],
  rejected: ['✕', 'rejected', 'bad'],
};
const SIDES = { long: '↗ long', short: '↘ short', buy: '↗ buy', sell: '↘ sell' };

/** Beyond this a curve is told in days and not in hours. */
const LONG_SPAN_MS = 36 * 3_600_000;
const axis = { value: (number) => amount(number).replace(/\.00$/, ''), time: (at, span) => (span === 0 ? moment(at) : span > LONG_SPAN_MS ? day(at) : clock(at).slice(0, 5)) };

function drawState(cell, { status, reject_reason: reason }) {
  const [sign, words, kind] = ORDER_STATES[status] ?? ['?', status, ''];
  cell.replaceChildren(h('span', { class: `badge ${kind}`, title: reason ?? '' }, h('span', { 'aria-hidden': 'true', text: sign }), words));
}

function drawFill(cell, { filled_quantity: filled, quantity }) {
  const part = Math.min(1, Number(filled) / Number(quantity) || 0);
  const bar = h('span', { class: 'fill-bar', 'aria-hidden': 'true' }, h('i'));
  bar.firstChild.style.width = `${part * 100}%`;
  cell.replaceChildren(bar, h('span', { text: `${Math.round(part * 100)} %` }));
}

function drawProfit(cell, { profit }) {
  const number = Number(profit);
  cell.replaceChildren(h('span', { class: number < 0 ? 'bad' : 'good', text: profit === null ? '–' : signed(number) }));
}

const tile = (label, hook) => {
  const value = h('b', { text: '–', data: { hook } });
  const note = h('span', { class: 'muted' });
  return { node: h('div', { class: 'tile' }, h('span', { class: 'muted', text: label }), value, note), value, note };
};

export class TradingView {
  #session;
  #account = null;
  #isShown = false;
  #publicDue = 0;
  #publicTimer = 0;
  #public = { trades: [], points: [] };
  #range = 'newest';

  constructor(session) {
    this.#session = session;
    this.node = h('section', { class: 'view', 'aria-label': 'Trading', data: { view: 'trading' } });
    this.#render = paced(() => this.#redraw());
    session.on('application', (event) => this.#came(event));
    session.on('reload', () => this.#reload());
    session.on('identity', ({ viewChanged }) => viewChanged && this.#reload());
  }

  #render = () => {};

  show() {
    this.#isShown = true;
    if (!this.#account) this.#load();
    else this.#render();
    this.#publicTimer = setInterval(() => this.#loadPublic(), PUBLIC_POLL_MS);
  }

  hide() {
    this.#isShown = false;
    clearInterval(this.#publicTimer);
  }

  focus() {
    this.node.querySelector('[tabindex]')?.focus();
  }

  #reload() {
    this.#account = null;
    if (this.#isShown) this.#load();
  }

  #came(event) {
    if (!/^(trade|order|snapshot)\./.test(event.type)) return;
    if (this.#session.isPrivate) this.#account?.apply(event);
    if (!this.#isShown) return;
    if (this.#session.isPrivate) this.#render();
    if (!event.type.startsWith('order.')) this.#publicSoon();
  }

  #publicSoon() {
    const now = Date.now();
    if (now < this.#publicDue) return;
    this.#publicDue = now + PUBLIC_PAUSE_MS;
    setTimeout(() => this.#isShown && this.#loadPublic(), 400);
  }

  async #load() {
    this.#build();
    this.#loadPublic();
    if (!this.#session.isPrivate) return;
    const account = new Account(this.#session);
    this.#account = account;
    try {
      if (this.#session.me?.role === 'user') throw Object.assign(new Error(), { status: 403 });
      await account.load();
      if (this.#account === account) this.#render();
    } catch (error) {
      if (this.#account !== account) return;
      this.#account = null;
      const words = error.status === 403 ? 'Your role sees no trading. Viewers, engines, operators and administrators do.' : error.message;
      this.private.replaceChildren(blank('The account cannot be read', words, button('Try again', () => this.#load())));
    }
  }

  async #loadPublic() {
    try {
      const [trades, snapshots] = await Promise.all(['trades', 'snapshots'].map((name) => this.#session.request(`/public/v1/${name}`, { query: { limit: name === 'trades' ? MOST_PUBLIC : 500 } })));
      this.#public = { trades: trades.items, points: snapshots.items.map(point).reverse() };
      this.#redrawPublic();
    } catch (error) {
      this.publicNote.textContent = `The public view cannot be read: ${error.message}`;
    }
  }

  // ---- Building ---------------------------------------------------------------------------------------------------

  #build() {
    this.private = this.#session.isPrivate ? this.#buildPrivate() : this.#askToSignIn();
    this.node.replaceChildren(h('div', { class: this.#session.isPrivate ? 'trading' : 'trading is-public', tabindex: '0', role: 'group', 'aria-label': 'The account and the public view' }, this.private, this.#buildPublic()));
  }

  #askToSignIn() {
    const ask = button('Sign in', () => document.dispatchEvent(new CustomEvent('sign-in')), { class: 'button primary' });
    return h('div', { class: 'private' }, blank('This is what everyone sees', 'Quantities, orders, reasons and the account itself need a token. Sign in, and they appear here, beside the public view.', ask));
  }

  #buildPrivate() {
    this.loading = h('div', { class: 'loading', role: 'progressbar', 'aria-label': 'Loading the account' });
    this.tiles = { equity: tile('Equity', 'equity'), today: tile('Today', 'today'), unrealized: tile('Not realized', 'unrealized'), open: tile('Open trades', 'open-trades'), working: tile('Working orders', 'working-orders') };
    this.curve = new LinePlot({ label: 'Equity over time', height: 220, data: { hook: 'equity-curve' } });
    this.daily = new BarPlot({ label: 'Result of each day', height: 130, data: { hook: 'daily-result' } });
    const ranges = [['newest', 'Newest'], ['days', 'By day']].map(([name, text]) => h('button', { type: 'button', text, 'aria-pressed': String(name === this.#range), onclick: () => this.#setRange(name) }));
    this.ranges = h('div', { class: 'segments', role: 'group', 'aria-label': 'Range of the curve' }, ...ranges);
    const side = { name: 'Side', value: ({ side: word }) => SIDES[word] ?? word };
    const symbol = { name: 'Symbol', value: (item) => item.symbol };
    this.openRows = new Rows({ label: 'Open trades', hook: 'open-rows', empty: 'No trade is open.', columns: [symbol, side,
      { name: 'Quantity', number: true, value: ({ quantity }) => quantity }, { name: 'Entry', number: true, value: ({ entry_price: price }) => amount(price) },
      { name: 'Opened', number: true, value: ({ opened_at: at }) => moment(at) }, { name: 'Reason', value: ({ reason }) => reason ?? '' }] });
    this.orderRows = new Rows({ label: 'Orders', hook: 'order-rows', empty: 'No orders yet.', columns: [symbol, side, { name: 'State', draw: drawState }, { name: 'Filled', draw: drawFill },
      { name: 'Quantity', number: true, value: ({ quantity }) => quantity }, { name: 'Price', number: true, value: ({ average_price: price, limit_price: limit }) => amount(price ?? limit) }, { name: 'Placed', number: true, value: ({ created_at: at }) => moment(at) }] });
    this.closedRows = new Rows({ label: 'Closed trades', hook: 'closed-rows', empty: 'No trade has been closed yet.', columns: [symbol, side, { name: 'Entry', number: true, value: ({ entry_price: price }) => amount(price) },
      { name: 'Exit', number: true, value: ({ exit_price: price }) => amount(price) }, { name: 'Profit', number: true, draw: drawProfit }, { name: 'Closed', number: true, value: ({ closed_at: at }) => moment(at) }] });
    const card = (heading, node, tools) => h('div', { class: 'card' }, h('header', {}, h('h2', { text: heading }), tools), node);
    return h('div', { class: 'private' }, this.loading, h('div', { class: 'tiles' }, ...Object.values(this.tiles).map(({ node }) => node)),
      card('Equity', this.curve.node, this.ranges), card('Result by day', this.daily.node),
      h('div', { class: 'cards' }, card('Open trades', this.openRows.node), card('Orders', this.orderRows.node)), card('Closed trades', this.closedRows.node));
  }

  #buildPublic() {
    this.publicCurve = new LinePlot({ label: 'Equity over time, as everyone sees it', height: 130, data: { hook: 'public-curve' } });
    this.publicNote = h('p', { class: 'muted' });
    this.publicRows = new Rows({ label: 'Trades as everyone sees them', hook: 'public-rows', empty: 'Nothing is public yet.', columns: [
      { name: 'Symbol', value: ({ symbol }) => symbol }, { name: 'Side', value: ({ side }) => SIDES[side] ?? side },
      { name: 'Entry', number: true, value: ({ entry_price: price }) => amount(price) }, { name: 'Exit', number: true, value: ({ exit_price: price }) => amount(price) }, { name: 'Opened', number: true, value: ({ opened_at: at }) => (isToday(at) ? clock(at).slice(0, 5) : day(at)) }] });
    const lock = h('span', { class: 'badge', text: 'public view' });
    return h('aside', { class: 'card public', 'aria-label': 'What everyone sees', data: { hook: 'public-view' } }, h('header', {}, h('h2', { text: 'What everyone sees' }), lock),
      h('p', { class: 'hint muted', text: 'No quantities, profits, orders or reasons: only what is listed as public.' }), this.publicCurve.node, this.publicRows.node, this.publicNote);
  }

  #setRange(name) {
    this.#range = name;
    [...this.ranges.children].forEach((one, at) => one.setAttribute('aria-pressed', String((at === 0 ? 'newest' : 'days') === name)));
    this.#render();
  }

  // ---- Drawing ----------------------------------------------------------------------------------------------------

  #redraw() {
    const account = this.#account;
    if (!this.#isShown || !account?.isLoaded) return;
    this.loading.hidden = true;
    this.#drawTiles(account);
    this.openRows.show(account.openTrades.slice(0, 60));
    this.orderRows.show(account.orders);
    this.closedRows.show(account.closedTrades.slice(0, 30));
    const days = account.days;
    const closings = account.closings.filter(([, equity]) => equity !== null).map(([end, equity]) => [end, equity]);
    if (this.#range === 'days' && closings.length > 1) this.curve.draw(closings, { value: axis.value, time: (at) => day(at - 1) });
    else if (account.points.length > 1) this.curve.draw(account.points, axis);
    else this.curve.node.replaceChildren(h('p', { class: 'plot-empty muted', text: 'The curve begins with the second snapshot of the account.' }));
    if (days.some(([, result]) => result !== null)) this.daily.draw(days.map(([at, result]) => [day(at), result]), { value: signed, tick: (number) => signed(number).replace(/\.00$/, '') });
    else this.daily.node.replaceChildren(h('p', { class: 'plot-empty muted', text: 'There is no snapshot of a day yet.' }));
  }

  #drawTiles({ latest, days, openTrades, workingOrders, orders }) {
    const { equity, today, unrealized, open, working } = this.tiles;
    say(equity.value, amount(latest?.equity));
    say(equity.note, latest ? `cash ${amount(latest.cash)}` : 'no snapshot yet');
    const result = days.at(-1)?.[1] ?? null;
    say(today.value, result === null ? '–' : signed(result));
    today.value.className = result === null ? '' : result < 0 ? 'bad' : 'good';
    say(today.note, result === null || !latest ? '' : percent(result / (Number(latest.equity) - result)));
    const floating = Number(latest?.unrealized_profit ?? Number.NaN);
    say(unrealized.value, Number.isFinite(floating) ? signed(floating) : '–');
    unrealized.value.className = floating < 0 ? 'bad' : floating > 0 ? 'good' : '';
    say(unrealized.note, latest ? `as of ${moment(latest.taken_at)}` : '');
    say(open.value, count(openTrades.length));
    say(open.note, `${new Set(openTrades.map(({ symbol }) => symbol)).size} symbols`);
    say(working.value, count(workingOrders));
    say(working.note, `${orders.filter(({ status }) => status === 'rejected').length} refused of late`);
  }

  #redrawPublic() {
    const { trades, points } = this.#public;
    say(this.publicNote, this.#session.hasStream ? '' : `Read anew every ${PUBLIC_POLL_MS / 1000} seconds, since the public stream is not opened.`);
    this.publicRows.show(trades.map((trade) => ({ ...trade, id: `${trade.symbol} ${trade.opened_at} ${trade.entry_price}` })));
    if (points.length > 1) this.publicCurve.draw(points, axis);
  }

  key() {
    return false;
  }
}
