/**
 * The command `shoal` as commander sees it: names, summaries and the options every command takes. A command's own definition is
 * loaded only when the arguments name it.
 */
import { Command, Option } from 'commander';
import { VERSION } from '../version.ts';
import { tlsWarnings, type TlsFlags } from './tls-option.ts';
import { chooseDefaultTracker, laterTrackers } from './default-tracker.ts';
import { TRACKER_URL_DEFAULT, type DefineCommand, type Runtime } from './runtime.ts';

interface CommandEntry {
  readonly summary: string;
  readonly group: string;
  readonly load: () => Promise<DefineCommand>;
}

const MOVE = 'Move files:';
const CLOSED = 'Keep strangers out:';
const LOOK = 'See what is going on:';
const BESIDES = 'Besides:';
const OTHER_NAMES = 'Other names (docs/seeds.md):';

/** All commands, in the order of `--help`; the summaries are those of the README. */
export const COMMANDS: Readonly<Record<string, CommandEntry>> = {
  tracker: {
    summary: 'run a tracker: it knows who has what and stores no file bytes',
    group: MOVE,
    load: async () => (await import('./commands/tracker.ts')).defineTracker,
  },
  share: {
    summary: 'share files and folders until Ctrl+C',
    group: MOVE,
    load: async () => (await import('./commands/share.ts')).defineShare,
  },
  volunteer: {
    summary: 'offer space for copies of what others share with --replicas',
    group: MOVE,
    load: async () => (await import('./commands/volunteer.ts')).defineVolunteer,
  },
  get: {
    summary: 'download from all peers that have it, verified chunk by chunk',
    group: MOVE,
    load: async () => (await import('./commands/get.ts')).defineGet,
  },
  token: {
    summary: 'make the tokens of a private swarm',
    group: CLOSED,
    load: async () => (await import('./commands/token.ts')).defineToken,
  },
  cert: {
    summary: 'make the certificates of an encrypted swarm',
    group: CLOSED,
    load: async () => (await import('./commands/cert.ts')).defineCert,
  },
  ls: {
    summary: 'list what can be downloaded',
    group: LOOK,
    load: async () => (await import('./commands/ls.ts')).defineLs,
  },
  info: {
    summary: 'show one file: identity, sources, and which chunks are where',
    group: LOOK,
    load: async () => (await import('./commands/info.ts')).defineInfo,
  },
  peers: {
    summary: 'list the peers the tracker knows, with their state',
    group: LOOK,
    load: async () => (await import('./commands/peers.ts')).definePeers,
  },
  verify: {
    summary: 'compare a local file with what the tracker says it should be',
    group: LOOK,
    load: async () => (await import('./commands/verify.ts')).defineVerify,
  },
  status: {
    summary: 'show what the nodes on this machine are doing, and why something waits',
    group: LOOK,
    load: async () => (await import('./commands/status.ts')).defineStatus,
  },
  limit: {
    summary: 'change the rate limits of nodes that run on this machine',
    group: LOOK,
    load: async () => (await import('./commands/limit.ts')).defineLimit,
  },
  descriptor: {
    summary: 'write the descriptor of a file: its chunks as numbered pieces',
    group: BESIDES,
    load: async () => (await import('./commands/descriptor.ts')).defineDescriptor,
  },
  shell: {
    summary: 'a prompt: connect, look around, publish and download, with completion',
    group: BESIDES,
    load: async () => (await import('./commands/shell.ts')).defineShell,
  },
  completion: {
    summary: 'print the script that completes commands and names in bash, zsh or fish',
    group: BESIDES,
    load: async () => (await import('./commands/completion.ts')).defineCompletion,
  },
  demo: {
    summary: 'show it all at work: a tracker, three sharing peers, one download',
    group: BESIDES,
    load: async () => (await import('./commands/demo.ts')).defineDemo,
  },
};

/** The names that the founding documents use for some of them; docs/seeds.md. */
export const ALIASES: Readonly<Record<string, CommandEntry>> = {
  run: {
    summary: 'share a folder: `shoal run <ip> <port> <folder>`',
    group: OTHER_NAMES,
    load: async () => (await import('./aliases.ts')).defineRun,
  },
  peer: {
    summary: 'run, announce, list, info or download, as the first document writes them',
    group: OTHER_NAMES,
    load: async () => (await import('./aliases.ts')).definePeer,
  },
};

export interface ProgramOptions {
  readonly runtime: Runtime;
  /** The arguments after the program's name; they decide which definitions are loaded. */
  readonly args: readonly string[];
  readonly writeOut: (text: string) => void;
  readonly writeErr: (text: string) => void;
}

