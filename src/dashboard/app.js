// The frame of the dashboard: which view is shown, the theme, and who is told of what.

import { ChatView } from './chat.js';
import { h, icon, iconButton, say } from './dom.js';
import { EventsView } from './events.js';
import { Keys } from './keys.js';
import { Metrics } from './metrics.js';
import { Session, tokenOfAddress } from './session.js';
import { SignIn } from './signin.js';
import { StatusBar } from './status.js';
import { SystemView } from './system.js';
import { TablesView } from './tables.js';
import { TradingView } from './trading.js';

const THEME_KEY = 'rowcast-theme';
const NAMES = { events: 'Events', tables: 'Tables', trading: 'Trading', chat: 'Chat', system: 'System' };

// First of all, before anything else may read the address.
const session = new Session(tokenOfAddress());
const metrics = new Metrics(() => (session.main.state.latencyMs === null ? null : session.main.state.latencyMs / 1000));
const makers = {
  events: () => new EventsView(session),
  tables: () => new TablesView(session),
  trading: () => new TradingView(session),
  chat: () => new ChatView(session),
  system: () => new SystemView(session, metrics),
};
const views = new Map();
const links = new Map();
let shown = null;

/** A view is made when it is first wanted, and then kept with its place. */
function viewOf(name) {
  if (!views.has(name)) {
    const view = makers[name]();
    view.node.hidden = true;
    views.set(name, view);
    document.getElementById('views').append(view.node);
  }
  return views.get(name);
}

function show(name, rest) {
  const view = viewOf(name);
  if (shown !== name) {
    if (shown) {
      views.get(shown).hide();
      views.get(shown).node.hidden = true;
    }
    shown = name;
    view.node.hidden = false;
    for (const [other, link] of links) {
      if (other === name) link.setAttribute('aria-current', 'page');
      else link.removeAttribute('aria-current');
    }
    document.title = `${NAMES[name]} · Rowcast`;
    say(document.getElementById('heading'), NAMES[name]);
  }
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
    '/': () => views.get(shown).focusFilter?.(),
    s: () => signIn.open('asked'),
    d: switchTheme,
  }, () => views.get(shown));
  tools.prepend(iconButton('theme', 'Dark or light', switchTheme, { data: { hook: 'theme' } }), iconButton('help', 'Keys', () => keys.open(), { data: { hook: 'help-open' } }));
  new StatusBar(session, document.getElementById('status'), document.getElementById('banner'));
  document.getElementById('skip').addEventListener('click', (event) => {
    event.preventDefault();
    views.get(shown).focus();
  });
  addEventListener('hashchange', route);
  route();
}

start();
