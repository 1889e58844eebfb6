/**
 * Whether a report of one peer on another counts, and what follows when enough do: the tracker names the accused to nobody for a while.
 * It is made so that one liar, with as many peer ids as it likes, cannot have honest peers banned:
 *
 * - a reporter is an address that calls come from (of IPv6 the /64), not a peer id. Only in a swarm on one machine, where everybody is
 *   at loopback, ids have to do;
 * - both peers have to be here and take part in the content, the accused at the address it was dialled at: bytes that came over a
 *   connection from anywhere prove nothing about who sent them;
 * - REPORTERS_MIN of them have to agree within REPORT_MEMORY_MS, and each is believed about its last REPORTS_PER_REPORTER_MAX only;
 * - who is banned is not believed;
 * - and the last complete source of a content goes on being named: wrong bytes do no harm, having no source does.
 */
import type { ContentId } from '../content/digest.ts';
import type { Offence } from '../contract/offences.ts';
import { ShoalError } from '../errors.ts';
import * as limits from '../limits.ts';
import { formatAddress, isLoopback, parseAddress, reporterGroup } from './addresses.ts';
import { describePeer } from './membership.ts';
import { plainKey } from './plain-calls.ts';
import type { Address, PeerRecord } from './records.ts';
import type { Caller, TrackerState } from './state.ts';

export interface PeerReport {
  readonly contentId: ContentId;
  /** 32 hex digits; '' for a plain peer. */
  readonly peerId: string;
  readonly address: Address;
  readonly offence: Offence;
}

/** What other trackers have to hear to come to the same judgement. */
export interface CountedReport {
  /** Key of the accused, and its address in question as `formatAddress` writes it. */
  readonly key: string;
  readonly address: string;
  /** Who counts as one reporter. */
  readonly reporter: string;
  readonly offence: Offence;
  readonly atMs: number;
}

/** Counts those reports that may count, and answers them. undefined: the reporter is not known here. */
export function report(
  state: TrackerState,
  peerId: string,
  reports: readonly PeerReport[],
  caller: Caller,
  nowMs: number,
): readonly CountedReport[] | undefined {
  if (reports.length > limits.REPORTS_PER_CALL_MAX)
    throw new ShoalError(
      'usage',
      `${reports.length} reports in one call; at most ${limits.REPORTS_PER_CALL_MAX} are taken`,
    );
  const reporter = state.roster.online(peerId);
  if (reporter === undefined || reporter.elsewhere) return undefined;
  const counted: CountedReport[] = [];
  for (const one of reports) {
    const address = parseAddress(one.address, caller.observedHost);
    const content = state.catalogue.content(one.contentId);
    const accused = state.roster.online(one.peerId === '' ? plainKey(address) : one.peerId);
    if (content === undefined || accused === undefined || accused === reporter) continue;
    const bothTakePart = reporter.holdings.has(content) && accused.holdings.has(content);
    const text = formatAddress(address);
    if (!bothTakePart || !isAt(accused, text) || state.reports.isBanned(reporter)) continue;
    const report = {
      key: accused.key,
      address: text,
      reporter: reporterOf(peerId, address, caller),
      offence: one.offence,
      atMs: nowMs,
    };
    countReport(state, report);
    counted.push(report);
  }
  return counted;
}

/** A report that was found to count, here or at another tracker. */
export function countReport(state: TrackerState, report: CountedReport): void {
  const { address, offence } = report;
  const untilMs = state.reports.add(report);
  const accused = state.roster.online(report.key);
  if (accused === undefined || !isAt(accused, address)) return;
  state.reports.entered(accused);
  if (untilMs === undefined) return;
  state.events.append('peer-banned', {
    ...describePeer(accused),
    address,
    reason: offence,
    reporters: state.reports.reporterCount(address),
    until: new Date(untilMs).toISOString(),
  });
}

function isAt(peer: PeerRecord, address: string): boolean {
  return peer.addresses.some((one) => formatAddress(one) === address);
}

/** Behind a proxy all calls come from loopback: there ids count only against who is at loopback too. */
function reporterOf(peerId: string, accused: Address, { observedHost }: Caller): string {
  return isLoopback(observedHost) && isLoopback(accused.host) ? `peer ${peerId}` : reporterGroup(observedHost);
}
