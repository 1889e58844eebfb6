/** `shoal tracker`: runs a tracker until it is asked to end. */
import { InvalidArgumentError, Option } from 'commander';
import { readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import { ShoalError } from '../../errors.ts';
import { addTrackerStart } from '../aliases.ts';
import { interrupted } from '../interrupt.ts';
import { parsePort } from '../rates.ts';
import { examples, globalOptions, type DefineCommand, type Runtime } from '../runtime.ts';

interface TrackerFlags {
  readonly host: string;
  readonly port: number;
  readonly data?: string;
  readonly store: StoreFlag;
  readonly peerExchange: boolean;
  readonly tlsCert?: string;
  readonly tlsKey?: string;
}

const HOST_DEFAULT = '0.0.0.0';
const PORT_DEFAULT = 9000;

export const defineTracker: DefineCommand = (command, runtime) => {
  command
    .addOption(new Option('--host <host>', 'address to listen on; 0.0.0.0 is all of them').default(HOST_DEFAULT))
    .addOption(
      new Option('--port <port>', 'port to listen on; 0 is any free one').default(PORT_DEFAULT).argParser(parsePort),
    )
    .addOption(new Option('--data <dir>', 'where the catalogue is kept (default: $XDG_DATA_HOME/shoal/tracker)'))
    .addOption(
      new Option('--store <where>', 'sqlite, memory, or the URL of a Redis-protocol server that several trackers share')
        .argParser(parseStore)
        .default({ store: 'sqlite' }, 'sqlite'),
    )
    .addOption(
      new Option('--no-peer-exchange', 'peers are not to tell each other of peers: who is not listed is not found'),
    )
    .addOption(new Option('--tls-cert <file>', 'certificate in PEM: the port then takes https and no clear text'))
    .addOption(new Option('--tls-key <file>', 'its private key in PEM'))
    .addHelpText(
      'after',
      examples(
        ['shoal tracker', 'on port 9000 of all addresses'],
        ['shoal tracker --host 127.0.0.1', 'for this machine only'],
        ['shoal tracker --store valkey://10.0.0.5:6379', 'one of several trackers that share their state'],
        ['shoal tracker start 127.0.0.1 9000', 'the same, as the third document writes it'],
        ['shoal tracker --port 0 --store memory --json', 'for a test: any free port, nothing kept'],
      ),
    )
    .action((flags: TrackerFlags) => runTracker(flags, globalOptions(command).token, runtime));
  addTrackerStart(command, (place) =>
    runTracker({ ...command.opts<TrackerFlags>(), ...place }, globalOptions(command).token, runtime),
  );
};

async function runTracker(flags: TrackerFlags, token: string | undefined, runtime: Runtime): Promise<void> {
  const { output, interrupt, services, env } = runtime;
  const { host, port, store, peerExchange } = flags;
  const dataDir = resolve(flags.data ?? join(dataHome(env), 'shoal', 'tracker'));
  const tls = readTls(flags);
  const tracker = await services.startTracker({ host, port, ...store, dataDir, token, tls, peerExchange });
  try {
    output.event({ event: 'listening', url: tracker.url });
    output.answer(`tracker at ${tracker.url}, its API at ${tracker.url}/docs`);
    if (token !== undefined) output.note('this swarm is private: peers need the token, or the part of it that reads');
    else if (!isLoopback(host))
      output.note('this swarm is open: whoever reaches this port can list, share and download; --token closes it');
    output.note('Ctrl+C to stop');
    await interrupted(interrupt.signal);
  } finally {
    await tracker.close();
  }
}

/** What `--store` says. */
interface StoreFlag {
  readonly store: 'sqlite' | 'memory' | 'valkey';
  readonly storeUrls?: readonly string[];
}

function parseStore(text: string): StoreFlag {
  if (text === 'sqlite' || text === 'memory') return { store: text };
  const storeUrls = text.split(',').filter((url) => url !== '');
  if (storeUrls.length > 0 && storeUrls.every((url) => /^(?:redis|valkey)s?:\/\/[^/]/u.test(url)))
    return { store: 'valkey', storeUrls };
  throw new InvalidArgumentError('It takes sqlite, memory, or valkey://host:port (several nodes divided by commas).');
}

function readTls({ tlsCert, tlsKey }: TrackerFlags): { cert: Buffer; key: Buffer } | undefined {
  if (tlsCert === undefined && tlsKey === undefined) return undefined;
  if (tlsCert === undefined || tlsKey === undefined)
    throw new ShoalError('usage', 'TLS takes both a certificate and its key', {
      hint: 'give --tls-cert and --tls-key',
    });
  return { cert: readPem(tlsCert, '--tls-cert'), key: readPem(tlsKey, '--tls-key') };
}

function readPem(path: string, flag: string): Buffer {
  try {
    return readFileSync(path);
  } catch (cause) {
    throw new ShoalError('usage', `cannot read the file of ${flag}, ${path}`, { cause });
  }
}

function dataHome(env: Runtime['env']): string {
  const set = env['XDG_DATA_HOME'];
  return set === undefined || set === '' ? join(homedir(), '.local', 'share') : set;
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || host.startsWith('127.');
}
