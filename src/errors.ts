/**
 * The one error type of Shoal. A code says what kind of thing went wrong, a fault says who is to blame, and one table maps
 * every code to the exit code of the command line, the HTTP status and the RPC code. Messages say what happened, to what,
 * and what to do about it; nothing of the process (stack, paths of the program) belongs in them.
 */

/** Who is to blame: bad input from the caller, a peer that broke the rules, something that went away, a limit of ours, a bug. */
export type Fault = 'input' | 'peer' | 'gone' | 'limit' | 'bug';

/** What each code means to the outside. `exit` is the contract of the command line, `http` that of REST, `rpc` the name of the gRPC code. */
export const ERROR_TABLE = {
  usage: { fault: 'input', exit: 2, http: 400, rpc: 'invalid_argument' },
  'no-such-name': { fault: 'input', exit: 3, http: 404, rpc: 'not_found' },
  'unknown-peer': { fault: 'input', exit: 1, http: 404, rpc: 'not_found' },
  conflict: { fault: 'input', exit: 2, http: 409, rpc: 'already_exists' },
  'no-source': { fault: 'gone', exit: 4, http: 503, rpc: 'unavailable' },
  stalled: { fault: 'gone', exit: 4, http: 503, rpc: 'unavailable' },
  integrity: { fault: 'peer', exit: 5, http: 422, rpc: 'data_loss' },
  'tracker-unreachable': { fault: 'gone', exit: 6, http: 503, rpc: 'unavailable' },
  unauthenticated: { fault: 'input', exit: 7, http: 401, rpc: 'unauthenticated' },
  'not-allowed': { fault: 'input', exit: 7, http: 403, rpc: 'permission_denied' },
  'no-space': { fault: 'limit', exit: 8, http: 507, rpc: 'resource_exhausted' },
  limit: { fault: 'limit', exit: 1, http: 429, rpc: 'resource_exhausted' },
  'too-large': { fault: 'input', exit: 2, http: 413, rpc: 'resource_exhausted' },
  protocol: { fault: 'peer', exit: 1, http: 502, rpc: 'internal' },
  'peer-gone': { fault: 'gone', exit: 4, http: 503, rpc: 'unavailable' },
  cancelled: { fault: 'input', exit: 130, http: 499, rpc: 'cancelled' },
  disk: { fault: 'gone', exit: 1, http: 500, rpc: 'internal' },
  bug: { fault: 'bug', exit: 1, http: 500, rpc: 'internal' },
} as const satisfies Record<string, { fault: Fault; exit: number; http: number; rpc: string }>;

export type ErrorCode = keyof typeof ERROR_TABLE;

export class ShoalError extends Error {
  readonly code: ErrorCode;
  /** One sentence that tells a person what to do next; empty when there is nothing to do. */
  readonly hint: string;

  constructor(code: ErrorCode, message: string, options: { cause?: unknown; hint?: string } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'ShoalError';
    this.code = code;
    this.hint = options.hint ?? '';
  }

  get fault(): Fault {
    return ERROR_TABLE[this.code].fault;
  }

  get exitCode(): number {
    return ERROR_TABLE[this.code].exit;
  }

  /** Wraps anything that was thrown; what is not a ShoalError is a bug, and keeps its cause. */
  static from(thrown: unknown): ShoalError {
    if (thrown instanceof ShoalError) return thrown;
    if (thrown instanceof Error) return new ShoalError('bug', thrown.message, { cause: thrown });
    return new ShoalError('bug', String(thrown), { cause: thrown });
  }
}

/** The `code` of a Node system error (`ENOENT`, `ECONNREFUSED`, ...), or '' for anything else. */
export function systemErrorCode(thrown: unknown): string {
  if (typeof thrown !== 'object' || thrown === null || !('code' in thrown)) return '';
  return typeof thrown.code === 'string' ? thrown.code : '';
}
