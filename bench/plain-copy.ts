/** The time in which one plain TCP connection copies the file from one capped host to another: what a link is worth, headers and all. */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { checkContent, sourceFolder, type BenchFile } from './bench-file.ts';
import type { CappedHost } from './capped-network.ts';
import { PLAIN_GET, PLAIN_PEER } from './plain-peers.ts';
import { numberOf } from './system.ts';
import type { Workplace } from './workplace.ts';

/** Seconds by the receiver's own clock, without the start of its process; nothing is verified by it, nothing synced. */
export async function plainCopySeconds(
  { path, processes }: Workplace,
  file: BenchFile,
  { from, to, python }: { readonly from: CappedHost; readonly to: CappedHost; readonly python: string },
): Promise<number> {
  const folder = await sourceFolder(file, join(path, 'plain', 'source'));
  const output = join(path, 'plain', 'output', file.name);
  await mkdir(join(path, 'plain', 'output'), { recursive: true });
  const source = processes.start('plain peer', ...from.on(python, [PLAIN_PEER, folder, from.address]));
  try {
    const port = numberOf((await source.event('listening')).event, 'port');
    const args = [PLAIN_GET, file.name, String(file.size), output, `${from.address}:${port}`];
    const receiver = processes.start('plain receiver', ...to.on(python, args));
    const { event } = await receiver.event('done');
    await checkContent(file, output);
    return numberOf(event, 'seconds');
  } finally {
    await source.stop();
  }
}
