/** Offers a node's space for copies of what others share, and says what becomes of it. */
import type { PeerNode } from '../peer/api.ts';
import { printable } from './display-width.ts';
import { humanBytes, humanCount } from './human.ts';
import type { Output } from './output.ts';

export async function offerSpace(
  node: PeerNode,
  offeredBytes: number,
  paths: readonly string[],
  output: Output,
): Promise<void> {
  const { usedBytes, contents } = await node.volunteer({
    offeredBytes,
    paths,
    onKept: (kept) => {
      output.event({ event: 'replica', ...kept });
      output.note(`keeping ${kept.chunks} of ${humanCount(kept.of, 'chunk')} of ${printable(kept.name)}`);
    },
    onDropped: (dropped) => {
      output.event({ event: 'replica-dropped', ...dropped });
      output.note(`let go of ${humanCount(dropped.chunks, 'chunk')} of ${printable(dropped.name)}`);
    },
    onProblem: (message) => {
      output.event({ event: 'problem', path: '', message });
      output.note(`replicas: ${printable(message)}`);
    },
  });
  output.event({ event: 'volunteering', offered: offeredBytes, used: usedBytes, contents });
  output.answer(`offering ${humanBytes(offeredBytes)} for replicas, ${humanBytes(usedBytes)} used`);
}
