/** Where a node keeps its index and its lock. The same shared paths give the same directory, so that a restart finds its index. */
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import { toHex } from '../content/digest.ts';
import { ShoalError } from '../errors.ts';
import * as limits from '../limits.ts';
import { sha256 } from './digest-chunk.ts';
import { acquireNodeLock, tryNodeLock, type NodeLock } from './node-lock.ts';

export interface DataDirectoryOptions {
  /** What the user asked for (`--data`); undefined: the default for the shared paths. */
  readonly explicit?: string | undefined;
  readonly sharedPaths: readonly string[];
  /** `SHOAL_DATA_HOME` and `XDG_DATA_HOME` are read. */
  readonly env: Readonly<Record<string, string | undefined>>;
}

/** `$SHOAL_DATA_HOME`, else `$XDG_DATA_HOME/shoal`, else `~/.local/share/shoal`: below it a user's nodes keep all they keep. */
export function dataHome(env: DataDirectoryOptions['env']): string {
  return resolve(setting(env, 'SHOAL_DATA_HOME') ?? join(setting(env, 'XDG_DATA_HOME') ?? homeData(), 'shoal'));
}

/** `<data home>/nodes/<12 hex>`. */
export function defaultDataDirectory(options: Omit<DataDirectoryOptions, 'explicit'>): string {
  const { sharedPaths, env } = options;
  const key = sharedPaths
    .map((path) => resolve(path))
    .toSorted()
    .join('\0');
  const digits = toHex(sha256(new TextEncoder().encode(key))).slice(0, 12);
  return join(dataHome(env), 'nodes', digits);
}

/**
 * Chooses and locks the data directory of a node. A default directory that another live node holds gives way to the next free of
 * `-2`, `-3`, ...; an explicit one throws `conflict`.
 */
export async function openDataDirectory(options: DataDirectoryOptions): Promise<NodeLock> {
  if (options.explicit !== undefined) return acquireNodeLock(resolve(options.explicit));
  const first = defaultDataDirectory(options);
  for (let number = 1; number <= limits.DATA_DIRECTORIES_MAX; number++) {
    const attempt = await tryNodeLock(number === 1 ? first : `${first}-${number}`);
    if (attempt.state === 'acquired') return attempt.lock;
  }
  throw new ShoalError('conflict', `${limits.DATA_DIRECTORIES_MAX} nodes share these paths already (${first})`, {
    hint: 'Stop some of them, or choose a directory with --data.',
  });
}

/** An empty variable counts as unset. */
function setting(env: DataDirectoryOptions['env'], name: string): string | undefined {
  const value = env[name];
  return value === undefined || value === '' ? undefined : value;
}

function homeData(): string {
  return join(homedir(), '.local', 'share');
}
