/**
 * Functions of the C library and of Node's own OpenSSL, called directly: the one door to them. Whoever goes through it tests at
 * start that the function does what it should, and has another way where there is none: other systems, other Nodes, a Node whose
 * permissions forbid it. `SHOAL_NATIVE=off` closes the door.
 *
 * A wrong signature or a wrong length here is a memory error, not an exception. Every caller checks its bounds before each call.
 */

/** The argument and result types that our signatures use; a pointer is a `u64`. */
export type NativeType = 'i32' | 'u32' | 'i64' | 'u64';

export interface NativeSignature {
  readonly return: NativeType | 'void';
  readonly arguments: readonly NativeType[];
}

/** What the loaded function takes and gives: 64-bit numbers as bigint, 32-bit ones as number. */
export type NativeFunction = (...values: readonly (number | bigint)[]) => number | bigint | undefined;

export interface NativeLibrary<Name extends string> {
  readonly functions: Readonly<Record<Name, NativeFunction>>;
  /** Where the first byte lies. Good as long as somebody holds `bytes`, whose buffer must not be resized or transferred. */
  address(bytes: Uint8Array): bigint;
  /** `errno` of this thread; to be asked right after the call it is about. */
  errno(): number;
}

/** Functions by name, out of the running process. Undefined where any of them cannot be had. */
export function loadNative<Name extends string>(
  signatures: Readonly<Record<Name, NativeSignature>>,
): NativeLibrary<Name> | undefined {
  // Only where the calls that are made through it have been tried.
  if (process.platform !== 'linux' || process.arch !== 'x64') return undefined;
  if (process.env['SHOAL_NATIVE'] === 'off') return undefined;
  try {
    const ffi = withoutItsWarning(() => process.getBuiltinModule('node:ffi'));
    const location: NativeSignature = { return: 'u64', arguments: [] };
    const { functions } = ffi.dlopen(null, { ...signatures, __errno_location: location });
    const loaded = functions as unknown as Record<Name | '__errno_location', NativeFunction>;
    const errnoLocation = loaded.__errno_location;
    return {
      functions: loaded,
      address: (bytes) => ffi.getRawPointer(bytes),
      errno: () => ffi.getInt32(errnoLocation() as bigint, 0),
    };
  } catch {
    // No such module, not permitted, no such function: to the caller it is all the same, there is another way.
    return undefined;
  }
}

/** Node says once that this module is experimental. Users cannot do anything about it; we test for what we need. */
function withoutItsWarning<T>(load: () => T): T {
  // oxlint-disable-next-line typescript/unbound-method -- only put back where it was
  const { emitWarning } = process;
  process.emitWarning = () => undefined;
  try {
    return load();
  } finally {
    process.emitWarning = emitWarning;
  }
}
