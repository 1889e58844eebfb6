/** Names at the tracker with which a word could go on. Somebody waits at a prompt: it never fails, and is never long. */
import { SHELL_COMPLETIONS_MAX, SHELL_COMPLETION_TIMEOUT_MS } from '../../limits.ts';
import type { TrackerClient } from '../../peer/tracker-client.ts';

const PAGE_ROWS = 1_000;

/** In the tracker's order. What was found when the time was over is the answer; of a silent tracker nothing. */
export async function namesAtTracker(
  client: Pick<TrackerClient, 'listFiles'>,
  beginning: string,
  signal = AbortSignal.timeout(SHELL_COMPLETION_TIMEOUT_MS),
): Promise<readonly string[]> {
  const found: string[] = [];
  let after = '';
  try {
    do {
      // the tracker looks for it anywhere in a name
      const query = {
        ...(beginning === '' ? {} : { query: beginning }),
        limit: PAGE_ROWS,
        after,
        includeFolders: true,
      };
      const { entries, nextAfter } = await client.listFiles(query, signal);
      for (const { name } of entries) if (name.startsWith(beginning)) found.push(name);
      after = nextAfter;
    } while (after !== '' && found.length < SHELL_COMPLETIONS_MAX);
  } catch {
    // the command itself will say what is wrong with the tracker
  }
  return found.slice(0, SHELL_COMPLETIONS_MAX);
}
