/** The order of test files: those that are known to take longest begin first, so that nobody waits for one of them alone at the end. */
import { BaseSequencer, type TestSpecification } from 'vitest/node';

const LONG = ['sim/faults.test.ts', 'test/e2e/containers.test.ts', 'test/fuzz/lane.test.ts', 'test/e2e/packed.test.ts'];

export class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const rank = ({ moduleId }: TestSpecification): number => {
      const at = LONG.findIndex((path) => moduleId.replaceAll('\\', '/').endsWith(`/${path}`));
      return at < 0 ? LONG.length : at;
    };
    // oxlint-disable-next-line unicorn/no-array-sort -- not an array's
    return (await super.sort(files)).toSorted((a, b) => rank(a) - rank(b));
  }
}
