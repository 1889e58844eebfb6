/** A `shoal` of its own process, started through the launcher as a person would, and its events. */
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { ShoalError } from '../../errors.ts';

export type JsonEvent = Readonly<Record<string, unknown>>;

export interface ShoalProcess {
  readonly pid: number;
  /** Standard output so far. */
  readonly lines: readonly string[];
  /** The first event of this kind, whether it has come already or comes later; rejects when the process ends without. */
  event(kind: string): Promise<JsonEvent>;
  onEvent(listener: (event: JsonEvent) => void): void;
  /** Resolves when it has ended well; rejects with its own words otherwise. */
  ended(): Promise<void>;
  /** Asks it to end. */
  interrupt(): void;
  /** Ends it, kindly at first, and waits for that. Never rejects. */
  stop(): Promise<void>;
}

export interface ShoalProcessOptions {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly signal: AbortSignal;
}

const STOP_TIMEOUT_MS = 5_000;
const ERROR_CHARS_MAX = 2_000;

export function startShoal(args: readonly string[], { env, signal }: ShoalProcessOptions): ShoalProcess {
  const [command, ...first] = launcher();
  const child = spawn(command, [...first, ...args], { env, stdio: ['ignore', 'pipe', 'pipe'] });
  const killAtOnce = (): void => void child.kill('SIGKILL');
  process.once('exit', killAtOnce); // whatever ends us, it does not outlive us
  const lines: string[] = [];
  const events: JsonEvent[] = [];
  const listeners = new Set<(event: JsonEvent) => void>();
  let complaint = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    complaint = (complaint + text).slice(-ERROR_CHARS_MAX);
  });
  const reader = createInterface({ input: child.stdout });
  reader.on('line', (line) => {
    lines.push(line);
    const event = parseEvent(line);
    if (event === undefined) return;
    events.push(event);
    for (const listener of listeners) listener(event);
  });
  const closed = Promise.withResolvers<{ readonly problem: ShoalError | undefined }>();
  child.once('error', (cause) => closed.resolve({ problem: failed(args, cause.message, cause) }));
  child.once('close', (code, killedBy) => {
    const ok = code === 0 && killedBy === null;
    closed.resolve({ problem: ok ? undefined : failed(args, complaint.trim() || `exit code ${code ?? killedBy}`) });
  });

  const ended = async (): Promise<void> => {
    const { problem } = await closed.promise;
    if (signal.aborted) throw new ShoalError('cancelled', 'the demonstration was interrupted');
    if (problem !== undefined) throw problem;
  };
  const onAbort = (): void => void child.kill('SIGTERM');
  signal.addEventListener('abort', onAbort, { once: true });
  child.once('close', () => {
    signal.removeEventListener('abort', onAbort);
    process.off('exit', killAtOnce);
  });
  if (signal.aborted) onAbort();

  return {
    pid: child.pid ?? 0,
    lines,
    async event(kind) {
      const found = Promise.withResolvers<JsonEvent>();
      const listener = (event: JsonEvent): void => {
        if (event['event'] === kind) found.resolve(event);
      };
      for (const event of events) listener(event);
      listeners.add(listener);
      try {
        const tooEarly = async (): Promise<never> => {
          await ended();
          throw failed(args, `it ended before it was ${kind}`);
        };
        return await Promise.race([found.promise, tooEarly()]);
      } finally {
        listeners.delete(listener);
      }
    },
    onEvent: (listener) => void listeners.add(listener),
    ended,
    interrupt: () => void child.kill('SIGTERM'),
    async stop() {
      child.kill('SIGTERM');
      const timer = setTimeout(() => child.kill('SIGKILL'), STOP_TIMEOUT_MS);
      await closed.promise;
      clearTimeout(timer);
    },
  };
}

/** bin/shoal beside src/ or dist/; on Windows its portable twin under this Node. */
function launcher(): readonly [string, ...string[]] {
  const bins = ['../bin/', '../../../bin/'].map((up) => new URL(up, import.meta.url));
  const bin = bins.find((folder) => existsSync(new URL('shoal', folder)));
  if (bin === undefined) throw new ShoalError('bug', `bin/shoal is not where it should be: ${bins.join(', ')}`);
  if (process.platform !== 'win32') return [fileURLToPath(new URL('shoal', bin))];
  return [process.execPath, fileURLToPath(new URL('shoal.cjs', bin))];
}

function parseEvent(line: string): JsonEvent | undefined {
  if (!line.startsWith('{')) return undefined;
  try {
    return JSON.parse(line) as JsonEvent;
  } catch {
    return undefined; // not an event: `lines` has it
  }
}

function failed(args: readonly string[], why: string, cause?: unknown): ShoalError {
  return new ShoalError('bug', `shoal ${args[0] ?? ''} ended unexpectedly: ${why}`, { cause });
}
