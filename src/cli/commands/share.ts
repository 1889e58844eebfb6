/** `shoal share`: runs a node that shares files and folders until it is asked to end. */
import { Option } from 'commander';
import { SHARED_LINES_MAX } from '../../limits.ts';
import type { PeerNode, SharedEntry, SharedFolder, ShareProgress } from '../../peer/api.ts';
import { humanBytes, humanCount } from '../human.ts';
import { interrupted } from '../interrupt.ts';
import { sharedEvent, sharedFolderEvent, type CliEvent } from '../ndjson.ts';
import { addNodeFlags, nodeOptions, tellMetrics, type NodeFlags } from '../node-flags.ts';
import type { Output } from '../output.ts';
import { parseChunkSize, parseReplicas, parseSize } from '../rates.ts';
import { examples, globalOptions, type DefineCommand, type GlobalOptions, type Runtime } from '../runtime.ts';
import { printable } from '../display-width.ts';
import { offerSpace } from '../offer-space.ts';
import { createRateEstimate } from '../rate-estimate.ts';
import { checkPaths, problemTeller, trackerTeller, unreachableTeller } from '../share-problems.ts';

/** Events written at a time. */
const EVENT_BATCH_MAX = 1_000;

interface ShareFlags extends NodeFlags {
  readonly data?: string;
  readonly chunkSize?: number;
  readonly replicas?: number;
  readonly volunteer?: number;
}

export const defineShare: DefineCommand = (command, runtime) => {
  addNodeFlags(command.argument('<path...>', 'files and folders'))
    .addOption(new Option('--data <dir>', 'where the node keeps its index (default: below $XDG_DATA_HOME/shoal)'))
    .addOption(
      new Option('--chunk-size <size>', 'a power of two such as 1MiB (default: by the size of each file)').argParser(
        parseChunkSize,
      ),
    )
    .addOption(
      new Option('--replicas <n>', 'have volunteers keep so many copies of it; 0: none any longer').argParser(
        parseReplicas,
      ),
    )
    .addOption(
      new Option('--volunteer <size>', 'offer so much space for copies of what others share: 50G').argParser(parseSize),
    )
    .addHelpText(
      'after',
      examples(
        ['shoal share ./data', 'everything below a folder, new files as they come'],
        ['shoal share big.bin --listen 0.0.0.0:9001', 'one file, on a port that a firewall lets in'],
        ['shoal share ./data --limit-up 500mbit', 'leave room on the line for others'],
        ['shoal share big.bin --replicas 3', 'three volunteers keep a copy of every chunk'],
      ),
    )
    .action((paths: string[], flags: ShareFlags) => runShare(paths, flags, globalOptions(command), runtime));
};

async function runShare(
  paths: readonly string[],
  flags: ShareFlags,
  shared: GlobalOptions,
  runtime: Runtime,
): Promise<void> {
  const { output, interrupt, services } = runtime;
  await checkPaths(paths);
  const node = await services.createNode({
    ...nodeOptions(flags, shared, flags.data),
    onUnreachable: unreachableTeller(output),
    onTracker: trackerTeller(output),
  });
  try {
    output.event({ event: 'listening', address: node.address, peer: node.peerId });
    tellMetrics(node, output);
    if (flags.volunteer !== undefined) await offerSpace(node, flags.volunteer, paths, output);
    await shareUntilReady(node, paths, flags, runtime);
    await interrupted(interrupt.signal);
    output.note('leaving the swarm');
  } catch (error) {
    // to be asked to stop while hashing is an end like any other
    if (!interrupt.signal.aborted) throw error;
  } finally {
    output.closeBar();
    await node.close();
  }
}

async function shareUntilReady(
  node: PeerNode,
  paths: readonly string[],
  flags: ShareFlags,
  runtime: Runtime,
): Promise<void> {
  const { output, interrupt, now } = runtime;
  const bar = output.openBar();
  const speed = createRateEstimate(now);
  const announced = createAnnouncedList(output);
  const events = createEventBatch(output);
  const tellProblem = problemTeller(output);
  const sharing = node.share(paths, {
    chunkSize: flags.chunkSize,
    replicas: flags.replicas,
    onProgress: (progress) => bar.update(hashingState(progress, speed(progress.bytesDone))),
    onShared: (entry) => {
      events.add(sharedEvent(entry));
      announced.add(entry);
    },
    onSharedFolder: (folder) => {
      events.add(sharedFolderEvent(folder));
      announced.addFolder(folder);
    },
    onWithdrawn: ({ name, manifest }) => {
      events.flush();
      output.event({ event: 'withdrawn', name, content: manifest.contentId });
      output.note(`withdrawn: ${printable(name)} (it changed or is gone)`);
    },
    onProblem: (path, message) => {
      events.flush();
      tellProblem(path, message);
    },
  });
  await Promise.race([sharing, interrupted(interrupt.signal)]);
  if (interrupt.signal.aborted) {
    sharing.catch(() => undefined); // closing the node is what ends it
    return;
  }
  output.closeBar();
  events.flush();
  output.event({ event: 'ready' });
  const { fileCount, byteCount } = announced.finish();
  output.answer(
    `sharing ${humanCount(fileCount, 'file')} (${humanBytes(byteCount)}) on ${node.address}, Ctrl+C to stop`,
  );
}

/** Gathers the events of one turn, up to a bound. */
function createEventBatch(output: Output): { add(event: CliEvent): void; flush(): void } {
  let waiting: CliEvent[] = [];
  const flush = (): void => {
    const events = waiting;
    waiting = [];
    output.events(events);
  };
  return {
    add(event) {
      waiting.push(event);
      if (waiting.length === 1) queueMicrotask(flush);
      else if (waiting.length >= EVENT_BATCH_MAX) flush();
    },
    flush,
  };
}

/** The first files by name, the others as a number; files that appear later by name again. */
function createAnnouncedList(output: Output): {
  add(entry: SharedEntry): void;
  addFolder(folder: SharedFolder): void;
  finish(): { fileCount: number; byteCount: number };
} {
  const sizes = new Map<string, number>();
  const folders: string[] = [];
  let ready = false;
  return {
    add({ name, manifest }) {
      sizes.set(name, manifest.size);
      if (ready || sizes.size <= SHARED_LINES_MAX)
        output.answer(`shared ${printable(name)} (${humanBytes(manifest.size)})`);
    },
    addFolder({ name, fileCount }) {
      const line = `shared ${printable(name)} as a whole (${humanCount(fileCount, 'file')})`;
      if (ready) output.answer(line);
      else folders.push(line);
    },
    finish() {
      ready = true;
      const unnamed = sizes.size - SHARED_LINES_MAX;
      if (unnamed > 0) output.answer(`and ${humanCount(unnamed, 'more file')}`);
      for (const line of folders) output.answer(line);
      let byteCount = 0;
      for (const size of sizes.values()) byteCount += size;
      return { fileCount: sizes.size, byteCount };
    },
  };
}

function hashingState(progress: ShareProgress, bytesPerSecond: number) {
  const { filesTotal, filesDone, bytesTotal, bytesDone } = progress;
  return {
    name: `hashing ${filesDone}/${filesTotal}`,
    bytes: bytesDone,
    total: bytesTotal,
    bytesPerSecond,
    etaSeconds: bytesPerSecond > 0 ? (bytesTotal - bytesDone) / bytesPerSecond : null,
    stalled: null,
  };
}
