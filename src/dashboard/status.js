// How the connection is, in the bar; and a banner for what a person should know or do.

import { announce, button, h, say } from './dom.js';
import { count, duration } from './format.js';

const WORDS = {
  idle: ['idle', ''],
  connecting: ['connecting', 'busy'],
  catching_up: ['catching up', 'busy'],
  live: ['live', 'live'],
  stalled: ['held back', 'warn'],
  waiting: ['reconnecting', 'warn'],
  offline: ['offline', 'bad'],
  failed: ['stopped', 'bad'],
  closed: ['closed', ''],
};

export class StatusBar {
  #session;
  #banner;
  #shown = '';
  #said = '';

  constructor(session, bar, banner) {
    this.#session = session;
    this.#banner = banner;
    this.dot = h('span', { class: 'dot', 'aria-hidden': 'true' });
    this.word = h('b', { data: { hook: 'connection' } });
    this.view = h('span', { data: { hook: 'view' } });
    this.facts = h('span', { class: 'fact', data: { hook: 'connection-facts' } });
    bar.append(h('span', { class: 'pill' }, this.dot, this.word, this.view), this.facts);
    session.on('state', () => this.draw());
    session.on('identity', () => this.draw());
    setInterval(() => this.draw(), 1000);
    this.draw();
  }

  draw() {
    const { state } = this.#session.main;
    const [words, kind] = this.#session.hasStream ? (WORDS[state.status] ?? [state.status, '']) : ['not streaming', ''];
    this.dot.className = `dot ${kind}`;
    say(this.word, words);
    say(this.view, state.view === 'public' || !this.#session.isPrivate ? 'public' : '');
    this.view.hidden = this.view.textContent === '';
    const facts = [];
    if (state.latencyMs !== null) facts.push(`${state.latencyMs < 10 ? state.latencyMs.toFixed(1) : Math.round(state.latencyMs)} ms`);
    if (state.head !== null) facts.push(`head ${count(state.head)}`);
    if (state.transport === 'sse') facts.push('over SSE');
    say(this.facts, facts.join(' · '));
    this.#tell(state);
    this.#showBanner(state);
  }

  /** Screen readers are told of changes that last, not of every try. */
  #tell({ status }) {
    const said = { live: 'Connected', waiting: 'Connection lost, trying again', offline: 'Offline', stalled: 'The stream is held back', failed: 'The stream has stopped' }[status];
    if (!said || said === this.#said) return;
    if (this.#said !== '' || status !== 'live') announce(said);
    this.#said = said;
  }

  #showBanner(state) {
    const content = this.#bannerOf(state);
    const key = content ? `${state.status} ${content.key ?? ''}` : '';
    if (key !== this.#shown) {
      this.#shown = key;
      const words = h('p', { data: { hook: 'banner' } });
      this.#banner.replaceChildren(...(content ? [h('div', { class: `banner ${content.kind ?? ''}` }, h('span', { class: 'sign', 'aria-hidden': 'true', text: content.kind === 'bad' ? '✕' : '▲' }), words, ...(content.actions ?? []))] : []));
    }
    if (content) say(this.#banner.querySelector('p'), content.words);
  }

  #bannerOf({ status, stalled, retryAt, error }) {
    const retry = () => button('Try now', () => this.#session.main.retry(), { data: { hook: 'retry' } });
    if (status === 'stalled') return { words: this.#stalledWords(stalled), key: stalled?.reason };
    if (status === 'offline') return { kind: 'bad', words: 'This machine is offline. What is shown stays; it goes on by itself, from where it was, when the network is back.', actions: [retry()] };
    if (status === 'waiting') {
      const seconds = Math.max(0, Math.ceil(((retryAt ?? Date.now()) - Date.now()) / 1000));
      return { words: `The connection is lost. What is shown stays, and nothing will be missing. Next try ${seconds > 0 ? `in ${seconds} s` : 'now'}.`, actions: [retry()] };
    }
    if (status === 'failed') {
      const ask = button('Sign in', () => document.dispatchEvent(new CustomEvent('sign-in')), { class: 'button primary' });
      return { kind: 'bad', key: error?.code, words: error?.name === 'UnauthorizedError' ? 'The token is not accepted. Sign in again; your place is kept.' : `The stream has stopped: ${error?.message ?? 'no reason was given'}`, actions: [error?.name === 'UnauthorizedError' || error?.name === 'ForbiddenError' ? ask : retry()] };
    }
    return null;
  }

  #stalledWords(stalled) {
    if (!stalled) return 'The stream is held back.';
    const since = duration((Date.now() - Date.parse(stalled.since)) / 1000);
    if (stalled.reason === 'database') return `The database has not answered for ${since}. Nothing is lost: the stream goes on when it is back.`;
    const who = stalled.gid ? `prepared transaction ${stalled.gid}` : stalled.pid ? `${stalled.application || 'an application without a name'}, process ${stalled.pid}` : 'a transaction';
    return `Held back for ${since} by ${who}: it has inserted and not committed. Events behind it wait, so that the order stays exact.`;
  }
}
