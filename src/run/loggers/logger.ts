import type { MetricsRow } from '../run.ts';

/** How a run ended: all steps done, stopped by a person, or an error. */
export type Ending = 'finished' | 'stopped' | 'failed';

/** Tells of a run elsewhere. None of it throws. */
export interface RunLogger {
  /** Called with each row of metrics.jsonl. */
  metrics(row: MetricsRow): void;
  /** Called with each row of samples.jsonl. */
  sample(sample: Readonly<Record<string, unknown>>): void;
  /** Tells what is left and how the run ended; settles after some seconds at most. */
  close(ending: Ending): Promise<void>;
}
