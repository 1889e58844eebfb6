/**
 * `shoal get`: downloads one content or one folder, through the running node that shares the target folder, else with a node of its own that leaves
 * when it is done (or stays, with --seed).
 */
import { resolve } from 'node:path';
import { Option } from 'commander';
import { ShoalError } from '../../errors.ts';
import { parseSha256Hex, type Sha256Hex } from '../../content/digest.ts';
import { isDescriptorPath } from '../../peer/wanted.ts';
import type { GetOptions, GetProgress, GetResult, PeerNode, SourceTally } from '../../peer/api.ts';
import { printable } from '../display-width.ts';
import { humanBytes, humanCount, humanRate, humanSeconds } from '../human.ts';
import { interrupted } from '../interrupt.ts';
import { watchLoopDelay, type LoopDelay } from '../loop-delay.ts';
import { doneEvent, progressEvent } from '../ndjson.ts';
import { addNodeFlags, nodeOptions, tellMetrics, type NodeFlags } from '../node-flags.ts';
import { createProgressPace } from '../progress-pace.ts';
import { parseDurationMs, parsePeerAddress } from '../rates.ts';
import { examples, globalOptions, type DefineCommand, type GlobalOptions, type Runtime } from '../runtime.ts';

/** They say how a node of this command's own is to be; one that runs already has its own. */
const OWN_NODE_FLAGS = [
  'listen',
  'advertise',
  'limitUp',
  'limitDown',
  'metrics',
  'seed',
] as const satisfies (keyof GetFlags)[];

interface GetFlags extends NodeFlags {
  readonly output?: string;
  readonly seed?: true;
  readonly sha256?: Sha256Hex;
  readonly from?: readonly string[];
  readonly single?: true;
  readonly sequential?: true;
  readonly stallTimeout?: number;
}

export const defineGet: DefineCommand = (command, runtime) => {
  addNodeFlags(
    command.argument(
      '<what>',
      'a name (of a folder: with a slash), name@hex, a content id, or a descriptor: its URL, or its path as ./x.json',
    ),
  )
    .addOption(new Option('-o, --output <path>', 'a file, a folder (dir/), or - for standard output'))
    .addOption(new Option('--sha256 <hex>', 'the digest that the file must have').argParser(parseSha256Hex))
    .addOption(
      new Option('--from <host:port>', 'a peer to use besides those the tracker names; may be repeated').argParser(
        (text, before: readonly string[] | undefined) => [...(before ?? []), ...text.split(',').map(parsePeerAddress)],
      ),
    )
    .addOption(new Option('--single', 'use one source, the best, instead of all'))
    .addOption(new Option('--sequential', 'fetch what comes next ahead of its turn'))
    .addOption(new Option('--seed', 'when done, stay and serve it until Ctrl+C'))
    .addOption(
      new Option(
        '--stall-timeout <seconds>',
        'give up after this long without a byte; the partial file stays',
      ).argParser(parseDurationMs),
    )
    .allowExcessArguments(true)
    .addHelpText(
      'after',
      examples(
        ['shoal get big.bin', 'into the current folder'],
        ['shoal get big.bin -o /data/', 'into another folder; the same command resumes'],
        ['shoal get big.bin@3fa9', 'an older version, by the first digits of its SHA-256'],
        ['shoal get course/', 'a whole folder, into ./course; what is there and right is kept'],
        ['shoal get course/week1/ -o .', 'a folder in it'],
        ['shoal get logs.tar -o - | tar x', 'as a stream, in order'],
        ['shoal get big.bin --from 192.0.2.7:9001', 'with the help of a peer you know'],
      ),
    )
    .action((what: string, flags: GetFlags) =>
      runGet(
        {
          what: isDescriptorPath(what) ? resolve(what) : what,
          flags: addPeers(flags, command.args.slice(1)),
          shared: globalOptions(command),
        },
        OWN_NODE_FLAGS.some((name) => (command.getOptionValueSource(name) ?? 'default') !== 'default'),
        runtime,
      ),
    );
};

/** `--from A B` reads as people mean it: what follows the name and is an address belongs to --from. */
function addPeers(flags: GetFlags, excess: readonly string[]): GetFlags {
  if (excess.length === 0) return flags;
  if (flags.from === undefined)
    throw new ShoalError('usage', `"${excess.join(' ')}" is one name too many: get takes one at a time`);
  return { ...flags, from: [...flags.from, ...excess.map(parsePeerAddress)] };
}

/** What is wanted, and how. */
interface Order {
  readonly what: string;
  readonly flags: GetFlags;
  readonly shared: GlobalOptions;
}

async function runGet(order: Order, needsOwnNode: boolean, runtime: Runtime): Promise<void> {
  const { what, flags } = order;
  const { output, interrupt } = runtime;
  output.stdoutIsData = flags.output === '-';
  if (flags.output === '-' && flags.seed === true)
    throw new ShoalError('usage', 'nothing is kept of what goes to standard output, so --seed has nothing to serve', {
      hint: 'name a file with -o, and read that',
    });
  try {
    if (!needsOwnNode && (await getByRunningNode(order, runtime))) return;
    await getByOwnNode(order, runtime);
  } catch (error) {
    if (!interrupt.signal.aborted || flags.output !== '-') throw error;
    throw new ShoalError('cancelled', `the download of ${what} was interrupted`, { cause: error });
  } finally {
    output.closeBar();
  }
}

