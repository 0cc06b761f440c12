// Makes the nodes of the page. Text from outside becomes a text node or an attribute that is shown as text, never markup or an address.

const SVG = 'http://www.w3.org/2000/svg';

/** An element: `on…` properties listen, `class`, `text` and `data` are short forms, all others are attributes. */
export function h(tag, properties = {}, ...children) {
  return build(document.createElement(tag), properties, children);
}

/** An element of SVG. */
export function svg(tag, properties = {}, ...children) {
  return build(document.createElementNS(SVG, tag), properties, children);
}

function build(node, properties, children) {
  for (const [name, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith('on')) node.addEventListener(name.slice(2), value);
    else if (name === 'class') node.setAttribute('class', value);
    else if (name === 'text') node.textContent = value;
    else if (name === 'data') Object.assign(node.dataset, value);
    else node.setAttribute(name, value === true ? '' : value);
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

/** An icon of the page's own set. It says nothing to screen readers: the control has a name. */
export function icon(name) {
  return svg('svg', { class: 'icon', 'aria-hidden': 'true', focusable: 'false' }, svg('use', { href: `#i-${name}` }));
}

/** Sets a text only where it differs, so that nothing is laid out again for nothing. */
export function say(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** A button with an icon alone, which has a name for those who do not see it. */
export function iconButton(name, label, onclick, properties = {}) {
  return h('button', { type: 'button', class: 'icon-button', 'aria-label': label, title: label, onclick, ...properties }, icon(name));
}

/** A button with words. */
export function button(label, onclick, properties = {}) {
  return h('button', { type: 'button', class: 'button', onclick, ...properties }, label);
}

const TOAST_MS = 2600;
let toastTimer = 0;

/** Says something for a moment, to the eye and to screen readers. */
export function toast(text) {
  document.querySelector('.toast')?.remove();
  document.body.append(h('div', { class: 'toast', text, data: { hook: 'toast' } }));
  announce(text);
  clearTimeout(toastTimer);
  toastTimer = setTimeout(() => document.querySelector('.toast')?.remove(), TOAST_MS);
}

/** Tells screen readers, politely. For what a person waits for, never for each event. */
export function announce(text) {
  say(document.getElementById('announcer'), text);
}

/** Copies a text, and says so. */
export async function copy(text, what) {
  try {
    await navigator.clipboard.writeText(text);
    toast(`Copied ${what}`);
  } catch {
    toast('This browser does not let the page copy');
  }
}

/** A line of code with a button that copies it. */
export function snippet(code) {
  return h('div', { class: 'snippet' }, h('code', { text: code, tabindex: '0' }), iconButton('copy', 'Copy this line', () => copy(code, 'the line')));
}

/** What a view says when it has nothing to show: a heading, a sentence, and what to do. */
export function blank(heading, sentence, ...more) {
  return h('div', { class: 'blank', data: { hook: 'blank' } }, h('h2', { text: heading }), sentence ? h('p', { text: sentence }) : null, ...more);
}

/** Between two drawings there is at least so much time, and as much as `REST` drawings take, so that a slow machine has time for the rest. */
const SHORTEST_PAUSE_MS = 50;
const LONGEST_PAUSE_MS = 400;
const REST = 2;

/** Draws in the next frame, and then no sooner than a machine can, nor than `pause()` milliseconds say: what comes meanwhile is drawn together. A hidden page draws seldom. */
export function paced(draw, pause = () => SHORTEST_PAUSE_MS) {
  let isWaiting = false;
  let due = 0;
  const frame = (begun) => {
    isWaiting = false;
    draw();
    // The frame after this one begins when this one is laid out and painted.
    requestAnimationFrame((now) => {
      due = now + Math.min(LONGEST_PAUSE_MS, Math.max(pause(), (now - begun) * REST)) - (now - begun);
    });
  };
  return () => {
    if (isWaiting) return;
    isWaiting = true;
    const wait = due - performance.now();
    if (document.hidden) setTimeout(frame, LONGEST_PAUSE_MS, performance.now());
    else if (wait > 0) setTimeout(() => requestAnimationFrame(frame), wait);
    else requestAnimationFrame(frame);
  };
}
