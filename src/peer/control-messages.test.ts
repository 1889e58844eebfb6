import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { encodeLine, readAnswer, readRequest } from './control-messages.ts';

const GET = { id: 1, method: 'get', what: 'big.bin', output: '/data/' };

function problemOf(value: unknown): string | undefined {
  const read = readRequest(JSON.stringify(value));
  return 'problem' in read ? read.problem.message : undefined;
}

describe('a request', () => {
  it('is read with the fields it may have, and no others', () => {
    const sha256 = 'ab'.repeat(32);
    const whole = {
      ...GET,
      expectedSha256: sha256,
      from: ['192.0.2.1:9001', '[::1]:9'],
      single: true,
      stallTimeoutMs: 5,
    };
    expect(readRequest(JSON.stringify({ ...whole, signal: 'x', cwd: '/' }))).toEqual({ request: whole });
    expect(readRequest('{"id":"a","method":"status"}')).toEqual({ request: { id: 'a', method: 'status' } });
  });

  it.each([
    [{ ...GET, output: 'data/' }],
    [{ ...GET, output: '/a\0b' }],
    [{ ...GET, output: undefined }],
    [{ ...GET, what: '' }],
    [{ ...GET, what: 'x'.repeat(10_000) }],
    [{ ...GET, from: ['nowhere'] }],
    [{ ...GET, from: Array.from({ length: 65 }, () => '192.0.2.1:1') }],
    [{ ...GET, expectedSha256: 'AB' }],
    [{ ...GET, single: 1 }],
    [{ ...GET, stallTimeoutMs: -1 }],
    [{ ...GET, stallTimeoutMs: null }],
  ])('that is no proper get is refused: %j', (value) => {
    expect(problemOf(value)).toContain('the get has a field');
  });

  it('that is none is refused with what can be read of its id', () => {
    expect(readRequest('nonsense')).toMatchObject({ id: null });
    expect(readRequest('[1]')).toMatchObject({ id: null });
    expect(readRequest('{"method":"status"}')).toMatchObject({ id: null });
    expect(readRequest('{"id":7}')).toMatchObject({ id: 7, problem: { code: 'usage' } });
    expect(problemOf({ id: 7, method: 'stop' })).toContain('no method "stop"');
    expect(problemOf({ id: 'x'.repeat(65), method: 'status' })).toContain('not a request');
  });

  it('of any kind is answered, never thrown at', () => {
    fc.assert(fc.property(fc.jsonValue(), (value) => void readRequest(JSON.stringify(value))));
    fc.assert(fc.property(fc.string(), (text) => void readRequest(text)));
  });
});

describe('an answer', () => {
  it('is read as it was written', () => {
    const answer = { id: 1, event: 'error', error: { code: 'no-source', message: 'm', hint: '' } } as const;
    expect(readAnswer(encodeLine(answer))).toEqual(answer);
  });

  it('of a kind that is not known is passed over', () => {
    expect(readAnswer('{"id":1,"event":"weather"}')).toBeUndefined();
    expect(readAnswer('{"id":1,"event":"toString"}')).toBeUndefined();
  });

  it.each([
    ['no JSON'],
    ['{}'],
    ['{"id":1,"event":"done","result":{}}'],
    ['{"id":1,"event":"status","status":{"peer":"x"}}'],
    ['{"id":1,"event":"error","error":{"code":"unheard-of","message":"","hint":""}}'],
  ])('that cannot be understood is a protocol error: %s', (line) => {
    expect(() => readAnswer(line)).toThrow(/does not understand/u);
  });
});
