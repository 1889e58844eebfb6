import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createChunkLayout } from './chunk-layout.ts';
import { toHex, type ContentId } from './digest.ts';
import {
  chunkDigest,
  chunkDigestMatches,
  createManifest,
  MANIFEST_HEADER_BYTES,
  parseManifest,
  type Manifest,
} from './manifest.ts';

const sha256 = (bytes: Uint8Array): Uint8Array => createHash('sha256').update(bytes).digest();

/** The manifest of given bytes, made the obvious way. */
function manifestOf(content: Uint8Array, chunkSize: number): Manifest {
  const layout = createChunkLayout(content.length, chunkSize);
  const digests = new Uint8Array(layout.chunkCount * 32);
  for (let index = 0; index < layout.chunkCount; index++) {
    digests.set(sha256(content.subarray(index * chunkSize, (index + 1) * chunkSize)), index * 32);
  }
  return createManifest(layout, sha256(content), digests, sha256);
}

const contents = fc.uint8Array({ maxLength: 70_000 });

describe('createManifest()', () => {
  // The bytes below were made by another program from the table at the head of manifest.ts.
  it.each([
    {
      what: '"shoal" in one chunk',
      content: new TextEncoder().encode('shoal'),
      chunkSize: 65_536,
      bytes:
        '53484c4d0100000000000000000000050001000000000001' +
        '888696c38e895dd742b8494f449219c12a256a16d0841b93813c841a298df92c' +
        '888696c38e895dd742b8494f449219c12a256a16d0841b93813c841a298df92c',
      contentId: '7fc9448dfb511b53a7a4336de2e3ffeb3ffea4c3363f6e9bfb87b238f65a4e87',
    },
    {
      what: 'nothing',
      content: new Uint8Array(0),
      chunkSize: 65_536,
      bytes:
        '53484c4d0100000000000000000000000001000000000000e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855',
      contentId: 'b9502e1d59b5ded32cb6a5f7bec5a3a6a7b5554f22a8d0a2dfe107e1c41b3430',
    },
    {
      what: '40,000 bytes in three chunks',
      content: Uint8Array.from({ length: 40_000 }, (_, index) => index % 251),
      chunkSize: 16_384,
      bytes:
        '53484c4d010000000000000000009c400000400000000003' +
        '8f272ca6d96caedf3d860ff34ed21868f04ce18a2f41686f513c3c989146ca79' +
        '4348e3b98e8a327b34ced39c1da9e67cdb4cd5e48e4d7960607a3ae403d35f0c' +
        'f7c9045c2a79a8a2a587efbf5b310652685b292e6fbb0b08c1df857500da2699' +
        '8ec99c0fa906ccb81a4c7b869839283e273b596b824b31007f6649d31281db63',
      contentId: 'ac824051a35919e23470a4eac2a07c1bbc4e5777778badc1ef3f14e3a92cc972',
    },
  ])('gives the golden bytes and contentId of $what', ({ content, chunkSize, bytes, contentId }) => {
    const manifest = manifestOf(content, chunkSize);
    expect(toHex(manifest.bytes)).toBe(bytes);
    expect(manifest.contentId).toBe(contentId);
  });

  it('survives a round trip and accepts exactly the true digest of every chunk', () => {
    fc.assert(
      fc.property(contents, (content) => {
        const manifest = manifestOf(content, 16_384);
        const read = parseManifest(manifest.bytes.slice(), sha256, manifest.contentId);
        expect(read).toEqual(manifest);
        for (let index = 0; index < read.chunkCount; index++) {
          const digest = sha256(content.subarray(index * 16_384, (index + 1) * 16_384));
          expect(chunkDigestMatches(read, index, digest)).toBe(true);
          expect(chunkDigest(read, index)).toEqual(new Uint8Array(digest));
          const wrong = Uint8Array.from(digest);
          wrong[31] = (wrong[31] ?? 0) ^ 1;
          expect(chunkDigestMatches(read, index, wrong)).toBe(false);
        }
      }),
      { numRuns: 40 },
    );
  });
});

describe('parseManifest()', () => {
  const good = manifestOf(new Uint8Array(40_000), 16_384);
  const spoiled = (at: number, byte: number): Uint8Array<ArrayBuffer> => {
    const bytes = good.bytes.slice();
    bytes[at] = byte;
    return bytes;
  };

  it.each([
    ['nothing at all', new Uint8Array(0)],
    ['a header cut short', good.bytes.slice(0, MANIFEST_HEADER_BYTES - 1)],
    ['a digest cut short', good.bytes.slice(0, -1)],
    ['a byte too many', new Uint8Array([...good.bytes, 0])],
    ['another magic', spoiled(0, 0x54)],
    ['another version', spoiled(4, 2)],
    ['a reserved byte that is set', spoiled(6, 1)],
    ['a size beyond 2^53', spoiled(8, 0xff)],
    ['a chunk size that is no power of two', spoiled(19, 1)],
    ['a count that does not fit', spoiled(23, 4)],
  ])('refuses %s', (_what, bytes) => {
    expect(() => parseManifest(bytes, sha256)).toThrow(expect.objectContaining({ code: 'integrity' }));
  });

  it('refuses a valid manifest of another content', () => {
    expect(() => parseManifest(spoiled(60, 1), sha256, good.contentId)).toThrow(/is that of content/);
    expect(() => parseManifest(good.bytes, sha256, '0'.repeat(64) as ContentId)).toThrow(/is that of content/);
  });

  it('never throws anything but integrity on arbitrary bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (tail) => {
        const bytes = good.bytes.slice(0, 24 + tail.length);
        bytes.set(tail.subarray(0, bytes.length), 0);
        expect(() => parseManifest(bytes, sha256)).toThrow(expect.objectContaining({ code: 'integrity' }));
      }),
    );
  });
});
