// JSON as the server has written it. A number of JavaScript has about 16 digits and forgets the zeros at its end; one of JSON has as many
// digits as it likes, and 1.50 is an amount.

/** Only a text in which this is found can have a number that JavaScript would write in another way. Postgres writes no exponents. */
const MAY_DIFFER = /[\d.]{16}|\.\d*0(?!\d)|\.0{6}/;

/** A number of JSON that is kept as its text. It counts as a number where one is wanted. */
export class ExactNumber {
  constructor(text) {
    this.text = text;
  }

  valueOf() {
    return Number(this.text);
  }

  toString() {
    return this.text;
  }

  toJSON() {
    return JSON.rawJSON(this.text);
  }
}

/** Browsers from before 2025 do not say how a number was written; there such numbers are rounded. */
function exactly(_, value, context) {
  const source = context?.source;
  return typeof value === 'number' && source !== undefined && String(value) !== source ? new ExactNumber(source) : value;
}

/** Parses a text of JSON. Numbers that JavaScript would write in another way become an `ExactNumber`. */
export function parseExact(text) {
  if (!MAY_DIFFER.test(text)) return JSON.parse(text);
  try {
    return JSON.parse(text, exactly);
  } catch (error) {
    // Nesting that a browser can read, but not go through value by value.
    if (error instanceof RangeError) return JSON.parse(text);
    throw error;
  }
}
