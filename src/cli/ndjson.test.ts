import { expect, it } from 'vitest';
import { ShoalError } from '../errors.ts';
import { getProgress, getResult, manifestOf } from './fixtures.ts';
import { doneEvent, encodeEvent, errorEvent, progressEvent, sharedEvent } from './ndjson.ts';

it('progress has the promised fields in their order, and a reason only while nothing moves', () => {
  const line = encodeEvent(progressEvent(getProgress({ bytes: 5, bytesPerSecond: 99.6, etaSeconds: 9.949 })));
  expect(line).toBe(
    '{"event":"progress","bytes":5,"total":1000,"bytesPerSecond":100,"peers":2,"etaSeconds":9.9,' +
      '"bottleneck":"source","reasons":{"choked":3}}\n',
  );
  expect(progressEvent(getProgress({ stalled: 'no-source', etaSeconds: null }))).toMatchObject({
    etaSeconds: null,
    stalled: 'no-source',
  });
});

it('done has the promised fields, and for each source the promised ones', () => {
  const event = doneEvent(getResult());
  expect(Object.keys(event)).toEqual([
    'event',
    'name',
    'path',
    'size',
    'sha256',
    'content',
    'seconds',
    'bytesPerSecond',
    'resumedBytes',
    'peers',
  ]);
  expect(event.seconds).toBe(3.22);
  expect(event.peers).toEqual([
    {
      address: '127.0.0.1:9001',
      peer: 'cd'.repeat(16),
      bytes: 1_610_612_736,
      chunks: 1536,
      rttMs: 0.12,
      seconds: 3.22,
    },
  ]);
});

it('shared names the content by its identity', () => {
  const manifest = manifestOf(new Uint8Array(20_000));
  const name = 'a.bin' as Parameters<typeof sharedEvent>[0]['name'];
  expect(sharedEvent({ name, path: '/data/a.bin', manifest })).toEqual({
    event: 'shared',
    name: 'a.bin',
    size: 20_000,
    sha256: manifest.sha256,
    content: manifest.contentId,
  });
});

it('an error carries its code, its sentence and the exit code', () => {
  expect(errorEvent(new ShoalError('no-such-name', 'x is not known'))).toEqual({
    event: 'error',
    code: 'no-such-name',
    message: 'x is not known',
    exit: 3,
  });
});

it('an event is one line, whatever it carries', () => {
  const line = encodeEvent({ event: 'problem', path: 'a\nb\u2028c', message: '"' });
  expect(line.indexOf('\n')).toBe(line.length - 1);
  expect(JSON.parse(line)).toMatchObject({ path: 'a\nb\u2028c' });
});
