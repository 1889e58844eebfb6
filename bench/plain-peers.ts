/** Plain sockets in the loopback benchmark: what the simplest program gives that checks nothing. The floor, not a competitor. */
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { sourceFolder, type BenchFile } from './bench-file.ts';
import type { BenchProcess } from './processes.ts';
import { numberOf, type OtherOptions, type Reception, type SystemUnderTest } from './system.ts';
import type { Workplace } from './workplace.ts';

export const PLAIN_PEER = fileURLToPath(new URL('others/plain_peer.py', import.meta.url));
export const PLAIN_GET = fileURLToPath(new URL('others/plain_get.py', import.meta.url));

export function createPlainPeers(
  { path, processes }: Workplace,
  file: BenchFile,
  options: OtherOptions,
): SystemUnderTest {
  const { python, durable } = options;
  const sources: BenchProcess[] = [];
  const ports: number[] = [];

  return {
    name: 'plain sockets, unverified',
    sourceCountMax: Number.POSITIVE_INFINITY,
    async startSources(count) {
      while (sources.length < count) {
        const name = `source-${sources.length + 1}`;
        const folder = await sourceFolder(file, join(path, 'plain', name));
        const source = processes.start(`plain peer (${name})`, python, [PLAIN_PEER, folder]);
        sources.push(source);
        ports.push(numberOf((await source.event('listening')).event, 'port'));
      }
    },
    async receive(outputFolder): Promise<Reception> {
      const output = join(outputFolder, file.name);
      const args = [
        PLAIN_GET,
        ...(durable ? ['--durable'] : []),
        file.name,
        String(file.size),
        output,
        ...ports.map(String),
      ];
      const run = await processes.measure('plain receiver', python, args);
      const { event } = await run.event('done');
      return { run, transferSeconds: numberOf(event, 'seconds'), path: output };
    },
    senders: () => sources,
  };
}
