/** The options that `share` and `get` have in common, because both run a node. */
import { Option, type Command } from 'commander';
import type { NodeOptions, PeerNode } from '../peer/api.ts';
import type { Output } from './output.ts';
import { EVERYWHERE, parseAdvertised, parseListen, parseRate, type HostPort } from './rates.ts';
import { nodeTls, type GlobalOptions } from './runtime.ts';

export interface NodeFlags {
  readonly listen: HostPort;
  readonly advertise?: string;
  readonly limitUp?: number;
  readonly limitDown?: number;
  readonly metrics?: HostPort;
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
    .addOption(new Option('--limit-down <rate>', 'download at most so much a second').argParser(parseRate))
    .addOption(metricsOption());
}

export function metricsOption(): Option {
  return new Option(
    '--metrics <[host:]port>',
    'serve figures for Prometheus, on loopback if no host is given; 0 is any free port',
  ).argParser(parseMetrics);
}

/** Whoever wants others to read them says so: with only a port they stay on this machine. */
function parseMetrics(text: string): HostPort {
  return parseListen(/^\d+$/u.test(text) ? `127.0.0.1:${text}` : text);
}

/** Says where the figures are, where they are served. */
export function tellMetrics({ metricsUrl }: PeerNode, output: Output): void {
  if (metricsUrl === undefined) return;
  output.event({ event: 'metrics', url: metricsUrl });
  output.note(`figures for Prometheus at ${metricsUrl}`);
}

export function nodeOptions(flags: NodeFlags, shared: GlobalOptions, dataDir?: string): NodeOptions {
  const { trackerUrls, findTracker, token } = shared;
  const { listen, advertise, limitUp, limitDown, metrics } = flags;
  const tls = nodeTls(shared);
  return { trackerUrls, findTracker, token, tls, listen, advertise, limitUp, limitDown, metrics, dataDir };
}
