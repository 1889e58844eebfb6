/** What tests of the command line run it with: streams that remember, a clock that is moved by hand, and services that are played. */
import { createManifest, type Manifest } from '../content/manifest.ts';
import { createChunkLayout } from '../content/chunk-layout.ts';
import { createHash } from 'node:crypto';
import type { GetProgress, GetResult, NodeOptions, PeerNode } from '../peer/api.ts';
import type { TrackerClient, TrackerEntry } from '../peer/tracker-client.ts';
import { createInterrupt, type Interrupt, type SignalSource } from './interrupt.ts';
import { Output } from './output.ts';
import type { Terminal } from './progress-bar.ts';
import type { Clock } from './progress-pace.ts';
import { runArguments } from './run.ts';
import type { Runtime } from './runtime.ts';
import type { Services } from './services.ts';

export class FakeTerminal implements Terminal {
  readonly isTTY: boolean;
  columns: number;
  text = '';
  readonly #onResize = new Set<() => void>();
  #waiting: { readonly pattern: RegExp; readonly found: () => void }[] = [];

  constructor({ isTTY = false, columns = 80 }: { isTTY?: boolean; columns?: number } = {}) {
    this.isTTY = isTTY;
    this.columns = columns;
  }

  write(text: string): boolean {
    this.text += text;
    this.#waiting = this.#waiting.filter(({ pattern, found }) => {
      if (!pattern.test(this.text)) return true;
      found();
      return false;
    });
    return true;
  }

  on(_event: 'resize', listener: () => void): void {
    this.#onResize.add(listener);
  }

  off(_event: 'resize', listener: () => void): void {
    this.#onResize.delete(listener);
  }

  resize(columns: number): void {
    this.columns = columns;
    for (const listener of this.#onResize) listener();
  }

  get resizeListenerCount(): number {
    return this.#onResize.size;
  }

  /** Resolves when what was written so far matches. */
  shows(pattern: RegExp): Promise<void> {
    if (pattern.test(this.text)) return Promise.resolve();
    return new Promise((found) => this.#waiting.push({ pattern, found }));
  }

  get lines(): readonly string[] {
    return this.text.split('\n').slice(0, -1);
  }

  get events(): readonly Record<string, unknown>[] {
    return this.lines.map((line) => JSON.parse(line) as Record<string, unknown>);
  }
}

export class FakeClock implements Clock {
  nowMs = 0;
  #tasks: { readonly atMs: number; readonly task: () => void }[] = [];

  now(): number {
    return this.nowMs;
  }

  after(delayMs: number, task: () => void): () => void {
    const planned = { atMs: this.nowMs + delayMs, task };
    this.#tasks.push(planned);
    return () => {
      this.#tasks = this.#tasks.filter((other) => other !== planned);
    };
  }

  get plannedCount(): number {
    return this.#tasks.length;
  }

  advance(byMs: number): void {
    const endMs = this.nowMs + byMs;
    for (;;) {
      const next = this.#tasks.toSorted((a, b) => a.atMs - b.atMs)[0];
      if (next === undefined || next.atMs > endMs) break;
      this.nowMs = next.atMs;
      this.#tasks = this.#tasks.filter((other) => other !== next);
      next.task();
    }
    this.nowMs = endMs;
  }
}

export class FakeSignals implements SignalSource {
  readonly #listeners = new Map<string, Set<() => void>>();

  on(event: string, listener: () => void): void {
    this.#listeners.set(event, (this.#listeners.get(event) ?? new Set()).add(listener));
  }

  off(event: string, listener: () => void): void {
    this.#listeners.get(event)?.delete(listener);
  }

  send(event: string): void {
    for (const listener of this.#listeners.get(event) ?? []) listener();
  }

  get listenerCount(): number {
    return [...this.#listeners.values()].reduce((sum, listeners) => sum + listeners.size, 0);
  }
}

export interface FakeRun {
  readonly stdout: FakeTerminal;
  readonly stderr: FakeTerminal;
  readonly interrupt: Interrupt;
  readonly code: Promise<number>;
}

function stopped(): number {
  return 0;
}

/** Runs one command line against played services. */
export function runFake(args: readonly string[], services: Partial<Services> = {}, terminal = {}): FakeRun {
  const stdout = new FakeTerminal(terminal);
  const stderr = new FakeTerminal(terminal);
  const env = {};
  const interrupt = createInterrupt({ source: new FakeSignals(), now: stopped, exit: () => undefined });
  const runtime: Runtime = {
    output: new Output({ stdout, stderr, env, now: stopped }),
    interrupt,
    services: { ...noServices, ...services },
    env,
    now: stopped,
    wallClock: () => 1_000_000,
  };
  const streams = { writeOut: (text: string) => stdout.write(text), writeErr: (text: string) => stderr.write(text) };
  const code = runArguments(args, runtime, streams).finally(() => interrupt.close());
  return { stdout, stderr, interrupt, code };
}

function absent(): never {
  throw new Error('this test plays no such service');
}
const noServices: Services = {
  createNode: absent,
  startTracker: absent,
  backupTracker: (_dataDir, target) => Promise.resolve({ path: target, byteCount: 4_096, entryCount: 1 }),
  announceTracker: () => Promise.resolve({ close: () => Promise.resolve() }),
  lan: { isDefaultThere: () => Promise.resolve(true), findTrackers: () => Promise.resolve([]) },
  createTrackerClient: absent,
  hashFile: absent,
  readNodeStatuses: absent,
  findNodes: absent,
  findNodeFor: () => Promise.resolve(undefined),
};

/** A node whose methods do nothing unless given. */
export function fakeNode(parts: Partial<PeerNode> = {}): { node: PeerNode; closeCount: () => number } {
  let closes = 0;
  const node: PeerNode = {
    peerId: 'ab'.repeat(16),
    metricsUrl: undefined,
    address: '127.0.0.1:9001',
    share: () => Promise.resolve(),
    volunteer: absent,
    get: absent,
    status: absent,
    setLimits: absent,
    chunks: absent,
    close: () => {
      closes++;
      return Promise.resolve();
    },
    ...parts,
  };
  return { node, closeCount: () => closes };
}

/** Services with this node, which remember what it was made with. */
export function nodeServices(node: PeerNode): { services: Partial<Services>; options: NodeOptions[] } {
  const options: NodeOptions[] = [];
  const createNode = (given: NodeOptions): Promise<PeerNode> => {
    options.push(given);
    return Promise.resolve(node);
  };
  return { services: { createNode }, options };
}

export function clientServices(parts: Partial<TrackerClient>): Partial<Services> {
  const client = { url: 'http://127.0.0.1:9000', close: () => undefined, ...parts } as TrackerClient;
  return { createTrackerClient: () => Promise.resolve(client) };
}

const sha256 = (bytes: Uint8Array): Uint8Array => createHash('sha256').update(bytes).digest();

/** The manifest of some bytes. */
export function manifestOf(bytes: Uint8Array, chunkSize = 16_384): Manifest {
  const layout = createChunkLayout(bytes.length, chunkSize);
  const digests = Array.from({ length: layout.chunkCount }, (_, index) =>
    sha256(bytes.subarray(index * chunkSize, (index + 1) * chunkSize)),
  );
  return createManifest(layout, sha256(bytes), Buffer.concat(digests), sha256);
}

export function trackerEntry(parts: Partial<TrackerEntry> = {}): TrackerEntry {
  return {
    name: 'big.bin',
    size: 1_610_612_736,
    sha256: 'ab'.repeat(32),
    contentId: '',
    chunkSize: 1_048_576,
    chunkCount: 1536,
    publishedAtMs: 940_000,
    seeders: 2,
    replicas: 0,
    replicasReached: 0,
    replicaChunksMissing: 0,
    leechers: 1,
    volunteers: 0,
    ...parts,
  };
}

export function getProgress(parts: Partial<GetProgress> = {}): GetProgress {
  return {
    name: 'big3.bin',
    bytes: 0,
    total: 1000,
    bytesPerSecond: 100,
    peers: 2,
    etaSeconds: 10,
    stalled: null,
    bottleneck: 'source',
    reasons: { choked: 3 },
    ...parts,
  };
}

export function getResult(parts: Partial<GetResult> = {}): GetResult {
  return {
    name: 'big3.bin',
    path: '/tmp/big3.bin',
    size: 1_610_612_736,
    sha256: 'ab'.repeat(32) as GetResult['sha256'],
    content: '',
    seconds: 3.2204,
    bytesPerSecond: 5e8,
    resumedBytes: 0,
    peers: [
      {
        address: '127.0.0.1:9001',
        peer: 'cd'.repeat(16),
        bytes: 1_610_612_736,
        chunks: 1536,
        rttMs: 0.1234,
        seconds: 3.2204,
      },
    ],
    ...parts,
  };
}
