// The filter of the live events: type, level, symbol, subject. What has been seen is offered for completion; the server filters.

import { h, icon } from './dom.js';

/** How many different values of each field are remembered. The oldest is forgotten first. */
const MOST_SEEN = 300;
/** How many are offered at once. */
const MOST_OFFERED = 40;
export const LEVELS = ['debug', 'info', 'warn', 'error', 'critical'];
const FIELDS = [
  { name: 'type', label: 'Type', hint: 'Type, as trade.*', width: '17em' },
  { name: 'symbol', label: 'Symbol', hint: 'Symbol', width: '9em' },
  { name: 'subject', label: 'Subject', hint: 'Subject', width: '11em' },
  { name: 'trade_id', label: 'Trade', hint: 'Trade', width: '11em' },
];
/** These are not in the public view. */
const PRIVATE_FIELDS = ['subject', 'trade_id'];

/** The values that events have shown, a bounded number of each field. */
export class Seen {
  #values = new Map(FIELDS.map(({ name }) => [name, new Map()]));

  add(event) {
    this.#remember('type', event.type);
    if (event.symbol) this.#remember('symbol', event.symbol);
    if (event.subject) this.#remember('subject', event.subject);
    if (event.trade_id) this.#remember('trade_id', event.trade_id);
  }

  #remember(field, value) {
    const values = this.#values.get(field);
    if (values.has(value)) return;
    values.set(value, true);
    if (values.size > MOST_SEEN) values.delete(values.keys().next().value);
  }

  /** What may be meant by the beginning of a value. Of a list of types, the last one is completed. */
  offers(field, typed) {
    const cut = field === 'type' ? typed.lastIndexOf(',') + 1 : 0;
    const [before, begun] = [typed.slice(0, cut), typed.slice(cut).trim().toLowerCase()];
    const values = [...this.#values.get(field).keys()];
    const known = field === 'type' ? [...new Set(values.filter((type) => type.includes('.')).map((type) => `${type.slice(0, type.indexOf('.'))}.*`)), ...values.sort()] : values.reverse();
    return known.filter((value) => value.toLowerCase().includes(begun)).slice(0, MOST_OFFERED).map((value) => before + value);
  }
}

/** The controls. `onChange(filter)` is called when a person is done with one of them. */
export class FilterBar {
  seen = new Seen();
  #inputs = new Map();
  #level;
  #onChange;

  constructor(onChange) {
    this.#onChange = onChange;
    const inputs = FIELDS.map((field) => this.#input(field));
    this.#level = h('select', { class: 'field', 'aria-label': 'Lowest level', data: { hook: 'filter-level' }, onchange: () => this.#changed() },
      h('option', { value: '', text: 'All levels' }),
      ...LEVELS.slice(1).map((level) => h('option', { value: level, text: level === 'critical' ? 'critical' : `${level} and above` })));
    this.#inputs.set('level', this.#level);
    this.clearButton = h('button', { type: 'button', class: 'button plain', text: 'Clear', hidden: true, data: { hook: 'filter-clear' }, onclick: () => this.set({}) });
    this.node = h('div', { class: 'filter', role: 'search', 'aria-label': 'Filter events' }, icon('filter'), inputs[0], this.#level, ...inputs.slice(1), this.clearButton);
  }

  #input({ name, label, hint, width }) {
    const list = h('datalist', { id: `seen-${name}` });
    const offer = () => list.replaceChildren(...this.seen.offers(name, input.value).map((value) => h('option', { value })));
    const input = h('input', {
      class: 'field', type: 'text', list: list.id, placeholder: hint, 'aria-label': label, autocomplete: 'off', spellcheck: 'false', autocapitalize: 'off',
      data: { hook: `filter-${name}` },
      onfocus: offer,
      oninput: (event) => {
        // A value that was picked from the list is meant; one that is being typed is not there yet.
        if (event.inputType === 'insertReplacementText' || event.inputType === undefined) this.#changed();
        else offer();
      },
      onchange: () => this.#changed(),
      onkeydown: (event) => {
        if (event.key === 'Escape') input.blur();
        event.stopPropagation();
      },
    });
    input.style.width = width;
    this.#inputs.set(name, input);
    return h('span', { class: 'filter-field', hidden: name === 'trade_id' }, input, list);
  }

  /** The filter as the server takes it. */
  get value() {
    const filter = {};
    for (const [name, input] of this.#inputs) {
      const value = input.value.trim();
      if (value && !input.disabled) filter[name] = name === 'type' ? value.replace(/\s*,\s*/g, ',').replace(/,+$/, '') : value;
    }
    return filter;
  }

  get isEmpty() {
    return Object.keys(this.value).length === 0;
  }

  /** Replaces the filter, as a person would. */
  set(filter) {
    for (const [name, input] of this.#inputs) input.value = filter[name] ?? '';
    this.#changed();
  }

  /** The public view filters by less. */
  allow(isPrivate) {
    for (const name of PRIVATE_FIELDS) {
      const input = this.#inputs.get(name);
      input.disabled = !isPrivate;
      input.title = isPrivate ? '' : 'The public view does not show this. Sign in to filter by it.';
    }
  }

  focus() {
    this.#inputs.get('type').focus();
    this.#inputs.get('type').select();
  }

  #last = '{}';

  #changed() {
    const filter = this.value;
    for (const [name, input] of this.#inputs) input.classList.toggle('active', filter[name] !== undefined);
    // One filters by a trade out of one of its events, and seldom.
    this.#inputs.get('trade_id').parentElement.hidden = filter.trade_id === undefined;
    this.clearButton.hidden = this.isEmpty;
    const now = JSON.stringify(filter);
    if (now === this.#last) return;
    this.#last = now;
    this.#onChange(filter);
  }
}
