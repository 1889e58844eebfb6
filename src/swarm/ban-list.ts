/** Who may not take part for a while, and for how long. Every ban expires: one wrong chunk may come from bad memory. */
import {
  BAN_INTEGRITY_AGAIN_MS,
  BAN_INTEGRITY_MEMORY_MS,
  BAN_INTEGRITY_MS,
  BAN_PROTOCOL_AGAIN_MS,
  BAN_PROTOCOL_MEMORY_MS,
  BAN_PROTOCOL_MS,
  BAN_UNDELIVERED_AGAIN_MS,
  BAN_UNDELIVERED_MS,
  OFFENDERS_MAX,
} from '../limits.ts';

/** A chunk or manifest without its SHA-256; messages that are not allowed; chunks claimed and not given. */
export type Offence = 'integrity' | 'protocol' | 'undelivered';

interface Record {
  untilMs: number;
  readonly offences: { readonly offence: Offence; readonly atMs: number }[];
}

export class BanList {
  readonly #records = new Map<string, Record>();

  /**
   * Notes an offence of a peer (a peer id or an address) and says until when it is banned: a wrong byte 60 s, and 24 h for a
   * second within the hour; a broken protocol 10 min, and 24 h for the third within the day; chunks
   * claimed and not given 60 s, and 10 min after the first.
   */
  punish(key: string, offence: Offence, nowMs: number): number {
    const record = this.#records.get(key) ?? { untilMs: 0, offences: [] };
    this.#records.set(key, record);
    record.offences.push({ offence, atMs: nowMs });
    if (record.offences.length > 8) record.offences.shift();
    record.untilMs = Math.max(record.untilMs, nowMs + this.#sentenceMs(record, offence, nowMs));
    this.#forgetSome(nowMs);
    return record.untilMs;
  }

  isBanned(key: string, nowMs: number): boolean {
    const record = this.#records.get(key);
    return record !== undefined && record.untilMs > nowMs;
  }

  #sentenceMs(record: Record, offence: Offence, nowMs: number): number {
    const within = (spanMs: number): number =>
      record.offences.filter((one) => one.offence === offence && nowMs - one.atMs <= spanMs).length;
    if (offence === 'integrity')
      return within(BAN_INTEGRITY_MEMORY_MS) >= 2 ? BAN_INTEGRITY_AGAIN_MS : BAN_INTEGRITY_MS;
    if (offence === 'undelivered')
      return within(BAN_PROTOCOL_MEMORY_MS) >= 2 ? BAN_UNDELIVERED_AGAIN_MS : BAN_UNDELIVERED_MS;
    return within(BAN_PROTOCOL_MEMORY_MS) >= 3 ? BAN_PROTOCOL_AGAIN_MS : BAN_PROTOCOL_MS;
  }

  #forgetSome(nowMs: number): void {
    if (this.#records.size <= OFFENDERS_MAX) return;
    let first: string | undefined;
    let firstMs = Number.POSITIVE_INFINITY;
    for (const [key, record] of this.#records) {
      if (record.untilMs < firstMs) {
        first = key;
        firstMs = record.untilMs;
      }
      if (record.untilMs + BAN_PROTOCOL_MEMORY_MS < nowMs) this.#records.delete(key);
    }
    if (first !== undefined && this.#records.size > OFFENDERS_MAX) this.#records.delete(first);
  }
}
