/** Loading a run's samples, and samples of two clips. */
import type { ClipView } from '../page/clips.tsx';
import { useResource } from '../page/load.tsx';
import { loadSamples, type RunSample, type SampleQuery } from './data.ts';

/** Loads samples of a run, and again when `version` changes. */
export function useSamples(run: string, query: SampleQuery, version: number) {
  const { value: page, error } = useResource(() => loadSamples(run, query), run, JSON.stringify(query), version);
  return { page, error };
}

/** Two clips with the preference between them: what a run in control writes for each comparison. */
export interface ComparisonRow extends RunSample {
  first: ClipView['frames'];
  second: ClipView['frames'];
  framesPerSecond: number;
  choice: [number, number] | 'incomparable';
}

/** Whether a sample is of two clips. */
export const isComparison = (sample: RunSample): sample is ComparisonRow =>
  [sample.first, sample.second].every((frames) => Array.isArray(frames) && frames.length > 0 && frames[0].shapes) &&
  typeof sample.framesPerSecond === 'number';
