import type { MetricsRow } from '../run.ts';

export type Ending = 'finished' | 'stopped' | 'failed';

/** Tells of a run elsewhere. None of it throws. */
export interface RunLogger {
  metrics(row: MetricsRow): void;
  sample(sample: Readonly<Record<string, unknown>>): void;
  /** Tells what is left and how the run ended; settles after some seconds at most. */
  close(ending: Ending): Promise<void>;
}
