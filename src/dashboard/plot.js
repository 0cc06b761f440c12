// Small plots in SVG: a line over time, bars by day. Drawn anew when the data or the width changes; the numbers are told in words too.

import { h, svg } from './dom.js';
import { brief } from './format.js';

/** Points of a line that are drawn at most: more could not be seen. */
const MOST_POINTS = 400;

/** Rounds a span to steps that people count in. */
function stepsOf(low, high, many) {
  const rough = (high - low || 1) / many;
  const size = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map((factor) => factor * size).find((one) => one >= rough) ?? rough;
  const steps = [];
  for (let at = Math.ceil(low / step) * step; at <= high + step / 1e6 && steps.length < 12; at += step) steps.push(at);
  return steps;
}

/** Keeps the lowest and the highest of each stretch, so that no spike is lost. */
function thinned(points) {
  if (points.length <= MOST_POINTS) return points;
  const kept = [];
  const size = Math.ceil((points.length * 2) / MOST_POINTS);
  for (let at = 0; at < points.length; at += size) {
    const stretch = points.slice(at, at + size);
    const low = stretch.reduce((one, other) => (other[1] < one[1] ? other : one));
    const high = stretch.reduce((one, other) => (other[1] > one[1] ? other : one));
    kept.push(...(low[0] <= high[0] ? [low, high] : [high, low]));
  }
  return kept;
}

class Plot {
  #drawn = null;

  constructor({ label, height, data }) {
    this.height = height;
    this.node = h('figure', { class: 'plot', role: 'img', 'aria-label': label, data });
    this.node.style.height = `${height}px`;
    new ResizeObserver(() => this.#drawn && this.draw(...this.#drawn)).observe(this.node);
  }

  draw(...input) {
    this.#drawn = input;
    const width = this.node.clientWidth;
    if (width < 20) return;
    const root = svg('svg', { width, height: this.height, viewBox: `0 0 ${width} ${this.height}`, 'aria-hidden': 'true' });
    this.paint(root, width, ...input);
    this.node.replaceChildren(root, ...(this.overlay ? [this.overlay] : []));
  }
}

/** A line over time with an axis. `draw(points, {value, time})`: points are `[milliseconds, number]`; `time(at, span)` knows how long the axis is, 0 for a single point. */
export class LinePlot extends Plot {
  #tip = h('div', { class: 'plot-tip', hidden: true });
  #scale = null;

