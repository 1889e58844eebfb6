import { defineConfig } from 'vitest/config';
import { LongestFirst } from './test/support/longest-first.ts';

const slow = process.env['SHOAL_SLOW'] === '1';

export default defineConfig({
  test: {
    reporters: ['default', './test/support/closing-line.ts'],
    sequence: { sequencer: LongestFirst },
    projects: [
      {
        extends: true,
        test: { name: 'unit', include: ['src/**/*.test.ts', 'sim/**/*.test.ts', 'test/house/**/*.test.ts', 'test/contract/**/*.test.ts', 'bench/**/*.test.ts', 'test/fuzz/found.test.ts'], isolate: false, testTimeout: 30_000, maxWorkers: '100%', sequence: { groupOrder: 0 } },
      },
      {
        extends: true,
        test: {
          name: 'e2e',
          include: ['test/e2e/**/*.test.ts', 'test/fuzz/lane.test.ts'],
          testTimeout: 120_000,
          hookTimeout: 60_000,
          // scenarios are processes that wait for each other half of the time: so many at once keep two cores busy and are late for nobody
          maxWorkers: 2,
          maxConcurrency: 3,
          sequence: { groupOrder: 1 },
        },
      },
      ...(slow
        ? [
            {
              extends: true as const,
              test: { name: 'slow', include: ['test/slow/**/*.test.ts'], testTimeout: 600_000, hookTimeout: 120_000, sequence: { groupOrder: 2 } },
            },
          ]
        : []),
    ],
  },
});
