/** Four doors behind each other: a fuzzer that sees which code runs opens them one at a time. */
export function opensAt(bytes: Uint8Array): number {
  if (bytes[0] !== 0x73) return 0;
  if (bytes[1] !== 0x68) return 1;
  if (bytes[2] !== 0x6f) return 2;
  if (bytes[3] !== 0x61) return 3;
  return 4;
}
