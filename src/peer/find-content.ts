/**
 * What is to be fetched: turns what a person asked for into a content with its manifest, and the sources the tracker names. Asks
 * the tracker and peers; moves no chunk.
 */
import { createChunkLayout, type ChunkLayout } from '../content/chunk-layout.ts';
import { digestBytes, isSha256Hex, type ContentId, type Sha256Hex } from '../content/digest.ts';
import { parseCatalogueName, parseEntryName, type EntryName } from '../content/entry-name.ts';
import { chunkDigestMatches, type Manifest } from '../content/manifest.ts';
import { ShoalError } from '../errors.ts';
import type { GetOptions, TlsFiles } from './api.ts';
import type { Conviction } from './content-session.ts';
import type { Located, LocateOptions, TrackerClient } from './tracker-client.ts';
import { parseWanted, type DescribedPieces, type Wanted } from './wanted.ts';

/** What is to be fetched, once it is known. */
export interface WantedContent {
  readonly name: EntryName;
  readonly layout: ChunkLayout;
  /** Undefined: an entry announced plainly, verified as a whole at the end. */
  readonly manifest: Manifest | undefined;
  /** The digest the whole must have; undefined when the announcer gave none that is one. */
  readonly sha256: Sha256Hex | undefined;
}

export interface FoundContent {
  readonly wanted: WantedContent;
  readonly located: Located | undefined;
  /** Peers that gave a manifest which is not that of the content. */
  readonly liars: readonly Conviction[];
  /** The folder in the folder found that was asked for (`week1/`); '' for all of it, and for a file. */
  readonly below: string;
}

/** What the search needs of its node. */
export interface FindHost {
  /** 32 hex digits. */
  readonly peerId: string;
  readonly tracker: TrackerClient;
  readonly tls?: TlsFiles | undefined;
  fetchManifest(address: string, contentId: ContentId, signal: AbortSignal): Promise<Manifest>;
}

/** Peers asked for a manifest before the tracker is. */
const MANIFEST_PEERS_MAX = 4;

/** `located` is undefined when the tracker was not needed. Throws `no-such-name`, `tracker-unreachable`, `integrity` or `usage`. */
export async function findContent(host: FindHost, options: GetOptions, signal: AbortSignal): Promise<FoundContent> {
  const asked = await parseWanted(options.what, signal, host.tls);
  const { located, below } = await locate(host, asked, options, signal);
  const liars: Conviction[] = [];
  const wanted = await learnContent(host, asked, located, options, liars, signal);
  checkExpected(wanted, options.expectedSha256);
  if (asked.kind === 'name' && asked.pieces !== undefined) checkPieces(wanted, asked.pieces);
  return { wanted, located, liars, below };
}

async function locate(
  host: FindHost,
  asked: Wanted,
  options: GetOptions,
  signal: AbortSignal,
): Promise<Pick<FoundContent, 'located' | 'below'>> {
  const ask = (what: LocateOptions['what']): Promise<Located> =>
    host.tracker.locate({ what, peerId: host.peerId, wantManifest: true }, signal);
  if (asked.kind === 'content') {
    try {
      return { located: await ask({ contentId: asked.contentId }), below: '' };
    } catch (error) {
      // with an identity and somebody to ask, the tracker is not needed
      if ((options.from ?? []).length > 0) return { located: undefined, below: '' };
      throw error;
    }
  }
  try {
    return { located: await ask({ name: asked.name }), below: '' };
  } catch (error) {
    for (const { name, below } of foldersMeant(asked.name)) {
      if (!(error instanceof ShoalError) || error.code !== 'no-such-name') break;
      try {
        return { located: await ask({ name }), below };
      } catch (other) {
        if (ShoalError.from(other).code !== 'no-such-name') throw other;
      }
    }
    if (ShoalError.from(error).code !== 'no-such-name' || !/\.json$/iu.test(asked.name)) throw error;
    throw new ShoalError('no-such-name', ShoalError.from(error).message, {
      cause: error,
      hint: 'a descriptor is named by its URL, http://.../x.json, or by its path, ./x.json; shoal ls shows the names there are',
    });
  }
}

