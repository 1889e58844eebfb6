/**
 * The commands as the documents that Shoal grew from write them: thin names for our own, with their positional arguments and the lines
 * they print, to the letter (docs/seeds.md). Nothing here can do what the other commands cannot.
 */
import type { Command } from 'commander';
import { join, resolve, sep } from 'node:path';
import { ShoalError } from '../errors.ts';
import type { GetOptions, GetResult, PeerNode, SourceTally } from '../peer/api.ts';
import { fitMiddle, printable } from './display-width.ts';
import { humanRate } from './human.ts';
import { interrupted } from './interrupt.ts';
import { doneEvent, progressEvent, sharedEvent } from './ndjson.ts';
import { createProgressPace } from './progress-pace.ts';
import { metricsOption, tellMetrics, type NodeFlags } from './node-flags.ts';
import { EVERYWHERE, parseAdvertised, parsePort } from './rates.ts';
import { checkPaths, problemTeller, trackerTeller, unreachableTeller } from './share-problems.ts';
import type { FetchAnswer } from '../peer/secure-fetch.ts';
import { examples, globalOptions, nodeTls, type DefineCommand, type GlobalOptions, type Runtime } from './runtime.ts';
import { listEntries, withTracker } from './tracker-queries.ts';

/** What `peer list` shows at most; the document's tracker has no pages. */
const LIST_ROWS_MAX = 100_000;
const BAR_COLUMNS = 40;

/** `shoal run <ip> <port> <folder>`. */
export const defineRun: DefineCommand = (command, runtime) => {
  defineRunOn(command, runtime);
  command.addHelpText('after', examples(['shoal run 127.0.0.1 7001 ./shared/p1', 'share a folder as this address']));
};

/** `shoal peer run|announce|list|info|download`. */
export const definePeer: DefineCommand = (command, runtime) => {
  command
    .usage('[options] run|announce|list|info|download ...')
    .addHelpText(
      'after',
      examples(
        ['shoal peer run 127.0.0.1 7001 ./shared/p1', 'share a folder as this address'],
        ['shoal peer announce 127.0.0.1 7001 ./shared/p1', 'say that a server of ranges there has these files'],
        ['shoal peer list', 'what is there'],
        ['shoal peer info KTMT.pdf', 'one file, and who has it'],
        [
          'shoal peer download 127.0.0.1 7003 ./shared/p3 big3.bin',
          'into a folder; with the node that shares it, if one does',
        ],
      ),
    );
  defineRunOn(command.command('run').description('share a folder as this address until Ctrl+C'), runtime);
  addressed(
    command.command('announce').description('tell the tracker what a server of ranges at this address has'),
  ).action((ip: string, port: number, folder: string) =>
    announce({ ip, port, folder }, globalOptions(command), runtime),
  );
  command
    .command('list')
    .description('the files at the tracker')
    .action(() => list(globalOptions(command), runtime));
  command
    .command('info')
    .description('one file, and the peers that have all of it')
    .argument('<filename>', 'its name')
    .action((name: string) => info(name, globalOptions(command), runtime));
  addressed(command.command('download').description('download a file into a folder, from all peers that have it'))
    .argument('<filename>', 'its name')
    .action((ip: string, port: number, folder: string, name: string) =>
      download({ ip, port, folder, name }, globalOptions(command), runtime),
    );
};

/** `shoal tracker start <host> <port>`: options of `shoal tracker` may follow. */
export function addTrackerStart(tracker: Command, run: (place: { host: string; port: number }) => Promise<void>): void {
  tracker
    .command('start')
    .description('the same, with the address as two words')
    .argument('<host>', 'address to listen on')
    .argument('<port>', 'port to listen on', parsePort)
    .action((host: string, port: number) => run({ host, port }));
}

interface Place {
  /** An address or a host name: what others are told. */
  readonly ip: string;
  readonly port: number;
  readonly folder: string;
}

function addressed(command: Command): Command {
  return command
    .argument('<ip>', 'address or host name under which others reach this peer', parseAdvertised)
    .argument('<port>', 'its port; 0 is any free one', parsePort)
    .argument('<folder>', 'the folder');
}

function defineRunOn(command: Command, runtime: Runtime): void {
  addressed(command)
    .addOption(metricsOption())
    .action((ip: string, port: number, folder: string, flags: Pick<NodeFlags, 'metrics'>) =>
      run({ ip, port, folder }, globalOptions(command), runtime, flags.metrics),
    );
}

