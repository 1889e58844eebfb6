/** `shoal volunteer`: a node that keeps copies of what others share, within the space it is given, until it is asked to end. */
import { Option } from 'commander';
import { interrupted } from '../interrupt.ts';
import { addNodeFlags, nodeOptions, tellMetrics, type NodeFlags } from '../node-flags.ts';
import { offerSpace } from '../offer-space.ts';
import { parseSize } from '../rates.ts';
import { trackerTeller, unreachableTeller } from '../share-problems.ts';
import { examples, globalOptions, type DefineCommand, type GlobalOptions, type Runtime } from '../runtime.ts';

interface VolunteerFlags extends NodeFlags {
  readonly data?: string;
}

export const defineVolunteer: DefineCommand = (command, runtime) => {
  addNodeFlags(command.argument('<size>', 'space for copies: 50G, 512M; 0 to be rid of what is kept', parseSize))
    .addOption(new Option('--data <dir>', 'where the copies are kept (default: below $XDG_DATA_HOME/shoal)'))
    .addHelpText(
      'after',
      examples(
        ['shoal volunteer 50G', 'keep up to 50 GB of what is shared with --replicas'],
        ['shoal volunteer 50G --data /srv/shoal', 'in this folder; the same one after a restart'],
      ),
    )
    .action((size: number, flags: VolunteerFlags) => runVolunteer(size, flags, globalOptions(command), runtime));
};

async function runVolunteer(
  size: number,
  flags: VolunteerFlags,
  shared: GlobalOptions,
  { output, interrupt, services }: Runtime,
): Promise<void> {
  const node = await services.createNode({
    ...nodeOptions(flags, shared, flags.data),
    onUnreachable: unreachableTeller(output),
    onTracker: trackerTeller(output),
  });
  try {
    output.event({ event: 'listening', address: node.address, peer: node.peerId });
    tellMetrics(node, output);
    await offerSpace(node, size, [], output);
    output.event({ event: 'ready' });
    await interrupted(interrupt.signal);
    output.note('leaving the swarm');
  } finally {
    await node.close();
  }
}
