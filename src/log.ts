/** Logs go to standard error as NDJSON, so that standard output stays the answer. `SHOAL_LOG` names the level. */
import { destination, levels, pino, type Logger } from 'pino';
import { ShoalError } from './errors.ts';

export type { Logger } from 'pino';

export interface LogOptions {
  /** Which part speaks: `tracker`, `peer`, ... */
  readonly name: string;
  /** Default: SHOAL_LOG, else `warn`. */
  readonly level?: string | undefined;
}

const REDACTED = ['token', '*.token', 'authorization', '*.authorization', 'req.headers.authorization'];

/** Throws `usage` for a level that does not exist. */
export function createLog({ name, level = process.env['SHOAL_LOG'] ?? 'warn' }: LogOptions): Logger {
  const known = [...Object.values(levels.labels), 'silent'];
  if (!known.includes(level))
    throw new ShoalError('usage', `${level} is not a log level: it takes ${known.join(', ')}`);
  return pino({ name, level, redact: REDACTED }, destination({ fd: 2, sync: true }));
}
