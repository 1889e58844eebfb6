import { expect, test } from 'vitest';
import { FairTurns } from './fair-turns.ts';

const anybody = (): boolean => true;

function send(turns: FairTurns<string>, rounds: number, byteCount: (item: string) => number = () => 100): string[] {
  const order: string[] = [];
  for (let round = 0; round < rounds; round++) {
    const item = turns.next(anybody);
    if (item === undefined) break;
    order.push(item);
    turns.sent(item.charAt(0), byteCount(item));
  }
  return order;
}

test('contents get the same share, whatever the number of their sends; within one the oldest goes first', () => {
  const turns = new FairTurns<string>();
  for (const item of ['a1', 'a2', 'a3', 'b1']) turns.add(item.charAt(0), item);
  const order = send(turns, 12);
  expect(order.filter((item) => item === 'b1')).toHaveLength(6);
  expect(order.filter((item) => item === 'a1')).toHaveLength(6);
  turns.remove('a', 'a1');
  expect(send(turns, 12).filter((item) => item === 'a2')).toHaveLength(6);
});

test('the share is counted in bytes', () => {
  const turns = new FairTurns<string>();
  turns.add('a', 'a1');
  turns.add('b', 'b1');
  const order = send(turns, 50, (item) => (item === 'a1' ? 400 : 100));
  expect(order.filter((item) => item === 'a1')).toHaveLength(10);
});

test('who was away does not make up for it', () => {
  const turns = new FairTurns<string>();
  turns.add('a', 'a1');
  send(turns, 1_000);
  turns.add('b', 'b1');
  const order = send(turns, 20);
  expect(order.filter((item) => item === 'a1').length).toBeGreaterThanOrEqual(9);
});

test('who cannot go is passed over, and keeps its share for later turns of others of its content', () => {
  const turns = new FairTurns<string>();
  for (const item of ['a1', 'a2', 'b1']) turns.add(item.charAt(0), item);
  expect(turns.next((item) => item !== 'a1' && item !== 'b1')).toBe('a2');
  expect(turns.next(() => false)).toBeUndefined();
  turns.remove('a', 'a1');
  turns.remove('a', 'a2');
  expect([...turns]).toEqual(['b1']);
  expect(turns.size).toBe(1);
  expect(turns.next(anybody)).toBe('b1');
});
