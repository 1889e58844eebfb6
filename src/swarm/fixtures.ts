/** What tests of the policy need: a swarm whose neighbours are scripts, in virtual time. */
import { Bitfield } from '../content/bitfield.ts';
import type { LinkId, SwarmAction, SwarmFact, SwarmMessage, SwarmOptions } from './facts.ts';
import { Swarm } from './swarm.ts';

const KiB = 1024;

export const keyOf = (index: number): string => index.toString(16).padStart(32, '0');

export type SentMessage = SwarmMessage & { readonly link: LinkId };

/** A swarm under test: what it did is kept until it is taken. */
export class ScriptedSwarm {
  readonly swarm: Swarm;
  nowMs = 0;
  actions: SwarmAction[] = [];
  #nextLink = 1;

  constructor(options: Partial<SwarmOptions> & { readonly chunkCount?: number } = {}) {
    const { chunkCount = 16, ...more } = options;
    const chunkSize = more.chunkSize ?? 256 * KiB;
    this.swarm = new Swarm(
      {
        ownKey: keyOf(0xffff),
        size: chunkCount * chunkSize,
        chunkSize,
        have: new Bitfield(chunkCount),
        seed: 1,
        order: 'rarest',
        single: false,
        upload: true,
        downBytesPerSecond: Number.POSITIVE_INFINITY,
        upBytesPerSecond: Number.POSITIVE_INFINITY,
        ...more,
      },
      0,
    );
  }

  tell(fact: SwarmFact): readonly SwarmAction[] {
    const actions = this.swarm.step(this.nowMs, fact);
    this.actions.push(...actions);
    return actions;
  }

  message(link: LinkId, message: SwarmMessage): readonly SwarmAction[] {
    return this.tell({ type: 'message', link, message });
  }

  /** A connection to a peer at 198.51.100.<index>, by default dialled by us; its map is sent unless `map` is false. */
  link(
    index: number,
    options: { outbound?: boolean; map?: SwarmMessage | false; host?: string; rttMs?: number } = {},
  ): LinkId {
    const { outbound = true, map = { type: 'have-none' }, host = `198.51.100.${index % 256}`, rttMs } = options;
    const link = this.#nextLink++;
    const address = `${host}:${9000 + index}`;
    this.tell({ type: 'linked', link, key: keyOf(index), address, outbound, listensAt: address });
    if (rttMs !== undefined) this.tell({ type: 'rtt', link, rttMs });
    if (map !== false) this.message(link, map);
    return link;
  }

  /** Lets time pass, ticking whenever the swarm asks for it. */
  passUntil(untilMs: number): void {
    for (let turn = 0; turn < 100_000; turn++) {
      const dueMs = this.swarm.nextDeadline();
      if (dueMs > untilMs) break;
      this.nowMs = Math.max(this.nowMs, dueMs);
      this.tell({ type: 'tick' });
      if (this.swarm.nextDeadline() <= this.nowMs) this.nowMs += 1;
    }
    this.nowMs = Math.max(this.nowMs, untilMs);
    this.tell({ type: 'tick' });
  }

  /** The actions of a type since the last taking of any. */
  take<T extends SwarmAction['type']>(type: T): readonly Extract<SwarmAction, { type: T }>[] {
    const taken = this.actions.filter((action): action is Extract<SwarmAction, { type: T }> => action.type === type);
    this.actions = this.actions.filter((action) => action.type !== type);
    return taken;
  }

  /** The messages of a type sent since the last taking. */
  takeSent<T extends SwarmMessage['type']>(
    type: T,
  ): readonly (Extract<SwarmMessage, { type: T }> & { link: LinkId })[] {
    const taken: (Extract<SwarmMessage, { type: T }> & { link: LinkId })[] = [];
    this.actions = this.actions.filter((action) => {
      if (action.type !== 'send' || action.message.type !== type) return true;
      taken.push({ ...(action.message as Extract<SwarmMessage, { type: T }>), link: action.link });
      return false;
    });
    return taken;
  }
}
