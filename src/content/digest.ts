/**
 * Digests and identities as values. Nothing here computes a hash: the pure rooms take the function as a parameter, so that they
 * run in Node, in a browser and in the simulator alike.
 */
import { ShoalError } from '../errors.ts';

/** SHA-256 of `bytes` (32 bytes out), synchronous. In Node: `(b) => createHash('sha256').update(b).digest()`. */
export type Sha256Function = (bytes: Uint8Array) => Uint8Array;

export const SHA256_BYTES = 32;

declare const contentIdBrand: unique symbol;
/** SHA-256 of a content's canonical manifest, as 64 lower-case hex digits. */
export type ContentId = string & { readonly [contentIdBrand]: true };

declare const sha256HexBrand: unique symbol;
/** A SHA-256 as 64 lower-case hex digits. */
export type Sha256Hex = string & { readonly [sha256HexBrand]: true };

const HEX_64 = /^[0-9a-f]{64}$/;

export function isSha256Hex(text: string): text is Sha256Hex {
  return HEX_64.test(text);
}

/** Reads 64 hex digits, upper or lower case. Throws `usage` for anything else. */
export function parseSha256Hex(text: string): Sha256Hex {
  const lower = text.trim().toLowerCase();
  if (!isSha256Hex(lower))
    throw new ShoalError('usage', `"${text.slice(0, 80)}" is not a SHA-256: it takes 64 hex digits`);
  return lower;
}

/** Reads a contentId written as 64 hex digits. Throws `usage` for anything else. */
export function parseContentId(text: string): ContentId {
  return parseSha256Hex(text) as string as ContentId;
}

/** The contentId whose 32 bytes are given. */
export function contentIdFromBytes(bytes: Uint8Array): ContentId {
  return sha256HexFromBytes(bytes) as string as ContentId;
}

export function sha256HexFromBytes(bytes: Uint8Array): Sha256Hex {
  if (bytes.length !== SHA256_BYTES) throw new ShoalError('usage', `a SHA-256 has 32 bytes, not ${bytes.length}`);
  return toHex(bytes) as Sha256Hex;
}

/** The 32 bytes of a contentId or digest. */
export function digestBytes(hex: ContentId | Sha256Hex): Uint8Array<ArrayBuffer> {
  return fromHex(hex);
}

export function toHex(bytes: Uint8Array): string {
  return bytes.toHex();
}

/** The bytes of an even number of hex digits. Throws `usage` for anything else. */
export function fromHex(hex: string): Uint8Array<ArrayBuffer> {
  try {
    return Uint8Array.fromHex(hex);
  } catch (error) {
    throw new ShoalError('usage', 'not a string of hex digit pairs', { cause: error });
  }
}

/** Whether two byte strings are equal. Not constant-time: digests of public bytes are no secrets. */
export function bytesEqual(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  for (let index = 0; index < a.length; index++) if (a[index] !== b[index]) return false;
  return true;
}
