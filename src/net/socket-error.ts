/** What the operating system and Node say about a socket, as errors of ours. The only place that knows their codes. */
import { ShoalError, systemErrorCode, type ErrorCode } from '../errors.ts';
import { tlsError } from './tls-error.ts';

const MEANINGS: Readonly<Record<string, readonly [code: ErrorCode, meaning: string, hint?: string]>> = {
  ECONNREFUSED: ['peer-gone', 'nothing accepts connections there'],
  ECONNRESET: ['peer-gone', 'the other side cut the connection'],
  ECONNABORTED: ['peer-gone', 'the connection was aborted'],
  EPIPE: ['peer-gone', 'the other side has closed the connection'],
  ERR_STREAM_WRITE_AFTER_END: ['peer-gone', 'the connection is closed'],
  ERR_STREAM_DESTROYED: ['peer-gone', 'the connection is closed'],
  ERR_STREAM_PREMATURE_CLOSE: ['peer-gone', 'the connection ended too early'],
  ERR_SOCKET_CLOSED: ['peer-gone', 'the connection is closed'],
  ERR_SOCKET_CONNECTION_TIMEOUT: ['peer-gone', 'no answer in time'],
  ETIMEDOUT: ['peer-gone', 'no answer in time'],
  EHOSTUNREACH: ['peer-gone', 'the host cannot be reached'],
  EHOSTDOWN: ['peer-gone', 'the host is down'],
  ENETUNREACH: ['peer-gone', 'the network cannot be reached'],
  ENETDOWN: ['peer-gone', 'the network is down'],
  ENOTFOUND: ['peer-gone', 'there is no host of that name'],
  ENODATA: ['peer-gone', 'the name has no address'],
  EAI_AGAIN: ['peer-gone', 'the name could not be looked up for now'],
  EADDRNOTAVAIL: ['usage', 'the address is not one of this machine', 'Choose an address that this machine has.'],
  EADDRINUSE: ['usage', 'the port is in use', 'Choose another port, or 0 for any free one.'],
  EACCES: ['not-allowed', 'the system does not permit it', 'Ports below 1024 usually need special rights.'],
  EPERM: ['not-allowed', 'the system does not permit it'],
  EINVAL: ['usage', 'the address is not valid'],
  EAFNOSUPPORT: ['usage', 'this machine does not speak that kind of address'],
  ERR_SOCKET_BAD_PORT: ['usage', 'the port is not valid'],
  EMFILE: ['limit', 'this process has too many open files', 'Raise the limit on open files (ulimit -n).'],
  ENFILE: ['limit', 'the system has too many open files'],
  ENOBUFS: ['limit', 'the system has no buffers left'],
  ENOMEM: ['limit', 'the system has no memory left'],
  ABORT_ERR: ['cancelled', 'it was cancelled'],
};

/** `what` begins the sentence, e.g. `cannot connect to 192.0.2.1:9001`. An error that is ours already stays as it is. */
export function socketError(what: string, thrown: unknown): ShoalError {
  if (thrown instanceof ShoalError) return thrown;
  const disagreement = tlsError(what, thrown);
  if (disagreement !== undefined) return disagreement;
  const code = systemErrorCode(thrown);
  const known = Object.hasOwn(MEANINGS, code) ? MEANINGS[code] : undefined;
  if (known !== undefined) {
    const [ownCode, meaning, hint = ''] = known;
    return new ShoalError(ownCode, `${what}: ${meaning} (${code})`, { cause: thrown, hint });
  }
  // a socket fails for many reasons; an unknown one is still no reason to call our code wrong
  const text = code !== '' ? code : thrown instanceof Error ? thrown.message : String(thrown);
  return new ShoalError('peer-gone', `${what}: ${text}`, { cause: thrown });
}
