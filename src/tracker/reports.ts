/**
 * Who has been reported by whom, and who is *banned*: reported by REPORTERS_MIN reporters that have nothing to do with each other,
 * as far as the tracker can tell. Decides by counting alone; whether a report may count is the question of reporting.ts.
 *
 * It is about addresses, not about peer ids: an id costs nothing, and whoever comes back with a new one is still at the place where
 * the lies came from. Every report expires, and a reporter has only a few at a time, so that few liars cannot accuse many peers.
 */
import type { Offence } from '../contract/offences.ts';
import * as limits from '../limits.ts';
import { formatAddress } from './addresses.ts';
import type { PeerRecord } from './records.ts';
import type { CountedReport } from './reporting.ts';

interface Report {
  readonly offence: Offence;
  readonly atMs: number;
}

export class Reports {
  /** By accused address, by reporter; both in the order of the last report. */
  readonly #byAddress = new Map<string, Map<string, Report>>();
  /** Addresses each reporter accuses, in the order of its last report on them. */
  readonly #byReporter = new Map<string, Set<string>>();
  /** Banned addresses, each with the time its ban ends. */
  readonly #banned = new Map<string, number>();
  /** Peers that have such an address. */
  readonly #bannedPeers = new Set<PeerRecord>();
  #nowMs = 0;
  #settledAtMs = Number.NEGATIVE_INFINITY;

  /** Peers that are here and banned. */
  get bannedCount(): number {
    let count = 0;
    for (const peer of this.#bannedPeers) if (this.isBanned(peer)) count++;
    return count;
  }

  /** Counts a report. Says until when the address is banned if it was not before and is now. */
  add({ address, reporter, offence, atMs }: Omit<CountedReport, 'key'>): number | undefined {
    this.#nowMs = Math.max(this.#nowMs, atMs);
    this.#forgetExpired();
    const before = this.#banned.has(address);
    const reports = this.#byAddress.get(address) ?? new Map<string, Report>();
    reports.delete(reporter);
    reports.set(reporter, { offence, atMs });
    this.#byAddress.delete(address);
    this.#byAddress.set(address, reports);
    const accused = this.#byReporter.get(reporter) ?? new Set<string>();
    accused.delete(address);
    this.#byReporter.set(reporter, accused.add(address));
    for (const [oldest] of reports) {
      if (reports.size <= limits.REPORTERS_KEPT_MAX) break;
      this.#drop(oldest, address);
    }
    for (const oldest of accused) {
      if (accused.size <= limits.REPORTS_PER_REPORTER_MAX) break;
      this.#drop(reporter, oldest);
    }
    for (const [oldest, ofOldest] of this.#byAddress) {
      if (this.#byAddress.size <= limits.REPORTED_ADDRESSES_MAX) break;
      for (const one of [...ofOldest.keys()]) this.#drop(one, oldest);
    }
    this.#judge(address);
    return before ? undefined : this.#banned.get(address);
  }

  /** How many reporters say so at the moment. */
  reporterCount(address: string): number {
    return this.#byAddress.get(address)?.size ?? 0;
  }

  isBanned(peer: PeerRecord): boolean {
    return this.#bannedPeers.has(peer) && peer.addresses.some((address) => this.#isBannedAt(formatAddress(address)));
  }

  /** Whether one of the peers that are banned is among those with this content: most of the time nobody is banned at all. */
  someBanned(has: (peer: PeerRecord) => boolean): boolean {
    for (const peer of this.#bannedPeers) if (has(peer) && this.isBanned(peer)) return true;
    return false;
  }

  /** A peer has come or has other addresses now. */
  entered(peer: PeerRecord): void {
    if (this.#banned.size === 0) return;
    if (peer.addresses.some((address) => this.#isBannedAt(formatAddress(address)))) this.#bannedPeers.add(peer);
    else this.#bannedPeers.delete(peer);
  }

  gone(peer: PeerRecord): void {
    this.#bannedPeers.delete(peer);
  }

  /** Says what time it is: reports that have expired count no more. Cheap to call often. */
  settle(nowMs: number): void {
    this.#nowMs = nowMs;
    if (this.#byAddress.size === 0 || nowMs - this.#settledAtMs < limits.TRACKER_SWEEP_MS) return;
    this.#settledAtMs = nowMs;
    this.#forgetExpired();
  }

  #forgetExpired(): void {
    const since = this.#nowMs - limits.REPORT_MEMORY_MS;
    for (const [address, reports] of this.#byAddress) {
      let newestMs = 0;
      for (const { atMs } of reports.values()) newestMs = Math.max(newestMs, atMs);
      if (newestMs > since) break;
      for (const reporter of [...reports.keys()]) this.#drop(reporter, address);
    }
    for (const [address, untilMs] of this.#banned) if (untilMs <= this.#nowMs) this.#judge(address);
    if (this.#banned.size === 0) this.#bannedPeers.clear();
  }

  #isBannedAt(address: string): boolean {
    return (this.#banned.get(address) ?? 0) > this.#nowMs;
  }

  #drop(reporter: string, address: string): void {
    const reports = this.#byAddress.get(address);
    reports?.delete(reporter);
    if (reports?.size === 0) this.#byAddress.delete(address);
    const accused = this.#byReporter.get(reporter);
    accused?.delete(address);
    if (accused?.size === 0) this.#byReporter.delete(reporter);
    if (this.#banned.has(address)) this.#judge(address);
  }

  /** Banned until so many reports have expired that too few are left. */
  #judge(address: string): void {
    const since = this.#nowMs - limits.REPORT_MEMORY_MS;
    const times = [...(this.#byAddress.get(address)?.values() ?? [])]
      .map(({ atMs }) => atMs)
      .filter((at) => at > since);
    const deciding = times.toSorted((a, b) => b - a)[limits.REPORTERS_MIN - 1];
    if (deciding === undefined) this.#banned.delete(address);
    else this.#banned.set(address, deciding + limits.REPORT_MEMORY_MS);
  }
}
