/** `shoal peers`: the peers the tracker knows, with their state. */
import { Option } from 'commander';
import { LISTING_ROWS_DEFAULT } from '../../limits.ts';
import type { TrackerAddress, TrackerPeer } from '../../peer/tracker-client.ts';
import { humanAgo, humanCount } from '../human.ts';
import { parseCount } from '../rates.ts';
import { examples, globalOptions, type DefineCommand, type GlobalOptions, type Runtime } from '../runtime.ts';
import { renderTable, type Column } from '../table.ts';
import { listPeers, withTracker } from '../tracker-queries.ts';

interface PeersFlags {
  readonly limit: number;
}

export const definePeers: DefineCommand = (command, runtime) => {
  command
    .addOption(new Option('--limit <rows>', 'at most so many').default(LISTING_ROWS_DEFAULT).argParser(parseCount))
    .addHelpText('after', examples(['shoal peers', 'who is there'], ['shoal peers --json', 'as JSON, for a script']))
    .action((flags: PeersFlags) => runPeers(flags, globalOptions(command), runtime));
};

async function runPeers(flags: PeersFlags, shared: GlobalOptions, runtime: Runtime): Promise<void> {
  const { output, interrupt, wallClock } = runtime;
  const { rows, cut } = await withTracker(shared, runtime, (client) =>
    listPeers(client, flags.limit, interrupt.signal),
  );
  output.document(rows.map(peerDocument));
  if (rows.length > 0)
    for (const line of renderTable(rows, peerColumns(wallClock()), output.columns)) output.answer(line);
  else output.note('the tracker knows no peer yet');
  if (cut) output.warn(`only the first ${humanCount(rows.length, 'row')}: raise --limit to see more`);
}

function peerDocument(peer: TrackerPeer): Record<string, unknown> {
  const { peerId, addresses, dialects, agent, online, banned, lastSeenMs, completeContents, partialContents } = peer;
  return {
    peer: peerId,
    addresses: addresses.map(formatAddress),
    dialects,
    agent,
    online,
    banned,
    lastSeen: new Date(lastSeenMs).toISOString(),
    completeContents,
    partialContents,
  };
}

/** `host:port`, with an IPv6 host in brackets. */
export function formatAddress({ host, port }: TrackerAddress): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}

export function peerColumns(nowMs: number): readonly Column<TrackerPeer>[] {
  return [
    { title: 'ADDRESS', value: ({ addresses }) => addresses.map(formatAddress).join(' '), shrink: true },
    { title: 'PEER', value: ({ peerId }) => (peerId === '' ? '-' : peerId.slice(0, 12)) },
    { title: 'STATE', value: ({ online, banned }) => (banned ? 'banned' : online ? 'online' : 'offline') },
    { title: 'SPEAKS', value: ({ dialects }) => dialects.join(' ') },
    { title: 'WHOLE', align: 'right', value: ({ completeContents }) => String(completeContents) },
    { title: 'IN PART', align: 'right', value: ({ partialContents }) => String(partialContents) },
    { title: 'AGENT', value: ({ agent }) => agent },
    { title: 'SEEN', value: ({ lastSeenMs }) => humanAgo(lastSeenMs, nowMs) },
  ];
}
