/**
 * Names that a scenario has to use as a document writes them, on a machine where somebody may have things of these names: what is not this
 * test's own is never touched.
 */
import { commandOf } from './containers.ts';

export interface EngineNames {
  readonly containers: readonly string[];
  readonly networks: readonly string[];
  readonly images: readonly string[];
}

const LABEL = 'shoal.test';
/** For everything that is made under such a name; says whose it is. */
export const OWN_LABEL = ['--label', `${LABEL}=${process.pid}`] as const;

const KINDS = [
  ['container', '.Config.Labels', ['rm', '-f', '-v', '-t', '3']],
  ['network', '.Labels', ['network', 'rm', '-f']],
  ['image', '.Labels', ['rmi']],
] as const;
type Kind = (typeof KINDS)[number][0];

/**
 * Takes the names for a test, and gives them back when it ends. What a run left behind that was killed is removed; the test is skipped, and in
 * CI fails, while anything else has one of the names.
 */
export async function takeNames(
  context: {
    readonly skip: (reason: string) => void;
    readonly onTestFinished: (cleanUp: () => Promise<void>, timeoutMs?: number) => void;
  },
  names: EngineNames,
): Promise<void> {
  const wanted = { container: names.containers, network: names.networks, image: names.images };
  const taken: string[] = [];
  for (const [kind] of KINDS)
    for (const name of wanted[kind]) {
      const owner = await ownerOf(kind, name);
      if (owner !== undefined && !isLeftBehind(owner)) taken.push(`the ${kind} ${name}`);
    }
  if (taken.length > 0) {
    const reason = `${taken.join(', ')}: not this test's, and left alone; it needs these names for itself`;
    if (process.env['CI'] !== undefined) throw new Error(reason);
    context.skip(reason);
  }
  const removeAll = async (isOurs: (owner: string) => boolean): Promise<void> => {
    const podman = commandOf('podman');
    for (const [kind, , remove] of KINDS)
      for (const name of wanted[kind]) {
        const owner = await ownerOf(kind, name);
        if (owner !== undefined && isOurs(owner)) await podman(...remove, name);
      }
  };
  await removeAll(isLeftBehind);
  context.onTestFinished(() => removeAll((owner) => owner === String(process.pid)), 60_000);
}

/** What the label says, '' for a thing without; undefined: there is none of that name. */
async function ownerOf(kind: Kind, name: string): Promise<string | undefined> {
  const podman = commandOf('podman');
  const exists = await podman(kind, 'exists', name).then(
    () => true,
    () => false,
  );
  if (!exists) return undefined;
  const labels = KINDS.find(([one]) => one === kind)?.[1];
  return (await podman(kind, 'inspect', '-f', `{{index ${labels} "${LABEL}"}}`, name)).trim();
}

function isLeftBehind(owner: string): boolean {
  if (!/^\d+$/u.test(owner)) return false;
  try {
    process.kill(Number(owner), 0);
    return false;
  } catch {
    return true;
  }
}
