// A list that draws only the rows that one sees, so that its length costs nothing. Rows have one height; a row is named by its place in
// the whole list, which may begin below zero when older ones are put before it.

import { h } from './dom.js';

/** Rows drawn beyond each edge, so that none is missing while one scrolls. */
const MARGIN = 8;
/** A row that belongs to no place yet. */
const NOWHERE = Number.MIN_SAFE_INTEGER;

export class VirtualList {
  #sizer = h('div', { class: 'sizer', role: 'presentation' });
  #pool = [];
  #height;
  #queued = false;

  /** `create()` makes an empty row; `draw(row, item, index)` fills it; `item(index)` gives what stands at a place, a new object where it changed. */
  constructor(container, { create, draw, item, rowHeight, onScroll }) {
    Object.assign(this, { container, create, draw, item, onScroll });
    this.base = 0;
    this.length = 0;
    this.#height = rowHeight;
    container.append(this.#sizer);
    container.addEventListener('scroll', () => this.#scrolled(), { passive: true });
    new ResizeObserver(() => this.refresh()).observe(container);
  }

  get rowHeight() {
    return this.#height;
  }

  set rowHeight(height) {
    if (height === this.#height) return;
    const top = this.container.scrollTop / this.#height;
    this.#height = height;
    this.#size();
    this.container.scrollTop = top * height;
    this.refresh(true);
  }

  /** The list has these places now. What one looks at stays where it is, though rows came or went before it. */
  resize(base, length) {
    const shift = (this.base - base) * this.#height;
    const { scrollTop } = this.container;
    this.base = base;
    this.length = length;
    this.#size();
    if (shift !== 0) this.container.scrollTop = Math.max(0, scrollTop + shift);
    this.refresh();
  }

  #size() {
    this.#sizer.style.height = `${this.length * this.#height}px`;
  }

  get isAtEnd() {
    const { scrollTop, clientHeight, scrollHeight } = this.container;
    return scrollTop + clientHeight >= scrollHeight - this.#height * 1.5;
  }

  /** The first place that can be seen. */
  get first() {
    return this.base + Math.floor(this.container.scrollTop / this.#height);
  }

  toEnd() {
    this.container.scrollTop = this.container.scrollHeight;
    this.refresh();
  }

  /** Brings a place into sight, in the middle if it was out of it. */
  reveal(index) {
    const top = (index - this.base) * this.#height;
    const { scrollTop, clientHeight } = this.container;
    const room = Math.max(0, clientHeight - this.#height);
    if (top < scrollTop || top > scrollTop + room) this.container.scrollTop = top - room / 2;
    this.refresh();
  }

  /** Draws what is in sight; `all` draws rows again whose item is the same. */
  refresh(all = false) {
    const seen = Math.ceil(this.container.clientHeight / this.#height) + 2 * MARGIN;
    while (this.#pool.length < seen) {
      const row = this.create();
      row.hidden = true;
      row.drawn = { index: NOWHERE, item: null };
      this.#sizer.append(row);
      this.#pool.push(row);
    }
    const begin = Math.max(this.base, this.first - MARGIN);
    const end = Math.min(this.base + this.length, begin + this.#pool.length);
    const size = this.#pool.length;
    for (let index = begin; index < begin + size; index += 1) {
      const row = this.#pool[((index % size) + size) % size];
      if (index >= end) this.#hide(row);
      else this.#place(row, index, all);
    }
  }

  #hide(row) {
    if (row.drawn.index === NOWHERE) return;
    row.hidden = true;
    row.drawn = { index: NOWHERE, item: null };
  }

  #place(row, index, all) {
    const item = this.item(index);
    const top = (index - this.base) * this.#height;
    if (row.drawn.top !== top) row.style.transform = `translateY(${top}px)`;
    if (row.hidden) row.hidden = false;
    if (all || row.drawn.item !== item || row.drawn.index !== index) this.draw(row, item, index);
    row.drawn = { index, item, top };
  }

  /** The row that shows a place, if it is drawn. */
  rowAt(index) {
    return this.#pool.find((row) => row.drawn.index === index) ?? null;
  }

  #scrolled() {
    if (this.#queued) return;
    this.#queued = true;
    requestAnimationFrame(() => {
      this.#queued = false;
      this.refresh();
      this.onScroll?.();
    });
  }
}
