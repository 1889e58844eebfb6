/**
 * Real processes of a benchmark: started, listened to (one JSON event a line on standard output), measured, and all of them ended when
 * the benchmark ends, whatever ends it. Knows nothing of what they run.
 */
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { ShoalError } from '../src/errors.ts';
import { cpuSecondsOf, cpuSecondsOfEnded, watchMemory, type Memory } from './process-usage.ts';

export type JsonEvent = Readonly<Record<string, unknown>>;

export interface SeenEvent {
  readonly event: JsonEvent;
  /** When its line arrived, on the clock of `performance.now()`. */
  readonly atMs: number;
}

export interface BenchProcess {
  readonly name: string;
  readonly pid: number;
  /** Just before it was started, on the clock of `performance.now()`. */
  readonly startedAtMs: number;
  /** The first event of this kind, come or to come. Rejects when the process ends without, or after `timeoutMs`. */
  event(kind: string, timeoutMs?: number): Promise<SeenEvent>;
  /** Calls for every event from now on. */
  watch(listener: (seen: SeenEvent) => void): void;
  /** As `kill` does it. */
  signal(signal: NodeJS.Signals): void;
  /** Resolves with the time of its end when it ended well; rejects with its own last words otherwise. */
  ended(timeoutMs?: number): Promise<{ readonly atMs: number }>;
  /** The beginning of what it has written to standard output. */
  output(): string;
  cpuSeconds(): number | undefined;
  peakMemory(): Memory | undefined;
  /** Ends it, kindly at first. Resolves when it is gone; never rejects. */
  stop(): Promise<void>;
}

export interface MeasuredRun {
  readonly wallSeconds: number;
  /** Of the process and what it started. */
  readonly cpuSeconds: number | undefined;
  readonly peakMemory: Memory | undefined;
  /** The beginning of what it wrote to standard output. */
  readonly output: string;
  event(kind: string): Promise<SeenEvent>;
}

/** Processes that ran one after the other, as one: times add up, the largest memory counts, the rest is the last one's. */
export function inSuccession(first: MeasuredRun, ...rest: readonly MeasuredRun[]): MeasuredRun {
  return rest.reduce(
    (all, next): MeasuredRun => ({
      ...next,
      wallSeconds: all.wallSeconds + next.wallSeconds,
      cpuSeconds:
        all.cpuSeconds === undefined || next.cpuSeconds === undefined ? undefined : all.cpuSeconds + next.cpuSeconds,
      peakMemory: (all.peakMemory?.ownBytes ?? 0) > (next.peakMemory?.ownBytes ?? 0) ? all.peakMemory : next.peakMemory,
    }),
    first,
  );
}

const STOP_TIMEOUT_MS = 5_000;
const EVENT_TIMEOUT_MS = 120_000;
const RUN_TIMEOUT_MS = 600_000;
const ERROR_CHARS_MAX = 2_000;
const OUTPUT_CHARS_MAX = 2_000;

export class ProcessGroup {
  readonly #running = new Map<BenchProcess, () => void>();
  #closed = false;

