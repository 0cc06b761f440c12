// A table of rows with columns: sorted, filtered, drawn only where one sees it. A value that changes flashes.

import { h, say } from './dom.js';
import { ExactNumber } from './exact.js';
import { IS_TIME, moment, plain, shortId } from './format.js';
import { VirtualList } from './virtual.js';

/** Width of a column in characters. */
const NARROWEST = 7;
const WIDEST = 26;
/** Rows that are looked at to find the width and the kind of a column. */
const SAMPLE = 60;
/** The longest value that a cell shows. */
const LONGEST = 160;
/** Sorting again waits this many times as long as it took, so that a large table leaves time for the rest. */
const REST_AFTER_SORT = 8;
const FLASH_MS = 900;

const isNumeric = (value) => typeof value === 'number' || value instanceof ExactNumber || (typeof value === 'string' && value !== '' && /^-?\d+(\.\d+)?$/.test(value));
const isTime = (value) => typeof value === 'string' && IS_TIME.test(value);

function compare(one, other) {
  if (one === other) return 0;
  if (one === null || one === undefined) return 1;
  if (other === null || other === undefined) return -1;
  if (isNumeric(one) && isNumeric(other)) return Number(one) - Number(other);
  return plain(one) < plain(other) ? -1 : 1;
}

/** What a cell shows of a value. */
function shown(value, column) {
  if (value === null || value === undefined) return '';
  if (column.isTime && isTime(value)) return moment(value);
  const text = shortId(plain(value));
  return text.length > LONGEST ? `${text.slice(0, LONGEST)}…` : text;
}

export class Grid {
  #rows = new Map();
  #keys = [];
  #columns = [];
  #sort = null;
  #words = '';
  #flashes = new Map();
  #timer = 0;
  #given = [];
  #isMeasured = false;
  #took = 0;
  chosen = null;

  /** `onChoose(key, row)` is called when a row is chosen. */
  constructor({ label, onChoose, onCount, onEnter }) {
    Object.assign(this, { onChoose, onCount, onEnter });
    this.head = h('div', { class: 'grid-head', role: 'row', 'aria-rowindex': '1' });
    this.body = h('div', { class: 'grid-body', role: 'rowgroup', tabindex: '0', 'aria-label': `Rows of ${label}` });
    this.node = h('div', { class: 'grid', role: 'table', 'aria-label': label, data: { hook: 'grid' } }, h('div', { role: 'rowgroup', class: 'grid-top', hidden: true }, this.head), this.body);
    this.list = new VirtualList(this.body, { create: () => this.#create(), draw: (row, item, index) => this.#draw(row, item, index), item: (index) => this.#rows.get(this.#keys[index]), rowHeight: 28 });
    this.body.addEventListener('scroll', () => { this.head.parentElement.scrollLeft = this.body.scrollLeft; }, { passive: true });
    this.body.addEventListener('click', (event) => {
      const row = event.target.closest('.grid-row');
      if (row) this.choose(row.drawn.index);
    });
    this.body.addEventListener('keydown', (event) => this.key(event));
  }

  /** Shows the rows of a `Map`. */
  open(rows, columns) {
    this.#rows = rows;
    this.#flashes.clear();
    this.chosen = null;
    this.#sort = null;
    this.#begin(columns);
    this.#order();
    this.list.toBegin();
  }

  /** Finds out how the rows look. The newest stand first where rows have a time: then one sees what comes. */
  #begin(columns) {
    this.#measure(columns);
    const time = this.#columns.find((column) => column.isTime);
    this.#sort ??= time ? { name: time.name, down: true } : null;
    this.#drawHead();
  }

  #measure(columns) {
    const sample = [...take(this.#rows.values(), SAMPLE)];
    this.#given = columns;
    this.#isMeasured = sample.length > 0;
    const names = columns.length > 0 ? columns.map((column) => column.name) : [...new Set(sample.flatMap((row) => Object.keys(row)))];
    this.#columns = names.map((name) => {
      const values = sample.map((row) => row[name]).filter((value) => value !== null && value !== undefined && value !== '');
      const column = { name, isNumber: values.length > 0 && values.every(isNumeric), isTime: values.length > 0 && values.every(isTime) };
      const longest = Math.max(name.length + 3, ...values.map((value) => shown(value, column).length));
      return { ...column, width: Math.min(WIDEST, Math.max(NARROWEST, longest + 1)) };
    });
    this.node.style.setProperty('--columns', this.#columns.map(({ width }) => `minmax(${width}ch, ${width}fr)`).join(' '));
    this.node.style.setProperty('--width', `${this.#columns.reduce((sum, { width }) => sum + width + 1.5, 2)}ch`);
    this.node.setAttribute('aria-colcount', String(this.#columns.length));
    this.#drawHead();
    this.list.refresh(true);
  }

  #drawHead() {
    const arrows = { ascending: '↑', descending: '↓' };
    // A row of headers without a header would be a table that readers of the screen cannot make sense of.
    this.head.parentElement.hidden = this.#columns.length === 0;
    this.head.replaceChildren(...this.#columns.map((column) => {
      const direction = this.#sort?.name === column.name ? (this.#sort.down ? 'descending' : 'ascending') : 'none';
      const name = h('button', { type: 'button', data: { column: column.name }, onclick: () => this.sortBy(column.name) }, h('span', { class: 'clip', text: column.name }), h('span', { 'aria-hidden': 'true', text: arrows[direction] ?? '' }));
      return h('div', { role: 'columnheader', class: column.isNumber ? 'num' : '', 'aria-sort': direction }, name);
    }));
  }

