/** Redis-servers of a test's own, alone, with a replica, or a cluster of three, on free ports of loopback; gone when the test ends. */
import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { eventually } from './deadline.ts';

const run = promisify(execFile);

/** Where to hang the end of the servers: a test's context, or a list of one's own. */
export interface RedisTest {
  readonly onTestFinished: (cleanUp: () => Promise<void>) => void;
}

export interface RedisNode {
  readonly port: number;
  readonly url: string;
  /** Cuts it off as a crash would. What it has acknowledged is on its disk. */
  kill(): Promise<void>;
  /** Forgets everything it has. */
  flush(): Promise<void>;
  /** What INFO says of this section. */
  info(section: string): Promise<string>;
  /** What redis-cli prints for this command. */
  command(...words: readonly string[]): Promise<string>;
  /** Starts it again on its data, and waits until it answers. */
  start(): Promise<void>;
}

/** Writes to its disk before it acknowledges, so that a crash loses nothing that was acknowledged. */
export async function startRedis(test: RedisTest): Promise<RedisNode> {
  const [node] = await startNodes(test, 1, []);
  return node as RedisNode;
}

/** Two that know nothing of each other yet. */
export async function startRedisPair(test: RedisTest): Promise<readonly [RedisNode, RedisNode]> {
  const [one, other] = await startNodes(test, 2, []);
  return [one as RedisNode, other as RedisNode];
}

/** Makes a replica of `node`, reached at `port`, and waits until it has all that the other has. */
export async function follow(node: RedisNode, primary: RedisNode, port = primary.port): Promise<void> {
  await node.command('replicaof', '127.0.0.1', String(port));
  await eventually(
    async () => (await node.info('replication')).includes('master_link_status:up') && (await hasReplica(primary)),
    'the replica follows',
  );
}

export async function hasReplica(primary: RedisNode): Promise<boolean> {
  return (await primary.info('replication')).includes('state=online');
}

/** Three primaries, which come first, each with so many replicas: one of them takes the place of a primary that is gone. */
export async function startRedisCluster(test: RedisTest, replicas = 0): Promise<readonly RedisNode[]> {
  const flags = ['--cluster-enabled', 'yes', '--cluster-node-timeout', '1000', '--cluster-require-full-coverage', 'no'];
  const nodes = await startNodes(test, 3 * (1 + replicas), flags);
  const addresses = nodes.map(({ port }) => `127.0.0.1:${port}`);
  await run('redis-cli', [
    '--cluster',
    'create',
    ...addresses,
    '--cluster-replicas',
    String(replicas),
    '--cluster-yes',
  ]);
  for (const { port } of nodes)
    await eventually(
      async () => (await run('redis-cli', ['-p', String(port), 'cluster', 'info'])).stdout.includes('cluster_state:ok'),
      'the cluster is made',
    );
  for (const node of replicas === 0 ? [] : nodes.slice(0, 3))
    await eventually(() => hasReplica(node), 'it has its replica');
  return nodes;
}

async function startNodes(test: RedisTest, count: number, flags: readonly string[]): Promise<RedisNode[]> {
  const folder = await mkdtemp(join(tmpdir(), 'shoal-redis-'));
  const nodes: RedisNode[] = [];
  test.onTestFinished(async () => {
    for (const node of nodes) await node.kill();
    await rm(folder, { recursive: true, force: true });
  });
  for (let number = 0; number < count; number++) {
    const dir = join(folder, String(number));
    await mkdir(dir);
    const node = redisNode(await freePort(), dir, flags);
    nodes.push(node);
    await node.start();
  }
  return nodes;
}

function redisNode(port: number, dir: string, flags: readonly string[]): RedisNode {
  let child: ChildProcess | undefined;
  const command = async (...words: readonly string[]): Promise<string> =>
    (await run('redis-cli', ['-p', String(port), ...words])).stdout;
  const durable = ['--appendonly', 'yes', '--appendfsync', 'always', '--save', ''];
  const atOnce = ['--repl-diskless-sync-delay', '0']; // by default a replica waits five seconds for others to come
  return {
    port,
    url: `redis://127.0.0.1:${port}`,
    async kill() {
      const running = child;
      child = undefined;
      if (running === undefined) return;
      const gone = once(running, 'exit');
      running.kill('SIGKILL');
      await gone;
    },
    command,
    info: (section) => command('info', section),
    async flush() {
      await command('flushall');
    },
    async start() {
      const place = ['--port', String(port), '--bind', '127.0.0.1', '--dir', dir];
      child = spawn('redis-server', [...place, ...durable, ...atOnce, ...flags], { stdio: 'ignore' });
      await eventually(
        async () =>
          (await run('redis-cli', ['-p', String(port), 'ping']).catch(() => undefined))?.stdout.trim() === 'PONG',
        `redis-server answers on port ${port}`,
      );
    },
  };
}

/** Cluster nodes also take the port that is 10,000 higher, so it has to stay below 55,536. */
async function freePort(): Promise<number> {
  for (;;) {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    await new Promise((resolve) => server.close(resolve));
    if (port < 55_000) return port;
  }
}
