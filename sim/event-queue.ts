/**
 * Virtual time in whole microseconds: a 4-ary heap in typed arrays, earliest first, ties in the order they were asked for. An event
 * is five small values and no closure, so that a swarm of ten thousand costs little. Every event taken out is mixed into a hash:
 * two runs with the same hash did the same things in the same order.
 */

/** An event as its queue hands it out; valid until the next is taken. */
export interface TakenEvent {
  kind: number;
  a: number;
  b: number;
  payload: unknown;
  subject: unknown;
}

export class EventQueue {
  #capacity = 1024;
  #size = 0;
  #order = 0;
  /** The heap: time, order of asking, and which slot holds the rest. */
  #timeUs = new Float64Array(this.#capacity);
  #orderOf = new Float64Array(this.#capacity);
  #slotOf = new Int32Array(this.#capacity);
  #kind = new Uint8Array(this.#capacity);
  #a = new Int32Array(this.#capacity);
  #b = new Float64Array(this.#capacity);
  readonly #payload: unknown[] = [];
  readonly #subject: unknown[] = [];
  readonly #freeSlots: number[] = [];
  #nowUs = 0;
  #executed = 0;
  #hash = 0x811c9dc5;

  get nowUs(): number {
    return this.#nowUs;
  }

  get executed(): number {
    return this.#executed;
  }

  get size(): number {
    return this.#size;
  }

  /** Of every event so far, as eight hex digits. */
  get hash(): string {
    return (this.#hash >>> 0).toString(16).padStart(8, '0');
  }

  /** Asks for an event at `atUs`, rounded up to a whole microsecond, or now if that has passed. `b` may exceed 32 bits. */
  at(atUs: number, kind: number, a: number, b: number, payload: unknown, subject?: unknown): void {
    const slot = this.#freeSlots.pop() ?? this.#payload.length;
    if (slot >= this.#capacity || this.#size >= this.#capacity) this.#grow();
    this.#kind[slot] = kind;
    this.#a[slot] = a;
    this.#b[slot] = b;
    this.#payload[slot] = payload;
    this.#subject[slot] = subject;
    const timeUs = Math.max(Math.ceil(atUs), this.#nowUs);
    this.#rise(this.#size++, timeUs, this.#order++, slot);
  }

  /** Takes the next event out into `event`; false when there is none at or before `untilUs`. */
  next(untilUs: number, event: TakenEvent): boolean {
    if (this.#size === 0) return false;
    const timeUs = this.#timeUs[0] as number;
    if (timeUs > untilUs) return false;
    const slot = this.#slotOf[0] as number;
    const last = --this.#size;
    if (last > 0) this.#sink(this.#timeUs[last] as number, this.#orderOf[last] as number, this.#slotOf[last] as number);
    event.kind = this.#kind[slot] as number;
    event.a = this.#a[slot] as number;
    event.b = this.#b[slot] as number;
    event.payload = this.#payload[slot];
    event.subject = this.#subject[slot];
    this.#payload[slot] = undefined;
    this.#freeSlots.push(slot);
    this.#nowUs = timeUs;
    this.#executed++;
    let hash = Math.imul(this.#hash ^ (timeUs | 0), 0x01000193);
    hash = Math.imul(hash ^ (event.kind * 0x9e3779b1 + event.a), 0x85ebca6b);
    this.#hash = (hash ^ (hash >>> 15) ^ event.b) | 0;
    return true;
  }

  #rise(start: number, timeUs: number, order: number, slot: number): void {
    let at = start;
    while (at > 0) {
      const parent = (at - 1) >> 2;
      const parentUs = this.#timeUs[parent] as number;
      if (parentUs < timeUs || (parentUs === timeUs && (this.#orderOf[parent] as number) < order)) break;
      this.#move(parent, at);
      at = parent;
    }
    this.#put(at, timeUs, order, slot);
  }

  #sink(timeUs: number, order: number, slot: number): void {
    let at = 0;
    for (;;) {
      const first = 4 * at + 1;
      if (first >= this.#size) break;
      let child = first;
      for (let other = first + 1; other < first + 4 && other < this.#size; other++)
        if (this.#isBefore(other, child)) child = other;
      const childUs = this.#timeUs[child] as number;
      if (childUs > timeUs || (childUs === timeUs && (this.#orderOf[child] as number) > order)) break;
      this.#move(child, at);
      at = child;
    }
    this.#put(at, timeUs, order, slot);
  }

  #isBefore(one: number, other: number): boolean {
    const a = this.#timeUs[one] as number;
    const b = this.#timeUs[other] as number;
    return a < b || (a === b && (this.#orderOf[one] as number) < (this.#orderOf[other] as number));
  }

  #move(from: number, to: number): void {
    this.#timeUs[to] = this.#timeUs[from] as number;
    this.#orderOf[to] = this.#orderOf[from] as number;
    this.#slotOf[to] = this.#slotOf[from] as number;
  }

  #put(at: number, timeUs: number, order: number, slot: number): void {
    this.#timeUs[at] = timeUs;
    this.#orderOf[at] = order;
    this.#slotOf[at] = slot;
  }

  #grow(): void {
    this.#capacity *= 2;
    const grown = <T extends Float64Array | Int32Array | Uint8Array>(larger: T, old: T): T => {
      larger.set(old);
      return larger;
    };
    this.#timeUs = grown(new Float64Array(this.#capacity), this.#timeUs);
    this.#orderOf = grown(new Float64Array(this.#capacity), this.#orderOf);
    this.#slotOf = grown(new Int32Array(this.#capacity), this.#slotOf);
    this.#kind = grown(new Uint8Array(this.#capacity), this.#kind);
    this.#a = grown(new Int32Array(this.#capacity), this.#a);
    this.#b = grown(new Float64Array(this.#capacity), this.#b);
  }
}