  /** Sorts by a column: up, then down, then as the table comes. */
  sortBy(name) {
    const { name: before, down } = this.#sort ?? {};
    this.#sort = before !== name ? { name, down: false } : down ? null : { name, down: true };
    const focused = this.head.contains(document.activeElement);
    this.#drawHead();
    if (focused) [...this.head.querySelectorAll('button')].find((one) => one.dataset.column === name)?.focus();
    this.#order();
  }

  /** Shows only rows in which every word stands somewhere. */
  search(text) {
    this.#words = text.trim().toLowerCase();
    this.#order();
  }

  #matches(row) {
    if (!this.#words) return true;
    const text = Object.values(row).map(plain).join(' ').toLowerCase();
    return this.#words.split(/\s+/).every((word) => text.includes(word));
  }

  #order() {
    const begun = performance.now();
    clearTimeout(this.#timer);
    this.#timer = 0;
    const entries = this.#words ? [...this.#rows].filter(([, row]) => this.#matches(row)) : [...this.#rows];
    if (this.#sort) {
      const { name, down } = this.#sort;
      entries.sort(([, one], [, other]) => (down ? -1 : 1) * compare(one[name], other[name]));
    }
    // What one reads stays in sight though rows came before it.
    const before = this.list.first;
    const anchor = before > 0 ? this.#keys[before] : undefined;
    this.#keys = entries.map(([key]) => key);
    this.node.setAttribute('aria-rowcount', String(this.#keys.length + 1));
    const after = anchor === undefined ? -1 : this.#keys.indexOf(anchor);
    this.list.resize(0, this.#keys.length);
    if (after >= 0) this.list.scrollBy(after - before);
    this.#took = performance.now() - begun;
    this.onCount?.(this.#keys.length, this.#rows.size);
  }

  /** Takes a batch of changes: values flash at once, the order follows when there is time. */
  changed({ inserted, updated, removed, reset }) {
    if (!this.#isMeasured && this.#rows.size > 0) this.#begin(this.#given);
    const now = performance.now();
    for (const { key, row, old } of reset ? [] : updated) {
      const names = this.#columns.filter(({ name }) => plain(row[name]) !== plain(old[name])).map(({ name }) => name);
      this.#flash(key, names, now);
    }
    for (const { key } of reset ? [] : inserted) this.#flash(key, null, now);
    const isOrderTouched = inserted.length > 0 || removed.length > 0 || this.#sort !== null || this.#words !== '';
    if (isOrderTouched && !this.#timer) this.#timer = setTimeout(() => this.#order(), this.#took * REST_AFTER_SORT);
    this.list.refresh();
  }

  /** Remembers what flashes, of rows that are in sight or may come to be: others would flash unseen. */
  #flash(key, names, now) {
    if (this.#flashes.size > 500) {
      for (const [old, { at }] of this.#flashes) if (now - at > FLASH_MS) this.#flashes.delete(old);
      if (this.#flashes.size > 500) return;
    }
    this.#flashes.set(key, { names, at: now });
  }

  #create() {
    return h('div', { class: 'grid-row', role: 'row' });
  }

  #draw(row, item, index) {
    if (!item) return;
    while (row.children.length < this.#columns.length) row.append(h('span', { role: 'cell' }));
    while (row.children.length > this.#columns.length) row.lastChild.remove();
    const key = this.#keys[index];
    const flash = this.#flashes.get(key);
    const isFresh = flash && performance.now() - flash.at < FLASH_MS;
    row.setAttribute('aria-rowindex', String(index + 2));
    row.classList.toggle('chosen', key === this.chosen);
    row.dataset.key = String(key);
    this.#columns.forEach((column, at) => {
      const cell = row.children[at];
      say(cell, shown(item[column.name], column));
      cell.className = column.isNumber ? 'cell num' : 'cell';
      if (isFresh && (flash.names === null || flash.names.includes(column.name))) light(cell);
    });
    if (isFresh) this.#flashes.delete(key);
  }

  choose(index) {
    const key = this.#keys[index];
    if (key === undefined) return;
    this.chosen = key;
    this.list.reveal(index);
    this.list.refresh(true);
    this.onChoose?.(key, this.#rows.get(key));
  }

  /** Keys that move the choice, and Enter to its details. */
  key(event) {
    const page = Math.max(1, Math.floor(this.body.clientHeight / this.list.rowHeight) - 1);
    const moves = { j: 1, ArrowDown: 1, k: -1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -Infinity, End: Infinity };
    const by = moves[event.key];
    if (event.key === 'Enter' && this.chosen !== null) this.onEnter?.();
    if (!by || event.ctrlKey || event.metaKey || event.altKey) return;
    const at = this.chosen === null ? -1 : this.#keys.indexOf(this.chosen);
    this.choose(Math.min(this.#keys.length - 1, Math.max(0, at + by)));
    event.preventDefault();
    event.stopPropagation();
  }

  close() {
    clearTimeout(this.#timer);
  }
}

function* take(values, most) {
  let taken = 0;
  for (const value of values) {
    if ((taken += 1) > most) return;
    yield value;
  }
}

/** Lights a cell up. Begins anew if it is alight already. */
function light(cell) {
  cell.getAnimations().forEach((animation) => animation.cancel());
  const still = matchMedia('(prefers-reduced-motion: reduce)').matches;
  const flash = getComputedStyle(cell).getPropertyValue('--flash');
  cell.animate([{ backgroundColor: flash }, { backgroundColor: still ? flash : 'transparent' }], { duration: FLASH_MS, easing: 'ease-out' });
}

