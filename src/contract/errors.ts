/**
 * Errors across the tracker's RPC, both ways. The gRPC code is what any client understands; the exact Shoal code and the hint travel
 * beside it as metadata, because several of ours share one of theirs.
 */
import { Code, ConnectError } from '@connectrpc/connect';
import { codeFromString } from '@connectrpc/connect/protocol-connect';
import { ERROR_TABLE, ShoalError, type ErrorCode } from '../errors.ts';

const CODE_METADATA = 'shoal-code';
/** Percent-encoded: header values are ASCII. */
const HINT_METADATA = 'shoal-hint';

export function toConnectError(error: ShoalError): ConnectError {
  const metadata: Record<string, string> = { [CODE_METADATA]: error.code };
  if (error.hint !== '') metadata[HINT_METADATA] = encodeURIComponent(error.hint);
  // the table's names come from gRPC, which spells this one with a double l
  const rpcName = ERROR_TABLE[error.code].rpc.replace('cancelled', 'canceled');
  return new ConnectError(error.message, codeFromString(rpcName) ?? Code.Unknown, metadata);
}

/** The error a tracker sent; undefined for one that a tracker did not make (a proxy, a broken connection, another server). */
export function fromConnectError(error: ConnectError): ShoalError | undefined {
  const code = error.metadata.get(CODE_METADATA);
  if (code === null || !isErrorCode(code)) return undefined;
  return new ShoalError(code, error.rawMessage, { cause: error, hint: decodeHint(error.metadata.get(HINT_METADATA)) });
}

function isErrorCode(text: string): text is ErrorCode {
  return Object.hasOwn(ERROR_TABLE, text);
}

function decodeHint(text: string | null): string {
  try {
    return decodeURIComponent(text ?? '');
  } catch {
    return ''; // a hint that nobody can read helps nobody
  }
}
