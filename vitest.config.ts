import { defineConfig } from 'vitest/config';

const slow = process.env['SHOAL_SLOW'] === '1';

export default defineConfig({
  test: {
    reporters: ['default', './test/support/closing-line.ts'],
    projects: [
      {
        extends: true,
        test: { name: 'unit', include: ['src/**/*.test.ts', 'sim/**/*.test.ts', 'test/house/**/*.test.ts', 'test/contract/**/*.test.ts', 'bench/**/*.test.ts', 'test/fuzz/found.test.ts'], isolate: false, testTimeout: 30_000 },
      },
      {
        extends: true,
        test: {
          name: 'e2e',
          include: ['test/e2e/**/*.test.ts', 'test/fuzz/lane.test.ts'],
          testTimeout: 90_000,
          hookTimeout: 60_000,
          maxWorkers: 1,
        },
      },
      ...(slow
        ? [
            {
              extends: true as const,
              test: { name: 'slow', include: ['test/slow/**/*.test.ts'], testTimeout: 600_000, hookTimeout: 120_000 },
            },
          ]
        : []),
    ],
  },
});
