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
  #seen = 0;
  #top = 0;

  /** `create()` makes an empty row; `draw(row, item, index)` fills it; `item(index)` gives what stands at a place, a new object where it changed. */
  constructor(container, { create, draw, item, rowHeight, onScroll, onResize }) {
    Object.assign(this, { container, create, draw, item, onScroll });
    this.base = 0;
    this.length = 0;
    this.#height = rowHeight;
    container.append(this.#sizer);
    container.addEventListener('scroll', () => this.#scrolled(), { passive: true });
    // What the browser would have to lay the page out for is kept: the height of the container, and how far it is scrolled.
    new ResizeObserver(() => {
      this.#seen = container.clientHeight;
      this.#top = container.scrollTop;
      this.refresh();
      onResize?.();
    }).observe(container);
  }

  get rowHeight() {
    return this.#height;
  }

  set rowHeight(height) {
    if (height === this.#height) return;
    const top = this.#top / this.#height;
    this.#height = height;
    this.#size();
    this.#scrollTo(top * height);
    this.refresh(true);
  }

  /** The list has these places now. It stands at its end, or what one looks at stays where it is though rows came or went before it. */
  resize(base, length, isAtEnd = false) {
    const shift = (this.base - base) * this.#height;
    const isSame = this.length === length;
    this.base = base;
    this.length = length;
    if (!isSame) this.#size();
    if (isAtEnd) this.#scrollTo(Infinity);
    else if (shift !== 0) this.#scrollTo(this.#top + shift);
    this.refresh();
  }

  #size() {
    this.#sizer.style.height = `${this.length * this.#height}px`;
  }

  #scrollTo(top) {
    const wanted = Math.min(Math.max(0, top), this.#most);
    if (wanted === this.#top) return;
    this.container.scrollTop = wanted;
    this.#top = wanted;
  }

  get #most() {
    return Math.max(0, this.length * this.#height - this.#seen);
  }

  get isAtEnd() {
    return this.#top >= this.#most - this.#height * 1.5;
  }

  /** The first place that can be seen. */
  get first() {
    return this.base + Math.floor(this.#top / this.#height);
  }

  toBegin() {
    this.#scrollTo(0);
    this.refresh();
  }

  /** Moves what is in sight by so many rows. */
  scrollBy(rows) {
    this.#scrollTo(this.#top + rows * this.#height);
    this.refresh();
  }

  toEnd() {
    this.#scrollTo(Infinity);
    this.refresh();
  }

  /** Brings a place into sight, in the middle if it was out of it. */
  reveal(index) {
    const top = (index - this.base) * this.#height;
    const room = Math.max(0, this.#seen - this.#height);
    if (top < this.#top || top > this.#top + room) this.#scrollTo(top - room / 2);
    this.refresh();
  }

  /** Draws what is in sight; `all` draws rows again whose item is the same. */
  refresh(all = false) {
    const seen = Math.ceil(this.#seen / this.#height) + 2 * MARGIN;
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
      // Between two beginnings, the items are gone before the list has heard of it.
      const item = index < end ? this.item(index) ?? null : null;
      if (item === null) this.#hide(row);
      else this.#place(row, item, index, all);
    }
  }

  #hide(row) {
    if (row.drawn.index === NOWHERE) return;
    row.hidden = true;
    row.drawn = { index: NOWHERE, item: null };
  }

  #place(row, item, index, all) {
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

  /** Read here, before anything of this frame is drawn: later the browser would have to lay the page out for it. */
  #scrolled() {
    const top = this.container.scrollTop;
    if (Math.abs(top - this.#top) < 1) return;
    this.#top = top;
    if (this.#queued) return;
    this.#queued = true;
    requestAnimationFrame(() => {
      this.#queued = false;
      this.refresh();
      this.onScroll?.();
    });
  }
}
