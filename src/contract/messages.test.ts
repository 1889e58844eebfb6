import { create, fromBinary, ScalarType, toBinary, type DescField, type DescMessage } from '@bufbuild/protobuf';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ShoalError } from '../errors.ts';
import { Dialect, Reachability, TrackerService } from './gen/shoal/v1/tracker_pb.ts';
import { decodeMessage, encodeMessage, type Field, type Fields, type InputOf, type Scalar } from './message-codec.ts';
import { CALLS, DIALECT_NUMBER, REACHABILITY_NUMBER, SERVICE_NAME, type CallName } from './messages.ts';

const SCALARS = new Map<ScalarType, Scalar>([
  [ScalarType.STRING, 'string'],
  [ScalarType.BYTES, 'bytes'],
  [ScalarType.BOOL, 'bool'],
  [ScalarType.UINT32, 'uint32'],
  [ScalarType.UINT64, 'uint64'],
]);

function fieldOf(field: DescField): Field {
  if (field.fieldKind === 'map') throw new Error(`${field.name} is a map: the codec has none`);
  const repeated = field.fieldKind === 'list';
  const kind = repeated ? field.listKind : field.fieldKind;
  if (kind === 'enum') return { number: field.number, type: 'enum', repeated };
  if (kind === 'message') return { number: field.number, type: fieldsOf(field.message as DescMessage), repeated };
  const type = SCALARS.get(field.scalar as ScalarType);
  if (type === undefined) throw new Error(`${field.name} has a type that the codec has not`);
  return { number: field.number, type, repeated };
}

function fieldsOf(message: DescMessage): Fields {
  if (message.oneofs.length > 0) throw new Error(`${message.name} has a oneof: the codec has none`);
  return Object.fromEntries(message.fields.map((field) => [field.localName, fieldOf(field)]));
}

const calls = Object.keys(CALLS) as CallName[];

describe('the tables say what proto/ says', () => {
  test('of the service and its calls', () => {
    expect(SERVICE_NAME).toBe(TrackerService.typeName);
    expect(calls.map((name) => CALLS[name].method)).toEqual(TrackerService.methods.map(({ name }) => name));
    expect(calls).toEqual(TrackerService.methods.map(({ localName }) => localName));
  });

  test('of the dialects', () => {
    expect(DIALECT_NUMBER).toEqual({ native: Dialect.NATIVE, range: Dialect.RANGE });
    expect(REACHABILITY_NUMBER).toEqual({
      unknown: Reachability.UNSPECIFIED,
      reachable: Reachability.REACHABLE,
      unreachable: Reachability.UNREACHABLE,
    });
  });

  test.each(calls)('of the messages of %s', (name) => {
    const { input, output } = TrackerService.method[name];
    expect(CALLS[name].request).toEqual(fieldsOf(input));
    expect(CALLS[name].answer).toEqual(fieldsOf(output));
  });
});

const number = fc.oneof(fc.nat(300), fc.nat(), fc.constant(0xffff_ffff));
const scalars: Record<Scalar, fc.Arbitrary<unknown>> = {
  string: fc.string({ unit: 'grapheme' }),
  bytes: fc.uint8Array({ maxLength: 40 }),
  bool: fc.boolean(),
  uint32: number,
  uint64: fc.oneof(number, fc.maxSafeNat()),
  enum: fc.nat(3),
};

function messages(fields: Fields): fc.Arbitrary<Record<string, unknown>> {
  const each = ({ type, repeated }: Field): fc.Arbitrary<unknown> => {
    const item = typeof type === 'string' ? scalars[type] : messages(type);
    if (repeated) return fc.array(item, { maxLength: 4 });
    return typeof type === 'string' ? item : fc.option(item, { nil: undefined });
  };
  return fc.record(Object.fromEntries(Object.entries(fields).map(([name, field]) => [name, each(field)])));
}

/** As the generated code has it: its own type of message, and 64 bits as bigint. */
function generated(message: DescMessage, value: Record<string, unknown>): Record<string, unknown> {
  const convert = (field: DescField, item: unknown): unknown => {
    if (field.message !== undefined) return generated(field.message, item as Record<string, unknown>);
    return field.scalar === ScalarType.UINT64 ? BigInt(item as number) : item;
  };
  const init: Record<string, unknown> = {};
  for (const field of message.fields) {
    const own = value[field.localName];
    if (own === undefined) continue;
    init[field.localName] = Array.isArray(own) ? own.map((item) => convert(field, item)) : convert(field, own);
  }
  return create(message, init);
}

