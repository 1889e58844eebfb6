/** The options that `share` and `get` have in common, because both run a node. */
import { Option, type Command } from 'commander';
import type { NodeOptions } from '../peer/api.ts';
import { EVERYWHERE, parseAdvertised, parseListen, parseRate, type HostPort } from './rates.ts';
import { nodeTls, type GlobalOptions } from './runtime.ts';

export interface NodeFlags {
  readonly listen: HostPort;
  readonly advertise?: string;
  readonly limitUp?: number;
  readonly limitDown?: number;
}

const LISTEN_DEFAULT: HostPort = { host: EVERYWHERE, port: 0 };

export function addNodeFlags(command: Command): Command {
  return command
    .addOption(
      new Option('--listen <host:port>', 'address on which other peers connect')
        .default(LISTEN_DEFAULT, 'all addresses, any free port')
        .argParser((text) => parseListen(text)),
    )
    .addOption(
      new Option(
        '--advertise <host[:port]>',
        'where others reach this node, if not where the tracker sees it',
      ).argParser(parseAdvertised),
    )
    .addOption(
      new Option('--limit-up <rate>', 'upload at most so much a second: 60M, 1.5G or 500mbit').argParser(parseRate),
    )
    .addOption(new Option('--limit-down <rate>', 'download at most so much a second').argParser(parseRate));
}

export function nodeOptions(flags: NodeFlags, shared: GlobalOptions, dataDir?: string): NodeOptions {
  const { trackerUrls, findTracker, token } = shared;
  const { listen, advertise, limitUp, limitDown } = flags;
  const tls = nodeTls(shared);
  return { trackerUrls, findTracker, token, tls, listen, advertise, limitUp, limitDown, dataDir };
}
