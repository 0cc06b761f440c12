// The chat: conversations, what was said in them, and answers as they stream in.

import { announce, blank, button, h, say, toast } from './dom.js';
import { fullTime, moment } from './format.js';

const MOST_CONVERSATIONS = 200;
const PAGE = 200;
/** Utterances of a conversation that are kept; older ones are dropped, and said to be. */
const MOST_UTTERANCES = 1000;
const LONGEST = 10_000;
/** Characters of an answer that screen readers are told at once. */
const MOST_SPOKEN = 1000;

/** Utterances as they are shown, in order: the parts of one answer belong together. */
function together(said) {
  const groups = [];
  for (const one of said) {
    const before = groups.at(-1)?.at(-1);
    if (one.answers && before?.answers === one.answers && before.final === false) groups.at(-1).push(one);
    else groups.push([one]);
  }
  return groups;
}

export class ChatView {
  #session;
  #conversations = new Map();
  #utterances = new Map();
  #open = null;
  #isLoaded = false;
  #isShown = false;
  #isSending = false;
  #wasCut = false;

  constructor(session) {
    this.#session = session;
    this.list = h('ul', { class: 'conversations', 'aria-label': 'Conversations', data: { hook: 'conversations' } });
    this.talk = h('div', { class: 'talk', tabindex: '0', role: 'log', 'aria-label': 'Conversation', 'aria-live': 'off', data: { hook: 'talk' } });
    this.text = h('textarea', { class: 'field', rows: '2', maxlength: String(LONGEST), placeholder: 'Say something', 'aria-label': 'Message', data: { hook: 'chat-text' }, onkeydown: (event) => this.#key(event) });
    this.send = h('button', { class: 'button primary', text: 'Send', data: { hook: 'chat-send' } });
    this.composer = h('form', { class: 'composer', onsubmit: (event) => { event.preventDefault(); this.#say(); } }, this.text, this.send);
    this.title = h('h2', { class: 'title clip', text: 'Chat' });
    this.closing = button('Close conversation', () => this.#closeConversation(), { hidden: true });
    this.slot = h('div', { class: 'talk-slot' }, this.talk);
    const fresh = button('New', () => this.#show(null), { title: 'Begin a conversation', data: { hook: 'chat-new' } });
    this.node = h('section', { class: 'view', 'aria-label': 'Chat', data: { view: 'chat' } },
      h('div', { class: 'with-side' }, h('div', { class: 'side' }, h('header', {}, h('h2', { text: 'Conversations' }), fresh), this.list),
        h('div', { class: 'beside' }, h('div', { class: 'toolbar' }, this.title, h('span', { class: 'spring' }), this.closing), this.slot, this.composer)));
    session.on('application', (event) => this.#came(event));
    session.on('reload', () => this.#reload());
    session.on('identity', ({ viewChanged }) => viewChanged && this.#reload());
  }

  #reload() {
    this.#isLoaded = false;
    if (this.#isShown) this.#load();
  }

  show() {
    this.#isShown = true;
    if (!this.#isLoaded) this.#load();
  }

  hide() {
    this.#isShown = false;
  }

  focus() {
    this.text.focus();
  }

  async #load() {
    this.#conversations.clear();
    this.#show(null);
    if (!this.#session.isPrivate) {
      this.composer.hidden = true;
      return this.#blank('The chat needs a token', 'Conversations belong to whoever holds them. Sign in to see yours.', button('Sign in', () => document.dispatchEvent(new CustomEvent('sign-in')), { class: 'button primary' }));
    }
    try {
      const { items } = await this.#session.request('/v1/conversations', { query: { limit: PAGE } });
      this.#isLoaded = true;
      for (const one of items) this.#conversations.set(one.id, one);
      this.composer.hidden = false;
      this.#drawList();
      const own = items.find((one) => one.status === 'open' && one.owner === this.#session.me?.subject) ?? items[0];
      this.#show(own?.id ?? null);
    } catch (error) {
      this.composer.hidden = true;
      const words = error.status === 403 ? 'An engine has no conversations. Sign in as a person.' : error.message;
      this.#blank('The chat cannot be read', words, button('Try again', () => this.#load()));
    }
  }

  #blank(...parts) {
    this.slot.replaceChildren(blank(...parts));
  }

  // ---- Conversations --------------------------------------------------------------------------------------------

  #drawList() {
    const all = [...this.#conversations.values()].sort((one, other) => (Date.parse(one.opened_at) < Date.parse(other.opened_at) ? 1 : -1)).slice(0, MOST_CONVERSATIONS);
    this.list.replaceChildren(...all.map((one) => {
      const isOwn = one.owner === this.#session.me?.subject;
      const name = h('span', { class: 'clip', text: isOwn ? 'You' : one.owner });
      const state = h('span', { class: `badge ${one.status === 'open' ? 'good' : ''}`, text: one.status === 'open' ? '● open' : '– closed' });
      return h('li', {}, h('button', { type: 'button', 'aria-current': one.id === this.#open ? 'true' : null, onclick: () => this.#show(one.id), data: { conversation: one.id } }, name, state, h('span', { class: 'muted', text: moment(one.opened_at) })));
    }));
    if (all.length === 0) this.list.replaceChildren(h('li', { class: 'muted none', text: 'None yet.' }));
  }

  async #show(id) {
    this.#open = id;
    this.#utterances = new Map();
    this.#wasCut = false;
    this.#drawList();
    this.#drawHead();
    this.slot.replaceChildren(this.talk);
    this.talk.replaceChildren();
    if (id === null) return this.#blank('Nothing said yet', 'Write below: an answer streams in as it comes.');
    try {
      for (let cursor = '0', more = true; more && this.#open === id; ) {
        const page = await this.#session.request(`/v1/conversations/${encodeURIComponent(id)}/utterances`, { query: { limit: PAGE, cursor } });
        if (this.#open !== id) return;
        for (const one of page.items) this.#keep(one);
        ({ cursor, more } = page);
      }
      this.#drawTalk();
    } catch (error) {
      if (this.#open === id) this.#blank('The conversation cannot be read', error.message, button('Try again', () => this.#show(id)));
    }
  }

  #drawHead() {
    const one = this.#conversations.get(this.#open);
    const isOwn = !one || one.owner === this.#session.me?.subject;
    say(this.title, one ? (isOwn ? 'Your conversation' : `Conversation of ${one.owner}`) : 'New conversation');
    this.closing.hidden = one?.status !== 'open';
    const mayWrite = isOwn && (!one || one.status === 'open');
    this.text.disabled = !mayWrite;
    this.send.disabled = !mayWrite || this.#isSending;
    this.text.placeholder = mayWrite ? 'Say something' : isOwn ? 'This conversation is closed. Begin a new one.' : 'One reads what others say, and writes in one’s own conversation.';
  }

  async #closeConversation() {
    try {
      const closed = await this.#session.request(`/v1/conversations/${encodeURIComponent(this.#open)}/close`, { method: 'POST' });
      this.#conversations.set(closed.id, closed);
      this.#drawList();
      this.#drawHead();
    } catch (error) {
      toast(error.message);
    }
  }

  // ---- What is said ---------------------------------------------------------------------------------------------

  #keep(utterance) {
    this.#utterances.set(utterance.id, utterance);
    if (this.#utterances.size > MOST_UTTERANCES) {
      this.#utterances.delete(this.#utterances.keys().next().value);
      this.#wasCut = true;
    }
  }

  #came({ type, payload }) {
    if (!type.startsWith('chat.') || !this.#isLoaded) return;
    if (type.startsWith('chat.conversation.')) {
      if (type.endsWith('.removed')) this.#conversations.delete(payload.id);
      else this.#conversations.set(payload.id, payload);
      this.#drawList();
      this.#drawHead();
    } else if (payload.conversation_id === this.#open) {
      if (type.endsWith('.removed')) this.#utterances.delete(payload.id);
      else this.#keep(payload);
      this.#drawTalk();
    }
  }

  #drawTalk() {
    const isAtEnd = this.talk.scrollTop + this.talk.clientHeight > this.talk.scrollHeight - 60 || this.talk.children.length === 0;
    if (this.talk.parentElement !== this.slot) this.slot.replaceChildren(this.talk);
    const said = [...this.#utterances.values()].sort((one, other) => one.position - other.position);
    const known = new Map([...this.talk.children].map((node) => [node.dataset.id, node]));
    const nodes = together(said).map((parts) => {
      const node = known.get(parts[0].id);
      const isSame = node?.parts?.length === parts.length && parts.every((one, at) => one === node.parts[at]);
      return isSame ? node : this.#bubble(parts);
    });
    const cut = this.#wasCut ? [h('p', { class: 'muted notice', text: `Only the last ${MOST_UTTERANCES} are shown.` })] : [];
    this.talk.replaceChildren(...cut, ...nodes);
    if (isAtEnd) this.talk.scrollTop = this.talk.scrollHeight;
  }

  #bubble(parts) {
    const [one, last] = [parts[0], parts.at(-1)];
    const isUser = (one.speaker ?? (one.answers ? 'bot' : 'user')) === 'user';
    const failed = { timeout: 'No answer came in time.', failed: 'The answer failed.' }[one.outcome];
    const head = h('header', {}, h('b', { text: one.name ?? one.speaker_name ?? (isUser ? 'You' : 'bot') }), h('time', { class: 'muted', datetime: one.said_at, title: fullTime(one.said_at), text: moment(one.said_at) }));
    const typing = !isUser && last.final === false ? h('p', { class: 'muted', text: 'more follows …' }) : null;
    const node = h('article', { class: `bubble ${isUser ? 'user' : 'bot'}`, data: { id: one.id } }, head, h('p', { class: 'said', text: parts.map(({ text }) => text).join('') }), typing, failed ? h('p', { class: 'problem', text: failed }) : null);
    return Object.assign(node, { parts });
  }

  #key(event) {
    event.stopPropagation();
    if (event.key === 'Escape') this.text.blur();
    if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    this.#say();
  }

  async #say() {
    const text = this.text.value;
    if (!text.trim() || this.#isSending || this.text.disabled) return;
    this.#isSending = true;
    this.#drawHead();
    this.text.value = '';
    const pending = h('article', { class: 'bubble user pending', data: { id: 'pending' } }, h('p', { class: 'said', text }), h('p', { class: 'muted', text: 'sending …' }));
    if (this.talk.parentElement !== this.slot) this.slot.replaceChildren(this.talk);
    this.talk.append(pending);
    this.talk.scrollTop = this.talk.scrollHeight;
    try {
      const body = this.#open ? { text, conversation: this.#open } : { text };
      const { conversation, utterance, answer } = await this.#session.request('/v1/chat', { method: 'POST', body, idempotencyKey: crypto.randomUUID() });
      this.#answered(conversation, [utterance, ...answer]);
    } catch (error) {
      pending.remove();
      if (!this.text.value) this.text.value = text;
      toast(error.code === 'conversation_closed' ? 'This conversation was closed. Begin a new one.' : error.message);
    } finally {
      this.#isSending = false;
      this.#drawHead();
      this.text.focus();
    }
  }

  #answered(conversation, said) {
    this.#conversations.set(conversation.id, conversation);
    if (this.#open !== conversation.id) {
      this.#open = conversation.id;
      this.#utterances = new Map();
    }
    for (const one of said) this.#keep(one);
    this.#drawList();
    this.#drawTalk();
    this.talk.scrollTop = this.talk.scrollHeight;
    announce(said.slice(1).map(({ text }) => text).join('').slice(0, MOST_SPOKEN));
  }

  key() {
    return false;
  }
}
