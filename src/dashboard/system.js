// The system: how fast events come and go, what holds them back, and who is connected. Small charts of the last minutes.

import { blank, h, say, snippet } from './dom.js';
import { brief, count, duration } from './format.js';
import { SPAN_MS, total } from './metrics.js';
import { Spark } from './plot.js';

const CHARTS = [
  { name: 'events', label: 'Events', note: 'written, per second', show: (value) => `${brief(value)}/s` },
  { name: 'lag', label: 'Lag', note: 'from the insert to the stream', show: duration, more: (point) => (point.lag99 ? `99 % within ${duration(point.lag99)}` : '') },
  { name: 'head', label: 'Safe head', note: 'up to here everything is decided', show: count, isRelative: true },
  { name: 'fence', label: 'Fence wait', note: 'for open transactions', show: duration },
  { name: 'latency', label: 'Latency', note: 'your connection, there and back', show: duration },
  { name: 'sessions', label: 'Sessions', note: 'that are open', show: count },
  { name: 'sent', label: 'Sent', note: 'events to all sessions, per second', show: (value) => `${brief(value)}/s` },
  { name: 'requests', label: 'Requests', note: 'answered, per second', show: (value) => `${brief(value)}/s` },
];
const HEARING = { proven: 'bells are heard', unproven: 'waiting for the first bell', deaf: 'no bell comes: it polls' };

/** A number that only grows is drawn by how much. */
function fromLowest(series) {
  const lowest = Math.min(...series.map(([, value]) => value ?? Infinity));
  return series.map(([at, value]) => [at, value === null ? null : value - lowest]);
}

export class SystemView {
  #session;
  #metrics;
  #charts;
  #isShown = false;

