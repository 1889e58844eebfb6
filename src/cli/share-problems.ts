/** What a node that shares says of what does not go well; the same words whoever runs it. */
import { stat } from 'node:fs/promises';
import { ShoalError, systemErrorCode } from '../errors.ts';
import type { TrackerNews } from '../peer/api.ts';
import { printable } from './display-width.ts';
import type { Output } from './output.ts';

/** Throws `usage` for the first path that is no file or folder, before a node is started for it. */
export async function checkPaths(paths: readonly string[]): Promise<void> {
  for (const path of paths) {
    try {
      const found = await stat(path);
      if (!found.isFile() && !found.isDirectory())
        throw new ShoalError('usage', `${path} is neither a file nor a folder and cannot be shared`);
    } catch (error) {
      if (error instanceof ShoalError) throw error;
      if (systemErrorCode(error) === 'ENOENT')
        throw new ShoalError('usage', `${path} does not exist`, { cause: error });
      throw new ShoalError('usage', `${path} cannot be looked at: ${ShoalError.from(error).message}`, { cause: error });
    }
  }
}

/** For `onProblem` of a share: without a path it is the tracker that is told of. */
export function problemTeller(output: Output): (path: string, message: string) => void {
  return (path, message) => {
    output.event({ event: 'problem', path, message });
    output.note(path === '' ? printable(message) : `not shared: ${printable(path)}: ${printable(message)}`);
  };
}

/** For `onTracker` of a node. */
export function trackerTeller(output: Output): (news: TrackerNews) => void {
  return ({ state, url }) => {
    output.event({ event: 'tracker', state, url });
    if (state === 'away')
      output.note(`the tracker at ${url} does not answer: transfers go on, and it is tried until it does`);
    else output.note(`registered again at the tracker at ${url}`);
  };
}

/** For `onUnreachable` of a node. */
export function unreachableTeller(output: Output): (addresses: readonly string[]) => void {
  return (addresses) => {
    output.event({ event: 'unreachable', addresses });
    output.warn(
      `the tracker cannot reach this node at ${addresses.join(', ')} and sends nobody there: is the port open? --listen and --advertise say where it is reached`,
    );
  };
}
