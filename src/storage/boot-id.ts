/** Which run of the operating system this is: what was in the page cache survives a crash of the process, not a new boot. */
import { readFileSync } from 'node:fs';
import { uptime } from 'node:os';
import { sha256 } from './digest-chunk.ts';

export const BOOT_ID_BYTES = 8;

let known: Uint8Array<ArrayBuffer> | undefined;

/** 8 bytes that differ between boots of this machine and, but for a clock that was set, stay the same within one. */
export function bootId(): Uint8Array<ArrayBuffer> {
  known ??= sha256(new TextEncoder().encode(bootText())).slice(0, BOOT_ID_BYTES);
  return known;
}

function bootText(): string {
  try {
    return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
  } catch {
    // Not Linux: the time of the boot, to 10 s. A clock that was set in between makes it look like another boot, which costs a
    // re-hash and never trust.
    return `booted ${Math.round((Date.now() / 1000 - uptime()) / 10)}`;
  }
}
