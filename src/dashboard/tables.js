// The live tables: every published table that one may see, as it is now.

import { blank, button, h } from './dom.js';
import { count } from './format.js';
import { Grid } from './grid.js';
import { Inspector } from './inspector.js';

/** Tables that every Rowcast has. */
const BUILT_IN = /^(trading|chat)\./;
/** Of these, the ones that change most. */
const LIVELY = ['trading.orders', 'trading.trades'];

/** The table that is shown where none was asked for: one's own, if there is one. */
function firstOf(names) {
  return names.find((name) => !BUILT_IN.test(name)) ?? LIVELY.find((name) => names.includes(name)) ?? names[0];
}

export class TablesView {
  #session;
  #tables = [];
  #table = null;
  #stop = [];
  #wanted = null;
  #isShown = false;
  #isListed = false;

  constructor(session) {
    this.#session = session;
    this.list = h('ul', { class: 'table-list', 'aria-label': 'Published tables', data: { hook: 'tables' } });
    this.search = h('input', { class: 'field', type: 'search', placeholder: 'Filter rows', 'aria-label': 'Filter rows', data: { hook: 'table-filter' }, oninput: () => this.grid.search(this.search.value), onkeydown: (event) => event.key === 'Escape' && this.search.blur() });
    this.title = h('h2', { class: 'title clip' });
    this.counts = h('span', { class: 'fact', data: { hook: 'table-count' } });
    this.toolbar = h('div', { class: 'toolbar' }, this.title, this.counts, h('span', { class: 'spring' }), this.search);
    this.inspector = new Inspector({ label: 'The chosen row', onClose: (hadFocus) => this.#closed(hadFocus) });
    this.grid = new Grid({ label: 'Rows', onChoose: (key, row) => this.inspector.row(`${this.#table.name} ${key}`, key, row), onCount: (shown, all) => this.#count(shown, all), onEnter: () => this.inspector.node.querySelector('button')?.focus() });
    this.overlay = h('div', { class: 'list-overlay' });
    const pane = h('div', { class: 'list-pane' }, this.grid.node, this.overlay);
    this.node = h('section', { class: 'view', 'aria-label': 'Live tables', data: { view: 'tables' } },
      h('div', { class: 'with-side' }, h('div', { class: 'side' }, this.list), h('div', { class: 'beside' }, this.toolbar, h('div', { class: 'split' }, pane, this.inspector.node))));
    session.on('identity', ({ viewChanged }) => {
      if (!viewChanged) return;
      this.#isListed = false;
      this.#close();
      if (this.#isShown) this.#load();
    });
  }

  show(name) {
    this.#isShown = true;
    if (name) this.#wanted = decodeURIComponent(name);
    if (!this.#isListed) this.#load();
    else if (this.#wanted && this.#wanted !== this.#table?.name) this.#open(this.#wanted);
    else this.grid.list.refresh();
  }

  hide() {
    this.#isShown = false;
  }

  focus() {
    this.grid.body.focus();
  }

  focusFilter() {
    this.search.focus();
  }

  async #load() {
    this.#say(h('div', { class: 'loading', role: 'progressbar', 'aria-label': 'Loading tables' }));
    if (!this.#session.hasStream) return this.#explainStream();
    try {
      const { tables } = await this.#session.request('/v1/tables');
      this.#tables = tables;
      this.#isListed = true;
      this.#list();
      if (tables.length === 0) return this.#none();
      const names = tables.map(({ table }) => table);
      this.#open(names.includes(this.#wanted) ? this.#wanted : firstOf(names));
    } catch (error) {
      this.#say(blank('The tables cannot be listed', error.message, button('Try again', () => this.#load())));
    }
  }

  #signIn() {
    return button('Sign in', () => document.dispatchEvent(new CustomEvent('sign-in')), { class: 'button primary' });
  }

  #explainStream() {
    this.list.replaceChildren();
    this.#say(blank('Tables need a token here', 'This server streams to those who have a token. Sign in, and the tables that it may read are here, live.', this.#signIn()));
  }

  #none() {
    if (this.#session.isPrivate) {
      this.#say(blank('No table is published', 'Publish one of yours, and its rows are here, live:', h('div', { class: 'snippet' }, h('code', { text: "select rowcast.publish('shop_orders', columns => '{id,status,total}');" }))));
    } else {
      this.#say(blank('No table is published for everyone', 'Sign in to see those that your token may read.', this.#signIn()));
    }
  }

  #list() {
    this.list.replaceChildren(...this.#tables.map(({ table }) => {
      const [schema, ...rest] = table.split('.');
      const current = table === this.#table?.name;
      const link = h('a', { href: `#/tables/${encodeURIComponent(table)}`, 'aria-current': current ? 'page' : null, data: { table } }, h('span', { class: 'clip' }, h('span', { class: 'muted', text: `${schema}.` }), rest.join('.')));
      return h('li', {}, link);
    }));
    this.list.querySelector('[aria-current]')?.scrollIntoView({ block: 'nearest', inline: 'nearest' });
  }

  #close() {
    for (const stop of this.#stop.splice(0)) stop();
    this.#table = null;
    this.grid.open(new Map(), []);
    this.inspector.close();
  }

  async #open(name) {
    this.#close();
    this.#wanted = null;
    const table = this.#session.main.table(name);
    this.#table = table;
    this.#list();
    this.title.textContent = name;
    this.counts.textContent = '';
    this.search.value = '';
    this.grid.search('');
    this.#say(h('div', { class: 'loading', role: 'progressbar', 'aria-label': `Loading ${name}` }));
    this.#stop.push(table.onError((error) => this.#table === table && this.#failed(error)), () => table.close());
    try {
      await table.ready;
    } catch (error) {
      if (this.#table === table) this.#failed(error);
      return;
    }
    if (this.#table !== table) return;
    this.#stop.push(table.onChange((batch) => this.#changed(table, batch)));
    this.grid.open(table, table.columns);
    this.#say();
  }

  #changed(table, batch) {
    this.grid.changed(batch);
    this.#inspectAgain(table, batch);
    if (table.size === 0 || this.overlay.firstChild) this.#say();
  }

  #closed(hadFocus) {
    this.grid.chosen = null;
    this.grid.list.refresh(true);
    if (hadFocus) this.focus();
  }

