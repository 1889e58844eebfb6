/** Where a crowd's time goes, read from the bytes that passed every host's link. Pure: samples in, moments out. */

/** What every host has sent and received by then, headers included; host 0 is the source. */
export interface TrafficSample {
  /** Since the start of the leechers. */
  readonly seconds: number;
  readonly sentBytes: readonly number[];
  readonly receivedBytes: readonly number[];
}

export interface Timeline {
  /** Until each leecher receives data and not only handshakes; in order of time. */
  readonly firstByteSeconds: readonly number[];
  /** Until the source has sent the size of the file once. */
  readonly firstCopySeconds: number;
  /** The part of the source's uplink that was used from the first leecher's first byte to that moment. */
  readonly sourceUplinkUsed: number;
  /** The part of all leechers' downlinks that was used from the first byte of the last of them to the end. */
  readonly downlinksUsed: number;
  /** Until the last link is quiet. */
  readonly lastByteSeconds: number;
  /** What all hosts sent, over what the leechers had to receive: headers, control, tracker and whatever was sent for nothing. */
  readonly sentOverNeeded: number;
}

/** Handshakes, maps and manifests of a crowd of this kind are smaller, a chunk is not. */
const DATA_BYTES_MIN = 128 * 1024;
/** A link with less is quiet: control only. */
const QUIET_SHARE = 0.05;

export function timelineOf(
  samples: readonly TrafficSample[],
  { size, bytesPerSecond, endSeconds }: { size: number; bytesPerSecond: number; endSeconds: number },
): Timeline {
  const [first] = samples;
  const last = samples.findLast(({ seconds }) => seconds <= endSeconds) ?? samples.at(-1);
  if (first === undefined || last === undefined) throw new RangeError('a crowd without a look at its links');
  const leechers = first.receivedBytes.map((_bytes, host) => host).slice(1);
  const received = (sample: TrafficSample, host: number): number =>
    (sample.receivedBytes[host] ?? 0) - (first.receivedBytes[host] ?? 0);
  const sent = (sample: TrafficSample, host: number): number =>
    (sample.sentBytes[host] ?? 0) - (first.sentBytes[host] ?? 0);
  const when = (holds: (sample: TrafficSample) => boolean): TrafficSample => samples.find(holds) ?? last;

  const firstBytes = leechers
    .map((host) => when((sample) => received(sample, host) >= DATA_BYTES_MIN))
    .toSorted((a, b) => a.seconds - b.seconds);
  const begin = firstBytes[0] ?? last;
  const allBegun = firstBytes.at(-1) ?? last;
  const firstCopy = when((sample) => sent(sample, 0) >= size);
  const total = (of: (host: number) => number): number => leechers.reduce((sum, host) => sum + of(host), 0);
  const capacity = (from: TrafficSample, to: TrafficSample): number =>
    Math.max(1, (to.seconds - from.seconds) * bytesPerSecond);

  let lastByteSeconds = last.seconds;
  for (let at = samples.length - 1; at > 0; at--) {
    const [before, sample] = [samples[at - 1] ?? first, samples[at] ?? last];
    if (sample.seconds > endSeconds) continue;
    const busiest = Math.max(...leechers.map((host) => received(sample, host) - received(before, host)));
    lastByteSeconds = sample.seconds;
    if (busiest >= QUIET_SHARE * capacity(before, sample)) break;
  }
  return {
    firstByteSeconds: firstBytes.map(({ seconds }) => seconds),
    firstCopySeconds: firstCopy.seconds,
    sourceUplinkUsed: (sent(firstCopy, 0) - sent(begin, 0)) / capacity(begin, firstCopy),
    downlinksUsed:
      total((host) => received(last, host) - received(allBegun, host)) / (leechers.length * capacity(allBegun, last)),
    lastByteSeconds,
    sentOverNeeded: (total((host) => sent(last, host)) + sent(last, 0)) / (leechers.length * size),
  };
}
