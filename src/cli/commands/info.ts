/** `shoal info`: one entry, who has it, and whether every chunk can be had. */
import { LOCATE_SOURCES_MAX } from '../../limits.ts';
import type { Located, TrackerSource } from '../../peer/tracker-client.ts';
import { availabilityLine, availabilityStrip, countCopies } from '../availability.ts';
import { printable } from '../display-width.ts';
import { humanAgo, humanBytes, humanCount, humanPercent } from '../human.ts';
import { examples, globalOptions, type DefineCommand, type GlobalOptions, type Runtime } from '../runtime.ts';
import { renderTable, type Column } from '../table.ts';
import { locateTarget, withTracker } from '../tracker-queries.ts';
import { entryDocument } from './ls.ts';
import { formatAddress } from './peers.ts';

const STRIP_COLUMNS = 60;

export const defineInfo: DefineCommand = (command, runtime) => {
  command
    .argument('<name>', 'a name, name@hex, or a content id')
    .addHelpText(
      'after',
      examples(
        ['shoal info big.bin', 'does every chunk have a source?'],
        ['shoal info big.bin@3fa9', 'an older version of the name'],
        ['shoal info big.bin --json', 'as JSON, for a script'],
      ),
    )
    .action((name: string) => runInfo(name, globalOptions(command), runtime));
};

async function runInfo(name: string, shared: GlobalOptions, runtime: Runtime): Promise<void> {
  const { output, interrupt } = runtime;
  const what = locateTarget(name);
  const located = await withTracker(shared, runtime, (client) => client.locate({ what }, interrupt.signal));
  const { entry, sources } = located;
  const availability = countCopies(
    entry.chunkCount,
    sources.map(({ chunks }) => chunks),
  );
  const { missingCount, copiesMin, copiesMax } = availability;
  output.document({
    ...entryDocument(entry),
    availability: { chunkCount: entry.chunkCount, missingCount, copiesMin, copiesMax },
    sources: sources.map((source) => sourceDocument(source, entry.chunkCount)),
  });
  for (const line of infoLines(located, runtime)) output.answer(line);
}

function infoLines({ entry, sources }: Located, { output, wallClock }: Runtime): readonly string[] {
  const { name, size, chunkCount, chunkSize, sha256, contentId, seeders, leechers, volunteers } = entry;
  const inChunks = chunkCount === 0 ? '' : ` in ${humanCount(chunkCount, 'chunk')} of ${humanBytes(chunkSize)}`;
  const inParts = volunteers === 0 ? '' : `, ${humanCount(volunteers, 'volunteer')} with a part of it`;
  const lines = [
    printable(name),
    `  size       ${humanBytes(size)} (${size} bytes)${inChunks}`,
    `  sha256     ${printable(sha256) || 'not announced'}`,
    `  content    ${contentId || 'none: it was announced without a manifest, and is verified as a whole'}`,
    `  published  ${humanAgo(entry.publishedAtMs, wallClock())}`,
    `  have it    ${humanCount(seeders, 'seeder')}, ${humanCount(leechers, 'leecher')}${inParts}`,
  ];
  if (entry.replicas > 0) lines.push(`  replicas   ${replicasLine(entry)}`);
  if (contentId !== '') {
    const availability = countCopies(
      chunkCount,
      sources.map(({ chunks }) => chunks),
    );
    lines.push(`  chunks     ${availabilityLine(availability)}`);
    if (chunkCount > 0)
      lines.push(`  map        ${availabilityStrip(availability, STRIP_COLUMNS)}  (copies, rarest of each part)`);
  }
  if (sources.length === 0) return lines;
  if (sources.length >= LOCATE_SOURCES_MAX) lines.push('', `${sources.length} sources, as the tracker chose them:`);
  else lines.push('');
  return [...lines, ...renderTable(sources, sourceColumns(chunkCount), output.columns)];
}

/** How far the volunteers are. */
function replicasLine({ replicas, replicasReached, replicaChunksMissing, chunkCount }: Located['entry']): string {
  const reached = `${Math.min(replicasReached, replicas)} of ${replicas}`;
  if (replicaChunksMissing === 0) return `${reached}: volunteers keep every chunk as often as asked for`;
  return `${reached}: ${replicaChunksMissing} of ${humanCount(chunkCount, 'chunk')} have fewer copies than asked for`;
}

function sourceDocument(
  { peerId, addresses, dialects, chunks, isReplica }: TrackerSource,
  chunkCount: number,
): Record<string, unknown> {
  return {
    peer: peerId,
    addresses: addresses.map(formatAddress),
    dialects,
    complete: chunks === undefined,
    chunks: chunks === undefined ? chunkCount : chunks.count,
    replica: isReplica,
  };
}

function sourceColumns(chunkCount: number): readonly Column<TrackerSource>[] {
  return [
    { title: 'SOURCE', value: ({ addresses }) => addresses.map(formatAddress).join(' '), shrink: true },
    { title: 'PEER', value: ({ peerId }) => (peerId === '' ? '-' : peerId.slice(0, 12)) },
    { title: 'SPEAKS', value: ({ dialects }) => dialects.join(' ') },
    {
      title: 'HAS',
      align: 'right',
      value: ({ chunks, isReplica }) =>
        chunks === undefined ? 'all' : `${humanPercent(chunks.count, chunkCount)}${isReplica ? ', replicas' : ''}`,
    },
  ];
}
