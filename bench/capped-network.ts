/**
 * Hosts of their own on one machine: network namespaces on a bridge, every link capped both ways. Makes devices only inside namespaces it
 * has made itself, and removes only those, by their names; the machine's own network is never touched. Latency and loss are not emulated.
 */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { ShoalError, systemErrorCode } from '../src/errors.ts';

export interface CappedHost {
  readonly address: string;
  /** A command line that runs `command` on this host; it becomes the command, so that its pid and signals are the command's. */
  on(command: string, args: readonly string[]): readonly [command: string, args: readonly string[]];
}

/** Bytes that have passed every host's link since it was made, with the headers of every packet; in the order of the hosts. */
export interface Traffic {
  readonly sentBytes: readonly number[];
  readonly receivedBytes: readonly number[];
}

export interface CappedNetwork {
  readonly hosts: readonly CappedHost[];
  traffic(): Promise<Traffic>;
  close(): Promise<void>;
}

/** Hosts on one bridge: the addresses are 10.77.0.1 and up. */
const HOSTS_MAX = 200;
const PREFIX = 'shoal-bench-';
/** Bytes that may pass at line speed after a silence: more than one large packet of the stack (64 KiB), less than a chunk's worth matters. */
const BURST_BYTES = 256 * 1024;
/** What the cap may queue before it drops, as time: a shallow home router's worth. */
const QUEUE_MS = 100;

const run = promisify(execFile);

/** Needs Linux, root and iproute2; throws `usage` with what is missing. */
export async function createCappedNetwork(options: {
  readonly hostCount: number;
  /** Of every link, or of each host's in their order. */
  readonly bytesPerSecond: number | readonly number[];
}): Promise<CappedNetwork> {
  const { hostCount, bytesPerSecond } = options;
  if (hostCount < 2 || hostCount > HOSTS_MAX)
    throw new ShoalError('usage', `a crowd needs from 1 to ${HOSTS_MAX - 1} leechers`);
  await checkMachine();
  const made: string[] = [];
  const addNamespace = async (part: string): Promise<string> => {
    const namespace = `${PREFIX}${process.pid}-${part}`;
    await ip('netns', 'add', namespace); // refuses a name that exists: what is in `made` is ours
    made.push(namespace);
    return namespace;
  };
  const close = async (): Promise<void> => {
    for (let namespace = made.pop(); namespace !== undefined; namespace = made.pop())
      await ip('netns', 'delete', namespace);
  };
  const cap = async (namespace: string, device: string, index: number): Promise<void> => {
    const rate = typeof bytesPerSecond === 'number' ? bytesPerSecond : bytesPerSecond[index];
    const shape = ['rate', `${rate}bps`, 'burst', String(BURST_BYTES), 'latency', `${QUEUE_MS}ms`];
    await run('tc', ['-netns', namespace, 'qdisc', 'add', 'dev', device, 'root', 'tbf', ...shape]);
  };

  try {
    const bridge = await addNamespace('switch');
    await ip('-netns', bridge, 'link', 'add', 'bridge', 'type', 'bridge');
    await ip('-netns', bridge, 'link', 'set', 'bridge', 'up');
    const hosts: CappedHost[] = [];
    for (let index = 0; index < hostCount; index++) {
      const host = await addNamespace(`h${index}`);
      const port = `port${index}`;
      const address = `10.77.0.${index + 1}`;
      await ip('-netns', bridge, 'link', 'add', port, 'type', 'veth', 'peer', 'name', 'uplink', 'netns', host);
      await ip('-netns', bridge, 'link', 'set', port, 'master', 'bridge', 'up');
      await ip('-netns', host, 'address', 'add', `${address}/24`, 'dev', 'uplink');
      await ip('-netns', host, 'link', 'set', 'uplink', 'up');
      await ip('-netns', host, 'link', 'set', 'lo', 'up');
      await cap(host, 'uplink', index); // what the host sends
      await cap(bridge, port, index); // what it receives
      hosts.push({
        address,
        on: (command, args) => ['ip', ['netns', 'exec', host, command, ...args]],
      });
    }
    return { hosts, traffic: () => trafficOf(bridge, hostCount), close };
  } catch (error) {
    await close();
    throw error;
  }
}

async function checkMachine(): Promise<void> {
  if (process.platform !== 'linux') throw new ShoalError('usage', 'network namespaces exist on Linux only');
  if (process.getuid?.() !== 0) throw new ShoalError('usage', 'making network namespaces needs root: run it with sudo');
  try {
    await run('tc', ['-V']);
    await ip('-V');
  } catch (error) {
    if (systemErrorCode(error) !== 'ENOENT') throw error;
    throw new ShoalError('usage', 'ip and tc are missing: apt-get install -y iproute2', { cause: error });
  }
}

/** One look at the switch, where every host has a port: what comes in there the host has sent through its cap. */
async function trafficOf(bridge: string, hostCount: number): Promise<Traffic> {
  const links = JSON.parse(await ip('-netns', bridge, '-s', '-j', 'link', 'show')) as readonly {
    readonly ifname: string;
    readonly stats64: { readonly rx: { readonly bytes: number }; readonly tx: { readonly bytes: number } };
  }[];
  const ports = new Map(links.map(({ ifname, stats64 }) => [ifname, stats64]));
  const all = Array.from({ length: hostCount }, (_none, index) => {
    const port = ports.get(`port${index}`);
    if (port === undefined) throw new ShoalError('bug', `ip does not tell what host ${index} has sent`);
    return port;
  });
  return { sentBytes: all.map(({ rx }) => rx.bytes), receivedBytes: all.map(({ tx }) => tx.bytes) };
}

async function ip(...args: readonly string[]): Promise<string> {
  const { stdout } = await run('ip', args);
  return stdout;
}
