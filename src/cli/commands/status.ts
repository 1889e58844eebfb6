/** `shoal status`: what nodes on this machine do, and why something waits. The nodes themselves are asked, not the tracker. */
import { Option } from 'commander';
import type { ChunkReasonRange, NodeStatus, TransferChunks, TransferStatus, VolunteerStatus } from '../../peer/api.ts';
import { printable } from '../display-width.ts';
import { humanBytes, humanCount, humanPercent, humanRate } from '../human.ts';
import { examples, type DefineCommand, type Runtime } from '../runtime.ts';
import { renderTable, type Column } from '../table.ts';

/** Shared paths shown for each node; the document has all. */
const ROOT_LINES_MAX = 5;

interface StatusFlags {
  readonly data?: string;
  readonly chunks?: string;
}

export const defineStatus: DefineCommand = (command, runtime) => {
  command
    .addOption(new Option('--data <dir>', 'only the node of this data directory'))
    .addOption(new Option('--chunks <name>', 'why each missing chunk of this transfer does not move'))
    .addHelpText(
      'after',
      examples(
        ['shoal status', 'every node of this user'],
        ['shoal status --chunks big.bin', 'its missing chunks, with the reason of each'],
        ['shoal status --json', 'as JSON, for a script'],
      ),
    )
    .action((flags: StatusFlags) =>
      flags.chunks === undefined ? runStatus(flags, runtime) : runChunks(flags.chunks, flags, runtime),
    );
};

async function runStatus(flags: StatusFlags, { output, services, interrupt }: Runtime): Promise<void> {
  let silent = 0;
  const nodes = await services.readNodeStatuses({
    dataDir: flags.data,
    signal: interrupt.signal,
    onSilent: (problem) => {
      silent++;
      output.warn(printable(problem.message));
    },
  });
  output.document(nodes);
  if (nodes.length + silent === 0) output.answer('no node is running on this machine');
  for (const node of nodes) for (const line of nodeLines(node, output.columns)) output.answer(line);
}

async function runChunks(what: string, flags: StatusFlags, { output, services, interrupt }: Runtime): Promise<void> {
  const nodes = await services.findNodes({
    dataDir: flags.data,
    signal: interrupt.signal,
    onSilent: (problem) => output.warn(printable(problem.message)),
  });
  const transfers = (await Promise.all(nodes.map((node) => node.chunks(what)))).flat();
  output.document(transfers);
  if (transfers.length === 0) output.answer(`no node on this machine is fetching ${printable(what)}`);
  for (const transfer of transfers) for (const line of chunkLines(transfer, output.columns)) output.answer(line);
}

function chunkLines(transfer: TransferChunks, columns: number | undefined): readonly string[] {
  const { name, missingCount, chunkCount, ranges } = transfer;
  const shown = ranges.reduce((sum, { first, last }) => sum + last - first + 1, 0);
  return [
    `${printable(name)}: ${missingCount} of ${humanCount(chunkCount, 'chunk')} missing`,
    ...renderTable(ranges, RANGE_COLUMNS, columns),
    ...(shown < missingCount ? [`and ${humanCount(missingCount - shown, 'more chunk')}`] : []),
    '',
  ];
}

const RANGE_COLUMNS: readonly Column<ChunkReasonRange>[] = [
  { title: 'CHUNKS', value: ({ first, last }) => (first === last ? String(first) : `${first}-${last}`) },
  { title: 'WAITING FOR', value: ({ reason }) => reason ?? 'coming' },
];

/** What a node says of itself, for people. */
export function nodeLines(node: NodeStatus, columns: number | undefined): readonly string[] {
  const { tracker, transfers } = node;
  const unnamed = node.roots.length - ROOT_LINES_MAX;
  return [
    `node ${printable(node.peer.slice(0, 12))} on ${printable(node.address)}`,
    `  tracker  ${printable(tracker.url)} (${tracker.state})`,
    `  shares   ${humanCount(node.sharedFiles, 'file')} (${humanBytes(node.sharedBytes)})`,
    ...node.roots.slice(0, ROOT_LINES_MAX).map((root) => `           ${printable(root)}`),
    ...(unnamed > 0 ? [`           and ${humanCount(unnamed, 'more path')}`] : []),
    ...(node.volunteer === undefined ? [] : [`  keeps    ${keptText(node.volunteer)}`]),
    `  moved    ${humanBytes(node.uploadedBytes)} up, ${humanBytes(node.downloadedBytes)} down, ${humanCount(node.connections, 'connection')} now`,
    ...(node.limitUp === null && node.limitDown === null
      ? []
      : [`  limits   ${limitText(node.limitUp)} up, ${limitText(node.limitDown)} down`]),
    ...(transfers.length === 0 ? [] : ['', ...renderTable(transfers, TRANSFER_COLUMNS, columns)]),
    '',
  ];
}

function keptText({ usedBytes, offeredBytes, contents }: VolunteerStatus): string {
  return `${humanBytes(usedBytes)} of ${humanBytes(offeredBytes)} offered, copies of ${humanCount(contents, 'content')}`;
}

function limitText(rate: number | null): string {
  return rate === null ? 'none' : humanRate(rate);
}

const TRANSFER_COLUMNS: readonly Column<TransferStatus>[] = [
  { title: 'NAME', value: ({ name }) => name, shrink: true },
  { title: 'HAS', align: 'right', value: ({ bytes, size }) => humanPercent(bytes, size) },
  { title: 'STATE', value: ({ state, reason }) => (reason === null ? state : `${state}: ${reason}`) },
  { title: 'LIMITED BY', value: ({ bottleneck }) => bottleneck ?? '' },
  { title: 'CHUNKS WAITING', value: ({ reasons }) => reasonsText(reasons) },
  { title: 'PEERS', align: 'right', value: ({ peers }) => String(peers) },
  { title: 'UP', align: 'right', value: ({ bytesPerSecondUp }) => humanRate(bytesPerSecondUp) },
  { title: 'DOWN', align: 'right', value: ({ bytesPerSecondDown }) => humanRate(bytesPerSecondDown) },
];

/** Most first: `480 choked, 12 requested`. */
function reasonsText(reasons: Readonly<Record<string, number>>): string {
  return Object.entries(reasons)
    .toSorted(([, a], [, b]) => b - a)
    .map(([reason, count]) => `${count} ${reason}`)
    .join(', ');
}
