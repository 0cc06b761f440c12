// Asks the server if a place is of its history.

import { CursorInvalidError } from './errors.js';

/** Resolves with the error if the server does not know the place. Null if it does, if there is no place to ask for, and if nobody answers. */
export async function placeRefusal(request, place) {
  if (place === null) return null;
  try {
    await request('/v1/events', { query: { cursor: place, limit: 1 } });
    return null;
  } catch (error) {
    return error instanceof CursorInvalidError ? error : null;
  }
}
