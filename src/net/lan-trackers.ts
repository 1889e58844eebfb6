/**
 * Trackers of the local network, by DNS service discovery (`_shoal._tcp`): a tracker says that it is there, and who was told of none
 * looks. Nothing that is heard proves anything: it is an address to try, and who uses it says so.
 */
import type { Bonjour } from 'bonjour-service';
import { hostname } from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';
import {
  LAN_INTERFACES_CHECK_MS,
  LAN_SEARCH_AGAIN_MS,
  LAN_SEARCH_MORE_MS,
  LAN_SEARCH_MS,
  LAN_TRACKERS_MAX,
} from '../limits.ts';
import { openLanResponders } from './lan-responders.ts';

const TYPE = 'shoal';

export interface LanTracker {
  readonly url: string;
  /** What it calls itself: its machine, as a rule. */
  readonly name: string;
  /** It does not answer just anybody: a token or a certificate is needed. */
  readonly isPrivate: boolean;
}

export interface TrackerAnnouncement {
  readonly port: number;
  /** The address it listens on; undefined: all of them. */
  readonly host: string | undefined;
  readonly tls: boolean;
  readonly isPrivate: boolean;
}

/** Resolves when it is announced wherever that is possible now; it follows networks that come and go until it is closed. */
export async function announceTracker(tracker: TrackerAnnouncement): Promise<{ close(): Promise<void> }> {
  const { port, host, tls, isPrivate } = tracker;
  const responders = await openLanResponders(host);
  const announce = (): void => {
    for (const responder of responders.update()) {
      responder.publish({
        // two on one machine are two; a name that is taken would only be complained of, not changed
        name: `${hostname()}:${port}`,
        type: TYPE,
        port,
        txt: { v: '1', tls: tls ? '1' : '0', private: isPrivate ? '1' : '0' },
        probe: false,
        disableIPv6: true,
      });
    }
  };
  announce();
  const timer = setInterval(announce, LAN_INTERFACES_CHECK_MS);
  timer.unref();
  return {
    async close() {
      clearInterval(timer);
      const goodbyes = [...responders.all.values()].map(
        (responder) => new Promise<void>((resolve) => responder.unpublishAll(() => resolve())),
      );
      await Promise.all(goodbyes);
      await responders.close();
    },
  };
}

/**
 * The trackers that answer, sorted by URL, so that everybody who hears the same chooses the same. Takes as long as nobody answers, up to
 * its limit, and a moment more than the first answer. Rejects when the signal ends it.
 */
export async function findTrackers(signal: AbortSignal): Promise<readonly LanTracker[]> {
  const responders = await openLanResponders();
  const found = new Map<string, LanTracker>();
  const first = Promise.withResolvers<void>();
  const searches = responders.update().map((responder) =>
    responder.find({ type: TYPE }, (service) => {
      const tracker = trackerOf(service);
      if (tracker === undefined || found.size >= LAN_TRACKERS_MAX) return;
      found.set(tracker.url, tracker);
      first.resolve();
    }),
  );
  // a datagram may be lost: asked again while nobody answers
  const again = setInterval(() => {
    for (const search of searches) search.update();
  }, LAN_SEARCH_AGAIN_MS);
  const over = new AbortController();
  const either = AbortSignal.any([signal, over.signal]);
  try {
    const nobody = searches.length === 0 ? Promise.resolve() : delay(LAN_SEARCH_MS, undefined, { signal: either });
    await Promise.race([first.promise, nobody]);
    if (found.size > 0) await delay(LAN_SEARCH_MORE_MS, undefined, { signal });
  } finally {
    over.abort();
    clearInterval(again);
    for (const search of searches) search.stop();
    await responders.close();
  }
  return [...found.values()].toSorted((a, b) => (a.url < b.url ? -1 : 1));
}

type Service = NonNullable<Parameters<Bonjour['find']>[1]> extends (service: infer One) => void ? One : never;

/** The address is the one that the answer came from: it is on our network, whatever else the answer says. */
function trackerOf({ referer, port, name, txt }: Service): LanTracker | undefined {
  const said = (txt ?? {}) as Readonly<Record<string, unknown>>;
  if (referer?.family !== 'IPv4' || !Number.isInteger(port) || port < 1 || port > 65_535 || said['v'] !== '1')
    return undefined;
  const url = `${said['tls'] === '1' ? 'https' : 'http'}://${referer.address}:${port}`;
  return { url, name: name.slice(0, 255), isPrivate: said['private'] === '1' };
}
