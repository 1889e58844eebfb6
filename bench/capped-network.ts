/**
 * Hosts of their own on one machine: network namespaces on a bridge, every link capped both ways. Makes devices only inside namespaces it
 * has made itself, and removes only those, by their names; the machine's own network is never touched. Latency and loss are not emulated.
 */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
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
  let resident: ChildProcess | undefined;
  const close = async (): Promise<void> => {
    resident?.kill('SIGKILL');
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
    const { pid } = (resident = await residentOf(bridge));
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
    return { hosts, traffic: () => trafficOf(pid, hostCount), close };
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

/**
 * One look at the switch, where every host has a port: what comes in there the host has sent through its cap. `/proc` tells it of the
 * network of any process; asking `ip` instead took a tenth of the machine while a crowd was being watched.
 */
async function trafficOf(resident: number, hostCount: number): Promise<Traffic> {
  const table = await readFile(`/proc/${resident}/net/dev`, 'latin1');
  const all = Array.from({ length: hostCount }, (_none, index) => {
    const columns = new RegExp(String.raw`^\s*port${index}:\s*(.+)$`, 'mu')
      .exec(table)?.[1]
      ?.trim()
      .split(/\s+/u)
      .map(Number);
    const [received, sent] = [columns?.[0], columns?.[8]];
    if (received === undefined || sent === undefined)
      throw new ShoalError('bug', `the kernel does not tell what host ${index} has sent`);
    return { received, sent };
  });
  return { sentBytes: all.map(({ received }) => received), receivedBytes: all.map(({ sent }) => sent) };
}

/** A process that lives in a namespace and does nothing, until it is killed. */
async function residentOf(namespace: string): Promise<ChildProcess & { readonly pid: number }> {
  const child = spawn('ip', ['netns', 'exec', namespace, 'sleep', 'infinity'], { stdio: 'ignore' });
  await once(child, 'spawn');
  // until `ip` has entered the namespace and become the other command, its network is the machine's own
  while ((await readFile(`/proc/${child.pid}/comm`, 'latin1')).trim() !== 'sleep') await delay(5);
  return child as ChildProcess & { readonly pid: number };
}

async function ip(...args: readonly string[]): Promise<string> {
  const { stdout } = await run('ip', args);
  return stdout;
}
