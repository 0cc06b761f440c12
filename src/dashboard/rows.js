// A short table whose rows are kept by key: what did not change is not touched, and nothing loses the focus.

import { h, say } from './dom.js';

const LIT_MS = 900;

export class Rows {
  #nodes = new Map();
  #columns;
  #empty;

  /** A column is `{name, value(item), number, draw(cell, item)}`: `value` gives a text, `draw` fills the cell itself. */
  constructor({ label, columns, empty, hook }) {
    this.#columns = columns;
    this.body = h('tbody');
    this.#empty = h('p', { class: 'rows-empty muted', text: empty, hidden: true });
    const head = h('thead', {}, h('tr', {}, ...columns.map(({ name, number }) => h('th', { scope: 'col', class: number ? 'num' : '', text: name }))));
    this.node = h('div', { class: 'rows', tabindex: '0', role: 'region', 'aria-label': label, data: { hook } }, h('table', {}, h('caption', { class: 'visually-hidden', text: label }), head, this.body), this.#empty);
  }

  /** Shows these items, in this order. Each has an `id`. */
  show(items) {
    const ids = new Set(items.map(({ id }) => id));
    for (const [id, node] of this.#nodes) {
      if (ids.has(id)) continue;
      node.remove();
      this.#nodes.delete(id);
    }
    items.forEach((item, at) => {
      const node = this.#nodes.get(item.id) ?? this.#add(item);
      if (node.item !== item) this.#fill(node, item);
      if (this.body.children[at] !== node) this.body.insertBefore(node, this.body.children[at] ?? null);
    });
    this.#empty.hidden = items.length > 0;
  }

  #add(item) {
    const node = h('tr', { data: { id: item.id } }, ...this.#columns.map(({ number }) => h('td', { class: number ? 'num' : '' })));
    this.#nodes.set(item.id, node);
    return node;
  }

  #fill(node, item) {
    const isNew = !node.item;
    node.item = item;
    this.#columns.forEach(({ value, draw }, at) => {
      const cell = node.children[at];
      const before = cell.textContent;
      if (draw) draw(cell, item);
      else say(cell, value(item));
      if (!isNew && cell.textContent !== before) light(cell);
    });
  }
}

function light(cell) {
  const flash = getComputedStyle(cell).getPropertyValue('--flash');
  cell.animate([{ backgroundColor: flash }, { backgroundColor: 'transparent' }], { duration: LIT_MS, easing: 'ease-out' });
}