/** The program, ready to parse. It throws CommanderError instead of ending the process. */
export async function createProgram({ runtime, args, writeOut, writeErr }: ProgramOptions): Promise<Command> {
  const program = new Command('shoal');
  program
    .description('Moves large files to many machines, fast: peers exchange verified chunks in parallel.')
    .usage('[options] <command>')
    .version(VERSION, '-V, --version', 'print the version')
    .helpOption('-h, --help', 'show help, with examples')
    .helpCommand(false)
    .addOption(
      new Option('--tracker <url>', 'the tracker, or several divided by commas')
        .env('SHOAL_TRACKER')
        .default(TRACKER_URL_DEFAULT),
    )
    .addOption(new Option('--token <token>', 'the token of a private swarm').env('SHOAL_TOKEN'))
    .addOption(new Option('--token-file <path>', 'a file whose first line is the token').env('SHOAL_TOKEN_FILE'))
    .addOption(
      new Option('--tls <folder>', 'the certificates of an encrypted swarm, as shoal cert made them').env('SHOAL_TLS'),
    )
    .addOption(new Option('--tls-cert <file>', 'certificate in PEM; one file at a time').env('SHOAL_TLS_CERT'))
    .addOption(new Option('--tls-key <file>', 'its private key in PEM').env('SHOAL_TLS_KEY'))
    .addOption(new Option('--tls-ca <file>', 'certificate of the authority in PEM').env('SHOAL_TLS_CA'))
    .addOption(
      new Option('--no-mdns', 'neither announce a tracker on the local network nor look for one (env: SHOAL_MDNS=off)'),
    )
    .addOption(new Option('--json', 'print events or a document for programs'))
    .configureHelp({ showGlobalOptions: true })
    .configureOutput({ writeOut, writeErr, outputError: (text, write) => write(text.replace(/^error: /, 'shoal: ')) })
    .showHelpAfterError('       `shoal --help` shows how it is used')
    .exitOverride()
    .addHelpText('after', PROGRAM_EXAMPLES)
    .hook('preAction', async (_program, action) => {
      const flags = action.optsWithGlobals<TlsFlags & { json?: boolean }>();
      runtime.output.json = flags.json === true;
      for (const warning of tlsWarnings(flags, runtime.wallClock())) runtime.output.warn(warning);
      if (isHalfEncrypted(action))
        runtime.output.warn(
          '--tls is for the peers only: the tracker is named with http:// and hears everything in clear text',
        );
      if (mayLookAround(action, runtime)) {
        program.setOptionValueWithSource('tracker', await chooseDefaultTracker(runtime), 'implied');
        // no flag of the command line: what globalOptions() hands to nodes
        program.setOptionValueWithSource(
          'findTracker',
          laterTrackers({ ...runtime, lan: runtime.services.lan }),
          'implied',
        );
      }
    });
  // a script for a shell has all of the command line; names are asked for while somebody types
  const wantsAll = args.includes('completion') && !args.includes('names');
  for (const [name, { summary, group, load }] of Object.entries({ ...COMMANDS, ...ALIASES })) {
    const command = program.command(name).description(summary).helpGroup(group);
    if (wantsAll || args.includes(name)) (await load())(command, runtime);
    showUsageAfterErrors(command);
  }
  program
    .command('help')
    .description('show help for a command')
    .helpGroup(BESIDES)
    .argument('[command...]', 'its name')
    .action((names: readonly string[]) => showHelpOf(program, names));
  return program;
}

/** A complaint about arguments comes with what they should be. */
function showUsageAfterErrors(command: Command): void {
  const { parent } = command;
  const path = parent?.parent ? `${parent.name()} ${command.name()}` : command.name();
  const usage = command.createHelp().commandUsage(command);
  command.showHelpAfterError(`       usage: ${usage}\n       \`shoal ${path} --help\` says more`);
  for (const below of command.commands) showUsageAfterErrors(below);
}

function showHelpOf(program: Command, names: readonly string[]): void {
  let found: Command = program;
  for (const name of names) {
    const next = found.commands.find((one) => one.name() === name || one.aliases().includes(name));
    found = next ?? found.error(`error: unknown command '${name}'`, { code: 'commander.unknownCommand' });
  }
  found.help();
}

/** Commands that talk to a tracker, unless told that they need none. */
const ASK_A_TRACKER: ReadonlySet<string> = new Set(
  'share volunteer get ls info peers verify shell run peer completion'.split(' '),
);

/** What belongs to one swarm, and to nobody who merely says that he is there. */
const SECRETS = ['token', 'tokenFile', 'tls', 'tlsCert', 'tlsKey', 'tlsCa'];

/** Whether this command is to look for a tracker by itself: it needs one, and was given neither one nor a secret to keep. */
function mayLookAround(action: Command, { env }: Runtime): boolean {
  let outermost = action;
  while (outermost.parent?.parent != null) outermost = outermost.parent;
  const flags = action.optsWithGlobals<Readonly<Record<string, string | boolean | undefined>>>();
  if (action.getOptionValueSourceWithGlobals('tracker') !== 'default') return false;
  if (flags['mdns'] === false || env['SHOAL_MDNS'] === 'off') return false;
  if (SECRETS.some((name) => (flags[name] ?? '') !== '')) return false;
  // what is completed may name them on its own line
  if (action.name() === 'names' && action.args.some((word) => /^--(?:tracker|token|tls)/u.test(word))) return false;
  // a digest of one's own needs no tracker, and a script for a shell none at all
  if (action.name() === 'completion' || (action.name() === 'verify' && flags['sha256'] !== undefined)) return false;
  return ASK_A_TRACKER.has(outermost.name());
}

/** Certificates are given, and a tracker in clear text is named all the same. */
function isHalfEncrypted(action: Command): boolean {
  const { tls, tlsCert, tracker } = action.optsWithGlobals<TlsFlags & { tracker?: string }>();
  const isGiven = action.getOptionValueSourceWithGlobals('tracker') !== 'default';
  return (
    (tls ?? tlsCert ?? '') !== '' && isGiven && (tracker ?? '').split(',').some((url) => !/^\s*https:/iu.test(url))
  );
}

const PROGRAM_EXAMPLES = `
Examples:
  shoal tracker                   on one machine: start the tracker
  shoal share ./data              on machines that have something
  shoal get big.bin               on machines that want it

Exit codes: 0 done, 1 bug, 2 usage, 3 no such name, 4 no source left or stalled (partial kept), 5 integrity,
6 tracker unreachable, 7 not allowed, 8 no space, 130 interrupted.`;
