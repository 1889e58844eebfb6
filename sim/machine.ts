/** The machine that simulates: the only clocks of sim/ that are not virtual. */
import type { Machine } from './report.ts';

export const MACHINE: Machine = {
  seconds: () => performance.now() / 1000,
  cpuSeconds: () => {
    const { user, system } = process.cpuUsage();
    return (user + system) / 1e6;
  },
  memoryMiB: () => process.memoryUsage().rss / 2 ** 20,
};
