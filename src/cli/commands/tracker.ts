/** `shoal tracker`: runs a tracker until it is asked to end. */
import { InvalidArgumentError, Option, type Command } from 'commander';
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import { ShoalError } from '../../errors.ts';
import { REPLICA_GONE_MS, STORE_REPLICAS_MAX } from '../../limits.ts';
import { isUnspecified } from '../../net/address.ts';
import { addTrackerStart } from '../aliases.ts';
import { humanBytes, humanCount } from '../human.ts';
import { interrupted } from '../interrupt.ts';
import { EVERYWHERE, parseDurationMs, parsePort } from '../rates.ts';
import type { TrackerOptions } from '../../tracker/server.ts';
import { examples, globalOptions, type DefineCommand, type GlobalOptions, type Runtime } from '../runtime.ts';

interface TrackerFlags {
  readonly host: string;
  readonly port: number;
  readonly data?: string;
  readonly store: StoreFlag;
  readonly storeReplicas: number | 'auto';
  readonly peerExchange: boolean;
  readonly dialBack: boolean;
  readonly replicaGone: number;
}

const PORT_DEFAULT = 9000;

export const defineTracker: DefineCommand = (command, runtime) => {
  command
    .addOption(new Option('--host <host>', 'address to listen on').default(EVERYWHERE, 'all of them, IPv6 and IPv4'))
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
      new Option(
        '--store-replicas <n>',
        'replicas of that server that have to have a publish before it is acknowledged; auto: one where there are any',
      )
        .argParser(parseStoreReplicas)
        .default('auto'),
    )
    .addOption(
      new Option('--no-peer-exchange', 'peers are not to tell each other of peers: who is not listed is not found'),
    )
    .addOption(
      new Option(
        '--no-dial-back',
        'name what peers announce without dialling it first: for a tracker that cannot reach them',
      ),
    )
    .addOption(
      new Option(
        '--replica-gone <time>',
        'a volunteer that is away for so long is gone for good: what it kept is copied anew (seconds, or 10m, 1h)',
      )
        .argParser(parseDurationMs)
        .default(REPLICA_GONE_MS, '10m'),
    )
    .addHelpText(
      'after',
      examples(
        ['shoal tracker', 'on port 9000 of all addresses'],
        ['shoal tracker --host 127.0.0.1', 'for this machine only'],
        ['shoal tracker --tls shoal-certs/NAME', 'encrypted, for those with a certificate: see shoal cert'],
        ['shoal tracker --tls-cert FILE --tls-key FILE', 'https, for anybody'],
        ['shoal tracker --store valkey://10.0.0.5:6379', 'one of several trackers that share their state'],
        ['shoal tracker backup today.sqlite', 'a copy of the catalogue, while the tracker runs'],
        ['shoal tracker start 127.0.0.1 9000', 'the same, as the third document writes it'],
        ['shoal tracker --port 0 --store memory --json', 'for a test: any free port, nothing kept'],
      ),
    )
    .action((flags: TrackerFlags) => runTracker(flags, sharedOptions(command), runtime));
  command
    .command('backup')
    .description('copy the catalogue to a new file, also while the tracker runs')
    .argument('<file>', 'where to; must not exist')
    .action((file: string) => runBackup(file, command.opts<TrackerFlags>(), runtime));
  addTrackerStart(command, (place) =>
    runTracker({ ...command.opts<TrackerFlags>(), ...place }, sharedOptions(command), runtime),
  );
};

interface SharedFlags {
  readonly options: GlobalOptions;
  /** It may be announced on the local network. */
  readonly mdns: boolean;
}

function sharedOptions(command: Command): SharedFlags {
  return { options: globalOptions(command), mdns: command.optsWithGlobals<{ mdns?: boolean }>().mdns !== false };
}

async function runTracker(flags: TrackerFlags, { options, mdns }: SharedFlags, runtime: Runtime): Promise<void> {
  const { output, interrupt, services, env } = runtime;
  const { host, port, store, storeReplicas, peerExchange, dialBack, replicaGone } = flags;
  if (storeReplicas !== 'auto' && store.store !== 'valkey')
    throw new ShoalError(
      'usage',
      `--store-replicas is about a store that several trackers share, not about ${store.store}`,
    );
  const dataDir = dataFolder(flags, env);
  const { token } = options;
  const tls = trackerTls(options);
  const tracker = await services.startTracker({
    ...{ host, port, ...store, storeReplicas, dataDir, token, tls, peerExchange, dialBack },
    replicaGoneMs: replicaGone,
  });
  let announced: { close(): Promise<void> } | undefined;
  try {
    output.event({ event: 'listening', url: tracker.url });
    output.answer(`tracker at ${tracker.url}, its API at ${tracker.url}/docs`);
    if (token !== undefined) output.note('this swarm is private: peers need the token, or the part of it that reads');
    else if (tls?.ca !== undefined)
      output.note('this swarm is encrypted: only who has a certificate by its authority comes in');
    else if (!isLoopback(host))
      output.note('this swarm is open: whoever reaches this port can list, share and download; --token closes it');
    if (mdns && env['SHOAL_MDNS'] !== 'off' && !isLoopback(host)) {
      const { port } = new URL(tracker.url);
      announced = await services.announceTracker({
        port: Number(port || (tls === undefined ? 80 : 443)),
        host: isUnspecified(host) ? undefined : host,
        tls: tls !== undefined,
        isPrivate: token !== undefined || tls !== undefined,
      });
      output.note('announced on the local network, so that nobody there has to name it; --no-mdns keeps it quiet');
    }
    output.note('Ctrl+C to stop');
    await interrupted(interrupt.signal);
  } finally {
    await announced?.close();
    await tracker.close();
  }
}

async function runBackup(file: string, flags: TrackerFlags, { output, services, env }: Runtime): Promise<void> {
  const { store } = flags.store;
  if (store !== 'sqlite')
    throw new ShoalError('usage', `a backup is made of an SQLite store, not of ${store}`, {
      hint:
        store === 'valkey'
          ? 'the shared server has its own ways to save what it holds'
          : 'what is in memory is not kept',
    });
  const { path, byteCount, entryCount } = await services.backupTracker(dataFolder(flags, env), resolve(file));
  output.event({ event: 'backup', path, bytes: byteCount, entries: entryCount });
  output.answer(`${path}: ${humanCount(entryCount, 'entry', 'entries')}, ${humanBytes(byteCount)}`);
}

function dataFolder({ data }: TrackerFlags, env: Runtime['env']): string {
  return resolve(data ?? join(dataHome(env), 'shoal', 'tracker'));
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

function parseStoreReplicas(text: string): number | 'auto' {
  if (text === 'auto') return text;
  const count = Number(text);
  if (/^[0-9]+$/u.test(text) && count <= STORE_REPLICAS_MAX) return count;
  throw new InvalidArgumentError(`It takes auto or a number up to ${STORE_REPLICAS_MAX}.`);
}

function trackerTls({ tls }: GlobalOptions): TrackerOptions['tls'] {
  if (tls === undefined) return undefined;
  const { cert, key, ca } = tls;
  if (cert === undefined || key === undefined)
    throw new ShoalError('usage', 'a tracker that takes https needs a certificate and its key', {
      hint: 'give --tls with a folder that shoal cert made, or --tls-cert and --tls-key',
    });
  return { cert, key, ca };
}

function dataHome(env: Runtime['env']): string {
  const set = env['XDG_DATA_HOME'];
  return set === undefined || set === '' ? join(homedir(), '.local', 'share') : set;
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || host.startsWith('127.');
}
