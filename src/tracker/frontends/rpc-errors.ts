/** What went wrong, as an RPC answer. */
import { Code, ConnectError } from '@connectrpc/connect';
import { codeFromString } from '@connectrpc/connect/protocol-connect';
import { rpcMetadata } from '../../contract/errors.ts';
import { ERROR_TABLE, type ShoalError } from '../../errors.ts';

export function toConnectError(error: ShoalError): ConnectError {
  // the table's names come from gRPC, which spells this one with a double l
  const rpcName = ERROR_TABLE[error.code].rpc.replace('cancelled', 'canceled');
  return new ConnectError(error.message, codeFromString(rpcName) ?? Code.Unknown, rpcMetadata(error));
}
