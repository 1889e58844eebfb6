/** What a person asks for: a name, `name@hex`, a contentId, or a descriptor by its URL or its path. */
import { readFile, stat } from 'node:fs/promises';
import { isSha256Hex, parseContentId, type ContentId, type Sha256Hex } from '../content/digest.ts';
import { parseCatalogueName } from '../content/entry-name.ts';
import { ShoalError, systemErrorCode } from '../errors.ts';
import { CHUNK_COUNT_MAX } from '../limits.ts';
import { tlsError } from '../net/tls-error.ts';
import type { TlsFiles } from './api.ts';
import { secureFetch, type FetchAnswer } from './secure-fetch.ts';

export type Wanted =
  | { readonly kind: 'content'; readonly contentId: ContentId }
  /** With the `@hex` it may carry: the tracker knows the history of names. */
  | { readonly kind: 'name'; readonly name: string; readonly pieces?: DescribedPieces };

/** The SHA-256 of each piece that a descriptor without a content gives, in order. */
export type DescribedPieces = readonly Sha256Hex[];

const DESCRIPTOR_BYTES_MAX = 128 * 1024 * 1024;
const DESCRIPTOR_TIMEOUT_MS = 15_000;

/** Reads what was asked for; fetches a descriptor to learn which content it means. Throws `usage`, `no-such-name` or `tracker-unreachable`. */
export async function parseWanted(what: string, signal?: AbortSignal, tls?: TlsFiles): Promise<Wanted> {
  if (/^https?:\/\//iu.test(what)) return await fetchDescriptor(what, signal, tls);
  if (isDescriptorPath(what)) return await readDescriptor(what, signal);
  if (isSha256Hex(what.toLowerCase())) return { kind: 'content', contentId: parseContentId(what) };
  const at = /^(.+)@[0-9a-f]{4,64}$/iu.exec(what);
  parseCatalogueName(at?.[1] ?? what);
  return { kind: 'name', name: what.normalize('NFC') };
}

/** A descriptor that is a file here: no name begins like this, so that nothing which is named can be mistaken for it. */
export function isDescriptorPath(what: string): boolean {
  return /^(?:\.{0,2}[/\\]|[a-z]:[/\\]).*\.json$/isu.test(what) && !what.includes('\0');
}

async function readDescriptor(path: string, signal: AbortSignal | undefined): Promise<Wanted> {
  let text: string;
  try {
    const { size } = await stat(path);
    if (size > DESCRIPTOR_BYTES_MAX)
      throw new ShoalError('too-large', `the descriptor ${path} is larger than ${DESCRIPTOR_BYTES_MAX} bytes`);
    text = await readFile(path, { encoding: 'utf8', ...(signal && { signal }) });
  } catch (error) {
    if (error instanceof ShoalError) throw error;
    if (systemErrorCode(error) !== 'ENOENT')
      throw new ShoalError('usage', `the descriptor ${path} cannot be read: ${ShoalError.from(error).message}`, {
        cause: error,
      });
    throw new ShoalError('no-such-name', `there is no descriptor ${path}`, { cause: error });
  }
  return descriptorContent(path, text);
}

async function fetchDescriptor(url: string, signal: AbortSignal | undefined, tls?: TlsFiles): Promise<Wanted> {
  const timeout = AbortSignal.timeout(DESCRIPTOR_TIMEOUT_MS);
  let text: string;
  try {
    const either = signal === undefined ? timeout : AbortSignal.any([signal, timeout]);
    const response = await secureFetch(url, { signal: either }, tls);
    if (response.status === 404) throw new ShoalError('no-such-name', `there is no descriptor at ${url}`);
    if (!response.ok) throw new ShoalError('tracker-unreachable', `${url} answered ${response.status}`);
    text = await readText(response, url);
  } catch (error) {
    if (error instanceof ShoalError) throw error;
    if (signal?.aborted === true)
      throw new ShoalError('cancelled', `fetching the descriptor at ${url} was interrupted`, { cause: error });
    const disagreement = tlsError(`cannot fetch the descriptor at ${url}`, error);
    if (disagreement !== undefined) throw disagreement;
    throw new ShoalError('tracker-unreachable', `the descriptor at ${url} could not be fetched: is a server there?`, {
      cause: error,
    });
  }
  return descriptorContent(url, text);
}

/** The body, as long as it keeps to the limit: whoever serves it may send without end. */
async function readText(response: FetchAnswer, url: string): Promise<string> {
  const decoder = new TextDecoder();
  let text = '';
  let byteCount = 0;
  for await (const part of response.body ?? []) {
    byteCount += part.length;
    if (byteCount > DESCRIPTOR_BYTES_MAX)
      throw new ShoalError('too-large', `the descriptor at ${url} is larger than ${DESCRIPTOR_BYTES_MAX} bytes`);
    text += decoder.decode(part, { stream: true });
  }
  return text + decoder.decode();
}

/** Undefined where they say nothing that could be checked: none are given, or their hashes are not all SHA-256. */
function describedPieces(value: unknown): DescribedPieces | undefined {
  if (!Array.isArray(value) || value.length === 0 || value.length > CHUNK_COUNT_MAX) return undefined;
  const hashes = new Map<number, Sha256Hex>();
  for (const piece of value as unknown[]) {
    const { number, hash } = Object(piece) as { readonly number?: unknown; readonly hash?: unknown };
    const digest = typeof hash === 'string' ? hash.toLowerCase() : '';
    if (typeof number === 'number' && isSha256Hex(digest)) hashes.set(number, digest);
  }
  const inOrder = value.flatMap((_piece, index) => hashes.get(index + 1) ?? []);
  return inOrder.length === value.length ? inOrder : undefined;
}

/** Without what stands after `//`, where that is not in a text: such is the descriptor that the fifth founding document prints. */
function withoutComments(text: string): string {
  return text.replace(/"(?:[^"\\\n]|\\.)*"|\/\/[^\n]*/gu, (found) => (found.startsWith('"') ? found : ''));
}

function descriptorContent(url: string, text: string): Wanted {
  let document: unknown;
  try {
    document = JSON.parse(withoutComments(text));
  } catch (error) {
    throw new ShoalError('usage', `what is at ${url} is not JSON`, { cause: error });
  }
  const fields = typeof document === 'object' && document !== null ? (document as Record<string, unknown>) : {};
  if (typeof fields['content'] === 'string' && isSha256Hex(fields['content']))
    return { kind: 'content', contentId: parseContentId(fields['content']) };
  if (typeof fields['file_name'] === 'string') {
    const name = parseCatalogueName(fields['file_name']);
    const pieces = describedPieces(fields['pieces']);
    return pieces === undefined ? { kind: 'name', name } : { kind: 'name', name, pieces };
  }
  throw new ShoalError('usage', `what is at ${url} is not a descriptor: it has neither "content" nor "file_name"`);
}
