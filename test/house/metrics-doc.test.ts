import { writeFile } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { nodeMetricsText } from '../../src/peer/metrics-server.ts';
import { NodeCounters } from '../../src/peer/node-metrics.ts';
import { createMetrics } from '../../src/tracker/frontends/metrics.ts';
import { createBench } from '../../src/tracker/test-fixtures.ts';
import { PROJECT_DIR, readProjectFile } from './project-files.ts';

/** One scrape of each side. */
async function scrapes(): Promise<{ readonly tracker: string; readonly peer: string }> {
  const { registry, clock } = await createBench();
  const metrics = createMetrics(registry, () => clock.nowMs);
  metrics.called('GET', '/files', 200, 1);
  const none = { native: 0, range: 0 };
  const figures = {
    ...{ sentBytes: none, receivedBytes: 0, wastedBytes: 0, connections: 0, links: 0, sharedFiles: 0, sharedBytes: 0 },
    contents: { fetching: 0, serving: 0 },
    requests: { awaited: 0, checking: 0 },
    uploads: { sending: 0, granted: 0, queued: 0 },
    limits: { up: 1, down: Number.POSITIVE_INFINITY },
    isRegistered: true,
    volunteer: { offeredBytes: 0, usedBytes: 0 },
  };
  const loopDelay = { p50Seconds: 0, p99Seconds: 0, maxSeconds: 0 };
  const peer = nodeMetricsText(new NodeCounters(), figures, { residentBytes: 0, uptimeSeconds: 0, loopDelay });
  return { tracker: metrics.text(), peer };
}

function tableOf(text: string): string {
  const types = new Map([...text.matchAll(/^# TYPE (\S+) (\S+)$/gmu)].map(([, name = '', type = '']) => [name, type]));
  const rows = [...text.matchAll(/^# HELP (\S+) (.+)$/gmu)].map(([, name = '', help = '']) => {
    const labels = new Set(
      [...text.matchAll(new RegExp(`^${name}(?:_bucket)?\\{(.+)\\} `, 'gmu'))].flatMap(([, all = '']) =>
        [...all.matchAll(/(\w+)="/gu)].map(([, label = '']) => label),
      ),
    );
    labels.delete('le');
    return `| \`${name}\` | ${types.get(name) ?? ''} | ${[...labels].map((label) => `\`${label}\``).join(', ')} | ${help} |`;
  });
  return ['| metric | type | labels | means |', '|---|---|---|---|', ...rows].join('\n');
}

test('docs/metrics.md is what a scrape says: run with UPDATE_DOCS=1 to write it anew', async () => {
  const { tracker, peer } = await scrapes();
  const page = `# Metrics

Made from what a tracker and a node say of their figures. Labels come from closed lists: none is a name, a content or an address.

## Of a tracker, \`GET /metrics\`

${tableOf(tracker)}

## Of a node, \`--metrics [HOST:]PORT\`

${tableOf(peer)}
`;
  if (process.env['UPDATE_DOCS'] === '1') await writeFile(`${PROJECT_DIR}docs/metrics.md`, page);
  expect(await readProjectFile('docs/metrics.md')).toBe(page);
});

test.each(['tracker', 'peer'] as const)('the %s dashboard asks only for figures that are given', async (side) => {
  const given = new Set([...(await scrapes())[side].matchAll(/^(shoal_\w+)/gmu)].map(([, name]) => name));
  const dashboard = await readProjectFile(`deploy/grafana-${side}.json`);
  const asked = new Set([...dashboard.matchAll(/shoal_\w+/gu)].map(([name]) => name));
  expect(asked.size).toBeGreaterThan(14);
  expect([...asked].filter((name) => !given.has(name))).toEqual([]);
});
