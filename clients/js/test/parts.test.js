// The parts that need no server: the parser of server-sent events, the ledger, pauses, the choice of transports, addresses, the fold.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { connect, cursorOf } from '../client.js';
import { Backoff } from '../client/backoff.js';
import { Endpoint } from '../client/endpoint.js';
import { TableRows } from '../client/fold.js';
import { Ledger } from '../client/ledger.js';
import { Recovery } from '../client/recovery.js';
import { Subscription } from '../client/subscription.js';
import { SseParser } from '../client/sse_parser.js';
import { TransportChoice } from '../client/transports.js';
import { MismatchError, NetworkError, RateLimitedError, UnauthorizedError } from '../client/errors.js';

const event = (seq) => ({ seq, id: `0a6c7c1e-8f53-4c43-9a55-${String(seq).padStart(12, '0')}` });

test('server-sent events are read the same however they are cut, and half an event counts for nothing', () => {
  const text = 'retry: 2113\r\nid: 1.aa\r\n: hello\r\n\r\ndata: {"a":1}\rid: 2.bb\r\rdata: x\ndata:y\n\n: live\nid\n\ndata: half\nid: 3.cc\n';
  const blank = { data: null, id: null, event: null, retry: null, comment: null };
  const wanted = [
    { ...blank, id: '1.aa', retry: 2113, comment: 'hello' },
    { ...blank, data: '{"a":1}', id: '2.bb' },
    { ...blank, data: 'x\ny' },
    { ...blank, comment: 'live', id: '' },
  ];
  for (let first = 0; first <= text.length; first += 1) {
    for (const second of [first, Math.floor((first + text.length) / 2), text.length]) {
      const parser = new SseParser();
      const parts = [text.slice(0, first), text.slice(first, second), text.slice(second)];
      assert.deepEqual(parts.flatMap((part) => [...parser.feed(part)]), wanted, `cut at ${first} and ${second}`);
    }
  }
  const endless = new SseParser();
  assert.throws(() => { for (;;) [...endless.feed('x'.repeat(1 << 20))]; }, RangeError);
});

describe('the ledger', () => {
  test('agrees with a server that has sent the same, and adds up as the server does', () => {
    const ledger = new Ledger();
    ledger.begin('0', false);
    for (const seq of [2 ** 32 - 1, 2 ** 32 + 7, 2 ** 45 + 1]) assert.equal(ledger.receive(event(seq), true), 'new');
    assert.deepEqual(ledger.tally, { events: 3, check: 7 });
    assert.equal(ledger.agrees({ cursor: `${2 ** 46}.x`, events: 3, check: 8 }), false);
    assert.equal(ledger.agrees({ cursor: `${2 ** 46}.x`, events: 3, check: 7 }), true);
    assert.equal(ledger.verified, `${2 ** 46}.x`);
  });

  test('reads again from the last agreement, and tells what was handed on before', () => {
    const ledger = new Ledger();
    ledger.begin('10.x', false);
    for (const seq of [11, 13]) ledger.receive(event(seq), true);
    assert.equal(ledger.resumePoint(cursorOf(event(13))), '10.x');
    ledger.begin('10.x', true);
    assert.deepEqual([11, 12, 13].map((seq) => ledger.receive(event(seq), true)), ['repeated', 'new', 'repeated']);
    assert.equal(ledger.receive(event(13), true), 'disorder');
    assert.equal(ledger.receive({ seq: 14 }, true), 'disorder');
  });

  test('does not take events for new that come again behind a heartbeat', () => {
    const ledger = new Ledger();
    ledger.begin('10.x', false);
    for (const seq of [11, 13, 15]) ledger.receive(event(seq), true);
    ledger.begin('10.x', true);
    assert.equal(ledger.agrees({ cursor: '10.x', events: 0, check: 0 }), true);
    assert.deepEqual([11, 12].map((seq) => ledger.receive(event(seq), true)), ['repeated', 'new']);
    assert.equal(ledger.agrees({ cursor: '12.x', events: 2, check: 23 }), true);
    assert.equal(ledger.resumePoint(cursorOf(event(15))), '12.x');
    assert.deepEqual([13, 15, 16].map((seq) => ledger.receive(event(seq), true)), ['repeated', 'repeated', 'new']);
  });

  test('takes no word but that of a heartbeat for what came, where frames can be lost', () => {
    const ledger = new Ledger();
    ledger.begin('10.x', false);
    ledger.pass('20.x', true);
    assert.equal(ledger.agrees({ cursor: '20.x', events: 1, check: 15 }), false);
    assert.equal(ledger.verified, '10.x');
    ledger.pass('20.x', false);
    assert.equal(ledger.verified, '20.x');
  });

  test('gets further even if every connection breaks after two events, before any heartbeat', () => {
    const [subscription, handed] = [new Subscription({ start: {}, filter: {} }), []];
    const journal = Array.from({ length: 20 }, (_, n) => event(n + 1));
    let connections = 0;
    for (; handed.length < journal.length && connections < 100; connections += 1) {
      const { cursor = '0' } = subscription.selection();
      subscription.begin(cursor);
      const rest = journal.filter(({ seq }) => seq > Number(cursor.split('.')[0]));
      for (const one of rest.slice(0, 2)) if (subscription.receive(one, true) === 'new') handed.push(one.seq);
    }
    assert.deepEqual(handed, journal.map(({ seq }) => seq));
    assert.ok(connections <= 20, `${connections} connections`);
  });

  test('remembers a bounded number of events, and says when that was not enough', () => {
    const ledger = new Ledger();
    ledger.begin('0', false);
    for (let seq = 1; seq <= 250_000; seq += 1) ledger.receive(event(seq), true);
    assert.equal(ledger.isComplete, false);
    assert.notEqual(ledger.verified, '0');
    assert.equal(ledger.resumePoint('250000.z'), '250000.z');
  });
});

