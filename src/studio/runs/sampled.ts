/** A run's samples as they are fetched, and those that show two clips. */
import { useEffect, useState } from 'preact/hooks';
import type { Clip } from '../page/clips.tsx';
import { type Sample, type Samples, samplesOf } from './data.ts';

export function useSamples(of: string, what: Record<string, string | number | undefined>, version: number) {
  const [found, setFound] = useState<Samples>();
  const [failed, setFailed] = useState<Error>();
  useEffect(() => {
    let here = true;
    samplesOf(of, what).then(
      (samples) => here && setFound(samples),
      (error) => here && setFailed(error),
    );
    return () => {
      here = false;
    };
  }, [of, JSON.stringify(what), version]);
  return { found, failed };
}

/** Two clips that somebody compared; see ComparisonSample in control/train.ts. */
export interface ComparedSample extends Sample {
  first: Clip['frames'];
  second: Clip['frames'];
  framesPerSecond: number;
  choice: [number, number] | 'incomparable';
}

export const isCompared = (sample: Sample): sample is ComparedSample =>
  [sample.first, sample.second].every((frames) => Array.isArray(frames) && frames.length > 0 && frames[0].shapes) &&
  typeof sample.framesPerSecond === 'number';
