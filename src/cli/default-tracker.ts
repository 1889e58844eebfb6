/**
 * Which tracker a command talks to when nobody named one: the default on this machine if it is there, else one that announces itself on
 * the local network, else the default all the same. Whoever is chosen is said. Never used where a tracker, a token or a certificate is given: what is
 * heard on a network proves nothing, and must not be sent a secret.
 */
import { connect } from 'node:net';
import { LAN_SEARCH_REST_MS, LOCAL_TRACKER_PROBE_MS } from '../limits.ts';
import type { LanTracker } from '../net/lan-trackers.ts';
import type { NodeOptions } from '../peer/api.ts';
import { printable } from './display-width.ts';
import { TRACKER_URL_DEFAULT, type Runtime } from './runtime.ts';

export interface LanSearch {
  /** Somebody takes connections where the default tracker would be. */
  isDefaultThere(): Promise<boolean>;
  findTrackers(signal: AbortSignal): Promise<readonly LanTracker[]>;
}

/** The URL to use. */
export async function chooseDefaultTracker({ output, interrupt, services }: Runtime): Promise<string> {
  const { lan } = services;
  if (await lan.isDefaultThere()) return TRACKER_URL_DEFAULT;
  const found = await lan.findTrackers(interrupt.signal);
  const open = found.filter(({ isPrivate }) => !isPrivate);
  const [chosen, ...others] = open;
  if (chosen !== undefined) {
    output.warn(`no tracker was named; found ${describe(chosen)} on this network and use it`);
    if (others.length > 0) output.warn(`--tracker chooses another: ${others.map(describe).join(', ')}`);
    return chosen.url;
  }
  const [hidden] = found;
  output.note(
    hidden === undefined
      ? `no tracker was named, none is at ${TRACKER_URL_DEFAULT}, and none announces itself on this network`
      : `no tracker was named; ${describe(hidden)} on this network is private: it takes --tracker, and a token or a certificate`,
  );
  return TRACKER_URL_DEFAULT;
}

/**
 * For a node that goes on running without an answer: one that announces itself by now, said when it is chosen. To be made right after
 * the first choice; it searches no sooner than a rest after the search before.
 */
export function laterTrackers({
  output,
  lan,
  now,
}: Pick<Runtime, 'output' | 'now'> & { readonly lan: LanSearch }): NonNullable<NodeOptions['findTracker']> {
  let searchedMs = now();
  let usedUrl: string | undefined;
  return async (signal) => {
    if (now() - searchedMs < LAN_SEARCH_REST_MS) return undefined;
    searchedMs = Number.POSITIVE_INFINITY; // nobody joins the search that is under way
    try {
      const chosen = (await lan.findTrackers(signal)).find(({ isPrivate }) => !isPrivate);
      if (chosen !== undefined && chosen.url !== usedUrl)
        output.warn(`found ${describe(chosen)} on this network and use it`);
      usedUrl = chosen?.url ?? usedUrl;
      return chosen?.url;
    } finally {
      searchedMs = now();
    }
  };
}

function describe({ url, name }: LanTracker): string {
  return `${url} (${printable(name)})`;
}

export async function isDefaultTrackerThere(): Promise<boolean> {
  const { hostname, port } = new URL(TRACKER_URL_DEFAULT);
  const socket = connect({ host: hostname, port: Number(port) });
  try {
    return await new Promise<boolean>((resolve) => {
      socket.setTimeout(LOCAL_TRACKER_PROBE_MS, () => resolve(false));
      socket.once('connect', () => resolve(true));
      socket.once('error', () => resolve(false));
    });
  } finally {
    socket.destroy();
  }
}
