/** The words of the shell, what each does, and how its arguments are completed. */
import { ShoalError } from '../../errors.ts';
import { LISTING_ROWS_DEFAULT } from '../../limits.ts';
import type { GetProgress } from '../../peer/api.ts';
import { nodeLines } from '../commands/status.ts';
import { entryColumns } from '../commands/ls.ts';
import { formatAddress, peerColumns } from '../commands/peers.ts';
import { sourceLine } from '../commands/get.ts';
import { printable } from '../display-width.ts';
import { humanBytes, humanCount, humanSeconds } from '../human.ts';
import { parsePort, parseTrackerUrls } from '../rates.ts';
import { renderTable } from '../table.ts';
import { listEntries, listPeers } from '../tracker-queries.ts';
import type { ShellSession } from './session.ts';

export type Completes = 'file' | 'path' | 'nothing';

export interface ShellCommand {
  /** As help writes them: `<must>`, `[may]`. */
  readonly args: string;
  readonly summary: string;
  readonly countMin: number;
  readonly countMax: number;
  /** For each argument. */
  readonly completes: readonly Completes[];
  run(session: ShellSession, words: readonly string[], signal: AbortSignal): Promise<void>;
}

/** Of each other node, in `show`. */
const ROOTS_SHOWN_MAX = 3;
const NONE = { args: '', countMin: 0, countMax: 0, completes: [] };

export const SHELL_COMMANDS: Readonly<Record<string, ShellCommand>> = {
  connect: {
    args: '<host> <port>',
    summary: 'join the swarm of this tracker (also: connect <url>)',
    countMin: 1,
    countMax: 2,
    completes: [],
    async run(session, [host = '', port], signal) {
      const urls = parseTrackerUrls(port === undefined ? host : `${bracketed(host)}:${parsePort(port)}`);
      const node = await session.connect(urls, signal);
      answer(session, `connected to ${urls.join(', ')} as ${node.peerId.slice(0, 12)} on ${node.address}`);
    },
  },
  publish: {
    args: '<localfile>',
    summary: 'share a file or a folder',
    countMin: 1,
    countMax: 1,
    completes: ['path'],
    async run(session, [path = '']) {
      const { files, folders } = await session.publish(path);
      for (const { name, manifest } of files)
        answer(session, `published ${printable(name)} (${humanBytes(manifest.size)}), sha256 ${manifest.sha256}`);
      for (const { name, fileCount } of folders)
        answer(session, `published ${printable(name)} as a whole (${humanCount(fileCount, 'file')})`);
      if (files.length === 0) answer(session, 'there was nothing new to share');
    },
  },
  list_file: {
    ...NONE,
    summary: 'what can be downloaded',
    async run(session, _words, signal) {
      const { wallClock, output } = session.runtime;
      const { rows, cut } = await listEntries(await session.client(), {
        includeOffline: false,
        rowsMax: LISTING_ROWS_DEFAULT,
        signal,
      });
      if (rows.length === 0) answer(session, 'nothing is shared yet');
      else for (const line of renderTable(rows, entryColumns(wallClock()), output.columns)) answer(session, line);
      if (cut) answer(session, `only the first ${humanCount(rows.length, 'row')}`);
    },
  },
  list_peers: {
    ...NONE,
    summary: 'the peers the tracker knows',
    async run(session, _words, signal) {
      const { wallClock, output } = session.runtime;
      const { rows, cut } = await listPeers(await session.client(), LISTING_ROWS_DEFAULT, signal);
      if (rows.length === 0) answer(session, 'the tracker knows no peer yet');
      else for (const line of renderTable(rows, peerColumns(wallClock(), rows), output.columns)) answer(session, line);
      if (cut) answer(session, `only the first ${humanCount(rows.length, 'row')}`);
    },
  },
  download: {
    args: '<file> [path]',
    summary: 'download from one source, the one that answers fastest',
    countMin: 1,
    countMax: 2,
    completes: ['file', 'path'],
    run: (session, [what = '', path], signal) => download(session, { what, path, single: true }, signal),
  },
  download_adv: {
    args: '<file> [path]',
    summary: 'download from every peer that has it, at once',
    countMin: 1,
    countMax: 2,
    completes: ['file', 'path'],
    run: (session, [what = '', path], signal) => download(session, { what, path, single: false }, signal),
  },
  show: {
    ...NONE,
    summary: 'what this peer shares and is moving',
    async run(session, _words, signal) {
      const { published, status } = session;
      for (const { name, manifest } of published) answer(session, `${printable(name)} (${humanBytes(manifest.size)})`);
      const names = new Set(published.map(({ name }) => name));
      for (const { name, state, bytes, size } of status?.transfers ?? [])
        if (!names.has(name))
          answer(session, `${printable(name)} (${humanBytes(bytes)} of ${humanBytes(size)}, ${state})`);
      if (published.length === 0 && (status?.transfers ?? []).length === 0)
        answer(session, 'nothing is shared by this shell');
      for (const { pid, sharedFiles, sharedBytes, roots } of await session.otherNodes(signal)) {
        const what = `${humanCount(sharedFiles, 'file')} (${humanBytes(sharedBytes)})`;
        const where = roots.slice(0, ROOTS_SHOWN_MAX).map(printable).join(', ');
        answer(
          session,
          `the node of process ${pid} on this machine shares ${what}${where === '' ? '' : ` of ${where}`}`,
        );
      }
    },
  },
  getip: {
    ...NONE,
    summary: 'the addresses under which others reach this peer',
    async run(session, _words, signal) {
      const node = await session.node();
      const { rows } = await listPeers(await session.client(), LISTING_ROWS_DEFAULT, signal);
      const own = rows.find(({ peerId }) => peerId === node.peerId);
      for (const address of own?.addresses ?? []) answer(session, formatAddress(address));
      if (own === undefined) answer(session, `${node.address} (the tracker does not know this peer yet)`);
    },
  },
  status: {
    ...NONE,
    summary: 'what this peer does, and why something waits',
    async run(session) {
      const { status, trackerUrls, runtime } = session;
      if (status === undefined) answer(session, `not connected; the tracker is ${trackerUrls.join(', ')}`);
      else for (const line of nodeLines(status, runtime.output.columns)) answer(session, line);
    },
  },
  start: {
    args: '<host> <port>',
    summary: 'run a tracker in this shell',
    countMin: 2,
    countMax: 2,
    completes: [],
    async run(session, [host = '', port = '']) {
      const tracker = await session.startTracker(host, parsePort(port));
      answer(session, `tracker at ${tracker.url}`);
    },
  },
  help: {
    ...NONE,
    summary: 'this list',
    async run(session) {
      const rows = Object.entries(SHELL_COMMANDS).map(([name, { args, summary }]) => [`${name} ${args}`, summary]);
      const width = Math.max(...rows.map(([usage = '']) => usage.length));
      for (const [usage = '', summary = ''] of rows) answer(session, `  ${usage.padEnd(width)}  ${summary}`);
    },
  },
  exit: {
    ...NONE,
    summary: 'leave the swarm (also: Ctrl+D)',
    async run() {
      // the loop that reads the lines ends by it
    },
  },
};

