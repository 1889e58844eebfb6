import { describe, expect, it } from 'vitest';
import { authTranscript } from './auth-transcript.ts';

const hello = (value: number): Uint8Array => new Uint8Array(84).fill(value);

describe('authTranscript()', () => {
  it('is the label, the role of the side that proves itself, and both hellos, the dialler first', () => {
    const transcript = authTranscript('dialler', hello(0xd1), hello(0x1e));
    expect(new TextDecoder().decode(transcript.subarray(0, 23))).toBe('shoal peer handshake v1');
    expect(transcript[23]).toBe(1);
    expect(transcript.subarray(24, 108)).toEqual(hello(0xd1));
    expect(transcript.subarray(108)).toEqual(hello(0x1e));
    expect(authTranscript('listener', hello(0xd1), hello(0x1e))[23]).toBe(2);
  });

  it('takes only whole hellos', () => {
    expect(() => authTranscript('dialler', hello(1), new Uint8Array(83))).toThrow('84 bytes');
  });
});
