import type { Reporter, TestModule } from 'vitest/node';

/** Ends every run with one bare line, `N passed, N failed`, that a reader or a machine can trust. */
export default class ClosingLine implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], errors: readonly unknown[]): void {
    let passed = 0;
    let failed = errors.length; // unhandled errors count as failures
    let skipped = 0;
    for (const module of modules) {
      let failedHere = 0;
      for (const test of module.children.allTests()) {
        const { state } = test.result();
        if (state === 'passed') passed++;
        else if (state === 'failed') failedHere++;
        else skipped++;
      }
      // a file that did not load, or whose hook threw, fails without a failed test
      failed += module.state() === 'failed' ? Math.max(1, failedHere) : failedHere;
    }
    // on exit, so that it stands below everything else the run prints
    process.once('exit', () => {
      process.stdout.write(`\n${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}\n`);
    });
  }
}