describe.each(calls)('messages of %s', (name) => {
  const { input, output } = TrackerService.method[name];
  test.each([
    ['requests', CALLS[name].request as Fields, input as DescMessage],
    ['answers', CALLS[name].answer as Fields, output as DescMessage],
  ])('%s are read by the generated code as we write them, and the other way round', (_what, fields, schema) => {
    fc.assert(
      fc.property(messages(fields), (value) => {
        const ours = encodeMessage(fields, value as InputOf<Fields>);
        const theirs = generated(schema, value);
        expect(fromBinary(schema, ours)).toEqual(theirs);
        expect(decodeMessage(fields, new Uint8Array(toBinary(schema, theirs as never)))).toEqual(value);
        expect(decodeMessage(fields, ours)).toEqual(value);
      }),
      { numRuns: 50 },
    );
  });
});

describe.each(['renew', 'locate'] as const)('bytes that may be a request of %s', (name) => {
  const { request } = CALLS[name];
  const { input } = TrackerService.method[name];
  /** Whole requests, some of them with bytes changed, put in and taken out. */
  const broken = fc
    .tuple(messages(request), fc.array(fc.tuple(fc.nat(400), fc.nat(255), fc.nat(3)), { maxLength: 4 }))
    .map(([value, edits]) => {
      const bytes = [...encodeMessage(request as Fields, value as InputOf<Fields>)];
      for (const [at, byte, what] of edits)
        bytes.splice(at % (bytes.length + 1), what === 0 ? 0 : 1, ...(what === 1 ? [] : [byte]));
      return new Uint8Array(bytes);
    });

  test('are taken only as the generated code takes them: the tracker reads these calls with both', () => {
    fc.assert(
      fc.property(broken, (bytes) => {
        let ours: Record<string, unknown>;
        try {
          ours = decodeMessage(request as Fields, bytes);
        } catch {
          return; // then the tracker reads it with the generated code
        }
        const theirs = fromBinary(input as DescMessage, bytes, { readUnknownFields: false });
        expect(generated(input, ours)).toEqual(theirs);
      }),
      { numRuns: 3_000 },
    );
  });
});

describe('bytes from outside', () => {
  const answer = CALLS.locate.answer;

  test('are refused where the contract would have two messages put together', () => {
    const twice = [
      ...encodeMessage(answer, { entry: { size: 1 } }),
      ...encodeMessage(answer, { entry: { name: 'a' } }),
    ];
    expect(() => decodeMessage(answer, new Uint8Array(twice))).toThrow('a message twice');
  });

  test('that are anything give a message or the error of a broken protocol, and nothing else', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        try {
          decodeMessage(answer, new Uint8Array(bytes));
        } catch (error) {
          expect(error).toBeInstanceOf(ShoalError);
          expect((error as ShoalError).code).toBe('protocol');
        }
      }),
      { numRuns: 2_000 },
    );
  });

  test('with fields of a later version are read as if those were not there', () => {
    const known = encodeMessage(answer, { manifest: new Uint8Array([1]) });
    const later = [...[0xa0, 0x06, 0x96, 0x01], ...[0xaa, 0x06, 0x02, 7, 7], ...[0xb1, 0x06, 1, 2, 3, 4, 5, 6, 7, 8]];
    expect(decodeMessage(answer, new Uint8Array([...later, ...known, 0xbd, 0x06, 1, 2, 3, 4]))).toEqual(
      decodeMessage(answer, known),
    );
  });

  test('are refused when cut short, when a field has another type, and when a number is too large', () => {
    const whole = encodeMessage(answer, { entry: { name: 'big.bin', size: 2 ** 40 } });
    for (let length = 1; length < whole.length; length++)
      expect(() => decodeMessage(answer, whole.slice(0, length))).toThrow('cut short');
    expect(() => decodeMessage(answer, new Uint8Array([0x08, 1]))).toThrow('another type');
    expect(() => decodeMessage(answer, new Uint8Array([0x0b]))).toThrow('another type');
    expect(() => decodeMessage(answer, new Uint8Array([0x7b]))).toThrow('a type that no message has');
    expect(() =>
      decodeMessage(answer, new Uint8Array([0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 1])),
    ).toThrow('without an end');
    const size = [0x10, ...Array<number>(9).fill(0xff), 0x01];
    expect(() => decodeMessage(answer, new Uint8Array([0x0a, size.length, ...size]))).toThrow('the number');
    expect(() => decodeMessage(answer, new Uint8Array([0x0a, 3, 0x0a, 1, 0xff]))).toThrow('not UTF-8');
  });

  test('cannot be made of numbers that the contract has no room for', () => {
    for (const limit of [-1, 1.5, 2 ** 32, Number.NaN])
      expect(() => encodeMessage(CALLS.locate.request, { limit })).toThrow(ShoalError);
  });
});
