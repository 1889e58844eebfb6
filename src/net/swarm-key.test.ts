import { describe, expect, it } from 'vitest';
import { parseContentId } from '../content/digest.ts';
import { openSwarmKey, privateSwarmKeys } from './swarm-key.ts';

const A = parseContentId('0a'.repeat(32));
const B = parseContentId('0b'.repeat(32));

describe('openSwarmKey()', () => {
  it('is the same for everyone, and another for each content', () => {
    expect(openSwarmKey(A)).toHaveLength(32);
    expect(openSwarmKey(A)).toEqual(openSwarmKey(A));
    expect(openSwarmKey(A)).not.toEqual(openSwarmKey(B));
  });
});

describe('privateSwarmKeys()', () => {
  it('gives the same keys to all who have the secret, and others to those who have another', async () => {
    const [ours, again, theirs] = await Promise.all(['one secret', 'one secret', 'another'].map(privateSwarmKeys));
    expect(ours?.(A)).toEqual(again?.(A));
    expect(ours?.(A)).not.toEqual(ours?.(B));
    expect(ours?.(A)).not.toEqual(theirs?.(A));
    expect(ours?.(A)).not.toEqual(openSwarmKey(A));
  });

  it('refuses an empty secret, which everyone has', async () => {
    await expect(privateSwarmKeys('')).rejects.toThrow('needs a secret');
  });
});
