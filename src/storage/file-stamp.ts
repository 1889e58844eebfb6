/** What tells cheaply that a file is still the one that was hashed: size, modification time and inode. */
import type { BigIntStats } from 'node:fs';
import * as limits from '../limits.ts';

export interface FileStamp {
  readonly size: number;
  readonly mtimeNs: bigint;
  /** As a signed 64-bit number, the way SQLite keeps it. */
  readonly inode: bigint;
}

export function fileStamp(stats: BigIntStats): FileStamp {
  return { size: Number(stats.size), mtimeNs: stats.mtimeNs, inode: BigInt.asIntN(64, stats.ino) };
}

export function sameStamp(a: FileStamp, b: FileStamp): boolean {
  return a.size === b.size && a.mtimeNs === b.mtimeNs && a.inode === b.inode;
}

/** Whether its owner may execute it. Systems without such a bit say no. */
export function isExecutable(stats: BigIntStats): boolean {
  return process.platform !== 'win32' && (stats.mode & 0o100n) !== 0n;
}

/**
 * Whether a change right after hashing could hide behind the stamp: file systems tick in milliseconds, so a file modified just
 * before it was hashed may be modified again within the same tick.
 */
export function isRacyStamp(stamp: FileStamp, hashedAtMs: number): boolean {
  return stamp.mtimeNs > BigInt(hashedAtMs - limits.STAMP_RACY_MS) * 1_000_000n;
}