async function run(
  place: Place,
  shared: GlobalOptions,
  runtime: Runtime,
  metrics: NodeFlags['metrics'],
): Promise<void> {
  const { output, interrupt } = runtime;
  await checkPaths([place.folder]);
  const node = await openNode(place, shared, runtime, metrics);
  try {
    output.event({ event: 'listening', address: node.address, peer: node.peerId });
    tellMetrics(node, output);
    const listening = `Peer listening on ${portOf(node)}, sharing ${printable(place.folder)}`;
    output.answer(listening);
    const sharing = node.share([place.folder], {
      onShared: (entry) => output.event(sharedEvent(entry)),
      onProblem: problemTeller(output),
    });
    sharing.catch(() => undefined); // heard of below, unless the node is closed first
    await Promise.race([sharing, interrupted(interrupt.signal)]);
    if (interrupt.signal.aborted) return;
    output.event({ event: 'ready' });
    for (const line of ["Announce: {'ok': True}", listening, 'Press Ctrl+C to stop.']) output.answer(line);
    await interrupted(interrupt.signal);
  } finally {
    await node.close();
  }
}

/** For a server that is not ours and cannot say it itself: the plain call, with digests made here. */
async function announce(place: Place, shared: GlobalOptions, runtime: Runtime): Promise<void> {
  const { output, interrupt, services } = runtime;
  const { ip, port, folder } = place;
  const { lookAtGroup, openRoot, scanRoot } = await import('../storage/library-scan.ts');
  const root = await openRoot(folder, { chunkSize: undefined, excludedPath: undefined });
  const files: { name: string; size: number; sha256: string }[] = [];
  const onProblem = (path: string, message: string): void => output.note(`${printable(path)}: ${printable(message)}`);
  for await (const group of scanRoot(root, { onProblem, signal: interrupt.signal })) {
    for (const found of await lookAtGroup(root, group)) {
      if (found.state === 'refused') onProblem(found.path, found.message);
      if (found.state !== 'file') continue;
      const { manifest } = await services.hashFile(found.path, { signal: interrupt.signal });
      files.push({ name: found.name, size: manifest.size, sha256: manifest.sha256 });
    }
  }
  await postPlain(shared, '/announce', { ip, port, files }, interrupt.signal);
  output.document({ ok: true });
  output.answer("Announce: {'ok': True}");
}

async function postPlain(shared: GlobalOptions, path: string, body: object, signal: AbortSignal): Promise<void> {
  const { trackerUrls: urls, token, tls } = shared;
  const { secureFetch } = await import('../peer/secure-fetch.ts');
  let problem: unknown;
  for (const url of urls) {
    let response: FetchAnswer;
    try {
      const headers = {
        'content-type': 'application/json',
        ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      };
      response = await secureFetch(
        `${url}${path}`,
        { method: 'POST', headers, body: JSON.stringify(body), signal },
        tls,
      );
    } catch (error) {
      problem = error;
      continue;
    }
    if (response.ok) return;
    const code = response.status >= 500 ? 'tracker-unreachable' : 'usage';
    throw new ShoalError(code, `the tracker at ${url} refuses it: ${await beginningOf(response)}`);
  }
  throw new ShoalError('tracker-unreachable', `no tracker answers at ${urls.join(', ')}`, { cause: problem });
}

async function beginningOf({ body }: FetchAnswer): Promise<string> {
  let text = '';
  for await (const part of body ?? []) {
    text += Buffer.from(part).toString();
    if (text.length >= 500) break;
  }
  return text.slice(0, 500);
}

async function list(shared: GlobalOptions, runtime: Runtime): Promise<void> {
  const { output, interrupt } = runtime;
  const { rows, cut } = await withTracker(shared, runtime, (client) =>
    listEntries(client, { includeOffline: false, rowsMax: LIST_ROWS_MAX, signal: interrupt.signal }),
  );
  output.document(rows.map(({ name, size, sha256 }) => ({ name, size, sha256 })));
  output.answer('Files on tracker:');
  for (const { name, size } of rows) output.answer(`- ${printable(name)} (${size} bytes)`);
  if (cut) output.warn(`only the first ${rows.length}`);
}

async function info(name: string, shared: GlobalOptions, runtime: Runtime): Promise<void> {
  const { output, interrupt } = runtime;
  const { entry, sources } = await withTracker(shared, runtime, (client) =>
    client.locate({ what: { name } }, interrupt.signal),
  );
  const answer = {
    file: { name: entry.name, size: entry.size, sha256: entry.sha256 },
    peers: sources
      .filter(({ chunks }) => chunks === undefined)
      .flatMap(({ addresses }) => addresses.slice(0, 1))
      .map(({ host, port }) => ({ ip: host, port })),
  };
  output.document(answer);
  output.answer(pythonText(answer));
}

