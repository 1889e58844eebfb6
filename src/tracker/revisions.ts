/**
 * Marks in the history of a swarm, as peers keep them between two calls of Locate: opaque to them, and good only at the tracker that
 * gave them, because another one, or the same one after a restart, counts from elsewhere.
 */
import { randomBytes } from 'node:crypto';

const INSTANCE_BYTES = 8;
const REVISION_BYTES = INSTANCE_BYTES + 8;

export interface Revisions {
  encode(version: number): Uint8Array;
  /** The version, or undefined for whatever this tracker has not given. */
  decode(revision: Uint8Array): number | undefined;
}

export function createRevisions(): Revisions {
  const instance = randomBytes(INSTANCE_BYTES);
  return {
    encode(version) {
      const revision = Buffer.alloc(REVISION_BYTES);
      instance.copy(revision);
      revision.writeBigUInt64BE(BigInt(version), INSTANCE_BYTES);
      return revision;
    },
    decode(revision) {
      if (revision.length !== REVISION_BYTES || !instance.equals(revision.subarray(0, INSTANCE_BYTES)))
        return undefined;
      return Number(Buffer.from(revision).readBigUInt64BE(INSTANCE_BYTES));
    },
  };
}