/** The command of a line's words. Throws `usage` for one that is none, or has the wrong number of arguments. */
export function shellCommand([name = '', ...args]: readonly string[]): ShellCommand {
  const command = Object.hasOwn(SHELL_COMMANDS, name) ? SHELL_COMMANDS[name] : undefined;
  if (command === undefined)
    throw new ShoalError('usage', `there is no command ${printable(name)}`, { hint: 'help lists what there is' });
  if (args.length < command.countMin || args.length > command.countMax)
    throw new ShoalError('usage', `it is written: ${`${name} ${command.args}`.trim()}`);
  return command;
}

interface Wanted {
  readonly what: string;
  readonly path: string | undefined;
  readonly single: boolean;
}

async function download(session: ShellSession, { what, path, single }: Wanted, signal: AbortSignal): Promise<void> {
  const { output } = session.runtime;
  const node = await session.node();
  const bar = output.openBar();
  try {
    const result = await node.get({
      what,
      output: path,
      single,
      signal,
      onProgress: (progress: GetProgress) => bar.update(progress),
      onPeerBanned: ({ address, reason }) => bar.log(`no longer used: ${address} (${printable(reason)})`),
    });
    output.closeBar();
    for (const source of result.peers) {
      const away = source.rttMs === null ? '' : `, ${source.rttMs.toFixed(1)} ms away`;
      if (source.bytes > 0) answer(session, `${output.check} ${sourceLine(source)}${away}`);
    }
    answer(session, `${output.check} ${printable(result.name)} verified`);
    const size = humanBytes(result.size);
    answer(session, `  ${size} in ${humanSeconds(result.seconds)} to ${printable(result.path)}; served from now on`);
  } finally {
    output.closeBar();
  }
}

function answer(session: ShellSession, line: string): void {
  session.runtime.output.answer(line);
}

function bracketed(host: string): string {
  return host.includes(':') && !host.startsWith('[') ? `[${host}]` : host;
}