interface Download extends Place {
  readonly name: string;
}

async function download(order: Download, shared: GlobalOptions, runtime: Runtime): Promise<void> {
  const { output, interrupt, services } = runtime;
  const target = join(order.folder, sep);
  const running = await services.findNodeFor({
    output: target,
    trackerUrls: shared.trackerUrls,
    signal: interrupt.signal,
    onSilent: (problem) => output.note(printable(problem.message)),
  });
  let { port } = order;
  if (running !== undefined) {
    try {
      tellDownload(await fetchWith(running.node, running.output, order, runtime), runtime);
      return;
    } catch (error) {
      // it has the same content elsewhere: a node of our own does it, and not at the port that the running one has
      if (!(error instanceof ShoalError) || error.code !== 'conflict') throw error;
      port = 0;
    }
  }
  const node = await openNode({ ...order, port }, shared, runtime);
  try {
    tellDownload(await fetchWith(node, resolve(order.folder) + sep, order, runtime), runtime);
  } finally {
    output.closeBar();
    await node.close();
  }
}

async function fetchWith(
  node: Pick<PeerNode, 'get'>,
  target: string,
  { name }: Download,
  { output, interrupt }: Runtime,
): Promise<GetResult> {
  const bar = output.openBar();
  const pace = createProgressPace<Parameters<NonNullable<GetOptions['onProgress']>>[0]>((progress) =>
    output.event(progressEvent(progress)),
  );
  try {
    return await node.get({
      what: name,
      output: target,
      signal: interrupt.signal,
      onProgress(progress) {
        bar.update(progress);
        pace.offer(progress);
      },
      onPeerBanned({ address, reason }) {
        output.event({ event: 'peer-banned', address, reason });
        output.note(`no longer used: ${address} (${printable(reason)})`);
      },
    });
  } finally {
    pace.close();
    output.closeBar();
  }
}

function tellDownload(result: GetResult, { output }: Runtime): void {
  output.event(doneEvent(result));
  const name = fitMiddle(printable(result.name), BAR_COLUMNS);
  output.answer(`${name} ${'━'.repeat(BAR_COLUMNS)} 100.00% ${humanRate(result.bytesPerSecond)} 0:00:00`);
  const used = result.peers.filter(({ bytes }) => bytes > 0);
  for (const [index, source] of used.entries()) output.answer(`${output.check} ${sourceLine(index, source)}`);
  output.answer("Complete notify: {'ok': True}");
}

/** The document has one chunk for each source; here it is all the chunks that came from it. */
function sourceLine(index: number, { address, bytes, seconds }: SourceTally): string {
  return `Chunk ${index} downloaded from ${address} (${bytes} bytes) in ${seconds.toFixed(2)}s`;
}

/** Listens everywhere, as the document does, unless only this machine could reach the address that is announced. */
function openNode(
  { ip, port }: Place,
  shared: GlobalOptions,
  runtime: Runtime,
  metrics?: NodeFlags['metrics'],
): Promise<PeerNode> {
  const host = ip === 'localhost' || ip === '::1' || ip.startsWith('127.') ? ip : EVERYWHERE;
  const { trackerUrls, findTracker, token } = shared;
  const tls = nodeTls(shared);
  return runtime.services.createNode({
    ...{ trackerUrls, findTracker, token, tls, listen: { host, port }, advertise: ip, metrics },
    onUnreachable: unreachableTeller(runtime.output),
    onTracker: trackerTeller(runtime.output),
  });
}

function portOf({ address }: PeerNode): string {
  return address.slice(address.lastIndexOf(':') + 1);
}

/** A value as Python's `print` shows it, which is how the document's client shows answers. */
export function pythonText(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(pythonText).join(', ')}]`;
  if (typeof value === 'object' && value !== null)
    return `{${Object.entries(value)
      .map(([key, part]) => `${pythonText(key)}: ${pythonText(part)}`)
      .join(', ')}}`;
  if (typeof value === 'string') {
    const quote = value.includes("'") && !value.includes('"') ? '"' : "'";
    return quote + printable(value.replaceAll('\\', '\\\\').replaceAll(quote, `\\${quote}`)) + quote;
  }
  if (value === true) return 'True';
  if (value === false) return 'False';
  return typeof value === 'number' ? String(value) : 'None';
}
