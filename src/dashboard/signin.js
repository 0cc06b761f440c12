// Signing in: a dialog for a token, which stays in the memory of this page, and the button that says who is signed in.

import { button, h, icon, iconButton, toast } from './dom.js';
import { moment } from './format.js';
import { claimsOf } from './session.js';

const REASONS = {
  asked: ['Sign in', 'With a token you see what it allows: private events, tables, trading, your chat.'],
  expiring: ['Your token ends soon', 'Paste the next one to stay. Your place is kept.'],
  expired: ['Your token has ended', 'Paste the next one to go on. Your place is kept, and nothing will be missing.'],
  refused: ['The token is not accepted', 'It may have ended, been revoked, or be for another server. Paste another.'],
};

export class SignIn {
  #session;
  #problem = h('p', { class: 'problem', role: 'alert' });

  constructor(session, tools) {
    this.#session = session;
    this.input = h('input', { class: 'field mono', type: 'password', autocomplete: 'off', spellcheck: 'false', 'aria-label': 'Token', data: { hook: 'token' } });
    this.dialog = h('dialog', { 'aria-labelledby': 'sign-in-title', data: { hook: 'sign-in' } });
    this.dialog.addEventListener('close', () => { this.input.value = ''; });
    document.body.append(this.dialog);
    this.who = h('button', { type: 'button', class: 'button account', data: { hook: 'account' }, onclick: () => this.open('asked') });
    tools.append(this.who);
    session.on('ask', (reason) => this.open(reason));
    session.on('identity', () => this.#drawWho());
    document.addEventListener('sign-in', () => this.open('asked'));
    this.#drawWho();
  }

  #drawWho() {
    const { me, isPrivate } = this.#session;
    const words = isPrivate ? `${me?.subject || '…'}` : 'Sign in';
    const before = isPrivate ? h('span', { class: 'visually-hidden', text: 'Signed in as ' }) : '';
    this.who.replaceChildren(icon('user'), before, h('span', { class: 'wide clip', text: words }), isPrivate && me?.role ? h('span', { class: 'badge wide', text: me.role }) : '');
    this.who.title = me?.expires ? `The token ${this.#session.hasEnded ? 'ended' : 'ends'} ${new Date(me.expires).toLocaleString()}` : '';
  }

  open(reason) {
    this.#drawWho();
    const [heading, words] = REASONS[reason] ?? REASONS.asked;
    const { me, isPrivate } = this.#session;
    if (this.dialog.open && this.dialog.dataset.reason === reason) return;
    this.dialog.dataset.reason = reason;
    this.#problem.textContent = '';
    const out = isPrivate ? button('Sign out', () => this.#session.end(), { data: { hook: 'sign-out' } }) : null;
    const whose = this.#session.hasEnded ? 'The token of' : 'Signed in as';
    const until = this.#session.hasEnded ? 'ended' : 'until';
    const now = isPrivate && me?.expires ? h('p', { class: 'hint', text: `${whose} ${me.subject} (${me.role}) ${until} ${moment(me.expires)}.` }) : null;
    this.dialog.replaceChildren(h('form', { class: 'sheet', onsubmit: (event) => { event.preventDefault(); this.#submit(); } },
      h('header', {}, h('h2', { id: 'sign-in-title', text: heading }), iconButton('close', 'Close', () => this.dialog.close())),
      h('p', { class: 'hint', text: words }), now,
      h('label', {}, 'Token', this.input),
      h('p', { class: 'hint' }, 'One is made with ', h('code', { text: 'rowcast token --role viewer --sub me' }), '. It stays in the memory of this page and is gone when you close it.'),
      this.#problem,
      h('footer', {}, out, button('Cancel', () => this.dialog.close()), h('button', { class: 'button primary', text: 'Sign in', data: { hook: 'sign-in-go' } }))));
    if (!this.dialog.open) this.dialog.showModal();
    this.input.focus();
  }

  #submit() {
    const token = this.input.value.trim().replace(/^Bearer\s+/i, '');
    const claims = claimsOf(token);
    if (!claims) {
      this.#problem.textContent = 'This is no token: one has three parts with dots between them.';
      return;
    }
    if (claims.exp && claims.exp * 1000 < Date.now()) {
      this.#problem.textContent = 'This token has ended. Make a new one.';
      return;
    }
    this.#use(token);
  }

  #use(token) {
    this.dialog.close();
    this.#session.use(token);
    toast('Signed in');
  }
}
