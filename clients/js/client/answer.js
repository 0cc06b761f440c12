// Reads what all answers of the server have in common: problem documents and `Retry-After`.

/** A problem document is short. Anything longer is the page of a proxy, and is not read. */
const MAX_PROBLEM_CHARS = 64 * 1024;

/** The problem document of an answer, or null. */
export async function problemOf(answer) {
  try {
    const text = await answer.text();
    return text.length <= MAX_PROBLEM_CHARS ? JSON.parse(text) : null;
  } catch {
    return null;
  }
}

/** `Retry-After` in seconds, given as such or as a date; null without one. */
export function retryAfterOf(answer) {
  const text = answer.headers.get('retry-after');
  if (text === null) return null;
  if (/^\d+$/.test(text)) return Number(text);
  const date = Date.parse(text);
  return Number.isNaN(date) ? null : Math.max(0, (date - Date.now()) / 1000);
}