  constructor() {
    // whatever ends the benchmark, its processes do not outlive it
    process.once('exit', () => {
      for (const killAtOnce of this.#running.values()) killAtOnce();
    });
  }

  /** Throws `cancelled` once the group is closed. */
  start(name: string, command: string, args: readonly string[], env: NodeJS.ProcessEnv = process.env): BenchProcess {
    if (this.#closed) throw new ShoalError('cancelled', `the benchmark is ending: ${name} is not started any more`);
    const { handle, killAtOnce, gone } = startProcess({ name, command, args, env });
    this.#running.set(handle, killAtOnce);
    void gone.finally(() => this.#running.delete(handle));
    return handle;
  }

  /** Runs one process to its end. Exact CPU seconds need that no other process of ours ends meanwhile. */
  async measure(
    name: string,
    command: string,
    args: readonly string[],
    env: NodeJS.ProcessEnv = process.env,
  ): Promise<MeasuredRun> {
    const before = cpuSecondsOfEnded();
    const started = this.start(name, command, args, env);
    const { atMs } = await started.ended();
    const after = cpuSecondsOfEnded();
    return {
      wallSeconds: (atMs - started.startedAtMs) / 1000,
      cpuSeconds: before === undefined || after === undefined ? undefined : after - before,
      peakMemory: started.peakMemory(),
      output: started.output(),
      event: (kind) => started.event(kind),
    };
  }

  /** Ends every process that still runs, and lets none start after. */
  async close(): Promise<void> {
    this.#closed = true;
    await Promise.all([...this.#running.keys()].map((running) => running.stop()));
  }
}

function startProcess(options: {
  readonly name: string;
  readonly command: string;
  readonly args: readonly string[];
  readonly env: NodeJS.ProcessEnv;
}): { readonly handle: BenchProcess; readonly killAtOnce: () => void; readonly gone: Promise<unknown> } {
  const { name, command, args, env } = options;
  const startedAtMs = performance.now();
  const child = spawn(command, args, { env, stdio: ['ignore', 'pipe', 'pipe'] });
  const pid = child.pid ?? 0;
  const killAtOnce = (): void => void child.kill('SIGKILL');
  const memory = watchMemory(pid);

  let complaint = '';
  let output = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    complaint = (complaint + text).slice(-ERROR_CHARS_MAX);
  });
  // only the first event of each kind is kept: progress may come ten times a second
  const seen = new Map<string, SeenEvent>();
  const waiting = new Map<string, PromiseWithResolvers<SeenEvent>>();
  const listeners: ((seen: SeenEvent) => void)[] = [];
  createInterface({ input: child.stdout }).on('line', (line) => {
    if (output.length < OUTPUT_CHARS_MAX) output += `${line}\n`;
    const event = parseEvent(line);
    const kind = event?.['event'];
    if (event === undefined || typeof kind !== 'string') return;
    const now = { event, atMs: performance.now() };
    for (const listener of listeners) listener(now);
    if (seen.has(kind)) return;
    seen.set(kind, now);
    waiting.get(kind)?.resolve(now);
  });

  let endedAtMs = Number.NaN;
  const end = Promise.withResolvers<{ readonly problem: ShoalError | undefined }>();
  const fail = (why: string, cause?: unknown): ShoalError => new ShoalError('bug', `${name}: ${why}`, { cause });
  child.once('error', (cause) => end.resolve({ problem: fail(`${command} does not start: ${cause.message}`, cause) }));
  child.once('exit', () => {
    endedAtMs = performance.now();
  });
  child.once('close', (code, signal) => {
    const ok = code === 0 && signal === null;
    const last = seen.get('error')?.event['message'];
    const words = typeof last === 'string' ? last : complaint.trim();
    end.resolve({ problem: ok ? undefined : fail(`ended with ${signal ?? `exit code ${code}`}: ${words}`) });
  });
  const gone = end.promise.finally(() => memory.close());

  const ended = async (timeoutMs: number = RUN_TIMEOUT_MS): Promise<{ atMs: number }> => {
    const { problem } = await within(end.promise, timeoutMs, () => fail(`still runs after ${timeoutMs / 1000} s`));
    if (problem !== undefined) throw problem;
    return { atMs: endedAtMs };
  };
  const handle: BenchProcess = {
    name,
    pid,
    startedAtMs,
    async event(kind, timeoutMs = EVENT_TIMEOUT_MS) {
      const already = seen.get(kind);
      if (already !== undefined) return already;
      const found = waiting.get(kind) ?? Promise.withResolvers<SeenEvent>();
      waiting.set(kind, found);
      const tooEarly = async (): Promise<SeenEvent> => {
        const { problem } = await end.promise;
        throw problem ?? fail(`ended before its event "${kind}"`);
      };
      const late = (): ShoalError => fail(`no event "${kind}" within ${timeoutMs / 1000} s. ${complaint.trim()}`);
      return await within(Promise.race([found.promise, tooEarly()]), timeoutMs, late);
    },
    watch: (listener) => void listeners.push(listener),
    signal: (signal) => void child.kill(signal),
    ended,
    output: () => output,
    cpuSeconds: () => cpuSecondsOf(pid),
    peakMemory: () => memory.peak(),
    async stop() {
      child.kill('SIGTERM');
      const timer = setTimeout(killAtOnce, STOP_TIMEOUT_MS);
      await end.promise;
      clearTimeout(timer);
    },
  };
  return { handle, killAtOnce, gone };
}

async function within<T>(promise: Promise<T>, timeoutMs: number, error: () => ShoalError): Promise<T> {
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(() => late.reject(error()), timeoutMs);
  try {
    return await Promise.race([promise, late.promise]);
  } finally {
    clearTimeout(timer);
  }
}

function parseEvent(line: string): JsonEvent | undefined {
  if (!line.startsWith('{')) return undefined;
  try {
    return JSON.parse(line) as JsonEvent;
  } catch {
    return undefined; // a program's ordinary words
  }
}
