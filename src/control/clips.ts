/** Segments as clips, side by side. */

import { replay } from '../env/batch/vector.ts';
import type { Environment } from '../env/environment.ts';
import { roundFrame } from '../rl/episodes.ts';
import type { ComparedClips } from '../run/report/clips.ts';
import type { Segment } from './segments.ts';

const SHOWN_FRAMES = 50;

/** Frames of both, at most fifty each. A segment read from a checkpoint has none, since its episode is not saved. */
export function clipsOf(
  segments: readonly [Segment, Segment],
  environment: Environment,
): Pick<ComparedClips, 'framesPerSecond' | 'first' | 'second'> {
  // both clips are thinned alike, so that they still play in step
  const every = Math.ceil(Math.max(...segments.map(({ length }) => length)) / SHOWN_FRAMES);
  const [first, second] = segments.map((segment) => {
    const from = segment.from ?? 0;
    const frames = segment.episode ? replay(environment, segment.episode, from, from + segment.length) : [];
    return frames.filter((_, i) => i % every === 0 || i === frames.length - 1).map(roundFrame);
  });
  return { framesPerSecond: environment.framesPerSecond / every, first, second };
}
