import { expect, test } from 'vitest';
import { Histogram, PrometheusText } from './prometheus-text.ts';

test('a histogram counts everything once, in the first bucket that it fits, and above the last', () => {
  const histogram = new Histogram([0.25, 0.5, 2]);
  for (const value of [0, 0.25, 0.5, 2, 2.25]) histogram.observe(value);
  expect(histogram.lines('x_seconds', 'kind="a"')).toEqual([
    'x_seconds_bucket{kind="a",le="0.25"} 2',
    'x_seconds_bucket{kind="a",le="0.5"} 3',
    'x_seconds_bucket{kind="a",le="2"} 4',
    'x_seconds_bucket{kind="a",le="+Inf"} 5',
    'x_seconds_sum{kind="a"} 5',
    'x_seconds_count{kind="a"} 5',
  ]);
});

test('families have their help and type before their samples, with labels and without', () => {
  const text = new PrometheusText('p_');
  text.gauge('a', 'A.', 1);
  text.counter('b_total', 'B.', [
    ['x="1"', 2],
    ['x="2"', Number.POSITIVE_INFINITY],
  ]);
  text.histogram('c', 'C.', [['', new Histogram([1])]]);
  expect(text.toString()).toBe(
    [
      ...['# HELP p_a A.', '# TYPE p_a gauge', 'p_a 1'],
      ...['# HELP p_b_total B.', '# TYPE p_b_total counter', 'p_b_total{x="1"} 2', 'p_b_total{x="2"} +Inf'],
      ...['# HELP p_c C.', '# TYPE p_c histogram', 'p_c_bucket{le="1"} 0', 'p_c_bucket{le="+Inf"} 0', 'p_c_sum 0'],
      'p_c_count 0\n',
    ].join('\n'),
  );
});
