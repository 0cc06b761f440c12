// One event or one row, as a whole: its fields, and its payload as text with colours. What is shown came from outside and is text.

import { cursorOf } from './client.js';
import { copy, h, icon, iconButton, toast } from './dom.js';
import { ExactNumber } from './exact.js';
import { MOST_LEVELS, count, fullTime, isTooDeep } from './format.js';

/** Lines of a payload that are shown at first. A payload may have 256 KiB. */
const MOST_LINES = 600;
const INDENT = '  ';

/** The lines of a value of JSON, each a list of pieces: `[class, text]`. */
function* linesOf(value, indent = '', name = null, comma = '') {
  const begin = name === null ? [['', indent]] : [['', indent], ['json-name', JSON.stringify(name)], ['', ': ']];
  const isList = Array.isArray(value);
  const isExact = value instanceof ExactNumber;
  const entries = value !== null && typeof value === 'object' && !isExact ? (isList ? value.map((one) => [null, one]) : Object.entries(value)) : null;
  if (entries === null) yield [...begin, [`json-${value === null ? 'null' : isExact ? 'number' : typeof value}`, JSON.stringify(value)], ['', comma]];
  else if (indent.length > INDENT.length * MOST_LEVELS) yield [...begin, ['json-null', `… nested deeper than ${count(MOST_LEVELS)} levels`], ['', comma]];
  else if (entries.length === 0) yield [...begin, ['', `${isList ? '[]' : '{}'}${comma}`]];
  else {
    yield [...begin, ['', isList ? '[' : '{']];
    for (const [at, [key, one]] of entries.entries()) yield* linesOf(one, `${indent}${INDENT}`, key, at < entries.length - 1 ? ',' : '');
    yield [['', `${indent}${isList ? ']' : '}'}${comma}`]];
  }
}

/** A payload as text with colours. */
export function jsonView(value) {
  const pre = h('pre', { class: 'json', tabindex: '0', 'aria-label': 'Payload', data: { hook: 'payload' } });
  const lines = linesOf(value);
  const show = (most) => {
    for (let shown = 0; shown < most; shown += 1) {
      const { value: line, done } = lines.next();
      if (done) return;
      pre.append(...line.map(([kind, text]) => (kind ? h('span', { class: kind, text }) : text)), '\n');
    }
    const more = h('button', { type: 'button', class: 'button', text: 'Show more lines', onclick: () => { more.remove(); show(most); } });
    pre.append(more);
  };
  show(MOST_LINES);
  return pre;
}

/** Copies a value as JSON, or says why not. */
function copyJson(value, what) {
  if (isTooDeep(value)) toast(`Not copied: nested deeper than ${count(MOST_LEVELS)} levels`);
  else copy(JSON.stringify(value, null, INDENT), what);
}

/** A list of names and values. */
function facts(pairs) {
  const shown = pairs.filter(([, value]) => value !== undefined && value !== null && value !== '');
  return h('dl', { class: 'facts' }, ...shown.flatMap(([name, value]) => [h('dt', { text: name }), h('dd', {}, value)]));
}

/** The panel beside a list. */
export class Inspector {
  #onClose;
  #onFilter;
  shown = null;

  /** `onClose(hadFocus)` gives the focus back to the list; `onFilter(filter)` narrows it, and without it no such button is offered. */
  constructor({ label, onClose, onFilter }) {
    this.#onClose = onClose;
    this.#onFilter = onFilter;
    this.node = h('aside', { class: 'inspector', 'aria-label': label, hidden: true, data: { hook: 'inspector' } });
    this.node.addEventListener('keydown', (event) => {
      if (event.key === 'Escape') this.close();
    });
  }

  close() {
    if (this.node.hidden) return;
    const hadFocus = this.node.contains(document.activeElement);
    this.node.hidden = true;
    this.shown = null;
    this.#onClose(hadFocus);
  }

  #show(subject, heading, tools, ...body) {
    this.shown = subject;
    const close = iconButton('close', 'Close', () => this.close(), { data: { hook: 'inspector-close' } });
    this.node.replaceChildren(h('header', {}, h('h2', { class: 'clip', text: heading, title: heading }), ...tools, close), h('div', { class: 'inspector-body' }, ...body));
    this.node.hidden = false;
  }

  /** Shows an event, with a link to it. */
  event(event) {
    const cursor = cursorOf(event);
    const link = `${location.origin}${location.pathname}#/events/${cursor}`;
    const narrow = (name, value, words = String(value)) => this.#narrow(name, value, words);
    const tools = [
      iconButton('link', 'Copy a link to this event', () => copy(link, 'a link to this event'), { data: { hook: 'copy-link' } }),
      iconButton('copy', 'Copy the event as JSON', () => copyJson(event, 'the event'), { data: { hook: 'copy-event' } }),
    ];
    this.#show(event, event.type, tools,
      facts([
        ['Level', narrow('level', event.level, `${event.level}`)],
        ['Time', h('time', { datetime: event.at, title: event.at, text: fullTime(event.at) })],
        ['Seq', h('span', { class: 'mono', text: String(event.seq) })],
        ['Type', narrow('type', event.type)],
        ['Symbol', event.symbol && narrow('symbol', event.symbol)],
        ['Subject', event.subject && narrow('subject', event.subject)],
        ['Trade', event.trade_id && narrow('trade_id', event.trade_id)],
        ['Cursor', h('span', { class: 'mono', text: cursor })],
        ['Id', h('span', { class: 'mono', text: event.id })],
      ]),
      h('div', { class: 'payload-head' }, h('h3', { text: 'Payload' }), iconButton('copy', 'Copy the payload as JSON', () => copyJson(event.payload, 'the payload'), { data: { hook: 'copy-payload' } })),
      jsonView(event.payload));
  }

  #narrow(name, value, words) {
    if (!this.#onFilter) return h('span', { class: 'mono', text: words });
    return h('button', { type: 'button', class: 'narrow mono', title: `Show only this ${name.replace('_id', '')}`, onclick: () => this.#onFilter({ [name]: value }) }, h('span', { text: words }), icon('filter'));
  }

  /** Shows a row of a table. */
  row(heading, key, row) {
    const tools = [iconButton('copy', 'Copy the row as JSON', () => copyJson(row, 'the row'), { data: { hook: 'copy-row' } })];
    this.#show(key, heading, tools, jsonView(row));
  }
}
