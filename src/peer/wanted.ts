/** What a person asks for: a name, `name@hex`, a contentId, or the URL of a descriptor. */
import { isSha256Hex, parseContentId, type ContentId } from '../content/digest.ts';
import { parseCatalogueName } from '../content/entry-name.ts';
import { ShoalError } from '../errors.ts';
import { tlsError } from '../net/tls-error.ts';
import type { TlsFiles } from './api.ts';
import { secureFetch, type FetchAnswer } from './secure-fetch.ts';

export type Wanted =
  | { readonly kind: 'content'; readonly contentId: ContentId }
  /** With the `@hex` it may carry: the tracker knows the history of names. */
  | { readonly kind: 'name'; readonly name: string };

const DESCRIPTOR_BYTES_MAX = 128 * 1024 * 1024;
const DESCRIPTOR_TIMEOUT_MS = 15_000;

/** Reads what was asked for; fetches a descriptor to learn which content it means. Throws `usage`, `no-such-name` or `tracker-unreachable`. */
export async function parseWanted(what: string, signal?: AbortSignal, tls?: TlsFiles): Promise<Wanted> {
  if (/^https?:\/\//iu.test(what)) return await readDescriptor(what, signal, tls);
  if (isSha256Hex(what.toLowerCase())) return { kind: 'content', contentId: parseContentId(what) };
  const at = /^(.+)@[0-9a-f]{4,64}$/iu.exec(what);
  parseCatalogueName(at?.[1] ?? what);
  return { kind: 'name', name: what.normalize('NFC') };
}

async function readDescriptor(url: string, signal: AbortSignal | undefined, tls?: TlsFiles): Promise<Wanted> {
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
    throw new ShoalError('tracker-unreachable', `the descriptor at ${url} could not be fetched`, { cause: error });
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

function descriptorContent(url: string, text: string): Wanted {
  let document: unknown;
  try {
    document = JSON.parse(text);
  } catch (error) {
    throw new ShoalError('usage', `what is at ${url} is not JSON`, { cause: error });
  }
  const fields = typeof document === 'object' && document !== null ? (document as Record<string, unknown>) : {};
  if (typeof fields['content'] === 'string' && isSha256Hex(fields['content']))
    return { kind: 'content', contentId: parseContentId(fields['content']) };
  if (typeof fields['file_name'] === 'string') return { kind: 'name', name: parseCatalogueName(fields['file_name']) };
  throw new ShoalError('usage', `what is at ${url} is not a descriptor: it has neither "content" nor "file_name"`);
}
