/** deploy/Dockerfile and the compose files, built and run by a real container engine. */
import { createServer, type AddressInfo } from 'node:net';
import { chmod, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, expect, test } from 'vitest';
import {
  buildImage,
  buildStandIn,
  commandOf,
  compose,
  CONTAINERS,
  listenTo,
  shoalIn,
  type Composition,
} from '../support/containers.ts';
import { OWN_LABEL, takeNames } from '../support/container-names.ts';
import { sha256OfFile } from '../support/contents.ts';
import { eventually } from '../support/deadline.ts';
import type { JsonEvent } from '../support/processes.ts';
import { restGet, type PeerRow } from '../support/rest.ts';
import { isThere, need } from '../support/system-packages.ts';
import { createWorld, type DoneEvent } from '../support/world.ts';

const IMAGE = 'localhost/shoal-under-test';
const VALKEY_IMAGE = 'localhost/shoal-stand-in-valkey';
const PROMETHEUS_IMAGE = 'localhost/shoal-stand-in-prometheus';
const PROJECT = `shoal-test-${process.pid}`;
const SCRAPE_FILE = '/etc/prometheus/prometheus.yml';

beforeAll(async () => {
  if (!CONTAINERS.every(isThere)) return; // the tests say what is missing
  const startMs = performance.now();
  await buildImage(IMAGE);
  tell('the image is built', startMs);
  await buildStandIn('valkey', VALKEY_IMAGE);
  await buildStandIn('prometheus', PROMETHEUS_IMAGE);
  tell('and the stand-ins for images of others', startMs);
}, 300_000);

// side by side: most of their time they wait for leases, health checks and rounds of figures
test.concurrent(
  'a tracker and three peers from the compose file: parallel download in one, another killed half way',
  { timeout: 180_000 },
  async (context) => {
    need(context, ...CONTAINERS);
    let startMs = performance.now();
    const world = await createWorld(context);
    await world.file('small.bin', 100_000, 41, ['shared']);
    const big = await world.file('big.bin', 64_000_000, 42, ['big']);
    const port = await freePort();
    const trackerUrl = `http://127.0.0.1:${port}`;
    const containers = await compose(context, {
      files: ['compose.yaml'],
      project: PROJECT,
      env: {
        SHOAL_IMAGE: IMAGE,
        SHOAL_PEERS: '3',
        SHOAL_PORT: String(port),
        SHOAL_SHARED: join(world.folder, 'shared'),
      },
    });
    const peers = [1, 2, 3].map((number) => containers.container('peer', number));
    const [dies = '', stays = '', wants = ''] = peers;
    await onlineAt(trackerUrl, 3);
    tell('a tracker and three peers are up', startMs);

    // nobody told them an address: the tracker announces the one that each container has
    const hosts = await Promise.all(peers.map((peer) => containers.addressOf(peer)));
    expect((await peersAt(trackerUrl)).map(({ ip }) => ip).toSorted()).toEqual(hosts.toSorted());
    for (const name of [containers.container('tracker'), ...peers]) await containers.podman('healthcheck', 'run', name);
    await provesUnhealthy(containers);

    for (const peer of [dies, stays]) {
      await containers.podman('cp', big.paths[0] ?? '', `${peer}:/data/big.bin`);
      await containers.podman('exec', peer, 'shoal', 'limit', '--up', '10M');
    }
    await eventually(async () => (await sourcesOf(trackerUrl, 'big.bin')) === 2, 'both share it', 30_000);

    startMs = performance.now();
    let done: DoneEvent | undefined;
    let killed: Promise<string> | undefined;
    const code = await shoalIn(wants, ['get', 'big.bin', '-o', '/data/'], (event: JsonEvent) => {
      if (event.event === 'progress' && Number(event['bytes']) > big.size / 4)
        killed ??= containers.podman('kill', dies);
      if (event.event === 'done') done = event as DoneEvent;
    });
    expect(killed).toBeDefined();
    await killed;
    expect(code).toBe(0);
    expect(done).toMatchObject({ size: big.size, sha256: big.sha256 });
    const gave = new Map(done?.peers.map(({ address, bytes }) => [address.replace(/:\d+$/u, ''), bytes]));
    const [deadHost = '', otherHost = ''] = hosts;
    for (const host of [deadHost, otherHost]) expect(gave.get(host), host).toBeGreaterThan(5_000_000);
    expect(await containers.podman('exec', wants, 'sha256sum', '/data/big.bin')).toMatch(
      new RegExp(`^${big.sha256} `, 'u'),
    );
    tell('64 MB in one container from two others, one of them killed', startMs);

    const told = ['-e', 'SHOAL_TRACKER=http://tracker:9000', '--network', containers.network, '--rm', '-d'];
    const named = await containers.podman(
      'run',
      ...told,
      '--network-alias',
      'known-as',
      IMAGE,
      'share',
      '/data',
      '--advertise',
      'known-as',
    );
    context.onTestFinished(async () => void (await containers.podman('rm', '-f', '-v', named.trim())));
    await eventually(
      async () => (await peersAt(trackerUrl)).some(({ ip }) => ip === 'known-as'),
      '--advertise is announced',
    );
  },
);

