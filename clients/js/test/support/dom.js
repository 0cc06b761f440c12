// A DOM to render into: that of the page, and that of happy-dom in Node.

/** The window, and how to end it. */
export async function openDom() {
  if (globalThis.document !== undefined) return { window: globalThis.window, end: () => {} };
  const { Window } = await import('happy-dom');
  const window = new Window();
  Object.assign(globalThis, { window, document: window.document });
  return { window, end: () => window.happyDOM.abort() };
}
