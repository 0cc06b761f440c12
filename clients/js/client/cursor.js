// Cursors, `<seq>.<tag>`: made of events, and compared. Uses no other module.

/** The cursor behind an event. */
export function cursorOf({ seq, id }) {
  return `${seq}.${id.slice(-8)}`;
}

/** True if this is an event as the server sends them, as far as the client relies on it. */
export function isEvent(value) {
  return Number.isSafeInteger(value?.seq) && typeof value.id === 'string' && typeof value.type === 'string';
}

/** The seq of a cursor; 0 of `earliest`, null of a word that is no place yet. */
export function seqOf(cursor) {
  if (cursor === null || cursor === undefined || cursor === 'latest') return null;
  if (cursor === 'earliest') return 0;
  const seq = Number(String(cursor).split('.', 1)[0]);
  return Number.isSafeInteger(seq) ? seq : null;
}
