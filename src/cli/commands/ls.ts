/** `shoal ls`: what the catalogue offers, the newest entry of each name. */
import { Option } from 'commander';
import { LISTING_ROWS_DEFAULT } from '../../limits.ts';
import type { TrackerEntry } from '../../peer/tracker-client.ts';
import { humanAgo, humanBytes, humanCount } from '../human.ts';
import { parseCount } from '../rates.ts';
import { examples, globalOptions, type DefineCommand, type GlobalOptions, type Runtime } from '../runtime.ts';
import { renderTable, type Column } from '../table.ts';
import { listEntries, withTracker } from '../tracker-queries.ts';

interface LsFlags {
  readonly query?: string;
  readonly all?: true;
  readonly folders?: true;
  readonly limit: number;
}

export const defineLs: DefineCommand = (command, runtime) => {
  command
    .addOption(new Option('--query <text>', 'only names that contain this, in any case'))
    .addOption(new Option('--all', 'also what no peer serves at the moment'))
    .addOption(new Option('--folders', 'with --json: also whole folders, whose names end with a slash'))
    .addOption(new Option('--limit <rows>', 'at most so many').default(LISTING_ROWS_DEFAULT).argParser(parseCount))
    .addHelpText(
      'after',
      examples(['shoal ls', 'what can be downloaded now'], ['shoal ls --query .iso --json', 'as JSON, for a script']),
    )
    .action((flags: LsFlags) => runLs(flags, globalOptions(command), runtime));
};

async function runLs(flags: LsFlags, shared: GlobalOptions, runtime: Runtime): Promise<void> {
  const { output, interrupt, wallClock } = runtime;
  const { rows, cut } = await withTracker(shared, runtime, (client) =>
    listEntries(client, {
      query: flags.query,
      includeOffline: flags.all === true,
      // programs that were written for files get files
      includeFolders: flags.folders === true || !output.json,
      rowsMax: flags.limit,
      signal: interrupt.signal,
    }),
  );
  output.document(rows.map(entryDocument));
  if (rows.length > 0)
    for (const line of renderTable(rows, entryColumns(wallClock()), output.columns)) output.answer(line);
  else output.note(flags.query === undefined ? 'nothing is shared yet' : `no name contains "${flags.query}"`);
  if (cut) output.warn(`only the first ${humanCount(rows.length, 'row')}: narrow it with --query, or raise --limit`);
}

/** An entry as `--json` shows it. */
export function entryDocument(entry: TrackerEntry): Record<string, unknown> {
  const { name, size, sha256, contentId, chunkSize, chunkCount, seeders, leechers, volunteers, publishedAtMs } = entry;
  const { replicas, replicasReached, replicaChunksMissing } = entry;
  const publishedAt = new Date(publishedAtMs).toISOString();
  return {
    ...{ name, size, sha256, content: contentId, chunkSize, chunkCount, seeders, leechers, publishedAt },
    ...{ replicas, replicasReached, replicaChunksMissing, volunteers },
  };
}

export function entryColumns(nowMs: number): readonly Column<TrackerEntry>[] {
  return [
    { title: 'NAME', value: ({ name }) => name, shrink: true },
    { title: 'SIZE', align: 'right', value: ({ size }) => humanBytes(size) },
    { title: 'SEEDERS', align: 'right', value: ({ seeders }) => String(seeders) },
    { title: 'LEECHERS', align: 'right', value: ({ leechers }) => String(leechers) },
    { title: 'SHA-256', value: ({ sha256 }) => sha256.slice(0, 12) },
    { title: 'PUBLISHED', value: ({ publishedAtMs }) => humanAgo(publishedAtMs, nowMs) },
  ];
}