test('pauses grow with jitter up to a bound, and are at least what the server asks for', () => {
  const backoff = new Backoff();
  for (let failure = 0; failure < 50; failure += 1) {
    const wait = backoff.next();
    assert.ok(wait >= 50 && wait <= Math.max(50, Math.min(10_000, 250 * 2 ** failure)), `${wait} at failure ${failure}`);
  }
  assert.ok(backoff.next(20) >= 20_000 && backoff.next(20) <= 21_000);
  assert.ok(backoff.next(10 ** 9) <= 601_000);
  backoff.reset();
  assert.ok(backoff.next() <= 250);
});

test('what does not heal is not tried again, and a token is replaced once', () => {
  const recovery = new Recovery();
  const refusal = new UnauthorizedError('no');
  assert.equal(recovery.decide(new NetworkError('away'), false), 'wait');
  assert.equal(recovery.decide(new MismatchError('odd'), false), 'wait');
  assert.equal(recovery.decide(refusal, false), 'fail');
  assert.deepEqual([recovery.decide(refusal, true), recovery.decide(refusal, true)], ['renew', 'fail']);
  recovery.held();
  assert.equal(recovery.decide(refusal, true), 'renew');
  assert.deepEqual([recovery.relocated(), recovery.relocated()], [true, false]);
  recovery.agreed(100);
  assert.equal(recovery.relocated(), true);
  recovery.drained(700);
  assert.deepEqual(recovery.pause(new NetworkError('away')), { ms: 700, isAsked: true });
  assert.equal(recovery.pause(new RateLimitedError('busy', { retryAfter: 2 })).isAsked, true);
});

test('the other transport is used where the preferred one does not get through, in turns while neither does', () => {
  const choice = new TransportChoice(undefined, true);
  assert.equal(choice.next(), 'websocket');
  choice.missed('websocket');
  assert.equal(choice.next(), 'sse');
  choice.missed('sse');
  assert.equal(choice.next(), 'websocket');
  choice.worked('websocket');
  for (const wanted of ['websocket', 'websocket', 'sse']) {
    choice.missed('websocket');
    assert.equal(choice.next(), wanted);
  }
  assert.equal(choice.upgradeAfter('websocket'), null);
  assert.equal(choice.upgradeAfter('sse'), 5_000);
  for (let failed = 0; failed < 20; failed += 1) choice.upgradeFailed();
  assert.equal(choice.upgradeAfter('sse'), 600_000);
  assert.throws(() => new TransportChoice(['carrier pigeon'], true), TypeError);
});

test('addresses are made below the one that is given', () => {
  const endpoint = new Endpoint('wss://db.example/rows/');
  assert.equal(endpoint.base, 'https://db.example/rows');
  assert.equal(endpoint.socket(false, { cursor: '1.a', type: ['a.*', 'b'], symbol: null }), 'wss://db.example/rows/ws?cursor=1.a&type=a.*%2Cb');
  assert.equal(endpoint.eventStream(true, { last: 3 }), 'https://db.example/rows/public/v1/events/stream?last=3');
  assert.equal(endpoint.http('/v1/snapshot', { table: ['a', 'b'], sync: undefined }), 'https://db.example/rows/v1/snapshot?table=a&table=b');
});

test('wrong options are refused at once, by name', () => {
  const url = 'http://localhost:1';
  const wrong = [{ url: 'ftp://x' }, { url, token: 7 }, { url, cursor: '1', last: 2 }, { url, bufferSize: 0 }, { url, resume: {} }, { url, onCursorExpired: 'maybe' },
    { url, parse: 'JSON' }];
  // A page has an address, which is that of the server where none is given, and a place for its cursor.
  if (globalThis.document === undefined) wrong.push({}, { url, resume: 'key' });
  for (const options of wrong) assert.throws(() => connect(options), TypeError, JSON.stringify(options));
});

test('a row is named by its subject, by a field, or by several, and only its own types are folded', () => {
  const rows = new TableRows('t');
  rows.define({ prefix: 'shop.item', key: ['order', 'line'], removes: ['shop.item.dropped'], columns: [] });
  assert.deepEqual(['shop.item.added', 'shop.item.a.b', 'shop.items.added', 'shop.item'].map((type) => rows.covers(type)), [true, false, false, false]);
  rows.apply({ type: 'shop.item.added', payload: { order: 1, line: '2', n: 1 } });
  rows.apply({ type: 'shop.item.changed', payload: { order: 1, line: '2', n: 2 } });
  rows.apply({ type: 'shop.item.added', payload: { order: 1, line: '3' } });
  rows.apply({ type: 'shop.item.dropped', payload: { order: 1, line: '3' } });
  const batch = rows.takeBatch('9.x');
  assert.deepEqual(batch, { table: 't', inserted: [{ key: '[1,"2"]', row: { order: 1, line: '2', n: 2 } }], updated: [], removed: [], reset: false, cursor: '9.x' });
  assert.equal(rows.takeBatch('9.x'), null);
  rows.define({ prefix: 'shop.item', key: ['order'], removes: [], columns: [] });
  assert.equal(rows.keyOf({ payload: { order: 7 } }), 7);
  assert.throws(() => rows.keyOf({ payload: {} }), { code: 'bad_key' });
  rows.define({ prefix: 'shop.item', key: ['order', 'line'], removes: [], columns: [] });
  assert.equal(rows.keyOf({ payload: { order: 7n, line: 1 } }), '["7",1]');
});
