/**
 * What a process costs, as Linux counts it in /proc: CPU time and resident memory. Elsewhere there is no such folder, every answer is
 * undefined, and the tables show a dash. Reads only; asks no process anything.
 */
import { readFileSync } from 'node:fs';
import { systemErrorCode } from '../src/errors.ts';

/** Linux counts CPU time for user space in hundredths of a second on every architecture. */
const TICKS_PER_SECOND = 100;
/** Often enough that a peak of a few hundred milliseconds is seen, rare enough to cost nothing. */
const MEMORY_SAMPLE_MS = 100;

export interface Memory {
  /** Everything resident: also the pages of files a process has mapped, which the system could take back at any time. */
  readonly residentBytes: number;
  /** The part that is the process's own: heap, buffers, stacks. */
  readonly ownBytes: number;
}

/** User and system time of a running process, in seconds; undefined when it is gone or the system does not tell. */
export function cpuSecondsOf(pid: number): number | undefined {
  const times = statFields(String(pid));
  return times === undefined ? undefined : (times.user + times.system) / TICKS_PER_SECOND;
}

/**
 * User and system time of every process this one has started and seen end, with what those had started and waited for. The difference
 * over the life of one process is therefore exact to the last instruction, which no look at the running process can be.
 */
export function cpuSecondsOfEnded(): number | undefined {
  const times = statFields('self');
  return times === undefined ? undefined : (times.endedUser + times.endedSystem) / TICKS_PER_SECOND;
}

/** CPU time of everything on the machine since it started, this program or not, with what the kernel does for the network. */
export function machineCpuSeconds(): number | undefined {
  const [line] = readProc('/proc/stat')?.split('\n') ?? [];
  if (line === undefined) return undefined;
  const [user = 0, nice = 0, system = 0, , , irq = 0, softirq = 0, steal = 0] = line.split(/\s+/u).slice(1).map(Number);
  return (user + nice + system + irq + softirq + steal) / TICKS_PER_SECOND;
}

export interface MemoryWatch {
  /** The highest seen so far. */
  peak(): Memory | undefined;
  close(): void;
}

/** Looks at a process's memory again and again until closed. A peak shorter than the time between two looks may be missed. */
export function watchMemory(pid: number): MemoryWatch {
  let residentBytes = 0;
  let ownBytes = 0;
  const look = (): void => {
    const now = memoryOf(pid);
    if (now === undefined) return;
    residentBytes = Math.max(residentBytes, now.residentBytes);
    ownBytes = Math.max(ownBytes, now.ownBytes);
  };
  look();
  const timer = setInterval(look, MEMORY_SAMPLE_MS);
  timer.unref();
  return {
    peak() {
      look();
      return residentBytes === 0 ? undefined : { residentBytes, ownBytes };
    },
    close: () => clearInterval(timer),
  };
}

/** VmHWM is the kernel's own high-water mark; the part that is not of files has none and must be watched. */
function memoryOf(pid: number): Memory | undefined {
  const status = readProc(`/proc/${pid}/status`);
  if (status === undefined) return undefined;
  const field = (name: string): number => {
    const match = new RegExp(`^${name}:\\s*(\\d+) kB$`, 'm').exec(status);
    return match === null ? 0 : Number(match[1]) * 1024;
  };
  const residentBytes = field('VmHWM');
  return residentBytes === 0 ? undefined : { residentBytes, ownBytes: field('RssAnon') };
}

function statFields(pid: string): { user: number; system: number; endedUser: number; endedSystem: number } | undefined {
  const stat = readProc(`/proc/${pid}/stat`);
  if (stat === undefined) return undefined;
  // the second field is the program's name in brackets and may hold anything; the third follows the last bracket
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const at = (fieldNumber: number): number => Number(fields[fieldNumber - 3]);
  return { user: at(14), system: at(15), endedUser: at(16), endedSystem: at(17) };
}

function readProc(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    const code = systemErrorCode(error);
    if (code === 'ENOENT' || code === 'ESRCH') return undefined; // gone, or not Linux
    throw error;
  }
}
