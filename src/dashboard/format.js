// How values look: times, numbers, durations, payloads in one line.

const pad = (number, digits = 2) => String(number).padStart(digits, '0');
const grouped = new Intl.NumberFormat('en', { maximumFractionDigits: 0 });
const money = new Intl.NumberFormat('en', { minimumFractionDigits: 2, maximumFractionDigits: 2 });
const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];
const LINE_LENGTH = 200;
const whole = new Intl.DateTimeFormat(undefined, { dateStyle: 'full', timeStyle: 'long' });
/** A time as the server writes it, and nothing behind it: a text that only begins like one is shown as a text. */
export const IS_TIME = /^\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d(?::?\d\d)?)?$/;
/** Beyond it a value is not written out: the functions of browsers give up on nesting somewhere. */
export const MOST_LEVELS = 1000;

/** 1234567 as 1,234,567. */
export const count = (number) => grouped.format(number);

/** An amount with two decimals. What is no number stays as it is. */
export function amount(value) {
  const number = Number(value);
  return value === null || value === undefined || value === '' ? '–' : Number.isFinite(number) ? money.format(number) : String(value);
}

/** An amount with its sign. */
export const signed = (number) => `${number > 0 ? '+' : number < 0 ? '−' : ''}${money.format(Math.abs(number))}`;

/** A number in few characters: 12.3k, 4.56, 0.012. */
export function brief(number) {
  if (!Number.isFinite(number)) return '–';
  const size = Math.abs(number);
  if (size >= 1e9) return `${(number / 1e9).toFixed(1)}G`;
  if (size >= 1e6) return `${(number / 1e6).toFixed(1)}M`;
  if (size >= 1e4) return `${(number / 1e3).toFixed(1)}k`;
  if (size >= 100 || Number.isInteger(number)) return grouped.format(number);
  return number.toFixed(size >= 10 ? 1 : 2);
}

/** Seconds as a duration that one reads at a glance. */
export function duration(seconds) {
  if (!Number.isFinite(seconds)) return '–';
  if (seconds === 0) return 'none';
  if (seconds < 0.001) return `${(seconds * 1e6).toFixed(0)} µs`;
  if (seconds < 1) return `${(seconds * 1000).toFixed(seconds < 0.01 ? 1 : 0)} ms`;
  if (seconds < 90) return `${seconds.toFixed(seconds < 10 ? 1 : 0)} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  return seconds < 172_800 ? `${Math.round(seconds / 3600)} h` : `${Math.round(seconds / 86_400)} days`;
}

/** The time of day by the clock of this machine, with milliseconds. */
export function clock(at) {
  const time = new Date(at);
  return `${pad(time.getHours())}:${pad(time.getMinutes())}:${pad(time.getSeconds())}.${pad(time.getMilliseconds(), 3)}`;
}

/** Day and month, as 22 Nov. */
export function day(at) {
  const time = new Date(at);
  return `${time.getDate()} ${MONTHS[time.getMonth()]}`;
}

/** A moment as a person says it: the time if it is of today, else with its day. What a browser does not read as a time, as one before Christ, stays as it is. */
export function moment(at) {
  if (!at) return '–';
  const time = new Date(at);
  if (Number.isNaN(time.getTime())) return String(at);
  const short = `${pad(time.getHours())}:${pad(time.getMinutes())}:${pad(time.getSeconds())}`;
  return isToday(time) ? short : `${day(time)} ${short.slice(0, 5)}`;
}

/** True if a time is of this day. */
export function isToday(time) {
  return new Date(time).toDateString() === new Date().toDateString();
}

/** A share in per cent, with its sign. */
export const percent = (share) => `${signed(share * 100)} %`;

/** The whole time with its day and zone. */
export function fullTime(at) {
  const time = new Date(at);
  return Number.isNaN(time.getTime()) ? String(at) : whole.format(time);
}

/** The beginning of an id, enough to tell it from its neighbours. */
export const shortId = (id) => (/^[0-9a-f]{8}-[0-9a-f-]{27}$/.test(id) ? id.slice(0, 8) : id);

/** A value of JSON as a short text. */
export function plain(value) {
  if (value === null || value === undefined) return '';
  if (typeof value !== 'object') return String(value);
  try {
    return JSON.stringify(value);
  } catch {
    return '(nested too deep)';
  }
}

/** True if lists and objects lie in each other more than `MOST_LEVELS` deep. */
export function isTooDeep(value) {
  let level = [value];
  for (let depth = 0; level.length > 0; depth += 1) {
    if (depth > MOST_LEVELS) return true;
    const next = [];
    for (const one of level) if (one !== null && typeof one === 'object') for (const inner of Object.values(one)) if (inner !== null && typeof inner === 'object') next.push(inner);
    level = next;
  }
  return false;
}

/** The fields of a payload for one line, `[name, value]`: without those that are null or stand beside it already, times and ids last. */
export function oneLine({ payload, symbol, subject, trade_id: trade }) {
  const first = [];
  const last = [];
  let length = 0;
  for (const [name, value] of Object.entries(payload)) {
    if (value === null || value === symbol || value === subject || value === trade) continue;
    const text = plain(value).slice(0, LINE_LENGTH);
    if (length > LINE_LENGTH) break;
    length += name.length + text.length;
    if (IS_TIME.test(text)) last.push([name, moment(text)]);
    else if (/(^|_)id$/.test(name)) last.push([name, shortId(text)]);
    else first.push([name, shortId(text)]);
  }
  return [...first, ...last];
}
