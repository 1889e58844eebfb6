/** One `shoal` of its own process, started through the launcher as a person would: its events, its output, its end. */
import { spawn, type ChildProcess } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { within } from './deadline.ts';

export type JsonEvent = Readonly<Record<string, unknown>> & { readonly event: string };

export interface TimedEvent {
  readonly event: JsonEvent;
  /** When it came, on the clock of `performance.now`. */
  readonly atMs: number;
}

export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export interface ShoalProcess {
  readonly pid: number;
  readonly args: readonly string[];
  /** What came so far, in order. */
  readonly events: readonly TimedEvent[];
  readonly stdout: Buffer;
  readonly stderr: string;
  /** Undefined while it runs. */
  readonly exit: Exit | undefined;
  /** The first event of this kind, whether it has come already or comes later; fails when the process ends without. */
  event(kind: string, timeoutMs?: number): Promise<JsonEvent>;
  /** The first event that matches. */
  eventWhere(matches: (event: JsonEvent) => boolean, what: string, timeoutMs?: number): Promise<JsonEvent>;
  ended(timeoutMs?: number): Promise<Exit>;
  kill(signal: NodeJS.Signals): void;
  /** Asks it to end, and waits for that. A process that does not end in time is killed, and that is a failure. */
  end(signal?: NodeJS.Signals): Promise<Exit>;
}

export interface StartOptions {
  readonly env: Readonly<Record<string, string>>;
  readonly cwd: string;
  /** Standard output is a file's bytes: events come on standard error. */
  readonly stdoutIsData?: boolean;
  /** The command; that of this tree unless another is tried. */
  readonly launcher?: string;
}

const LAUNCHER = fileURLToPath(new URL('../../bin/shoal', import.meta.url));
/** No scenario is slow: this is for machines that do much else. */
const EVENT_TIMEOUT_MS = 60_000;
const END_TIMEOUT_MS = 20_000;

/** Everything that runs, so that nothing outlives the tests even when they crash. */
const running = new Set<ChildProcess>();
process.once('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});

export function startShoal(
  args: readonly string[],
  { env, cwd, stdoutIsData = false, launcher = LAUNCHER }: StartOptions,
): ShoalProcess {
  const child = spawn(launcher, args, { env, cwd, stdio: ['ignore', 'pipe', 'pipe'] });
  running.add(child);
  const out: Buffer[] = [];
  let stderr = '';
  const events: TimedEvent[] = [];
  const listeners = new Set<() => void>();
  let exit: Exit | undefined;
  const closed = Promise.withResolvers<Exit>();

  const takeLine = (line: string): void => {
    const event = parseEvent(line);
    if (event === undefined) return;
    events.push({ event, atMs: performance.now() });
    for (const listener of listeners) listener();
  };
  const outLines = createLines(takeLine);
  const errLines = createLines(takeLine);
  child.stdout.on('data', (bytes: Buffer) => {
    out.push(bytes);
    if (!stdoutIsData) outLines(bytes.toString('utf8'));
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
    if (stdoutIsData) errLines(text);
  });
  child.once('error', (error) => closed.reject(error));
  child.once('close', (code, signal) => {
    running.delete(child);
    exit = { code, signal };
    const [warning] = /^\(node:\d+\) .*$/mu.exec(stderr) ?? [];
    if (warning === undefined) closed.resolve(exit);
    else closed.reject(new Error(`people who run shoal ${args.join(' ')} are told what is ours to mend: ${warning}`));
    for (const listener of listeners) listener();
  });
  closed.promise.catch(() => undefined);

  const story = (): string => {
    const last = events.slice(-3).map(({ event }) => JSON.stringify(event));
    return `shoal ${args.join(' ')}\nlast events: ${last.join(' ')}\nstderr: ${stderr.slice(-1_000)}\nexit: ${JSON.stringify(exit)}`;
  };
  const self: ShoalProcess = {
    pid: child.pid ?? 0,
    args,
    events,
    get stdout() {
      return Buffer.concat(out);
    },
    get stderr() {
      return stderr;
    },
    get exit() {
      return exit;
    },
    event: (kind, timeoutMs) => self.eventWhere((event) => event.event === kind, `the event ${kind}`, timeoutMs),
    async eventWhere(matches, what, timeoutMs = EVENT_TIMEOUT_MS) {
      const found = Promise.withResolvers<JsonEvent>();
      let seen = 0;
      const look = (): void => {
        for (; seen < events.length; seen++) {
          const one = events[seen]?.event;
          if (one !== undefined && matches(one)) found.resolve(one);
        }
        if (exit !== undefined) found.reject(new Error(`it ended without ${what}: ${story()}`));
      };
      listeners.add(look);
      try {
        look();
        return await within(found.promise, timeoutMs, () => `${what} of ${story()}`);
      } finally {
        listeners.delete(look);
      }
    },
    ended: (timeoutMs = EVENT_TIMEOUT_MS) => within(closed.promise, timeoutMs, () => `the end of ${story()}`),
    kill: (signal) => void child.kill(signal),
    async end(signal = 'SIGTERM') {
      child.kill(signal);
      try {
        return await self.ended(END_TIMEOUT_MS);
      } catch (error) {
        child.kill('SIGKILL');
        await closed.promise;
        throw error;
      }
    },
  };
  return self;
}

/** Cuts text that comes in pieces into lines. */
function createLines(onLine: (line: string) => void): (text: string) => void {
  let rest = '';
  return (text) => {
    const lines = (rest + text).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) onLine(line);
  };
}

/** An event is an object on one line; documents span several. */
function parseEvent(line: string): JsonEvent | undefined {
  if (!line.startsWith('{"event":')) return undefined;
  try {
    return JSON.parse(line) as JsonEvent;
  } catch {
    return undefined;
  }
}
