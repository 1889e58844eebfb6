/**
 * One scenario's world: a folder of its own, and the processes in it. When the test ends, well or not, every process is asked to
 * end and has to, and nothing is left of it on the machine.
 */
import { existsSync } from 'node:fs';
import { link, mkdir, mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { writeSeededFile } from './contents.ts';
import { startShoal, type JsonEvent, type ShoalProcess } from './processes.ts';

/** What a world needs of the test it is made for: the context that vitest hands to a test. */
export interface WorldTest {
  readonly onTestFinished: (cleanUp: () => Promise<void>, timeoutMs?: number) => void;
}

export interface StartedTracker {
  readonly url: string;
  readonly process: ShoalProcess;
}

export interface StartedShare {
  /** `host:port` and peer id, as the node says them. */
  readonly address: string;
  readonly peer: string;
  readonly process: ShoalProcess;
}

export interface DoneEvent extends JsonEvent {
  readonly name: string;
  readonly path: string;
  readonly size: number;
  readonly sha256: string;
  readonly content: string;
  readonly seconds: number;
  readonly bytesPerSecond: number;
  readonly resumedBytes: number;
  readonly peers: readonly {
    readonly address: string;
    readonly peer: string;
    readonly bytes: number;
    readonly chunks: number;
    readonly rttMs: number | null;
  }[];
}

export interface RunOptions {
  /** Where the process keeps its data; a fresh folder unless the scenario wants to go on with an old one. */
  readonly home?: string;
  readonly stdoutIsData?: boolean;
  /** More variables of its environment. */
  readonly env?: Readonly<Record<string, string>>;
  /** How long a share may take to hash and announce what it was given. */
  readonly readyTimeoutMs?: number;
}

export interface World {
  readonly folder: string;
  /** TMPDIR of every process. */
  readonly tmp: string;
  /** Makes a folder below this world. */
  dir(name: string): Promise<string>;
  /** Writes a file of seeded bytes into a folder of this world, with links to it in others. */
  file(name: string, size: number, seed: number, folders?: readonly string[]): Promise<SharedFile>;
  run(args: readonly string[], options?: RunOptions): ShoalProcess;
  tracker(flags?: readonly string[]): Promise<StartedTracker>;
  /** Resolves when everything is announced. */
  share(
    tracker: StartedTracker,
    paths: readonly string[],
    flags?: readonly string[],
    options?: RunOptions,
  ): Promise<StartedShare>;
  get(tracker: StartedTracker, what: string, flags?: readonly string[], options?: RunOptions): ShoalProcess;
}

export interface SharedFile {
  readonly name: string;
  readonly size: number;
  readonly sha256: string;
  /** One in each folder. */
  readonly paths: readonly string[];
}

/** Time for processes that have to say goodbye to each other. */
const CLEAN_UP_TIMEOUT_MS = 45_000;

export interface WorldOptions {
  /** The command that is run; that of this tree unless another is tried. */
  readonly launcher?: string;
  /** PATH of every process. */
  readonly path?: string;
}

export async function createWorld(
  { onTestFinished }: WorldTest,
  { launcher, path: searchPath = process.env['PATH'] ?? '' }: WorldOptions = {},
): Promise<World> {
  const folder = await mkdtemp(join(tmpdir(), 'shoal-e2e-'));
  const processes: ShoalProcess[] = [];
  onTestFinished(() => endWorld(folder, processes), CLEAN_UP_TIMEOUT_MS);
  const tmp = join(folder, 'tmp');
  await mkdir(tmp);
  let homes = 0;

  const world: World = {
    folder,
    tmp,
    async dir(name) {
      const path = join(folder, name);
      await mkdir(path, { recursive: true });
      return path;
    },
    async file(name, size, seed, folders = ['shared']) {
      const paths: string[] = [];
      for (const one of folders) paths.push(join(await world.dir(one), name));
      const [first = '', ...others] = paths;
      const sha256 = await writeSeededFile(first, size, seed);
      for (const path of others) await link(first, path);
      return { name, size, sha256, paths };
    },
    run(args, { home = join(folder, `home-${homes++}`), stdoutIsData = false, env: more = {} } = {}) {
      const env = {
        PATH: searchPath,
        HOME: home,
        SHOAL_DATA_HOME: home,
        TMPDIR: tmp,
        // the one thing that may be shared: what Node has compiled before
        NODE_COMPILE_CACHE: join(tmpdir(), 'node-compile-cache'),
        NO_COLOR: '1',
        // nobody outside of the test is looked for
        SHOAL_MDNS: 'off',
        ...more,
      };
      const started = startShoal(args, {
        env,
        cwd: folder,
        stdoutIsData,
        ...(launcher === undefined ? {} : { launcher }),
      });
      processes.push(started);
      return started;
    },
    async tracker(flags = ['--port', '0', '--store', 'memory']) {
      const started = world.run(['tracker', '--json', '--host', '127.0.0.1', ...flags]);
      return { url: String((await started.event('listening'))['url']), process: started };
    },
    async share(tracker, paths, flags = [], options) {
      const listen = flags.includes('--listen') ? [] : ['--listen', '127.0.0.1:0'];
      const started = world.run(['share', '--json', '--tracker', tracker.url, ...listen, ...flags, ...paths], options);
      const listening = await started.event('listening');
      await started.event('ready', options?.readyTimeoutMs);
      return { address: String(listening['address']), peer: String(listening['peer']), process: started };
    },
    get(tracker, what, flags = [], options) {
      return world.run(['get', what, '--json', '--tracker', tracker.url, '--listen', '127.0.0.1:0', ...flags], options);
    },
  };
  return world;
}

/** Waits for the good end of a download. */
export async function doneOf(get: ShoalProcess, timeoutMs?: number): Promise<DoneEvent> {
  const done = await get.event('done', timeoutMs);
  return done as DoneEvent;
}

async function endWorld(folder: string, processes: readonly ShoalProcess[]): Promise<void> {
  const alive = processes.filter(({ exit }) => exit === undefined);
  const ends = await Promise.allSettled(alive.map((one) => one.end()));
  const left = await processesOf(folder);
  await rm(folder, { recursive: true, force: true });
  for (const end of ends) if (end.status === 'rejected') throw end.reason;
  if (left.length > 0) throw new Error(`processes ${left.join(', ')} of this scenario are still there`);
  if (existsSync(folder)) throw new Error(`${folder} is still there`);
}

/** Whatever runs with this world's folder in its environment; only Linux can tell. */
async function processesOf(folder: string): Promise<string[]> {
  if (process.platform !== 'linux') return [];
  const found: string[] = [];
  for (const pid of await readdir('/proc')) {
    if (!/^\d+$/u.test(pid)) continue;
    // processes of others, and those that end while we look, are not ours
    const environment = await readFile(`/proc/${pid}/environ`, 'utf8').catch(() => '');
    if (environment.includes(`TMPDIR=${folder}/`)) found.push(pid);
  }
  return found;
}
