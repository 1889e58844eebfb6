/**
 * Errors across the tracker's RPC, both ways. The gRPC code is what any client understands; the exact Shoal code and the hint travel
 * beside it as metadata, because several of ours share one of theirs.
 */
import { ERROR_TABLE, ShoalError, type ErrorCode } from '../errors.ts';

const CODE_METADATA = 'shoal-code';
/** Percent-encoded: header values are ASCII. */
const HINT_METADATA = 'shoal-hint';

export function rpcMetadata(error: ShoalError): Record<string, string> {
  const metadata: Record<string, string> = { [CODE_METADATA]: error.code };
  if (error.hint !== '') metadata[HINT_METADATA] = encodeURIComponent(error.hint);
  return metadata;
}

/** The error a tracker sent; undefined for one that a tracker did not make (a proxy, another server). `metadata` looks a name up. */
export function shoalErrorFromRpc(
  message: string,
  metadata: (name: string) => string | undefined,
): ShoalError | undefined {
  const code = metadata(CODE_METADATA);
  if (code === undefined || !isErrorCode(code)) return undefined;
  return new ShoalError(code, message, { hint: decodeHint(metadata(HINT_METADATA)) });
}

function isErrorCode(text: string): text is ErrorCode {
  return Object.hasOwn(ERROR_TABLE, text);
}

function decodeHint(text: string | undefined): string {
  try {
    return decodeURIComponent(text ?? '');
  } catch {
    return ''; // a hint that nobody can read helps nobody
  }
}
