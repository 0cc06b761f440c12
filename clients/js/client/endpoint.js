// The addresses of a server: its base, the streams of both views, and what is asked for in their queries.

const PARAMETERS = ['cursor', 'last', 'type', 'level', 'symbol', 'trade_id', 'subject'];
const SOCKET_SCHEMES = { 'http:': 'ws:', 'https:': 'wss:' };
const HTTP_SCHEMES = { 'ws:': 'http:', 'wss:': 'https:', 'http:': 'http:', 'https:': 'https:' };

export class Endpoint {
  #base;

  constructor(url) {
    const page = globalThis.location?.origin;
    const given = url ?? (page === 'null' ? undefined : page);
    if (given === undefined) throw new TypeError('url is missing: there is no page whose origin could be used');
    const base = new URL(given, page === 'null' ? undefined : globalThis.location?.href);
    if (HTTP_SCHEMES[base.protocol] === undefined) throw new TypeError(`url must begin with http, https, ws or wss, not ${base.protocol}`);
    base.protocol = HTTP_SCHEMES[base.protocol];
    base.search = base.hash = '';
    base.pathname = base.pathname.replace(/\/+$/, '');
    this.#base = base.href.replace(/\/$/, '');
  }

  get base() {
    return this.#base;
  }

  /** `path` below the base, with the parameters of `query` that are given. */
  http(path, query = {}) {
    const text = queryText(query);
    return `${this.#base}${path}${text === '' ? '' : `?${text}`}`;
  }

  socket(isPublic, selection) {
    const url = this.http(isPublic ? '/public/ws' : '/ws', selectionOf(selection));
    const [scheme] = url.split('//', 1);
    return SOCKET_SCHEMES[scheme] + url.slice(scheme.length);
  }

  eventStream(isPublic, selection) {
    return this.http(`${isPublic ? '/public' : ''}/v1/events/stream`, selectionOf(selection));
  }
}

/** The parameters of a subscription that are given; a list of types becomes the comma list that the server reads. */
export function selectionOf(options) {
  const selection = {};
  for (const name of PARAMETERS) {
    const value = options[name];
    if (value === undefined || value === null) continue;
    selection[name] = Array.isArray(value) ? value.join(',') : value;
  }
  return selection;
}

/** The filter among the options of a subscription. */
export function filterOf(options) {
  const { cursor, last, ...filter } = selectionOf(options);
  return Object.freeze(filter);
}

function queryText(query) {
  const parameters = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (value === undefined || value === null) continue;
    for (const one of Array.isArray(value) ? value : [value]) parameters.append(name, String(one));
  }
  return parameters.toString();
}
