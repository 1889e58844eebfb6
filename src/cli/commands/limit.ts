/** `shoal limit`: changes the rate limits of nodes that run on this machine, while they run. */
import { Option } from 'commander';
import { ShoalError } from '../../errors.ts';
import type { NodeLimits, NodeStatus } from '../../peer/api.ts';
import type { RunningNode } from '../../peer/control-client.ts';
import { printable } from '../display-width.ts';
import { humanRate } from '../human.ts';
import { parseRate } from '../rates.ts';
import { examples, type DefineCommand, type Runtime } from '../runtime.ts';

interface LimitFlags {
  readonly up?: number | 'none';
  readonly down?: number | 'none';
  readonly node?: string;
  readonly data?: string;
}

export const defineLimit: DefineCommand = (command, runtime) => {
  command
    .addOption(
      new Option('--up <rate>', 'upload at most so much a second: 60M, 1.5G, 500mbit, or none').argParser(parseLimit),
    )
    .addOption(new Option('--down <rate>', 'download at most so much a second, or none').argParser(parseLimit))
    .addOption(new Option('--node <which>', 'only this node: its address, process id, or the beginning of its peer id'))
    .addOption(new Option('--data <dir>', 'only the node of this data directory'))
    .addHelpText(
      'after',
      examples(
        ['shoal limit --up 10M', 'every node of this user uploads at most 10 MB/s from now on'],
        ['shoal limit --up none --down 500mbit', 'no limit up, 500 Mbit/s down'],
        ['shoal limit --up 1M --node 4711', 'only the node with process id 4711'],
        ['shoal limit', 'show the limits there are'],
      ),
    )
    .action((flags: LimitFlags) => runLimit(flags, runtime));
};

function parseLimit(text: string): number | 'none' {
  return text.trim().toLowerCase() === 'none' ? 'none' : parseRate(text);
}

function limitOf(flag: number | 'none' | undefined): number | null | undefined {
  return flag === 'none' ? null : flag;
}

async function runLimit(flags: LimitFlags, { output, services, interrupt }: Runtime): Promise<void> {
  const { node: which } = flags;
  const limits = { up: limitOf(flags.up), down: limitOf(flags.down) };
  const found = await services.findNodes({
    dataDir: flags.data,
    signal: interrupt.signal,
    onSilent: (problem) => output.warn(printable(problem.message)),
  });
  const meant = which === undefined ? found : found.filter(({ status }) => isMeant(status, which));
  if (meant.length === 0) {
    const what = which === undefined ? 'no node is running on this machine' : `no node here is ${printable(which)}`;
    throw new ShoalError('unknown-peer', what, { hint: '`shoal status` shows those that run' });
  }
  const statuses = await Promise.all(meant.map((node) => changed(node, limits)));
  output.document(statuses);
  for (const status of statuses) output.answer(limitLine(status));
}

async function changed(node: RunningNode, limits: NodeLimits): Promise<NodeStatus> {
  return limits.up === undefined && limits.down === undefined ? node.status : await node.setLimits(limits);
}

function isMeant({ address, pid, peer }: NodeStatus, which: string): boolean {
  if (address === which || String(pid) === which) return true;
  return which.length >= 4 && peer.startsWith(which.toLowerCase());
}

function limitLine({ peer, address, pid, limitUp, limitDown }: NodeStatus): string {
  return `node ${printable(peer.slice(0, 12))} on ${printable(address)} (process ${pid}): up ${rateText(limitUp)}, down ${rateText(limitDown)}`;
}

function rateText(rate: number | null): string {
  return rate === null ? 'unlimited' : `at most ${humanRate(rate)}`;
}
