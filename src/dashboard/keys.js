// The keys that work everywhere, and the page that says which there are.

import { h, iconButton } from './dom.js';

const KEYS = [
  [['1', '…', '5'], 'Events, tables, trading, chat, system'],
  [['j', 'k'], 'Next and previous row; arrows, Page Up and Page Down too'],
  [['Enter'], 'From the chosen row to its details'],
  [['Space'], 'Pause, or follow again'],
  [['G'], 'To the newest, and follow; End too'],
  [['/'], 'To the filter'],
  [['t'], 'Go to another time'],
  [['s'], 'Sign in'],
  [['d'], 'Dark or light'],
  [['Esc'], 'Close, or leave a field'],
  [['?'], 'This help'],
];

export class Keys {
  #actions;

  /** `actions` maps a key to what it does; `view()` gives the view that is shown. */
  constructor(actions, view) {
    this.#actions = actions;
    this.dialog = h('dialog', { 'aria-labelledby': 'keys-title', data: { hook: 'help' } });
    this.dialog.append(h('div', { class: 'sheet' },
      h('header', {}, h('h2', { id: 'keys-title', text: 'Keys' }), iconButton('close', 'Close', () => this.dialog.close())),
      h('dl', { class: 'keys' }, ...KEYS.flatMap(([keys, words]) => [h('dt', {}, ...keys.map((key) => (key === '…' ? '…' : h('kbd', { text: key })))), h('dd', { text: words })]))));
    document.body.append(this.dialog);
    document.addEventListener('keydown', (event) => this.#pressed(event, view));
  }

  open() {
    if (!this.dialog.open) this.dialog.showModal();
  }

  #pressed(event, view) {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.closest?.('input, textarea, select, dialog')) return;
    // Space presses a button that has the focus.
    if (event.key === ' ' && event.target.closest?.('button, a')) return;
    const action = this.#actions[event.key];
    if (action) action();
    else if (!view().key(event)) return;
    event.preventDefault();
  }
}
