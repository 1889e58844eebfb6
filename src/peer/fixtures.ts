/** What tests of a node's parts need: contents in memory, a pair of links without sockets, waiting without sleeping. */
import { hash } from 'node:crypto';
import { createChunkLayout, chunkBytes, chunkOffset } from '../content/chunk-layout.ts';
import { chunkDigestMatches, createManifest, type Manifest } from '../content/manifest.ts';
import { SHA256_BYTES } from '../content/digest.ts';
import type { CloseReason, SwarmMessage } from '../swarm/facts.ts';
import type { IncomingFragment } from '../swarm/requests.ts';
import type { LinkEvents, PeerLink } from './peer-link.ts';

export const KiB = 1024;

export function sha256Of(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  return new Uint8Array(hash('sha256', bytes, 'buffer'));
}

export interface MemoryContent {
  readonly bytes: Uint8Array;
  readonly manifest: Manifest;
  chunk(chunkIndex: number): Uint8Array;
  verify(chunkIndex: number, bytes: Uint8Array): Promise<{ ok: boolean }>;
}

/** Bytes that differ everywhere, and their manifest. */
export function createContent(size: number, chunkSize = 16 * KiB): MemoryContent {
  const bytes = new Uint8Array(size);
  let state = size + 1;
  for (let at = 0; at < size; at++) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    bytes[at] = state >>> 24;
  }
  const layout = createChunkLayout(size, chunkSize);
  const chunk = (chunkIndex: number): Uint8Array => {
    const offset = chunkOffset(layout, chunkIndex);
    return bytes.subarray(offset, offset + chunkBytes(layout, chunkIndex));
  };
  const digests = new Uint8Array(layout.chunkCount * SHA256_BYTES);
  for (let index = 0; index < layout.chunkCount; index++) digests.set(sha256Of(chunk(index)), index * SHA256_BYTES);
  const manifest = createManifest(layout, sha256Of(bytes), digests, sha256Of);
  return {
    bytes,
    manifest,
    chunk,
    verify: (chunkIndex, found) => Promise.resolve({ ok: chunkDigestMatches(manifest, chunkIndex, sha256Of(found)) }),
  };
}

/** Resolves when the condition holds; looks after every turn of the event loop, and fails after the deadline. */
export async function until(condition: () => boolean, what: string, timeoutMs = 10_000): Promise<void> {
  const deadlineMs = performance.now() + timeoutMs;
  while (!condition()) {
    if (performance.now() > deadlineMs) throw new Error(`not within ${timeoutMs} ms: ${what}`);
    await new Promise((resolve) => setImmediate(resolve));
  }
}

/** One end of a pair: what is sent here arrives at the other end, a turn of the event loop later and in order. */
export class MemoryLink implements PeerLink {
  readonly key: string;
  readonly address: string;
  /** Where the other end's reports go. */
  events: LinkEvents | undefined;
  other: MemoryLink | undefined;
  /** Why this end was closed by its owner; undefined while it is open. */
  closedFor: CloseReason | undefined;
  readonly sent: SwarmMessage[] = [];
  /** Changes fragments on their way: a peer that lies, or bad memory. */
  corrupt: ((fragment: IncomingFragment, bytes: Uint8Array) => Uint8Array) | undefined;
  #ended = false;

  /** @param key of the peer at the other end. */
  constructor(key: string) {
    this.key = key;
    this.address = `${key}.test:1`;
  }

  get unsentBytes(): number {
    return 0;
  }

  send(message: SwarmMessage): void {
    if (this.#ended) return;
    this.sent.push(message);
    this.#later((to) => to.message(message));
  }

  sendFragment(fragment: IncomingFragment, bytes: Uint8Array, flushed: () => void): void {
    if (this.#ended) {
      setImmediate(flushed);
      return;
    }
    const payload = this.corrupt?.(fragment, bytes) ?? bytes.slice();
    this.#later((to) => {
      to.fragment(fragment)?.set(payload);
      to.fragmentEnd(fragment);
    });
    setImmediate(() => {
      flushed();
      this.events?.writable();
    });
  }

  close(reason: CloseReason, _text: string): void {
    if (this.#ended) return;
    this.closedFor = reason;
    this.#ended = true;
    setImmediate(() => this.other?.break(false, reason));
  }

  /** The connection is lost: both owners hear of it. */
  break(misbehaved = false, reason?: CloseReason): void {
    if (this.#ended) return;
    this.#ended = true;
    this.events?.closed(misbehaved, reason);
    setImmediate(() => this.other?.break(false, reason));
  }

  #later(report: (to: LinkEvents) => void): void {
    setImmediate(() => {
      const to = this.other;
      if (to?.events === undefined || to.#ended) return;
      try {
        report(to.events);
      } catch {
        to.break(true); // what a connection does with a violation
      }
    });
  }
}

/** Two ends; `a` is the link that the node with the key `bKey` is reached by, and the other way round. */
export function createLinkPair(aKey: string, bKey: string): { readonly atA: MemoryLink; readonly atB: MemoryLink } {
  const atA = new MemoryLink(bKey);
  const atB = new MemoryLink(aKey);
  atA.other = atB;
  atB.other = atA;
  return { atA, atB };
}
