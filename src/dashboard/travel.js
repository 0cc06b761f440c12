// Time travel: where the list of events begins. The newest N, the beginning, a cursor, a day.

import { button, h, iconButton } from './dom.js';
import { seqOfTime } from './eventlog.js';

const MOST_NEWEST = 10_000;
export const USUAL_NEWEST = 500;

const pad = (number) => String(number).padStart(2, '0');
/** A day as an input of type `date` writes it. */
const dayOf = (time) => `${time.getFullYear()}-${pad(time.getMonth() + 1)}-${pad(time.getDate())}`;

export class TimeTravel {
  #session;
  #go;
  #problem = h('p', { class: 'problem', role: 'alert' });

  /** `go(from, words)` moves the list: `{last}` or `{cursor}`, with the words for where that is. */
  constructor(session, go) {
    this.#session = session;
    this.#go = go;
    this.dialog = h('dialog', { 'aria-labelledby': 'travel-title', data: { hook: 'travel' } });
    document.body.append(this.dialog);
  }

  open() {
    const newest = h('input', { class: 'field', type: 'number', min: '1', max: String(MOST_NEWEST), value: String(USUAL_NEWEST), 'aria-label': 'How many of the newest', data: { hook: 'travel-newest' } });
    const cursor = h('input', { class: 'field', type: 'text', placeholder: '1042 or 1042.9f3a11c2', 'aria-label': 'Cursor', autocomplete: 'off', data: { hook: 'travel-cursor' } });
    const day = h('input', { class: 'field', type: 'date', value: dayOf(new Date()), max: dayOf(new Date()), 'aria-label': 'Day', data: { hook: 'travel-day' } });
    const line = (label, hint, control, go, hook) => h('form', { class: 'travel-line', onsubmit: (event) => { event.preventDefault(); this.#try(go); } },
      h('div', {}, h('h3', { text: label }), h('p', { class: 'hint', text: hint })), control, h('button', { class: 'button', text: 'Go', 'aria-label': `${label}: go`, data: { hook } }));
    this.#problem.textContent = '';
    this.dialog.replaceChildren(h('div', { class: 'sheet' },
      h('header', {}, h('h2', { id: 'travel-title', text: 'Go to another time' }), iconButton('close', 'Close', () => this.dialog.close())),
      line('The newest', 'Begins with so many, and follows', newest, () => this.#newest(newest.value), 'go-newest'),
      line('A day', 'Begins with the first event of that day', day, () => this.#day(day.value), 'go-day'),
      line('A cursor', 'Begins behind that event', cursor, () => this.#cursor(cursor.value), 'go-cursor'),
      line('The beginning', 'Begins with the oldest event that is kept', h('span'), () => this.#go({ cursor: 'earliest' }, 'from the beginning'), 'go-beginning'),
      this.#problem,
      h('footer', {}, button('Cancel', () => this.dialog.close()))));
    this.dialog.showModal();
    newest.focus();
  }

  async #try(go) {
    this.#problem.textContent = '';
    try {
      await go();
      this.dialog.close();
    } catch (error) {
      this.#problem.textContent = error.message;
    }
  }

  #newest(text) {
    const last = Number(text);
    if (!Number.isInteger(last) || last < 1 || last > MOST_NEWEST) throw new Error(`A whole number from 1 to ${MOST_NEWEST}.`);
    this.#go({ last }, `the newest ${last}`);
  }

  async #cursor(text) {
    const cursor = text.trim();
    if (!/^\d+(\.[0-9a-f]{8})?$/.test(cursor)) throw new Error('A cursor is a number, or a number, a dot and eight hex digits.');
    // The server knows whether its history still holds that event.
    await this.#session.request('/v1/events', { query: { cursor, limit: 1 } });
    this.#go({ cursor }, `after ${cursor}`);
  }

  async #day(text) {
    const begin = new Date(`${text}T00:00:00`);
    if (Number.isNaN(begin.getTime())) throw new Error('Choose a day.');
    this.#problem.textContent = 'Looking for the first event of that day …';
    const seq = await seqOfTime(this.#session, begin.getTime());
    this.#go({ cursor: seq > 0 ? String(seq) : 'earliest' }, `from ${text}`);
  }
}
