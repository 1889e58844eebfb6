import { execFile } from 'node:child_process';
import { chmod, copyFile, link, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect, it, test } from 'vitest';
import { sha256OfFile } from '../support/contents.ts';
import { eventually } from '../support/deadline.ts';
import { restGet } from '../support/rest.ts';
import type { ShoalProcess } from '../support/processes.ts';
import { seedRows } from '../support/seed-tables.ts';
import { createWorld, type DoneEvent, type World } from '../support/world.ts';

const PROJECT = fileURLToPath(new URL('../../', import.meta.url));
const rows = seedRows(await readFile(join(PROJECT, 'docs/seeds.md'), 'utf8'));
const run = promisify(execFile);

/** What the commands see of the world, and what was started. */
interface Walk {
  readonly world: World;
  readonly sha256: string;
  /** Where the tracker of this walk is. */
  url(): string;
  /** Of those that run until they are stopped: what they print. */
  stayed(text: string): Promise<string>;
}

/** The outcome of a command: what it printed, checked. Those that stay are `'stays'` and are checked by the lines they print. */
type Check = (printed: string, walk: Walk) => void | Promise<void>;

const LISTENING = /^Peer listening on \d+, sharing \.\/shared\/p\d$/u;
const says =
  (...patterns: readonly RegExp[]): Check =>
  (printed) => {
    for (const pattern of patterns) expect(printed).toMatch(pattern);
  };
const gives =
  (path: string): Check =>
  async (_printed, { world, sha256 }) => {
    expect(await sha256OfFile(join(world.folder, path))).toBe(sha256);
  };
/** The tracker has movie.bin in chunks of this size. */
const cuts =
  (chunkSize: number, chunkCount: number): Check =>
  async (printed, walk) => {
    expect(printed).toMatch(/sharing 1 file/u);
    const { json } = await restGet(walk.url(), '/file/movie.bin');
    expect(json).toMatchObject({ file: { chunk_size: chunkSize, chunks: chunkCount, seeders: 1 } });
  };
const engine =
  (...calls: readonly RegExp[]): Check =>
  async (_printed, { world }) => {
    const log = await readFile(join(world.folder, 'engine.log'), 'utf8');
    for (const call of calls) expect(log).toMatch(call);
  };

/** Those that run until they are stopped, and when they have begun. */
const STAY: Readonly<Record<string, Check>> = {
  'shoal tracker start 127.0.0.1 9000': says(/^tracker at http:\/\/127\.0\.0\.1:\d+/u),
  'shoal run 127.0.0.1 7001 ./shared/p1': (printed) => {
    const [first = '', ...others] = printed.trim().split('\n');
    expect(first).toMatch(LISTENING);
    expect(others).toEqual(["Announce: {'ok': True}", first, 'Press Ctrl+C to stop.']);
  },
  'shoal peer run 127.0.0.1 7002 ./shared/p2': says(/Announce: \{'ok': True\}\nPeer listening[^\n]*\nPress Ctrl\+C/u),
  'shoal run 127.0.0.1 9001 ./shared/p3': says(/Announce: \{'ok': True\}/u),
  'shoal run localhost 7001 ./shared/p3': says(/Announce: \{'ok': True\}/u),
  'shoal share ./shared/p1': says(/sharing 2 files/u),
  'shoal share ./shared/p5 --chunk-size 256KiB': cuts(262_144, 4),
  'shoal share ./shared/p5 --chunk-size 1MiB': cuts(1_048_576, 1),
};

