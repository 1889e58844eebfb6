import { describe, expect, it } from 'vitest';
import { ShoalError } from '../errors.ts';
import { createLog } from '../log.ts';
import { OPEN_ACCESS, privateAccess, type Need } from './access.ts';

const caller = { observedHost: '192.0.2.7' };
const log = createLog({ name: 'test', level: 'silent' });
const access = privateAccess('reading-part.publishing-part', log);

function answerOf(need: Need, header: string | undefined, to = access): string {
  try {
    to.admit(need, header, caller);
    return 'welcome';
  } catch (error) {
    expect(error).toBeInstanceOf(ShoalError);
    return (error as ShoalError).code;
  }
}

describe('a private tracker', () => {
  it('lets the whole token publish and read, its first part read', () => {
    expect(answerOf('publish', 'Bearer reading-part.publishing-part')).toBe('welcome');
    expect(answerOf('read', 'Bearer reading-part.publishing-part')).toBe('welcome');
    expect(answerOf('read', 'bearer reading-part')).toBe('welcome');
    expect(answerOf('publish', 'Bearer reading-part')).toBe('not-allowed');
  });

  it('refuses no token, another token, a part of a token and another scheme', () => {
    for (const header of [
      undefined,
      '',
      'Bearer',
      'Bearer nonsense',
      'Bearer publishing-part',
      'Bearer reading-part.',
    ]) {
      expect(answerOf('read', header)).toBe('unauthenticated');
    }
    expect(answerOf('read', 'Basic cmVhZGluZy1wYXJ0')).toBe('unauthenticated');
  });

  it('answers probes without one', () => {
    expect(answerOf('open', undefined)).toBe('welcome');
  });

  it('lets one secret without a dot do everything', () => {
    const simple = privateAccess('one-secret', log);
    expect(answerOf('publish', 'Bearer one-secret', simple)).toBe('welcome');
  });
});

it('an open tracker asks nobody', () => {
  expect(answerOf('publish', undefined, OPEN_ACCESS)).toBe('welcome');
});
