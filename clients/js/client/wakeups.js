// The moments at which a lost connection should be looked at: the network is back, or the page is seen again.

/** Calls back at such a moment, and when the page goes. Returns how to stop it. Does nothing where there is no page. */
export function watchPage({ onWake, onLeave }) {
  const [page, shown] = [globalThis.window, globalThis.document];
  if (typeof page?.addEventListener !== 'function' || typeof shown?.addEventListener !== 'function') return () => {};
  const onVisibility = () => (shown.visibilityState === 'visible' ? onWake() : onLeave());
  page.addEventListener('online', onWake);
  page.addEventListener('pageshow', onWake);
  page.addEventListener('pagehide', onLeave);
  shown.addEventListener('visibilitychange', onVisibility);
  return () => {
    page.removeEventListener('online', onWake);
    page.removeEventListener('pageshow', onWake);
    page.removeEventListener('pagehide', onLeave);
    shown.removeEventListener('visibilitychange', onVisibility);
  };
}