const CHECKS: Readonly<Record<string, Check>> = {
  'shoal tracker --help': says(/--store /u, /sqlite/u, /memory/u),
  'shoal share --help': says(/--tracker <url>[\s\S]*SHOAL_TRACKER/u, /--listen <host:port>/u),
  'shoal demo --help': says(/a tracker, three sharing peers, one download/u),
  'shoal peer list': says(
    /^Files on tracker:\n/u,
    /^- KTMT\.pdf \(300000 bytes\)$/mu,
    /^- big\.bin \(3000000 bytes\)$/mu,
  ),
  'shoal peer info KTMT.pdf': says(
    /^\{'file': \{'name': 'KTMT\.pdf', 'size': 300000, 'sha256': '[0-9a-f]{64}'\}, 'peers': \[\{'ip': '127\.0\.0\.1', 'port': \d+\}/u,
  ),
  'shoal peer announce 127.0.0.1 7004 ./shared/p4': says(/^Announce: \{'ok': True\}\n$/u),
  'shoal peer download 127.0.0.1 7003 ./shared/p3 KTMT.pdf': says(
    /^KTMT\.pdf ━{40} 100\.00% .*\/s 0:00:00\n(?:✔ Chunk \d downloaded from 127\.0\.0\.1:\d+ \(\d+ bytes\) in \d+\.\d\ds\n)+Complete notify: \{'ok': True\}\n$/u,
  ),
  'shoal peer download localhost 7001 ./shared/p4 big.bin': async (printed, walk) => {
    expect(printed).toMatch(/✔ Chunk 0 downloaded from .*\nComplete notify: \{'ok': True\}\n$/su);
    await gives('shared/p4/big.bin')(printed, walk);
  },
  'du -sk ~/.local/share/shoal/tracker': (printed) => {
    // more than five megabytes are shared: they are elsewhere
    expect(Number.parseInt(printed, 10)).toBeGreaterThan(0);
    expect(Number.parseInt(printed, 10)).toBeLessThan(1_000);
  },
  'curl -s http://127.0.0.1:9000/peers': says(/"state":"online"/u, /"state":"offline"/u, /"files":\[[^\]]*"big\.bin"/u),
  'curl -s http://127.0.0.1:9000/files': says(/"name":"KTMT\.pdf","size":300000,"sha256":"[0-9a-f]{64}"/u),
  'curl -s http://127.0.0.1:9000/file/KTMT.pdf': says(
    /"file":\{"name":"KTMT\.pdf","size":300000,"sha256":"[0-9a-f]{64}"/u,
    /"peers":\[\{"ip":"127\.0\.0\.1"/u,
  ),
  'curl -s http://127.0.0.1:9000/file/big.bin': says(/"peers":\[\{"ip":"127\.0\.0\.1"/u),
  'curl -s http://127.0.0.1:9000/file/big.bin/chunks': says(
    /"chunks":\[\{"index":0,"sha256":"[0-9a-f]{64}","sources":\d/u,
  ),
  [`curl -s http://127.0.0.1:9000/announce -d '{"ip":"192.168.1.10","port":7001,"files":[{"name":"OS.pptx","size":204800,"sha256":"efgh5678..."}]}'`]:
    says(/^\{"ok":true\}$/u),
  [`curl -s http://127.0.0.1:9000/complete -d '{"peer_ip":"192.168.1.10","port":7001,"name":"OS.pptx"}'`]:
    says(/^\{"ok":true\}$/u),
  [`curl -s http://127.0.0.1:9000/heartbeat -d '{"peer_ip":"192.168.1.10","port":7001}'`]: says(/^\{"ok":true\}$/u),
  "curl -s 'http://127.0.0.1:9000/files?q=KTMT&limit=1'": says(/^\[\{"name":"KTMT\.pdf"[^[]*\]$/u),
  'curl -s http://127.0.0.1:9000/file/nothing.bin': says(/^\{"error":\{"code":"no-such-name","message":"[^"]/u),
  'curl -s http://127.0.0.1:9000/torrents/': says(/"descriptor":"\/torrents\/big\.bin\.json"/u),
  'curl -s http://127.0.0.1:9000/torrents/big.bin.json': says(
    /^\{"file_name":"big\.bin","total_pieces":46,"size":3000000,.*"chunk_size":65536,/u,
    /"pieces":\[\{"number":1,"hash":"[0-9a-f]{64}"\}/u,
  ),
  'shoal peers': says(/ online /u, / offline /u),
  'shoal ls': says(/SEEDERS +LEECHERS/u, /big\.bin +2\.86 MiB +[1-9]/u),
  'shoal ls --all': says(/big\.bin +2\.86 MiB/u),
  'shoal info big.bin': says(/size +2\.86 MiB \(3000000 bytes\) in 46 chunks/u, /seeder/u),
  'shoal status': says(/shares +2 files/u),
  'shoal get big.bin -o ./got/': gives('got/big.bin'),
  'shoal verify ./got/big.bin': says(/verified/u),
  'shoal get big.bin --single -o ./standard/': async (printed, walk) => {
    expect(printed).toMatch(/^✔ \d+ chunks? \(.* from 127\.0\.0\.1:\d+/mu);
    await gives('standard/big.bin')(printed, walk);
  },
  'shoal get big.bin --single --json -o ./fastest/': async (printed, walk) => {
    const last = printed.trim().split('\n').at(-1) ?? '';
    const { event, peers } = JSON.parse(last) as DoneEvent;
    expect(event).toBe('done');
    // from one, unless that one was too late for this machine; null: its pong was later than the whole download
    expect(peers.reduce((sum, { chunks }) => sum + chunks, 0)).toBe(46);
    for (const { rttMs } of peers) expect(rttMs === null || rttMs >= 0).toBe(true);
    await gives('fastest/big.bin')(printed, walk);
  },
  'shoal descriptor ./shared/p1/big.bin -o ./big.bin.json': async (printed, { world, sha256 }) => {
    expect(printed).toMatch(/46 pieces/u);
    const text = await readFile(join(world.folder, 'big.bin.json'), 'utf8');
    expect(JSON.parse(text)).toMatchObject({ file_name: 'big.bin', total_pieces: 46, size: 3_000_000, sha256 });
  },
  'shoal get ./big.bin.json -o ./by-file/': gives('by-file/big.bin'),
  'shoal get http://127.0.0.1:9000/torrents/big.bin.json -o ./by-descriptor/': gives('by-descriptor/big.bin'),
  'echo start 127.0.0.1 0 | shoal shell': says(/tracker at http:\/\/127\.0\.0\.1:\d+/u),
  'echo connect 127.0.0.1 9000 | shoal shell': says(/connected to http/u),
  'echo list_peers | shoal shell': says(/ online /u),
  'echo list_file | shoal shell': says(/big\.bin +2\.86 MiB/u),
  'echo publish ./shared/p1/big.bin | shoal shell': says(/published big\.bin \(2\.86 MiB\), sha256 /u),
  'echo download big.bin ./single/ | shoal shell': async (printed, walk) => {
    expect(printed).toMatch(/^✔ \d+ chunks? \(.* from 127\.0\.0\.1:\d+ in [^,]*(?:, [\d.]+ ms away)?$/mu);
    await gives('single/big.bin')(printed, walk);
  },
  'echo download http://127.0.0.1:9000/torrents/big.bin.json ./asked/ | shoal shell': gives('asked/big.bin'),
  'echo download_adv big.bin ./adv/ | shoal shell': gives('adv/big.bin'),
  'echo show | shoal shell': says(/nothing is shared by this shell/u),
  'echo getip | shoal shell': says(/:\d+/u),
  'echo help | shoal shell': says(/download_adv <file> \[path\]/u),
  'echo exit | shoal shell': says(/^$/u),
  'deploy/config.sh': engine(/^build -t shoal -f deploy\/Dockerfile \.$/mu),
  'deploy/config.sh -nr': engine(/^build /mu),
  'deploy/run.sh -s 1': engine(/^run .*--name shoal-server .* shoal tracker$/mu),
  'deploy/run.sh -n 12': engine(/^run .*--name shoal-node12 .*volumes\/node12:\/data -w \/data shoal share \/data$/mu),
  'deploy/run.sh -n 1-11': engine(/^run .*--name shoal-node1 /mu, /^run .*--name shoal-node11 /mu),
  'deploy/run.sh -nn node5': engine(/^run .*--name shoal-node5 /mu),
  'ls deploy/volumes/node12': says(/^first\.txt$/mu),
  'ls deploy/logs/node12/log deploy/logs/server/log': says(/node12\/log\n.*server\/log\n/su),
  'deploy/reset.sh': engine(
    /^ps -aq --filter label=shoal\.example=1$/mu,
    /^rm -f -v made-by-run$/mu,
    /^network rm shoal$/mu,
  ),
  'deploy/reset.sh -v': async (_printed, { world }) => {
    expect(await readFile(join(world.folder, 'deploy/volumes/node5/first.txt'), 'utf8')).toBe('as it was\n');
  },
};

/** What has to be refused: the words of the complaint. */
const REFUSED: Readonly<Record<string, RegExp>> = {
  'shoal share ./shared/p1/big.bin --chunk-size 256KB': /powers of two.*\n.*256KiB is the nearest/u,
};

describe('docs/seeds.md', () => {
  it('has a row for every feature, and each says what to type or names what sees to it', () => {
    expect(rows.length).toBeGreaterThan(175);
    for (const { feature, commands, places } of rows)
      expect(commands.length + places.length, `nothing checks the row "${feature}"`).toBeGreaterThan(0);
  });

  it('names tests by their titles, and pages by what they say', async () => {
    for (const { feature, places } of rows) {
      for (const { path, quoted } of places) {
        const text = await readFile(join(PROJECT, path), 'utf8');
        expect(quoted, `${path} is there, but what does it show of "${feature}"?`).toBeDefined();
        expect(text.includes(quoted ?? ''), `${path} has no "${quoted}"`).toBe(true);
        // of a test it has to be the title, or what a table puts into one
        if (path.endsWith('.test.ts')) {
          const titles = [...text.matchAll(/(?:^\s*\[?|(?:test|it|describe)[\w.]*\(\s*)(['"`])([^\n]*?)\1,/gmu)];
          expect(
            titles.some(([, , title = '']) => title.includes(quoted ?? '')),
            `${path} has no test "${quoted}"`,
          ).toBe(true);
        }
      }
    }
  });

  it('has no command without a check, and no check is left over', () => {
    const typed = new Set(rows.flatMap(({ commands }) => commands));
    expect([...typed].toSorted()).toEqual([STAY, CHECKS, REFUSED].flatMap((all) => Object.keys(all)).toSorted());
  });
});

test('every command of docs/seeds.md does what its row says', { timeout: 180_000 }, async (context) => {
  const world = await createWorld(context);
  await world.file('KTMT.pdf', 300_000, 71, ['shared/p1', 'shared/p2']);
  const big = await world.file('big.bin', 3_000_000, 72, ['shared/p1', 'shared/p2']);
  for (const folder of ['shared/p3', 'shared/p4']) await world.dir(folder);
  await link(join(world.folder, 'shared/p1/KTMT.pdf'), join(world.folder, 'shared/p4/KTMT.pdf'));
  await world.file('movie.bin', 1_000_000, 73, ['shared/p5']);
  await makeDeploy(world);
  const started = new Map<string, ShoalProcess>();
  let trackerUrl = 'http://127.0.0.1:9000';
  const walk: Walk = {
    world,
    sha256: big.sha256,
    url: () => trackerUrl,
    async stayed(text) {
      // the ports of the document may be taken on this machine: any free one is as good
      const words = text
        .replace(/ (?:7\d{3}|9\d{3})\b/gu, ' 0')
        .split(' ')
        .slice(1);
      const one = world.run([...words, ...(text.includes(' tracker ') ? [] : ['--tracker', trackerUrl])]);
      started.set(text, one);
      await eventually(
        () => /\/docs|Ctrl\+C to stop/u.test(one.stdout.toString()) || one.exit !== undefined,
        `${text} has begun: ${one.stderr}`,
      );
      return one.stdout.toString();
    },
  };
  for (const [text, check] of Object.entries(STAY)) {
    const printed = await walk.stayed(text);
    await check(printed, walk);
    const [url] = /http:\/\/127\.0\.0\.1:\d+/u.exec(printed) ?? [];
    if (url !== undefined) trackerUrl = url;
    // these are seen to begin, and make room
    if (/^shoal (?:share|run .*\/p3$)/u.test(text)) await started.get(text)?.end();
  }
  const { port } = new URL(trackerUrl);
  for (const [text, check] of Object.entries(CHECKS)) {
    const typed = text.replaceAll('127.0.0.1:9000', `127.0.0.1:${port}`).replace('127.0.0.1 9000', `127.0.0.1 ${port}`);
    const printed = await typeIt(
      world,
      text.startsWith('shoal peer download') ? typed.replace(/ 7\d{3} /u, ' 0 ') : typed,
      trackerUrl,
    );
    await check(printed, walk);
  }
  for (const [text, words] of Object.entries(REFUSED))
    await expect(typeIt(world, text, trackerUrl), text).rejects.toThrow(words);
});

/** Types a line into a shell of the system, in the world's folder; answers with what it printed. */
async function typeIt(world: World, line: string, trackerUrl: string): Promise<string> {
  const env = {
    PATH: `${PROJECT}bin:${process.env['PATH'] ?? ''}`,
    HOME: join(world.folder, 'home-0'),
    // where the nodes that stay are found by `status`: they have homes of their own
    SHOAL_DATA_HOME: line.includes('status') ? join(world.folder, 'home-1') : join(world.folder, 'home-typed'),
    SHOAL_TRACKER: trackerUrl,
    SHOAL_ENGINE: join(world.folder, 'engine.sh'),
    SHOAL_ROOT: join(world.folder, 'deploy'),
    TMPDIR: world.tmp,
    NODE_COMPILE_CACHE: '/tmp/node-compile-cache',
    NO_COLOR: '1',
    SHOAL_MDNS: 'off',
  };
  try {
    return (await run('sh', ['-c', line], { env, cwd: world.folder, timeout: 30_000 })).stdout;
  } catch (error) {
    throw new Error(`${line}: ${String((error as { stderr?: string }).stderr)}`, { cause: error });
  }
}

/** An engine that only remembers what it was asked; what it was asked to run, runs. */
const ENGINE = `#!/bin/sh
here=$(dirname "$0")
echo "$*" >> "$here/engine.log"
case "$*" in
  ps*) echo made-by-run ;;
  run*) echo "$*" | sed 's/.*--name \\([^ ]*\\) .*/\\1/' >> "$here/running" && echo 0123abcd ;;
  *shoal.example*) echo 1 ;;
  "container inspect"*) for name; do :; done; grep -qx "$name" "$here/running" && echo true ;;
  logs*) echo 'sharing 1 file' ;;
esac
`;

/** The scripts beside such an engine. */
async function makeDeploy(world: World): Promise<void> {
  const deploy = join(world.folder, 'deploy');
  for (const node of ['node5', 'node12']) {
    await mkdir(join(deploy, '.volumes_start', node), { recursive: true });
    await writeFile(join(deploy, '.volumes_start', node, 'first.txt'), 'as it was\n');
  }
  for (const name of ['engine.sh', 'config.sh', 'run.sh', 'reset.sh']) {
    await copyFile(join(PROJECT, 'deploy', name), join(deploy, name));
    await chmod(join(deploy, name), 0o755);
  }
  await writeFile(join(world.folder, 'engine.sh'), ENGINE);
  await chmod(join(world.folder, 'engine.sh'), 0o755);
}
