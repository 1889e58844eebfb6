/** What the tests of the tracker draw on: manifests, peers, a clock that stands until it is moved, a registry on them. */
import { hash } from 'node:crypto';
import { Bitfield } from '../content/bitfield.ts';
import { createChunkLayout } from '../content/chunk-layout.ts';
import type { Sha256Function } from '../content/digest.ts';
import { createManifest, type Manifest } from '../content/manifest.ts';
import type { HoldingChange, HoldingClaim, Offer } from './membership.ts';
import { createRegistry, type Registry, type RegistryOptions } from './registry.ts';
import type { Caller } from './state.ts';
import { createMemoryStore } from './store/memory.ts';

export const sha256: Sha256Function = (bytes) => hash('sha256', bytes, 'buffer');

export const caller: Caller = { observedHost: '10.0.0.9' };

const CHUNK_SIZE = 16 * 1024;

/** A manifest of `chunkCount` chunks that differs with `seed`: the same seed and size are the same file, whatever its chunks. */
export function manifestOf(seed: string, chunkCount = 8, chunkSize = CHUNK_SIZE): Manifest {
  const layout = createChunkLayout(chunkCount * chunkSize, chunkSize);
  const digests = new Uint8Array(chunkCount * 32);
  for (let index = 0; index < chunkCount; index++)
    digests.set(sha256(new TextEncoder().encode(`${seed}/${index}`)), index * 32);
  return createManifest(layout, sha256(new TextEncoder().encode(seed)), digests, sha256);
}

/** A peer id that tells its number. */
export function peerIdOf(number: number): string {
  return number.toString(16).padStart(32, '0');
}

export function claimOf(manifest: Manifest, chunks?: readonly number[]): HoldingClaim {
  const { contentId } = manifest;
  return { contentId, complete: chunks === undefined, chunks: bitfieldOf(manifest, chunks ?? []).toBytes() };
}

export function bitfieldOf(manifest: Manifest, chunks: readonly number[]): Bitfield {
  const field = new Bitfield(manifest.chunkCount);
  for (const index of chunks) field.add(index);
  return field;
}

export function changeOf(manifest: Manifest, change: Partial<HoldingChange> = {}): HoldingChange {
  return { contentId: manifest.contentId, complete: false, gained: [], lost: [], dropped: false, links: 0, ...change };
}

export interface Bench {
  readonly registry: Registry;
  readonly clock: { nowMs: number };
  /** Registers peer `number` at 10.0.0.1 with port 9000 + number. */
  join(number: number, ...holdings: readonly HoldingClaim[]): string;
  /** The same as a volunteer, at a host of its own. */
  volunteer(number: number, offer: Offer, ...holdings: readonly HoldingClaim[]): string;
  /** Publishes as a peer that is there. */
  publish(peerId: string, name: string, manifest: Manifest, replicas?: number): Promise<void>;
  /** Peer numbers that Locate names to `asking`. */
  located(what: string, asking?: string, limit?: number): Promise<readonly number[]>;
}

export async function createBench(options: Partial<RegistryOptions> = {}): Promise<Bench> {
  const clock = { nowMs: 1_800_000_000_000 };
  const registry = await createRegistry({ store: createMemoryStore(), now: () => clock.nowMs, sha256, ...options });
  return {
    registry,
    clock,
    join(number, ...holdings) {
      const peerId = peerIdOf(number);
      const addresses = [{ host: '10.0.0.1', port: 9000 + number }];
      registry.register({ peerId, addresses, dialects: ['native', 'range'], agent: 'test', holdings }, caller);
      return peerId;
    },
    volunteer(number, offer, ...holdings) {
      const peerId = peerIdOf(number);
      const addresses = [{ host: `10.1.0.${number}`, port: 9000 + number }];
      registry.register({ peerId, addresses, dialects: ['native'], agent: 'test', holdings, offer }, caller);
      return peerId;
    },
    async publish(peerId, name, manifest, replicas) {
      const item = { name, manifest: manifest.bytes, contentId: manifest.contentId, partial: false, replicas };
      const [outcome] = await registry.publish(peerId, [item]);
      if (outcome === undefined || 'problem' in outcome) throw new Error(`not published: ${outcome?.problem}`);
    },
    async located(what, asking = '', limit = 0) {
      const { sources } = await registry.locate({ what, peerId: asking, limit, wantManifest: false }, caller);
      return sources.map(({ addresses }) => (addresses[0]?.port ?? 0) - 9000);
    },
  };
}