  constructor(session, metrics) {
    this.#session = session;
    this.#metrics = metrics;
    this.#charts = CHARTS.map((chart) => this.#chart(chart));
    this.blocker = h('div', { class: 'card blocker', hidden: true, data: { hook: 'blocker' } });
    this.facts = h('dl', { class: 'facts wide' });
    this.problem = h('div', { hidden: true });
    const server = h('div', { class: 'card' }, h('header', {}, h('h2', { text: 'Server' })), this.facts);
    this.body = h('div', { class: 'system', tabindex: '0', role: 'group', 'aria-label': 'Charts and facts' }, this.blocker, this.problem, h('div', { class: 'charts' }, ...this.#charts.map(({ node }) => node)), server);
    this.node = h('section', { class: 'view', 'aria-label': 'System', data: { view: 'system' } }, this.body);
    metrics.onChange(() => this.#draw());
    session.on('state', () => this.#draw());
    session.on('identity', () => this.#draw());
  }

  #chart(chart) {
    const value = h('b', { text: '–' });
    const more = h('span', { class: 'muted', text: chart.note });
    const plot = new Spark({ label: `${chart.label}, ${chart.note}, of the last three minutes`, height: 72, data: { hook: `chart-${chart.name}` } });
    return { ...chart, value, note: more, plot, node: h('div', { class: 'card chart' }, h('div', { class: 'chart-head' }, h('h2', { text: chart.label }), value), more, plot.node) };
  }

  show() {
    this.#isShown = true;
    this.#metrics.look(true);
    this.#draw();
  }

  hide() {
    this.#isShown = false;
    this.#metrics.look(false);
  }

  focus() {
    this.body.focus();
  }

  #draw() {
    if (!this.#isShown) return;
    const last = this.#metrics.points.at(-1) ?? {};
    for (const { name, value, note, more, show, plot, note: node, ...chart } of this.#charts) {
      const series = this.#metrics.series(name);
      const known = last[name] ?? series.findLast((one) => one[1] !== null)?.[1] ?? null;
      say(value, known === null ? '–' : show(known));
      say(node, more?.(last) || CHARTS.find((one) => one.name === name).note);
      plot.draw(chart.isRelative ? fromLowest(series) : series, SPAN_MS);
    }
    this.#drawProblem();
    this.#drawBlocker();
    this.#drawFacts();
  }

  #drawProblem() {
    const { error, samples } = this.#metrics;
    this.problem.hidden = !error;
    if (error) this.problem.replaceChildren(h('div', { class: 'card' }, blank(samples ? 'The numbers of the server are not coming' : 'The numbers of the server are kept apart', `${error.message}. Often /metrics is not let through to browsers; what follows is what this connection knows itself.`)));
  }

  /** Whoever holds the stream back. Its name is for administrators; the server says it to nobody else in the stream. */
  #drawBlocker() {
    const { stalled } = this.#session.main.state;
    const held = ['transaction', 'database'].find((reason) => this.#metrics.heldBack(reason) > 0);
    const reason = stalled?.reason ?? held;
    this.blocker.hidden = !reason;
    if (this.blocker.hidden) return;
    const seconds = this.#metrics.heldBack(reason) || (Date.now() - Date.parse(stalled.since)) / 1000;
    const heading = reason === 'database' ? 'The database does not answer' : 'A transaction holds the stream back';
    const parts = [h('header', {}, h('h2', { text: `▲ ${heading}` }), h('span', { class: 'badge warn', text: `for ${duration(seconds)}` }))];
    const named = this.#metrics.blockers.length > 0 ? this.#metrics.blockers : stalled?.pid || stalled?.gid ? [stalled] : [];
    if (reason === 'database') parts.push(h('p', { text: 'Nothing is lost: the stream goes on where it is when the database is back.' }));
    else if (this.#session.isAdmin && named.length > 0) parts.push(...this.#blockers(named));
    else parts.push(h('p', { text: 'It has inserted and not committed. Events behind it wait, so that the order stays exact. An administrator sees here who it is.' }));
    this.blocker.replaceChildren(...parts);
  }

  #blockers(blockers) {
    return blockers.slice(0, 5).flatMap(({ pid, gid, application, state }) => [
      h('dl', { class: 'facts' }, h('dt', { text: 'Application' }), h('dd', { text: application || 'without a name', data: { hook: 'blocker-name' } }),
        h('dt', { text: gid ? 'Prepared as' : 'Process' }), h('dd', { class: 'mono', text: String(gid ?? pid ?? '–') }), h('dt', { text: 'State' }), h('dd', { text: state ?? '–' })),
      pid ? h('p', { class: 'hint', text: 'To end it, as somebody who may signal it:' }) : null,
      pid ? snippet(`select pg_terminate_backend(${Number(pid)});`) : null,
    ]).filter(Boolean);
  }

  #drawFacts() {
    const { samples } = this.#metrics;
    const { state } = this.#session.main;
    const version = samples && [...samples.keys()].find((key) => key.startsWith('rowcast_build_info'))?.match(/version="([^"]+)"/)?.[1];
    const get = (name) => (samples ? (samples.get(name) ?? 0) : null);
    const facts = [
      ['Version', version],
      ['Journal', samples && (get('rowcast_tail_connected') ? 'followed' : 'not reached')],
      ['Database', samples && `${count(get('rowcast_db_connections') - get('rowcast_db_connections_free'))} of ${count(get('rowcast_db_connections'))} connections in use`],
      ['Newest event', samples && count(get('rowcast_tail_newest'))],
      ['Bell', samples && (Object.keys(HEARING).filter((state) => get(`rowcast_tail_hearing{state="${state}"}`) > 0).map((state) => HEARING[state])[0] ?? '–')],
      ['Pace', samples && (get('rowcast_tail_hushed') ? 'busy: polls, the bell is hushed' : 'quiet: waits for the bell')],
      ['History', samples && (get('rowcast_tail_epoch') > 0 ? `changed ${count(get('rowcast_tail_epoch'))} times` : 'one since the start')],
      ['Followers', samples && count(get('rowcast_subjects'))],
      ['Refused by rate', samples && count(total(samples, 'rowcast_limit_denied_total'))],
      ['Server faults', samples && count(samples.get('rowcast_http_answers_total{class="5xx"}') ?? 0)],
      ['Transport', state.transport],
      ['View', state.view],
    ];
    const shown = facts.filter(([, value]) => value !== null && value !== undefined && value !== false);
    this.facts.replaceChildren(...shown.map(([name, value]) => h('div', {}, h('dt', { text: name }), h('dd', { text: String(value) }))));
  }

  key() {
    return false;
  }
}
