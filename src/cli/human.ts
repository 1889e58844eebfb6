/** Quantities as people read them: sizes in binary units, rates in powers of ten, times, counts. The reverse of rates.ts; pure. */

const BINARY = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];
const DECIMAL = ['B', 'kB', 'MB', 'GB', 'TB', 'PB'];

/** `999 B`, `1.5 GiB`, `512 MiB`: three digits at most, no zero at the end. */
export function humanBytes(bytes: number): string {
  return scaled(bytes, 1024, BINARY);
}

/** `112 MB/s`. */
export function humanRate(bytesPerSecond: number): string {
  return `${scaled(bytesPerSecond, 1000, DECIMAL)}/s`;
}

function scaled(value: number, base: number, units: readonly string[]): string {
  let unit = 0;
  let amount = Math.max(0, value);
  // what would be written as 1000 or more (999.6 KiB as "1000") goes to the next unit; binary units may reach 1023
  while (unit < units.length - 1 && Math.round(amount) >= base) {
    amount /= base;
    unit++;
  }
  const digits = unit === 0 || amount >= 99.95 ? 0 : amount >= 9.995 ? 1 : 2;
  return `${trimZeros(amount.toFixed(digits))} ${units[unit]}`;
}

function trimZeros(text: string): string {
  return text.includes('.') ? text.replace(/\.?0+$/, '') : text;
}

/** `0.42 s`, `3.22 s`, `1 min 05 s`, `2 h 03 min`, `3 d 4 h`. */
export function humanSeconds(seconds: number): string {
  if (seconds < 59.995) return `${Math.max(0, seconds).toFixed(2)} s`;
  return humanDuration(seconds);
}

/** As humanSeconds, in whole seconds: for what is still to come. */
export function humanDuration(seconds: number): string {
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${twoDigits(whole % 60)} s`;
  if (whole < 86_400) return `${Math.floor(whole / 3600)} h ${twoDigits(Math.floor((whole % 3600) / 60))} min`;
  return `${Math.floor(whole / 86_400)} d ${Math.floor((whole % 86_400) / 3600)} h`;
}

function twoDigits(value: number): string {
  return String(value).padStart(2, '0');
}

/** `just now`, `12 s ago`, `3 min ago`, `5 h ago`, `2 d ago`. */
export function humanAgo(atMs: number, nowMs: number): string {
  const seconds = Math.floor((nowMs - atMs) / 1000);
  if (seconds < 2) return 'just now';
  if (seconds < 60) return `${seconds} s ago`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)} h ago`;
  return `${Math.floor(seconds / 86_400)} d ago`;
}

/** `1 file`, `3 files`; `many` where the plural is not made by an s. */
export function humanCount(count: number, one: string, many = `${one}s`): string {
  return `${count} ${count === 1 ? one : many}`;
}

/** `83 %`, cut down so that 100 % is only said of what is whole. */
export function humanPercent(part: number, whole: number): string {
  return `${whole <= 0 ? 100 : Math.min(100, Math.floor((part / whole) * 100))} %`;
}