/** False: there is no such node, or it cannot do this one. */
async function getByRunningNode(order: Order, runtime: Runtime): Promise<boolean> {
  const { output, interrupt, services } = runtime;
  const found = await services.findNodeFor({
    output: order.flags.output,
    trackerUrls: order.shared.trackerUrls,
    signal: interrupt.signal,
    onSilent: (problem) => output.note(printable(problem.message)),
  });
  if (found === undefined) return false;
  const { node, folder } = found;
  output.note(`handed to the node on ${printable(node.status.address)}, which shares ${printable(folder)}`);
  try {
    tellEnd(await fetchAndTell(node, found.output, order, runtime), runtime);
    return true;
  } catch (error) {
    // it has the same content elsewhere, or is fetching it already: two nodes can do what one cannot
    if (!(error instanceof ShoalError) || error.code !== 'conflict') throw error;
    output.note(`that node cannot: ${printable(error.message)}; going on with a node of its own`);
    return false;
  }
}

async function getByOwnNode(order: Order, runtime: Runtime): Promise<void> {
  const { flags, shared } = order;
  const node = await runtime.services.createNode(nodeOptions(flags, shared));
  try {
    tellMetrics(node, runtime.output);
    const loopDelay = watchLoopDelay(runtime.env);
    const result = await fetchAndTell(node, flags.output, order, runtime);
    tellEnd(result, runtime, loopDelay?.());
    if (flags.seed === true) await seed(node, result, runtime);
  } finally {
    runtime.output.closeBar();
    await node.close();
  }
}

async function fetchAndTell(
  node: Pick<PeerNode, 'get'>,
  target: string | undefined,
  { what, flags }: Order,
  { output, interrupt }: Runtime,
): Promise<GetResult> {
  const bar = output.openBar();
  const pace = createProgressPace<GetProgress>((progress) => output.event(progressEvent(progress)));
  let last: GetProgress | undefined;
  const options: GetOptions = {
    what,
    output: target,
    expectedSha256: flags.sha256,
    from: flags.from,
    single: flags.single,
    sequential: flags.sequential,
    stallTimeoutMs: flags.stallTimeout,
    signal: interrupt.signal,
    onProgress(progress) {
      if (last === undefined) output.note(`getting ${printable(progress.name)} (${humanBytes(progress.total)})`);
      last = progress;
      bar.update(progress);
      pace.offer(progress);
    },
    onPeerBanned({ address, reason }) {
      output.event({ event: 'peer-banned', address, reason });
      output.note(`no longer used: ${address} (${printable(reason)})`);
    },
  };
  try {
    const result = await node.get(options);
    const { name, size, bytesPerSecond } = result;
    const end = {
      name,
      bytes: size,
      total: size,
      bytesPerSecond,
      etaSeconds: 0,
      stalled: null,
      bottleneck: null,
      reasons: {},
    };
    pace.close({ ...end, peers: last?.peers ?? result.peers.length });
    return result;
  } finally {
    pace.close();
    output.closeBar();
  }
}

function tellEnd(result: GetResult, { output }: Runtime, loopDelay?: LoopDelay): void {
  output.event(doneEvent(result, loopDelay));
  const { name, path, size, sha256, seconds, bytesPerSecond, resumedBytes, peers, folder } = result;
  const check = output.check;
  if (resumedBytes > 0 && size > 0)
    output.answer(
      `${check} ${humanBytes(resumedBytes)} ${resumedBytes === size ? 'were here already' : 'kept from an earlier run'}`,
    );
  for (const source of peers) if (source.bytes > 0) output.answer(`${check} ${sourceLine(source)}`);
  output.answer(`${check} ${printable(name)} verified${folder === undefined ? '' : `: ${filesLine(folder)}`}`);
  if (folder === undefined) output.answer(`  sha256 ${sha256}`);
  const where = path === '-' ? 'standard output' : path;
  const speed = bytesPerSecond > 0 ? ` (${humanRate(bytesPerSecond)})` : '';
  output.answer(`  ${humanBytes(size)} in ${humanSeconds(seconds)}${speed} to ${printable(where)}`);
}

function filesLine({ files, kept }: NonNullable<GetResult['folder']>): string {
  return `${humanCount(files, 'file')}${kept === 0 ? '' : `, ${kept} of them as they were`}`;
}

/** `1536 chunks (1.5 GiB) from 127.0.0.1:9001 in 3.22 s`. */
export function sourceLine({
  chunks,
  bytes,
  address,
  seconds,
}: Pick<SourceTally, 'chunks' | 'bytes' | 'address' | 'seconds'>): string {
  return `${humanCount(chunks, 'chunk')} (${humanBytes(bytes)}) from ${address} in ${humanSeconds(seconds)}`;
}

async function seed(node: PeerNode, result: GetResult, { output, interrupt }: Runtime): Promise<void> {
  output.note(`serving ${printable(result.name)} on ${node.address}, Ctrl+C to stop`);
  await interrupted(interrupt.signal);
}
