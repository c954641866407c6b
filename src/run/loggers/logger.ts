import type { MetricsRow } from '../run.ts';

/** How a run ended: all steps done, stopped by a person, or an error. */
export type Ending = 'finished' | 'stopped' | 'failed';

/** Reports a run elsewhere. Its methods never throw. */
export interface RunLogger {
  /** Called with each row of metrics.jsonl. */
  metrics(row: MetricsRow): void;
  /** Called with each row of samples.jsonl. */
  sample(sample: Readonly<Record<string, unknown>>): void;
  /** Sends the rest and how the run ended. Settles after some seconds at most. */
  close(ending: Ending): Promise<void>;
}
