// The frame of the dashboard: which view is shown, the theme, and who is told of what.

import { blank, button, h, icon, iconButton, say } from './dom.js';
import { EventsView } from './events.js';
import { Keys } from './keys.js';
import { Metrics } from './metrics.js';
import { Session, tokenOfAddress } from './session.js';
import { SignIn } from './signin.js';
import { StatusBar } from './status.js';

const THEME_KEY = 'rowcast-theme';
const NAMES = { events: 'Events', tables: 'Tables', trading: 'Trading', chat: 'Chat', system: 'System' };

// First of all, before anything else may read the address.
const session = new Session(tokenOfAddress());
const metrics = new Metrics(session.main);
/** The events are there at once; the other views are loaded when one goes to them. */
const makers = {
  events: async () => new EventsView(session),
  tables: async () => new (await import('./tables.js')).TablesView(session),
  trading: async () => new (await import('./trading.js')).TradingView(session),
  chat: async () => new (await import('./chat.js')).ChatView(session),
  system: async () => new (await import('./system.js')).SystemView(session, metrics),
};
const views = new Map();
const loading = new Map();
const links = new Map();
let wanted = null;
let shown = null;

/** A view is made when it is first wanted, and then kept with its place. */
function viewOf(name) {
  if (!loading.has(name)) {
    const made = makers[name]().then((view) => {
      view.node.hidden = true;
      // The page that said that it cannot be loaded goes.
      views.get(name)?.hide();
      views.set(name, view);
      document.getElementById('views').append(view.node);
      return view;
    });
    loading.set(name, made);
    made.catch(() => loading.delete(name));
  }
  return loading.get(name);
}

/** The view's files are those of the page's own version. A server that was renewed meanwhile has others. */
function failed(name) {
  const again = button('Load the page again', () => location.reload(), { class: 'button primary' });
  const node = h('section', { class: 'view', 'aria-label': NAMES[name] }, blank('This view cannot be loaded', 'The connection is lost, or the server was renewed since the page was loaded. Loading the page again helps; it then asks for the token again.', again));
  return { node, show() {}, hide: () => node.remove(), focus: () => again.focus(), key: () => false };
}

function hideShown() {
  const view = views.get(shown);
  if (!view) return;
  view.hide();
  view.node.hidden = true;
}

async function show(name, rest) {
  wanted = name;
  for (const [other, link] of links) {
    if (other === name) link.setAttribute('aria-current', 'page');
    else link.removeAttribute('aria-current');
  }
  document.title = `${NAMES[name]} · Rowcast`;
  say(document.getElementById('heading'), NAMES[name]);
  const view = await viewOf(name).catch(() => {
    const page = failed(name);
    views.set(name, page);
    document.getElementById('views').append(page.node);
    return page;
  });
  if (wanted !== name) return;
  if (shown !== name) hideShown();
  shown = name;
  view.node.hidden = false;
  view.show(rest);
  if (name === 'events' && rest) view.open(decodeURIComponent(rest));
}

/** The address says the view and what is open in it: `#/events/1042.9f3a11c2`. A token there is taken out at once. */
function route() {
  const token = tokenOfAddress();
  if (token) session.use(token);
  const [, name, rest] = /^#\/([a-z]+)(?:\/([^/?#]+))?/.exec(location.hash) ?? [];
  show(makers[name] ? name : 'events', rest);
}

function buildRail() {
  const rail = document.getElementById('rail');
  for (const [at, name] of Object.keys(NAMES).entries()) {
    const link = h('a', { href: `#/${name}`, data: { nav: name } }, icon(name), h('span', { text: NAMES[name] }), h('kbd', { text: String(at + 1), 'aria-hidden': 'true' }));
    links.set(name, link);
    rail.append(link);
  }
}

function isDark() {
  const { theme } = document.documentElement.dataset;
  return theme ? theme === 'dark' : matchMedia('(prefers-color-scheme: dark)').matches;
}

/** A person's choice goes before that of the system, and is the one thing that is stored. */
function switchTheme() {
  const theme = isDark() ? 'light' : 'dark';
  document.documentElement.dataset.theme = theme;
  try {
    localStorage.setItem(THEME_KEY, theme);
  } catch {
    // A browser that stores nothing forgets it with the page.
  }
}

function restoreTheme() {
  try {
    const theme = localStorage.getItem(THEME_KEY);
    if (theme === 'dark' || theme === 'light') document.documentElement.dataset.theme = theme;
  } catch {
    // The system's choice holds.
  }
}

function start() {
  restoreTheme();
  buildRail();
  const tools = document.getElementById('tools');
  const go = (name) => () => { location.hash = `#/${name}`; };
  const signIn = new SignIn(session, tools);
  const keys = new Keys({
    ...Object.fromEntries(Object.keys(NAMES).map((name, at) => [String(at + 1), go(name)])),
    '?': () => keys.open(),
    '/': () => views.get(shown)?.focusFilter?.(),
    s: () => signIn.open('asked'),
    d: switchTheme,
  }, () => views.get(shown) ?? { key: () => false });
  tools.prepend(iconButton('theme', 'Dark or light', switchTheme, { data: { hook: 'theme' } }), iconButton('help', 'Keys', () => keys.open(), { data: { hook: 'help-open' } }));
  new StatusBar(session, document.getElementById('status'), document.getElementById('banner'));
  document.getElementById('skip').addEventListener('click', (event) => {
    event.preventDefault();
    views.get(shown)?.focus();
  });
  addEventListener('hashchange', route);
  route();
}

start();
