/** `shoal peers`: the peers the tracker knows, with their state. */
import { Option } from 'commander';
import { LISTING_ROWS_DEFAULT } from '../../limits.ts';
import type { TrackerAddress, TrackerPeer } from '../../peer/tracker-client.ts';
import { humanAgo, humanBytes, humanCount } from '../human.ts';
import { parseCount } from '../rates.ts';
import { examples, globalOptions, type DefineCommand, type GlobalOptions, type Runtime } from '../runtime.ts';
import { renderTable, type Column } from '../table.ts';
import { listPeers, locateTarget, withTracker } from '../tracker-queries.ts';

interface PeersFlags {
  readonly limit: number;
  readonly file?: string;
  readonly state?: 'online' | 'offline';
  readonly banned?: boolean;
  readonly volunteers?: boolean;
}

export const definePeers: DefineCommand = (command, runtime) => {
  command
    .argument('[text]', 'only peers with this in their id, an address or their agent')
    .option('--file <name>', 'only peers that have this file or some of it: a name, name@hex, or a content id')
    .addOption(new Option('--state <state>', 'only peers in this state').choices(['online', 'offline']))
    .option('--banned', 'only peers that are named to nobody for a while')
    .option('--volunteers', 'only peers that offer space for replicas')
    .addOption(new Option('--limit <rows>', 'at most so many').default(LISTING_ROWS_DEFAULT).argParser(parseCount))
    .addHelpText(
      'after',
      examples(
        ['shoal peers', 'who is there'],
        ['shoal peers --file big.bin --state online', 'who has it now'],
        ['shoal peers 10.0.3.', 'a part of the network'],
        ['shoal peers --json', 'as JSON, for a script'],
      ),
    )
    .action((text: string | undefined, flags: PeersFlags) => runPeers(text, flags, globalOptions(command), runtime));
};

async function runPeers(
  text: string | undefined,
  { limit, file, state, banned, volunteers }: PeersFlags,
  shared: GlobalOptions,
  runtime: Runtime,
): Promise<void> {
  const { output, interrupt, wallClock } = runtime;
  const query = { query: text, state, banned, volunteers, what: file === undefined ? undefined : locateTarget(file) };
  const { rows, cut } = await withTracker(shared, runtime, (client) =>
    listPeers(client, limit, interrupt.signal, query),
  );
  output.document(rows.map(peerDocument));
  if (rows.length > 0)
    for (const line of renderTable(rows, peerColumns(wallClock(), rows), output.columns)) output.answer(line);
  else
    output.note(
      Object.values(query).every((wanted) => wanted === undefined) ? 'the tracker knows no peer yet' : 'no such peer',
    );
  if (cut) output.warn(`only the first ${humanCount(rows.length, 'row')}: raise --limit to see more`);
}

function peerDocument(peer: TrackerPeer): Record<string, unknown> {
  const { peerId, addresses, dialects, agent, online, banned, lastSeenMs, completeContents, partialContents } = peer;
  const { replicaContents, reachability, volunteer } = peer;
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
    replicaContents,
    reachability,
    offeredBytes: volunteer?.offeredBytes ?? 0,
    usedBytes: volunteer?.usedBytes ?? 0,
  };
}

/** `host:port`, with an IPv6 host in brackets. */
export function formatAddress({ host, port }: TrackerAddress): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}

/** In one word; of somebody who is online and cannot be reached, that is what matters. */
function peerState({ online, banned, reachability }: TrackerPeer): string {
  if (banned) return 'banned';
  if (!online) return 'offline';
  return reachability === 'unreachable' ? 'unreachable' : 'online';
}

/** Of a volunteer: how much it keeps of what it offers. */
function keptOf({ volunteer }: TrackerPeer): string {
  return volunteer === undefined ? '-' : `${humanBytes(volunteer.usedBytes)} of ${humanBytes(volunteer.offeredBytes)}`;
}

const REPLICAS: Column<TrackerPeer> = { title: 'REPLICAS', align: 'right', value: keptOf };

export function peerColumns(nowMs: number, rows: readonly TrackerPeer[]): readonly Column<TrackerPeer>[] {
  return [
    { title: 'ADDRESS', value: ({ addresses }) => addresses.map(formatAddress).join(' '), shrink: true },
    { title: 'PEER', value: ({ peerId }) => (peerId === '' ? '-' : peerId.slice(0, 12)) },
    { title: 'STATE', value: peerState },
    { title: 'SPEAKS', value: ({ dialects }) => dialects.join(' ') },
    { title: 'WHOLE', align: 'right', value: ({ completeContents }) => String(completeContents) },
    { title: 'IN PART', align: 'right', value: ({ partialContents }) => String(partialContents) },
    ...(rows.some(({ volunteer }) => volunteer !== undefined) ? [REPLICAS] : []),
    { title: 'AGENT', value: ({ agent }) => agent },
    { title: 'SEEN', value: ({ lastSeenMs }) => humanAgo(lastSeenMs, nowMs) },
  ];
}
