/**
 * `shoal demo`: the whole thing at work on real data, with real processes: a tracker, three peers that share a file, one download,
 * and a peer that leaves in the middle of it. Everything it makes is gone when it ends.
 */
import { Option } from 'commander';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { ShoalError } from '../../errors.ts';
import { makeDemoFolders, type DemoFolders } from '../demo/demo-files.ts';
import { startShoal, type ShoalProcess } from '../demo/shoal-process.ts';
import { humanBytes, humanSeconds } from '../human.ts';
import { parseSize } from '../rates.ts';
import type { SourceTally } from '../../peer/api.ts';
import type { DefineCommand, Runtime } from '../runtime.ts';
import { examples } from '../runtime.ts';
import { sourceLine } from './get.ts';

interface DemoFlags {
  readonly size?: number;
  readonly quick?: true;
}

const MiB = 1024 * 1024;
const SIZE_DEFAULT = 512 * MiB;
const SIZE_QUICK = 32 * MiB;
const PEER_COUNT = 3;
/** Seconds the download should take while all peers are there; their upload is limited so, or it would be over at once. */
const SECONDS_WANTED = 5;
const NAME = 'big.bin';

export const defineDemo: DefineCommand = (command, runtime) => {
  command
    .addOption(new Option('--size <size>', 'how large the file is (default: 512MiB)').argParser(parseSize))
    .addOption(new Option('--quick', 'a smaller file: 32MiB'))
    .addHelpText(
      'after',
      examples(['shoal demo', 'about 15 seconds'], ['shoal demo --size 2GiB', 'the same with more']),
    )
    .action((flags: DemoFlags) => runDemo(flags.size ?? (flags.quick === true ? SIZE_QUICK : SIZE_DEFAULT), runtime));
};

async function runDemo(size: number, runtime: Runtime): Promise<void> {
  const { output, interrupt } = runtime;
  if (output.json) throw new ShoalError('usage', 'the demonstration is for people: it has no --json');
  const processes: ShoalProcess[] = [];
  const start = (args: readonly string[]): ShoalProcess => {
    const child = startShoal(args, { env: runtime.env, signal: interrupt.signal });
    processes.push(child);
    return child;
  };
  let folders: DemoFolders | undefined;
  try {
    output.answer(
      `Making ${humanBytes(size)} of data that cannot be compressed, and ${PEER_COUNT} folders that have it ...`,
    );
    folders = await makeDemoFolders({ name: NAME, size, peerCount: PEER_COUNT, signal: interrupt.signal });
    await new Demo(runtime, folders, size, start).play();
  } finally {
    output.closeBar();
    await Promise.all(processes.map((child) => child.stop()));
    if (folders !== undefined) await rm(folders.root, { recursive: true, force: true, maxRetries: 3 });
  }
  output.answer('');
  for (const line of NEXT) output.answer(line);
}

class Demo {
  readonly #runtime: Runtime;
  readonly #folders: DemoFolders;
  readonly #size: number;
  readonly #start: (args: readonly string[]) => ShoalProcess;

  constructor(runtime: Runtime, folders: DemoFolders, size: number, start: (args: readonly string[]) => ShoalProcess) {
    this.#runtime = runtime;
    this.#folders = folders;
    this.#size = size;
    this.#start = start;
  }

  async play(): Promise<void> {
    const trackerUrl = await this.#startTracker();
    const peers = await this.#startPeers(trackerUrl);
    await this.#download(trackerUrl, peers);
    await this.#showWhoHasWhat(trackerUrl);
  }

  async #startTracker(): Promise<string> {
    const tracker = this.#start([
      'tracker',
      '--host',
      '127.0.0.1',
      '--port',
      '0',
      '--data',
      join(this.#folders.root, 'tracker'),
      '--json',
    ]);
    const { url } = await tracker.event('listening');
    this.#say(`tracker    ${String(url)}  (process ${tracker.pid})`);
    return String(url);
  }

  async #startPeers(trackerUrl: string): Promise<readonly ShoalProcess[]> {
    const limit = Math.max(1, Math.round(this.#size / SECONDS_WANTED / PEER_COUNT));
    const peers = this.#folders.peers.map((folder, index) =>
      this.#start([
        'share',
        join(folder, NAME),
        `--tracker=${trackerUrl}`,
        '--listen=127.0.0.1:0',
        `--limit-up=${limit}`,
        `--data=${join(this.#folders.root, `node-${index}`)}`,
        '--json',
      ]),
    );
    for (const [index, peer] of peers.entries()) {
      const { address } = await peer.event('listening');
      await peer.event('ready');
      this.#say(`peer ${index + 1}     ${String(address)}  shares ${NAME}  (process ${peer.pid})`);
    }
    return peers;
  }

  async #download(trackerUrl: string, peers: readonly ShoalProcess[]): Promise<void> {
    const { output } = this.#runtime;
    const leaving = peers[0];
    const target = join(this.#folders.target, NAME);
    output.answer('');
    output.answer(`$ shoal get ${NAME}`);
    const get = this.#start(['get', NAME, '-o', target, '--tracker', trackerUrl, '--listen', '127.0.0.1:0', '--json']);
    const bar = output.openBar();
    let left = false;
    get.onEvent((event) => {
      if (event['event'] !== 'progress') return;
      const bytes = Number(event['bytes']);
      const total = Number(event['total']);
      bar.update({
        name: NAME,
        bytes,
        total,
        bytesPerSecond: Number(event['bytesPerSecond']),
        peers: Number(event['peers']),
        etaSeconds: event['etaSeconds'] === null ? null : Number(event['etaSeconds']),
        stalled: typeof event['stalled'] === 'string' ? event['stalled'] : null,
        bottleneck: typeof event['bottleneck'] === 'string' ? event['bottleneck'] : null,
      });
      if (left || leaving === undefined || bytes < total / 2 || bytes === total) return;
      left = true;
      leaving.interrupt();
      bar.log(`           half way: peer 1 (process ${leaving.pid}) leaves; the others carry on`);
    });
    const done = await get.event('done');
    output.closeBar();
    this.#tellDone(done);
    await get.ended();
  }

  #tellDone(done: Readonly<Record<string, unknown>>): void {
    const { output } = this.#runtime;
    for (const source of done['peers'] as readonly SourceTally[])
      output.answer(`${output.check} ${sourceLine(source)}`);
    output.answer(`${output.check} ${NAME} verified`);
    output.answer(`  sha256 ${String(done['sha256'])}`);
    output.answer(`  ${humanBytes(Number(done['size']))} in ${humanSeconds(Number(done['seconds']))}`);
  }

  /** The command's own words, from a process of its own. */
  async #showWhoHasWhat(trackerUrl: string): Promise<void> {
    const { output } = this.#runtime;
    output.answer('');
    output.answer(`$ shoal info ${NAME}`);
    const info = this.#start(['info', NAME, '--tracker', trackerUrl]);
    await info.ended();
    for (const line of info.lines) output.answer(line);
  }

  #say(line: string): void {
    this.#runtime.output.answer(`  ${line}`);
  }
}

const NEXT = [
  'Now yours:',
  '  bin/shoal tracker                                              on one machine',
  '  bin/shoal share ./folder --tracker http://THAT-MACHINE:9000    where the files are',
  '  bin/shoal get NAME --tracker http://THAT-MACHINE:9000          where they are wanted',
];
