/** Questions to the tracker that take several calls: whole listings, up to a number of rows. */
import { isSha256Hex, parseContentId } from '../content/digest.ts';
import type { LocateOptions, PeersOptions, TrackerClient, TrackerEntry, TrackerPeer } from '../peer/tracker-client.ts';
import type { GlobalOptions, Runtime } from './runtime.ts';

export interface Listing<Row> {
  readonly rows: readonly Row[];
  /** There are more than were asked for. */
  readonly cut: boolean;
}

/** Opens a client, lets `ask` use it, and closes it whatever happens. */
export async function withTracker<T>(
  shared: GlobalOptions,
  { services }: Runtime,
  ask: (client: TrackerClient) => Promise<T>,
): Promise<T> {
  const client = await services.createTrackerClient({ urls: shared.trackerUrls, token: shared.token, tls: shared.tls });
  try {
    return await ask(client);
  } finally {
    client.close();
  }
}

/** What was typed, as the tracker is asked for it. */
export function locateTarget(text: string): LocateOptions['what'] {
  return isSha256Hex(text) ? { contentId: parseContentId(text) } : { name: text };
}

export interface EntryQuery {
  readonly query?: string | undefined;
  readonly includeOffline: boolean;
  /** Also whole folders, whose names end with a slash. */
  readonly includeFolders?: boolean;
  readonly rowsMax: number;
  readonly signal: AbortSignal;
}

export function listEntries(
  client: TrackerClient,
  { query, includeOffline, includeFolders = false, rowsMax, signal }: EntryQuery,
): Promise<Listing<TrackerEntry>> {
  return readPages(rowsMax, async (limit, after) => {
    const { entries, nextAfter } = await client.listFiles(
      { ...(query === undefined ? {} : { query }), limit, after, includeOffline, includeFolders },
      signal,
    );
    return { rows: entries, nextAfter };
  });
}

export type PeerQuery = Omit<PeersOptions, 'limit' | 'after'>;

export function listPeers(
  client: TrackerClient,
  rowsMax: number,
  signal: AbortSignal,
  query: PeerQuery = {},
): Promise<Listing<TrackerPeer>> {
  return readPages(rowsMax, async (limit, after) => {
    const { peers, nextAfter } = await client.listPeers({ ...query, limit, after }, signal);
    return { rows: peers, nextAfter };
  });
}

type ReadPage<Row> = (
  limit: number,
  after: string,
) => Promise<{ readonly rows: readonly Row[]; readonly nextAfter: string }>;

async function readPages<Row>(rowsMax: number, readPage: ReadPage<Row>): Promise<Listing<Row>> {
  const rows: Row[] = [];
  let after = '';
  do {
    // one more than wanted tells whether there are more
    const page = await readPage(Math.min(1_000, rowsMax + 1 - rows.length), after);
    rows.push(...page.rows);
    after = page.nextAfter;
  } while (after !== '' && rows.length <= rowsMax);
  return { rows: rows.slice(0, rowsMax), cut: rows.length > rowsMax };
}