  /** The chosen row stands beside the table as it is now. */
  #inspectAgain(table, { updated, removed }) {
    const { chosen } = this.grid;
    if (chosen === null) return;
    const changed = updated.find(({ key }) => key === chosen);
    if (changed) this.inspector.row(`${table.name} ${chosen}`, chosen, changed.row);
    else if (removed.some(({ key }) => key === chosen)) this.inspector.close();
  }

  #failed(error) {
    const again = button('Try again', () => this.#open(this.title.textContent));
    const words = error.code === 'not_snapshottable' ? `${error.message} Publish the table again so that its rows can be read.` : error.message;
    this.#say(blank('These rows cannot be read', words, again));
  }

  #say(node) {
    const empty = !node && this.#table?.isReady && this.#table.size === 0;
    this.overlay.replaceChildren(...(node ? [node] : empty ? [blank('No rows', 'The table is empty. Rows appear here as they are inserted.')] : []));
  }

  #count(shown, all) {
    this.counts.textContent = shown === all ? `${count(all)} ${all === 1 ? 'row' : 'rows'}` : `${count(shown)} of ${count(all)} rows`;
    if (this.#table?.isReady) this.#say(shown === 0 && all > 0 ? blank('No row matches', 'No row has all of these words.') : undefined);
  }

  /** j and k work wherever the focus is in this view. */
  key(event) {
    if (!['j', 'k'].includes(event.key)) return false;
    this.focus();
    this.grid.key(event);
    return true;
  }
}
