// The page that a test is in, or one that it plays where there is none: the network comes back, the page is seen again or goes.

/** `online()`, `shown()` and `hidden()` tell the client of such a moment. What was changed for it is restored after the test. */
export function pageOf(t) {
  if (globalThis.document === undefined) {
    const played = new EventTarget();
    Object.assign(globalThis, { window: played, document: played });
    t.after(() => {
      delete globalThis.window;
      delete globalThis.document;
    });
  }
  const { window, document } = globalThis;
  const see = (state) => {
    Object.defineProperty(document, 'visibilityState', { value: state, configurable: true });
    document.dispatchEvent(new Event('visibilitychange'));
  };
  t.after(() => { delete document.visibilityState; });
  return { online: () => window.dispatchEvent(new Event('online')), shown: () => see('visible'), hidden: () => see('hidden') };
}