  constructor(options) {
    super(options);
    this.overlay = this.#tip;
    this.node.addEventListener('pointermove', (event) => this.#point(event));
    this.node.addEventListener('pointerleave', () => this.#leave());
  }

  paint(root, width, points, { value, time }) {
    const left = 8, right = 62, top = 10, bottom = 22;
    const values = points.map((point) => point[1]);
    let [low, high] = [Math.min(...values), Math.max(...values)];
    const margin = (high - low || Math.abs(high) * 0.001 || 1) * 0.08;
    [low, high] = [low - margin, high + margin];
    const [begin, end] = [points[0][0], points.at(-1)[0]];
    const x = (at) => left + ((at - begin) / (end - begin || 1)) * (width - left - right);
    const y = (at) => top + (1 - (at - low) / (high - low)) * (this.height - top - bottom);
    for (const step of stepsOf(low, high, this.height / 44)) {
      root.append(svg('line', { class: 'grid-line', x1: left, x2: width - right, y1: y(step), y2: y(step) }), svg('text', { class: 'tick', x: width - right + 8, y: y(step) + 4 }, value(step)));
    }
    const ticks = Math.max(1, Math.min(5, Math.floor((width - left - right) / 110)));
    for (let tick = 0; tick <= ticks; tick += 1) {
      const at = begin + ((end - begin) * tick) / ticks;
      const anchor = tick === 0 ? 'start' : tick === ticks ? 'end' : 'middle';
      root.append(svg('text', { class: 'tick', x: x(at), y: this.height - 5, 'text-anchor': anchor }, time(at, end - begin)));
    }
    const line = thinned(points).map(([at, number], index) => `${index ? 'L' : 'M'}${x(at).toFixed(1)} ${y(number).toFixed(1)}`).join('');
    root.append(svg('path', { class: 'area', d: `${line}L${x(end).toFixed(1)} ${this.height - bottom}L${x(begin).toFixed(1)} ${this.height - bottom}Z` }), svg('path', { class: 'line', d: line }), svg('circle', { class: 'last', cx: x(end), cy: y(points.at(-1)[1]), r: 3 }));
    const cross = svg('line', { class: 'cross', y1: top, y2: this.height - bottom, visibility: 'hidden' });
    const mark = svg('circle', { class: 'mark-point', r: 3.5, visibility: 'hidden' });
    root.append(cross, mark);
    this.#scale = { points, x, y, value, time, cross, mark, width };
  }

  #point(event) {
    if (!this.#scale) return;
    const { points, x, y, value, time, cross, mark, width } = this.#scale;
    const at = event.clientX - this.node.getBoundingClientRect().left;
    const near = points.reduce((one, other) => (Math.abs(x(other[0]) - at) < Math.abs(x(one[0]) - at) ? other : one));
    for (const [name, where] of [['x1', x(near[0])], ['x2', x(near[0])]]) cross.setAttribute(name, where);
    mark.setAttribute('cx', x(near[0]));
    mark.setAttribute('cy', y(near[1]));
    for (const node of [cross, mark]) node.setAttribute('visibility', 'visible');
    this.#tip.hidden = false;
    this.#tip.textContent = `${value(near[1])} · ${time(near[0], 0)}`;
    this.#tip.style.left = `${Math.min(width - 150, Math.max(0, x(near[0]) - 70))}px`;
  }

  #leave() {
    this.#tip.hidden = true;
    for (const node of [this.#scale?.cross, this.#scale?.mark]) node?.setAttribute('visibility', 'hidden');
  }
}

/** Bars around a line at zero. `draw(bars, {value})`: bars are `[label, number]`; a number that is null has no bar. */
export class BarPlot extends Plot {
  paint(root, width, bars, { value, tick }) {
    const right = 62, top = 10, bottom = 22;
    const numbers = bars.map((bar) => bar[1] ?? 0);
    const [low, high] = [Math.min(0, ...numbers), Math.max(0, ...numbers)];
    const span = high - low || 1;
    const y = (at) => top + (1 - (at - low) / span) * (this.height - top - bottom);
    const step = (width - right - 8) / bars.length;
    for (const line of stepsOf(low, high, this.height / 30)) {
      root.append(svg('line', { class: 'grid-line', x1: 8, x2: width - right, y1: y(line), y2: y(line) }), svg('text', { class: 'tick', x: width - right + 8, y: y(line) + 4 }, tick(line)));
    }
    const every = Math.ceil(58 / step);
    bars.forEach(([label, number], index) => {
      const x = 8 + index * step;
      if ((bars.length - 1 - index) % every === 0) root.append(svg('text', { class: 'tick', x: x + step / 2, y: this.height - 5, 'text-anchor': 'middle' }, label));
      if (number === null) return;
      const height = Math.max(1.5, Math.abs(y(number) - y(0)));
      const bar = svg('rect', { class: number < 0 ? 'bar-down' : 'bar-up', x: x + step * 0.15, width: Math.max(1, Math.min(36, step * 0.7)), y: number < 0 ? y(0) : y(0) - height, height, rx: 1.5 });
      bar.append(svg('title', {}, `${label}: ${value(number)}`));
      root.append(bar);
    });
    root.append(svg('line', { class: 'zero', x1: 8, x2: width - right, y1: y(0), y2: y(0) }));
  }
}

/** A line without axes for a small chart. `draw(points, span)`: `[milliseconds, number or null]` of the last `span` milliseconds. */
export class Spark extends Plot {
  paint(root, width, points, span) {
    const known = points.filter(([, value]) => value !== null);
    const high = Math.max(...known.map(([, value]) => value), 0) * 1.15 || 1;
    const now = points.at(-1)?.[0] ?? 0;
    const x = (at) => width - 4 - ((now - at) / span) * (width - 6);
    const y = (value) => this.height - 2 - (value / high) * (this.height - 6);
    root.append(svg('line', { class: 'zero', x1: 0, x2: width, y1: this.height - 1.5, y2: this.height - 1.5 }));
    for (const stretch of stretches(points, now - span)) {
      const line = stretch.map(([at, value], index) => `${index ? 'L' : 'M'}${x(at).toFixed(1)} ${y(value).toFixed(1)}`).join('');
      const [begin, end] = [x(stretch[0][0]).toFixed(1), x(stretch.at(-1)[0]).toFixed(1)];
      root.append(svg('path', { class: 'area', d: `${line}L${end} ${this.height - 1}L${begin} ${this.height - 1}Z` }), svg('path', { class: 'line', d: line }));
    }
    root.append(svg('text', { class: 'tick', x: 0, y: 10 }, `${brief(span / 60_000)} min`));
    const last = known.at(-1);
    if (last) root.append(svg('circle', { class: 'last', cx: x(last[0]), cy: y(last[1]), r: 2.5 }));
  }
}

/** The parts of a line: it is broken where nothing is known. */
function stretches(points, since) {
  const all = [[]];
  for (const point of points) {
    if (point[0] < since) continue;
    if (point[1] === null) all.push([]);
    else all.at(-1).push(point);
  }
  return all.filter((stretch) => stretch.length > 0);
}
