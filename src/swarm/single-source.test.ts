import { describe, expect, it } from 'vitest';
import { SINGLE_CHOICE_MS } from '../limits.ts';
import type { LinkId } from './facts.ts';
import { ScriptedSwarm } from './fixtures.ts';

/** A download from a single one of these sources, which have all of it. */
class SingleDownload extends ScriptedSwarm {
  #grantId = 0;

  constructor() {
    super({ single: true });
  }

  /** A source at this distance; undefined: its pong does not come. */
  source(index: number, rttMs?: number): LinkId {
    return this.link(index, { map: { type: 'have-all' }, ...(rttMs === undefined ? {} : { rttMs }) });
  }

  /** Every source there is grants a chunk, and these are asked for one. */
  asked(): readonly LinkId[] {
    for (const { link } of this.swarm.neighbours())
      this.message(link, { type: 'grant', grantId: ++this.#grantId, etaMs: 0, suggestions: [] });
    return [...new Set(this.takeSent('request').map(({ link }) => link))];
  }
}

describe('a download from a single source', () => {
  it('takes the one with the shortest round trip, whichever came first', () => {
    const download = new SingleDownload();
    download.source(1, 40);
    const nearest = download.source(2, 2);
    download.source(3, 15);
    download.passUntil(SINGLE_CHOICE_MS);
    expect(download.asked()).toEqual([nearest]);
  });

  it('waits for the distances of all, and takes the shortest that is known when one does not answer in time', () => {
    const download = new SingleDownload();
    download.source(1);
    const measured = download.source(2, 90);
    download.passUntil(SINGLE_CHOICE_MS - 1);
    expect(download.asked()).toEqual([]);
    download.passUntil(SINGLE_CHOICE_MS);
    expect(download.asked()).toEqual([measured]);
  });

  it('goes over to the next nearest when that one goes', () => {
    const download = new SingleDownload();
    download.source(1, 40);
    const nearest = download.source(2, 2);
    const second = download.source(3, 15);
    download.passUntil(SINGLE_CHOICE_MS);
    expect(download.asked()).toEqual([nearest]);
    download.tell({ type: 'unlinked', link: nearest, misbehaved: false });
    expect(download.asked()).toEqual([second]);
  });
});
