// A proxy that misbehaves, for a page: as support/proxy.js, by calls. The functions that say how stay in the page, and are asked from there.

import { call } from './control.js';

export async function startProxy(target, faults = () => ({})) {
  const proxy = { connections: 0, faults };
  const ask = (number) => {
    proxy.connections = number + 1;
    return proxy.faults(number);
  };
  const { url, cut, close, setDown } = await call('startProxy', target, ask);
  let isDown = false;
  const set = (value) => {
    isDown = value;
    setDown(value);
  };
  return Object.defineProperty(Object.assign(proxy, { url, cut, close }), 'isDown', { get: () => isDown, set });
}
