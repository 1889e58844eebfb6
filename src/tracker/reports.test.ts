import { expect, test } from 'vitest';
import * as limits from '../limits.ts';
import { Reports } from './reports.ts';

function report(reports: Reports, address: string, reporter: string, atMs = 0): number | undefined {
  return reports.add({ address, reporter, offence: 'wrong-bytes', atMs });
}

test('the address reported longest ago is forgotten when there are too many', () => {
  const reports = new Reports();
  for (const reporter of ['a', 'b']) report(reports, 'first', reporter);
  for (let index = 0; index < limits.REPORTED_ADDRESSES_MAX; index++) report(reports, `address ${index}`, `r${index}`);
  expect(reports.reporterCount('first')).toBe(0);
  expect(reports.reporterCount('address 0')).toBe(1);
});

test('of one address only so many reporters are kept, the newest', () => {
  const reports = new Reports();
  for (let index = 0; index < 10 * limits.REPORTERS_KEPT_MAX; index++) report(reports, 'one', `r${index}`);
  expect(reports.reporterCount('one')).toBe(limits.REPORTERS_KEPT_MAX);
});

test('who reports the same address again counts once, from now on', () => {
  const reports = new Reports();
  for (let atMs = 0; atMs < 10; atMs++) expect(report(reports, 'one', 'same', atMs)).toBeUndefined();
  expect(report(reports, 'one', 'second', 100)).toBeUndefined();
  expect(report(reports, 'one', 'third', 200)).toBe(9 + limits.REPORT_MEMORY_MS);
  expect(report(reports, 'one', 'same', 300)).toBeUndefined();
  reports.settle(100 + limits.REPORT_MEMORY_MS);
  expect(report(reports, 'one', 'second', 100 + limits.REPORT_MEMORY_MS)).toBe(200 + limits.REPORT_MEMORY_MS);
});
