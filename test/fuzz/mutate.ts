/** Damage to inputs, as fuzzers have done it since AFL: small, blind, and drawn from a seed. */
import type { Random } from '../../src/swarm/random.ts';

/** Values at which length and sign checks go wrong. */
const EDGES = [0, 1, 0x7f, 0x80, 0xff, 0x7fff, 0x8000, 0xffff, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff] as const;
const STEPS_MAX = 6;

/** A damaged copy of one of the inputs, at most `bytesMax` long. */
export function mutate(corpus: readonly Uint8Array[], bytesMax: number, random: Random): Uint8Array<ArrayBuffer> {
  let bytes: Uint8Array<ArrayBuffer> = Uint8Array.from(corpus[random.below(corpus.length)] ?? []);
  for (let steps = 1 + random.below(STEPS_MAX); steps > 0; steps--) bytes = step(bytes, corpus, random);
  return bytes.slice(0, bytesMax);
}

function step(bytes: Uint8Array<ArrayBuffer>, corpus: readonly Uint8Array[], random: Random): Uint8Array<ArrayBuffer> {
  const at = random.below(bytes.length + 1);
  switch (random.below(8)) {
    case 0:
      return replace(bytes, at, 1, [random.below(256)]);
    case 1:
      return replace(bytes, at, 1, [(bytes[at] ?? 0) ^ (1 << random.below(8))]);
    case 2:
      return replace(bytes, at, 0, [random.below(256)]);
    case 3:
      return replace(bytes, at, 1 + random.below(16), []);
    case 4: {
      const width = 1 << random.below(3);
      const edge = EDGES[random.below(EDGES.length)] ?? 0;
      const offset = random.below(3) - 1;
      return replace(bytes, at, width, bigEndian(edge + offset, width));
    }
    case 5: {
      const from = random.below(bytes.length + 1);
      return replace(bytes, at, 0, bytes.subarray(from, from + 1 + random.below(64)));
    }
    case 6: {
      const other = corpus[random.below(corpus.length)] ?? bytes;
      return replace(bytes, at, bytes.length - at, other.subarray(random.below(other.length + 1)));
    }
    default: {
      const other = corpus[random.below(corpus.length)] ?? bytes;
      const from = random.below(other.length + 1);
      return replace(bytes, at, random.below(2) * 8, other.subarray(from, from + 1 + random.below(32)));
    }
  }
}

function replace(
  bytes: Uint8Array,
  at: number,
  removedCount: number,
  inserted: ArrayLike<number>,
): Uint8Array<ArrayBuffer> {
  const rest = bytes.subarray(Math.min(bytes.length, at + removedCount));
  const out = new Uint8Array(at + inserted.length + rest.length);
  out.set(bytes.subarray(0, at), 0);
  out.set(inserted, at);
  out.set(rest, at + inserted.length);
  return out;
}

function bigEndian(value: number, byteCount: number): number[] {
  return Array.from({ length: byteCount }, (_, index) => Math.floor(value / 256 ** (byteCount - 1 - index)) & 0xff);
}
