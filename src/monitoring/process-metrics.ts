/** What an operator watches of any process of heed: memory, and how long its event loop keeps requests waiting. */
import { monitorEventLoopDelay } from 'node:perf_hooks';
import type { Metrics } from './metrics.ts';

/** Milliseconds between looks at the event loop. Shorter delays than this are not seen. */
const RESOLUTION = 20;
/** Nanoseconds in a second. */
const GIGA = 1e9;

/** Adds the memory and the event loop's lag of this process. Call the returned function when nobody reads them anymore. */
export function addProcessMetrics(metrics: Metrics): () => void {
  const started = Date.now() / 1000 - process.uptime();
  metrics.read('process_start_seconds', 'Unix time at which the process started.', () => [[{}, started]]);
  metrics.read('resident_bytes', 'Resident memory of the process.', () => [[{}, process.memoryUsage.rss()]]);
  metrics.read('heap_bytes', 'JavaScript objects in memory.', () => [[{}, process.memoryUsage().heapUsed]]);
  const delay = monitorEventLoopDelay({ resolution: RESOLUTION });
  delay.enable();
  metrics.read(
    'event_loop_lag_seconds',
    'How much later than planned the event loop ran a timer, since the last reading.',
    () => {
      const lag = (nanoseconds: number) => Math.max(0, nanoseconds / GIGA - RESOLUTION / 1000);
      const samples = [0.5, 0.99].map(
        (share) => [{ quantile: String(share) }, lag(delay.percentile(100 * share))] as const,
      );
      const worst = [{ quantile: '1' }, lag(delay.max)] as const;
      delay.reset();
      return [...samples, worst];
    },
  );
  return () => delay.disable();
}
