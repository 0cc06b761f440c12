// The errors of the client, and the one that an answer or a close code of the server stands for. Uses no other module.

export class RowcastError extends Error {
  constructor(message, { code = 'error', status = null, closeCode = null, retryAfter = null, requestId = null, cause } = {}) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = new.target.name;
    this.code = code;
    this.status = status;
    this.closeCode = closeCode;
    this.retryAfter = retryAfter;
    this.requestId = requestId;
  }
}

export class BadRequestError extends RowcastError {}
export class UnauthorizedError extends RowcastError {}
export class ForbiddenError extends RowcastError {}
export class NotFoundError extends RowcastError {}
export class ConflictError extends RowcastError {
  constructor(message, details = {}) {
    super(message, details);
    this.state = details.state ?? null;
  }
}
export class InvalidError extends RowcastError {
  constructor(message, details = {}) {
    super(message, details);
    this.index = details.index ?? null;
  }
}
export class CursorExpiredError extends RowcastError {
  constructor(message, details = {}) {
    super(message, details);
    this.oldest = details.oldest ?? null;
  }
}
export class CursorInvalidError extends RowcastError {}
export class RateLimitedError extends RowcastError {}
export class StalledError extends RowcastError {}
export class UnavailableError extends RowcastError {}
export class NetworkError extends RowcastError {}
export class TimeoutError extends RowcastError {}
export class MismatchError extends RowcastError {}
export class TokenError extends RowcastError {}
export class ClosedError extends RowcastError {}

const BY_CODE = {
  cursor_expired: CursorExpiredError,
  cursor_invalid: CursorInvalidError,
  stalled: StalledError,
  unauthorized: UnauthorizedError,
  token_expired: UnauthorizedError,
  forbidden: ForbiddenError,
  revoked: ForbiddenError,
  rate_limited: RateLimitedError,
  timeout: TimeoutError,
};

const BY_STATUS = {
  400: BadRequestError,
  401: UnauthorizedError,
  403: ForbiddenError,
  404: NotFoundError,
  408: TimeoutError,
  409: ConflictError,
  410: CursorExpiredError,
  413: InvalidError,
  415: InvalidError,
  422: InvalidError,
  429: RateLimitedError,
};

const BY_CLOSE = {
  4400: BadRequestError,
  4401: UnauthorizedError,
  4403: ForbiddenError,
  4408: TimeoutError,
  4409: StalledError,
  4410: CursorExpiredError,
  4411: CursorInvalidError,
  4429: RateLimitedError,
  1011: UnavailableError,
  1012: UnavailableError,
};

const CODE_OF_CLOSE = {
  4400: 'bad_request',
  4401: 'unauthorized',
  4403: 'forbidden',
  4408: 'timeout',
  4409: 'stalled',
  4410: 'cursor_expired',
  4411: 'cursor_invalid',
  4429: 'rate_limited',
  1011: 'internal',
  1012: 'draining',
};

/** The error of an HTTP answer and its problem document, which may be missing. */
export function errorOfAnswer(status, problem, { retryAfter = null, requestId = null } = {}) {
  const body = problem !== null && typeof problem === 'object' ? problem : {};
  // Of an answer that was cut within its first line, a browser shows as its status what came of it.
  if (status < 200 && body.code === undefined) return brokenOff();
  const code = typeof body.code === 'string' ? body.code : `http_${status}`;
  const Kind = BY_CODE[code] ?? BY_STATUS[status] ?? (status >= 500 ? UnavailableError : RowcastError);
  const message = body.detail ?? body.title ?? `The server answered ${status}.`;
  return new Kind(message, { ...body, code, status, retryAfter, requestId: body.request_id ?? requestId });
}

/** An answer of which not everything came. */
export function brokenOff(cause) {
  return new NetworkError('The answer broke off.', { code: 'network', cause });
}

/** The error of the end of a stream: a close code, and the `error` frame that came before it, if one did. */
export function errorOfClose(closeCode, frame) {
  const code = frame?.code ?? CODE_OF_CLOSE[closeCode] ?? 'network';
  const Kind = BY_CODE[code] ?? BY_CLOSE[closeCode] ?? NetworkError;
  const message = frame?.message ?? (Kind === NetworkError ? 'The connection is lost.' : `The server closed the stream: ${code}.`);
  return new Kind(message, { code, closeCode, retryAfter: frame?.retry_after ?? null, oldest: frame?.oldest });
}

/** The servers that have answered, and so let this page in. */
const known = new Set();

export function hasAnswered(url) {
  known.add(originOf(url));
}

/** A connection that could not be made. In a page of another origin the reason is often that the server does not let it in, unless it has before. */
export function unreachable(url, cause) {
  const [page, origin] = [globalThis.location?.origin, originOf(url)];
  let message = `No connection to ${origin}.`;
  if (page !== undefined && page !== 'null' && page !== origin && !known.has(origin)) {
    message += ` If the server runs, it may not let pages of ${page} in: add that to ROWCAST_ALLOWED_ORIGINS.`;
  }
  return new NetworkError(message, { code: 'network', cause });
}

function originOf(url) {
  return new URL(url.replace(/^ws/, 'http')).origin;
}

/** Errors after which the same request may succeed later. */
export function isPassing(error) {
  return (
    error instanceof NetworkError ||
    error instanceof TimeoutError ||
    error instanceof RateLimitedError ||
    error instanceof StalledError ||
    error instanceof UnavailableError ||
    error instanceof MismatchError ||
    error instanceof TokenError
  );
}
