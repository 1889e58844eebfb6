/**
 * The keys by which peers prove to each other that they belong to one swarm. An open swarm's follows from the content alone: it keeps
 * contents apart and keeps nobody out. A private swarm's follows from its token, which is never sent to a peer: what travels is a MAC
 * over both hellos and their nonces (handshake.ts).
 */
import { createHmac, scrypt } from 'node:crypto';
import { promisify } from 'node:util';
import { digestBytes, type ContentId } from '../content/digest.ts';
import { ShoalError } from '../errors.ts';

/** The key of the swarm of a content, as this node knows it. */
export type SwarmKeys = (contentId: ContentId) => Uint8Array;

/** The key of a swarm that anyone may join. */
export function openSwarmKey(contentId: ContentId): Uint8Array {
  return createHmac('sha256', 'shoal open swarm v1').update(digestBytes(contentId)).digest();
}

/**
 * scrypt's cost: some 50 ms and 16 MiB, once in the life of a node. Whoever has recorded a handshake may try words at that price
 * each, which makes a token that people can remember bearable; `shoal token` makes one that no price can find.
 */
const SCRYPT = { N: 16_384, r: 8, p: 1 } as const;
const SALT = 'shoal private swarm v1';
const ROOT_BYTES = 32;

/** Throws `usage` for an empty secret. */
export async function privateSwarmKeys(secret: string): Promise<SwarmKeys> {
  if (secret === '') throw new ShoalError('usage', 'a private swarm needs a secret');
  const derive = promisify<string, string, number, typeof SCRYPT, Buffer>(scrypt);
  const root = await derive(secret, SALT, ROOT_BYTES, SCRYPT);
  return (contentId) => createHmac('sha256', root).update(digestBytes(contentId)).digest();
}