test.concurrent('the containers of the first document, command by command', { timeout: 180_000 }, async (context) => {
  need(context, ...CONTAINERS);
  await takeNames(context, {
    containers: ['peer1', 'peer2', 'peer3', 'tracker'],
    networks: ['p2p-net'],
    images: ['tracker', 'peer'],
  });
  const startMs = performance.now();
  const world = await createWorld(context);
  const file = await world.file('KTMT.pdf', 3_000_000, 43, ['shared/p1', 'shared/p3']);
  await chmod(await world.dir('shared/p2'), 0o777);
  const podman = commandOf('podman');
  for (const image of ['tracker', 'peer'])
    await podman('build', '-t', image, ...OWN_LABEL, '-f', 'deploy/Dockerfile', '.');
  await podman('network', 'create', ...OWN_LABEL, 'p2p-net');
  // -d in the place of -it: there is nobody at a terminal
  const common = ['-d', '--rm', ...OWN_LABEL, '--network', 'p2p-net'];
  await podman('run', ...common, '--name', 'tracker', '-p', `${await freePort()}:9000`, 'tracker');
  for (const number of [1, 2, 3]) {
    const [name, path] = [`peer${number}`, `shared/p${number}`];
    const volume = `${join(world.folder, path)}:/app/${path}`;
    await podman('run', ...common, '--name', name, '-v', volume, 'peer:latest', 'run', name, '7001', `./${path}`);
  }
  listenTo(context, 'tracker', 'peer1', 'peer2', 'peer3');
  const inPeer2 = (line: string): Promise<string> => podman('exec', 'peer2', 'bash', '-c', line);
  // nobody said where the tracker is
  const listed = eventually(
    async () => {
      const info = await inPeer2('shoal peer info KTMT.pdf').catch(() => '');
      return info.match(/'ip'/gu)?.length === 2 && info;
    },
    'both have announced it',
    60_000,
  );
  expect(await listed).toMatch(/'peers': \[\{'ip': 'peer\d', 'port': 7001\}, \{'ip': 'peer\d', 'port': 7001\}\]/u);
  expect(await inPeer2('shoal peer list')).toBe('Files on tracker:\n- KTMT.pdf (3000000 bytes)\n');
  const told = await inPeer2('shoal peer download peer2 7001 ./shared/p2 KTMT.pdf');
  expect(told).toMatch(/^KTMT\.pdf ━.*\n(?:✔ Chunk \d downloaded from .*\n)+Complete notify: \{'ok': True\}\n$/u);
  expect(await sha256OfFile(join(world.folder, 'shared/p2/KTMT.pdf'))).toBe(file.sha256);
  tell("the first document's containers have done their work", startMs);
});

