// Reads what all answers of the server have in common: problem documents and `Retry-After`.

/** A problem document is short. Anything longer is the page of a proxy, and is not read. */
const MAX_PROBLEM_BYTES = 64 * 1024;

/** The problem document of an answer, or null. */
export async function problemOf(answer) {
  try {
    return JSON.parse(await shortText(answer));
  } catch {
    return null;
  }
}

/** The body of an answer as text; null of one that is too long, which is read no further. */
async function shortText(answer) {
  const reader = answer.body.getReader();
  const decoder = new TextDecoder();
  let [text, bytes] = ['', 0];
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return text + decoder.decode();
    bytes += value.length;
    if (bytes > MAX_PROBLEM_BYTES) {
      reader.cancel().catch(() => {});
      return null;
    }
    text += decoder.decode(value, { stream: true });
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
