/** What Node and OpenSSL say when two sides do not agree on TLS, as errors of ours. The only place that knows those codes. */
import { ShoalError, systemErrorCode } from '../errors.ts';

interface Meaning {
  readonly says: string;
  readonly hint: string;
}

const NO_TLS: Meaning = {
  says: 'the other side does not speak TLS',
  hint: 'either the whole swarm has --tls, or none of it',
};
const FOREIGN: Meaning = {
  says: 'its certificate is not by the authority of this swarm',
  hint: 'all of a swarm have certificates by one authority: see shoal cert --help',
};
const UNWANTED: Meaning = {
  says: 'the other side does not take our certificate',
  hint: 'all of a swarm have certificates by one authority: see shoal cert --help',
};
const OVER: Meaning = { says: 'its certificate has run out', hint: 'renew it there: shoal cert node NAME --renew' };

const MEANINGS: Readonly<Record<string, Meaning>> = {
  ERR_SSL_WRONG_VERSION_NUMBER: NO_TLS,
  ERR_SSL_PACKET_LENGTH_TOO_LONG: NO_TLS,
  ERR_SSL_UNEXPECTED_MESSAGE: NO_TLS,
  ERR_SSL_RECORD_LAYER_FAILURE: NO_TLS,
  ERR_SSL_HTTP_REQUEST: NO_TLS,
  SELF_SIGNED_CERT_IN_CHAIN: FOREIGN,
  DEPTH_ZERO_SELF_SIGNED_CERT: FOREIGN,
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: FOREIGN,
  UNABLE_TO_GET_ISSUER_CERT: FOREIGN,
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: FOREIGN,
  CERT_SIGNATURE_FAILURE: FOREIGN,
  CERT_UNTRUSTED: FOREIGN,
  INVALID_PURPOSE: { says: 'its certificate is not for this', hint: FOREIGN.hint },
  CERT_HAS_EXPIRED: OVER,
  CERT_NOT_YET_VALID: { says: 'its certificate is not valid yet', hint: 'is the clock of this machine right?' },
  ERR_TLS_CERT_ALTNAME_INVALID: {
    says: 'its certificate is for other hosts',
    hint: 'name every host under which it is reached: shoal cert node NAME --renew --host HOST',
  },
  ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED: UNWANTED,
  ERR_SSL_TLSV1_ALERT_UNKNOWN_CA: UNWANTED,
  ERR_SSL_SSLV3_ALERT_BAD_CERTIFICATE: UNWANTED,
  ERR_SSL_SSLV3_ALERT_CERTIFICATE_UNKNOWN: UNWANTED,
  ERR_SSL_SSLV3_ALERT_CERTIFICATE_EXPIRED: UNWANTED,
};

/** `what` begins the sentence; undefined for an error that is not about TLS. It may be the cause of the one thrown. */
export function tlsError(what: string, thrown: unknown): ShoalError | undefined {
  for (let cause = thrown; cause instanceof Error; cause = cause.cause) {
    const code = systemErrorCode(cause);
    const known = Object.hasOwn(MEANINGS, code) ? MEANINGS[code] : undefined;
    if (known !== undefined)
      return new ShoalError('not-allowed', `${what}: ${known.says} (${code})`, { cause: thrown, hint: known.hint });
  }
  return undefined;
}
