/** `shoal status`: what nodes on this machine do, and why something waits. The nodes themselves are asked, not the tracker. */
import { Option } from 'commander';
import type { NodeStatus, TransferStatus } from '../../peer/api.ts';
import { printable } from '../display-width.ts';
import { humanBytes, humanCount, humanPercent, humanRate } from '../human.ts';
import { examples, type DefineCommand, type Runtime } from '../runtime.ts';
import { renderTable, type Column } from '../table.ts';

/** Shared paths shown for each node; the document has all. */
const ROOT_LINES_MAX = 5;

interface StatusFlags {
  readonly data?: string;
}

export const defineStatus: DefineCommand = (command, runtime) => {
  command
    .addOption(new Option('--data <dir>', 'only the node of this data directory'))
    .addHelpText(
      'after',
      examples(['shoal status', 'every node of this user'], ['shoal status --json', 'as JSON, for a script']),
    )
    .action((flags: StatusFlags) => runStatus(flags, runtime));
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

function nodeLines(node: NodeStatus, columns: number | undefined): readonly string[] {
  const { tracker, transfers } = node;
  const unnamed = node.roots.length - ROOT_LINES_MAX;
  return [
    `node ${printable(node.peer.slice(0, 12))} on ${printable(node.address)}`,
    `  tracker  ${printable(tracker.url)} (${tracker.state})`,
    `  shares   ${humanCount(node.sharedFiles, 'file')} (${humanBytes(node.sharedBytes)})`,
    ...node.roots.slice(0, ROOT_LINES_MAX).map((root) => `           ${printable(root)}`),
    ...(unnamed > 0 ? [`           and ${humanCount(unnamed, 'more path')}`] : []),
    `  moved    ${humanBytes(node.uploadedBytes)} up, ${humanBytes(node.downloadedBytes)} down, ${humanCount(node.connections, 'connection')} now`,
    ...(node.limitUp === null && node.limitDown === null
      ? []
      : [`  limits   ${limitText(node.limitUp)} up, ${limitText(node.limitDown)} down`]),
    ...(transfers.length === 0 ? [] : ['', ...renderTable(transfers, TRANSFER_COLUMNS, columns)]),
    '',
  ];
}

function limitText(rate: number | null): string {
  return rate === null ? 'none' : humanRate(rate);
}

const TRANSFER_COLUMNS: readonly Column<TransferStatus>[] = [
  { title: 'NAME', value: ({ name }) => name, shrink: true },
  { title: 'HAS', align: 'right', value: ({ bytes, size }) => humanPercent(bytes, size) },
  { title: 'STATE', value: ({ state, reason }) => (reason === null ? state : `${state}: ${reason}`) },
  { title: 'PEERS', align: 'right', value: ({ peers }) => String(peers) },
  { title: 'UP', align: 'right', value: ({ bytesPerSecondUp }) => humanRate(bytesPerSecondUp) },
  { title: 'DOWN', align: 'right', value: ({ bytesPerSecondDown }) => humanRate(bytesPerSecondDown) },
];