/** What a name may mean that is none in the catalogue: a folder without its slash, or a folder in a folder. Nearest first. */
export function foldersMeant(text: string): readonly { readonly name: string; readonly below: string }[] {
  const [, base = text, version = ''] = /^(.+?)(@[0-9a-f]{1,64})?$/iu.exec(text) ?? [];
  const segments = base.replace(/\/$/u, '').split('/');
  const meant: { name: string; below: string }[] = [];
  for (let count = segments.length; count > 0; count--) {
    const below = segments.slice(count).map((segment) => `${segment}/`);
    const name = `${segments.slice(0, count).join('/')}/${version}`;
    if (name !== text) meant.push({ name, below: below.join('') });
  }
  return meant;
}

async function learnContent(
  host: FindHost,
  asked: Wanted,
  located: Located | undefined,
  options: GetOptions,
  liars: Conviction[],
  signal: AbortSignal,
): Promise<WantedContent> {
  const contentId = contentIdOf(asked, located);
  if (contentId !== undefined) {
    const manifest = await learnManifest(host, contentId, located, options, liars, signal);
    const name = parseCatalogueName(located?.entry.name ?? contentId);
    return { name, layout: manifest, manifest, sha256: manifest.sha256 };
  }
  if (located === undefined) throw new ShoalError('bug', 'neither an entry nor a content was found');
  const digest = located.entry.sha256.toLowerCase();
  return {
    name: parseEntryName(located.entry.name),
    layout: createChunkLayout(located.entry.size),
    manifest: undefined,
    sha256: isSha256Hex(digest) ? digest : undefined,
  };
}

function contentIdOf(asked: Wanted, located: Located | undefined): ContentId | undefined {
  if (located !== undefined && located.entry.contentId !== '') return located.entry.contentId;
  return asked.kind === 'content' ? asked.contentId : undefined;
}

/** From the answer itself, else from peers (so that the tracker need not feed it to thousands), else from the tracker. */
async function learnManifest(
  host: FindHost,
  contentId: ContentId,
  located: Located | undefined,
  options: GetOptions,
  liars: Conviction[],
  signal: AbortSignal,
): Promise<Manifest> {
  if (located?.manifest !== undefined) return located.manifest;
  const native = (located?.sources ?? []).filter((source) => source.dialects.includes('native'));
  const peers = [
    ...(options.from ?? []).map((address) => ({ key: address, address })),
    ...native.flatMap(({ peerId, addresses }) =>
      addresses.slice(0, 1).map((address) => ({ key: peerId, address: formatSourceAddress(address) })),
    ),
  ];
  let refusal: unknown;
  for (const { key, address } of peers.slice(0, MANIFEST_PEERS_MAX)) {
    try {
      return await host.fetchManifest(address, contentId, signal);
    } catch (error) {
      if (signal.aborted) throw error;
      // the next one, or the tracker, may have it
      const { code, message } = ShoalError.from(error);
      if (code === 'not-allowed') refusal = error;
      if (code === 'integrity' || code === 'protocol') liars.push({ key, address, offence: code, text: message });
    }
  }
  try {
    return await host.tracker.manifest(contentId, signal);
  } catch (error) {
    // a peer's refusal says more than the silence of a tracker that was not needed
    throw located === undefined && refusal !== undefined ? refusal : error;
  }
}

function checkExpected(wanted: WantedContent, expected: Sha256Hex | undefined): void {
  if (expected === undefined || wanted.sha256 === undefined || wanted.sha256 === expected) return;
  throw new ShoalError('integrity', `${wanted.name} has the SHA-256 ${wanted.sha256}, not ${expected} as asked for`, {
    hint: 'nothing was downloaded; older versions of a name are reached as name@hex',
  });
}

/** A descriptor that has only a name and pieces means the file that has these pieces, whatever else has its name by now. */
function checkPieces({ name, manifest, sha256 }: WantedContent, pieces: DescribedPieces): void {
  const [whole] = pieces;
  const isMeant =
    manifest === undefined
      ? pieces.length === 1 && sha256 === whole
      : manifest.chunkCount === pieces.length &&
        pieces.every((digest, index) => chunkDigestMatches(manifest, index, digestBytes(digest)));
  if (isMeant) return;
  throw new ShoalError(
    'integrity',
    `the ${pieces.length} pieces of the descriptor are not those of ${name} at the tracker`,
    {
      hint: 'nothing was downloaded: the file has changed since, or is cut differently; /torrents/ of the tracker has the descriptor of what there is now, and older versions are reached as name@hex',
    },
  );
}

export function formatSourceAddress({ host, port }: { host: string; port: number }): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}
