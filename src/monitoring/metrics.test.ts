import { expect, it } from 'vitest';
import { logLine, withoutSecrets } from './log.ts';
import { createMetrics } from './metrics.ts';

it('writes counters, gauges and histograms in Prometheus’ text format', async () => {
  const metrics = createMetrics();
  const requests = metrics.counter('requests_total', 'Requests.');
  requests.add({ path: '/a' });
  requests.add({ path: '/a' }, 2);
  requests.add({ path: 'b"\\\n' });
  const times = metrics.histogram('seconds', 'Times.', [0.1, 1]);
  times.observe(0.05, { path: '/a' });
  times.observe(1, { path: '/a' }); // a bound belongs to its bucket
  times.observe(2, { path: '/a' });
  metrics.read('broken', 'Cannot be read.', () => Promise.reject(new Error('gone')));
  metrics.read('loss', 'A\nloss.', () => [[{}, Number.NaN]]);
  expect(await metrics.text()).toBe(`# HELP heed_requests_total Requests.
# TYPE heed_requests_total counter
heed_requests_total{path="/a"} 3
heed_requests_total{path="b\\"\\\\\\n"} 1
# HELP heed_seconds Times.
# TYPE heed_seconds histogram
heed_seconds_bucket{path="/a",le="0.1"} 1
heed_seconds_bucket{path="/a",le="1"} 2
heed_seconds_bucket{path="/a",le="+Inf"} 3
heed_seconds_sum{path="/a"} 3.05
heed_seconds_count{path="/a"} 3
# HELP heed_loss A\\nloss.
# TYPE heed_loss gauge
heed_loss NaN
`);
});

it('logs a line of text, or an object without secrets', () => {
  expect(logLine('text', 'warn', 'Look.', { request: 'req_1' })).toBe('Look.');
  const now = new Date('2026-11-22T10:00:00Z');
  expect(JSON.parse(logLine('json', 'error', 'It\nfailed', { request: 'req_1' }, now))).toEqual({
    time: '2026-11-22T10:00:00.000Z',
    level: 'error',
    message: 'It\nfailed',
    request: 'req_1',
  });
  const secret = 'gT7-_'.padEnd(43, 'x');
  for (const text of [
    `open http://a:1/#token=${secret}/teach`,
    `key heed-${secret} is used`,
    `Authorization: Bearer abc.def`,
    'sk-abcdefghijkl was refused',
    `Unexpected token 'm', "my prompt" is not valid JSON`,
  ]) {
    expect(withoutSecrets(text)).not.toMatch(/gT7|abc|my prompt/);
  }
  const harmless = 'run 20260102-030405-CartPole-v1, item 123e4567-e89b-12d3-a456-426614174000 of "p" failed';
  expect(withoutSecrets(harmless)).toBe(harmless);
});