test.concurrent(
  'two trackers on one Valkey, watched by Prometheus: one is killed, and the other is enough',
  { timeout: 180_000 },
  async (context) => {
    need(context, ...CONTAINERS);
    const startMs = performance.now();
    const world = await createWorld(context);
    const file = await world.file('kept.bin', 3_000_000, 44, ['shared']);
    const [port, secondPort, prometheusPort] = [await freePort(), await freePort(), await freePort()];
    const trackerUrls = [port, secondPort].map((one) => `http://127.0.0.1:${one}`);
    const containers = await compose(context, {
      files: ['compose.yaml', 'compose.replicated.yaml', 'compose.figures.yaml'],
      // all but Grafana, which no package of Debian has: its queries are asked below
      services: ['valkey', 'tracker', 'tracker-2', 'peer', 'prometheus'],
      project: `${PROJECT}-replicated`,
      env: {
        SHOAL_IMAGE: IMAGE,
        SHOAL_VALKEY_IMAGE: VALKEY_IMAGE,
        SHOAL_PROMETHEUS_IMAGE: PROMETHEUS_IMAGE,
        SHOAL_PEERS: '2',
        SHOAL_PORT: String(port),
        SHOAL_PORT_2: String(secondPort),
        SHOAL_PROMETHEUS_PORT: String(prometheusPort),
        SHOAL_SHARED: await world.dir('nothing'),
      },
    });
    for (const url of trackerUrls) await onlineAt(url, 2);
    const [has, wants] = [containers.container('peer', 1), containers.container('peer', 2)];
    await containers.podman('cp', file.paths[0] ?? '', `${has}:/data/kept.bin`);
    for (const url of trackerUrls)
      await eventually(async () => (await sourcesOf(url, 'kept.bin')) === 1, `${url} knows of it`, 30_000);

    const checked = await containers.podman(
      'exec',
      containers.container('prometheus'),
      'promtool',
      'check',
      'config',
      SCRAPE_FILE,
    );
    expect(checked).toContain('is valid prometheus config file syntax');
    const query = async (expression: string): Promise<readonly { readonly value: readonly [number, string] }[]> => {
      const url = `http://127.0.0.1:${prometheusPort}/api/v1/query?query=${encodeURIComponent(expression)}`;
      return ((await (await fetch(url)).json()) as { data: { result: { value: [number, string] }[] } }).data.result;
    };
    const both = async (): Promise<boolean> =>
      (await query('up{job="shoal-tracker"}').catch(() => [])).filter(({ value }) => value[1] === '1').length === 2;
    await eventually(both, 'Prometheus has found both trackers', 60_000);
    for (const expression of await dashboardQueries())
      await eventually(
        async () => {
          for (const url of trackerUrls) await restGet(url, '/file/nobody-has-this');
          return (await query(expression)).length > 0;
        },
        `the dashboard shows something for ${expression}`,
        60_000,
      );
    tell('two trackers, Valkey and Prometheus are up, and every query of the dashboard has an answer', startMs);

    await containers.podman('kill', containers.container('tracker'));
    let done: DoneEvent | undefined;
    const code = await shoalIn(wants, ['get', 'kept.bin', '-o', '/data/'], (event: JsonEvent) => {
      if (event.event === 'done') done = event as DoneEvent;
    });
    expect(code).toBe(0);
    expect(done).toMatchObject({ sha256: file.sha256 });
    const second = trackerUrls[1] ?? '';
    await eventually(async () => (await sourcesOf(second, 'kept.bin')) === 2, 'the other tracker knows both', 60_000);
    tell('and one of the trackers has been missed by nobody', startMs);
  },
);

/** What the dashboards ask Prometheus. */
async function dashboardQueries(): Promise<readonly string[]> {
  const queries: string[] = [];
  for (const side of ['tracker', 'peer']) {
    const text = await readFile(new URL(`../../deploy/grafana-${side}.json`, import.meta.url), 'utf8');
    const { panels } = JSON.parse(text) as { panels: { targets: { expr: string }[] }[] };
    queries.push(...panels.flatMap(({ targets }) => targets.map(({ expr }) => expr)));
  }
  return queries;
}

/** The check of the image says no where nothing runs. */
async function provesUnhealthy({ podman }: Composition): Promise<void> {
  const id = (await podman('run', '-d', '--rm', '--entrypoint', 'sleep', IMAGE, '60')).trim();
  try {
    await expect(podman('healthcheck', 'run', id)).rejects.toThrow();
  } finally {
    await podman('rm', '-f', '-v', '-t', '0', id);
  }
}

async function peersAt(trackerUrl: string): Promise<readonly PeerRow[]> {
  return ((await restGet(trackerUrl, '/peers')).json as PeerRow[]).filter(({ state }) => state === 'online');
}

async function sourcesOf(trackerUrl: string, name: string): Promise<number> {
  const { json } = await restGet(trackerUrl, `/file/${name}`);
  return (json as { peers?: unknown[] }).peers?.length ?? 0;
}

function onlineAt(trackerUrl: string, count: number): Promise<unknown> {
  const online = (): Promise<boolean> =>
    peersAt(trackerUrl).then(
      ({ length }) => length === count,
      () => false,
    );
  return eventually(online, `${count} peers are online at ${trackerUrl}`, 60_000);
}

/** A port that the engine publishes: it has to be known before. */
async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

function tell(what: string, startMs: number): void {
  console.log(`containers: ${what} after ${((performance.now() - startMs) / 1000).toFixed(1)} s`);
}
