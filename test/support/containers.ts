/** A container engine and the compose file for it, driven as a person would: every call is a process of the engine's own command. */
import { execFile, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { JsonEvent } from './processes.ts';
import type { SystemNeed } from './system-packages.ts';
import type { WorldTest } from './world.ts';

const run = promisify(execFile);
export const PROJECT = fileURLToPath(new URL('../../', import.meta.url));

/** What deploy/Dockerfile begins with; a registry has it, or the machine itself. */
const BASE_IMAGE = 'docker.io/library/node:26-bookworm-slim';
const BUILD_TIMEOUT_MS = 240_000;
const CALL_TIMEOUT_MS = 60_000;
const LOG_CHARACTERS_KEPT = 16_000;

export const CONTAINERS: readonly SystemNeed[] = [
  { debian: 'podman', probe: ['podman', 'info'] },
  { debian: 'podman-compose', probe: ['podman-compose', '--version'] },
  { debian: `(the image ${BASE_IMAGE})`, probe: ['podman', 'image', 'exists', BASE_IMAGE] },
];

export interface Composition {
  /** The engine's command. Fails with what it said. */
  readonly podman: (...args: readonly string[]) => Promise<string>;
  /** The name of a service's container; the first is 1. */
  readonly container: (service: string, number?: number) => string;
  readonly addressOf: (container: string) => Promise<string>;
  readonly network: string;
}

export interface CompositionOptions {
  readonly files: readonly string[];
  /** Only these are started; all, unless they are named. */
  readonly services?: readonly string[];
  /** Sets it apart from others on the machine. */
  readonly project: string;
  readonly env: Readonly<Record<string, string>>;
}

/** Builds deploy/Dockerfile by deploy/config.sh into this image; what was built before is used again. */
export async function buildImage(image: string): Promise<void> {
  const env = { ...process.env, SHOAL_ENGINE: 'podman', SHOAL_IMAGE: image };
  await said(run('deploy/config.sh', ['-nr'], { cwd: PROJECT, env, timeout: BUILD_TIMEOUT_MS, maxBuffer: 1 << 26 }));
}

/** Builds what stands in for the image of a service that is not ours: a stage of stand-ins.dockerfile. */
export async function buildStandIn(stage: string, image: string): Promise<void> {
  const args = ['build', '--target', stage, '-t', image, '-f', 'test/support/stand-ins.dockerfile', 'test/support'];
  await said(run('podman', args, { cwd: PROJECT, timeout: BUILD_TIMEOUT_MS, maxBuffer: 1 << 26 }));
}

/** Runs the engine's command from the tree; answers with what it prints, fails with what it said. */
export function commandOf(engine: string): (...args: readonly string[]) => Promise<string> {
  const env = { ...process.env, BUILDAH_FORMAT: 'docker' };
  return async (...args) =>
    (await said(run(engine, args, { cwd: PROJECT, env, timeout: CALL_TIMEOUT_MS, maxBuffer: 1 << 26 }))).stdout;
}

/** A test whose containers are to be heard when it fails. */
export interface ContainerTest extends WorldTest {
  readonly task: { readonly result?: { readonly state: string } | undefined };
}

/** What containers say from now on, kept also when they are gone; told when the test has failed. */
export function listenTo({ task, onTestFinished }: ContainerTest, ...containers: readonly string[]): void {
  const followers = containers.map((name) => {
    const child = spawn('podman', ['logs', '-f', name], { stdio: ['ignore', 'pipe', 'pipe'] });
    let text = '';
    const keep = (more: string): void => void (text = (text + more).slice(-LOG_CHARACTERS_KEPT));
    for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', keep);
    return { name, child, said: () => text };
  });
  onTestFinished(async () => {
    if (task.result?.state === 'fail') {
      console.log(await commandOf('podman')('ps', '-a').catch(String));
      for (const { name, said } of followers) console.log(`---- ${name}\n${said() || '(not a word)'}`);
    }
    for (const { child } of followers) child.kill();
  });
}

/** Starts the services of these compose files; they are gone, with their volumes, when the test ends. */
export async function compose(
  context: ContainerTest,
  { files, services = [], project, env }: CompositionOptions,
): Promise<Composition> {
  const podman = commandOf('podman');
  const composition: Composition = {
    podman,
    network: `${project}_default`,
    container: (service, number = 1) => `${project}_${service}_${number}`,
    addressOf: async (container) =>
      (await podman('inspect', '-f', '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}', container)).trim(),
  };
  const words = ['-p', project, ...files.flatMap((file) => ['-f', `deploy/${file}`])];
  const options = { cwd: PROJECT, env: { ...process.env, ...env }, timeout: 2 * CALL_TIMEOUT_MS };
  context.onTestFinished(async () => {
    await said(run('podman-compose', [...words, 'down', '-v', '-t', '3'], options));
    const left = await podman('ps', '-aq', '--filter', `label=com.docker.compose.project=${project}`);
    if (left !== '') throw new Error(`containers are left: ${left}`);
    // the podman-compose of Debian 12 leaves it
    await podman('network', 'rm', '-f', composition.network);
  }, 2 * CALL_TIMEOUT_MS);
  await said(run('podman-compose', [...words, 'up', '-d', '--no-build', ...services], options));
  const all = await podman(
    'ps',
    '-a',
    '--format',
    '{{.Names}}',
    '--filter',
    `label=com.docker.compose.project=${project}`,
  );
  listenTo(context, ...all.trim().split('\n'));
  return composition;
}

/** A `shoal ... --json` inside a container; `onEvent` sees each event. Resolves with the exit code. */
export function shoalIn(
  container: string,
  args: readonly string[],
  onEvent: (event: JsonEvent) => void,
): Promise<number> {
  const child = spawn('podman', ['exec', container, 'shoal', ...args, '--json'], {
    stdio: ['ignore', 'pipe', 'inherit'],
    timeout: 2 * CALL_TIMEOUT_MS,
  });
  createInterface({ input: child.stdout }).on('line', (line) => {
    if (line.startsWith('{"event":')) onEvent(JSON.parse(line) as JsonEvent);
  });
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => resolve(code ?? -1));
  });
}

async function said<T>(call: Promise<T>): Promise<T> {
  try {
    return await call;
  } catch (error) {
    const { stdout = '', stderr = '', cmd = '' } = error as { stdout?: string; stderr?: string; cmd?: string };
    throw new Error(`${cmd}\n${stdout.slice(-2_000)}\n${stderr.slice(-4_000)}`, { cause: error });
  }
}
