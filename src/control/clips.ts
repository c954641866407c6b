/** Segments as clips that are shown side by side. */
import { type Environment, type Frame, replay, type Shape } from '../env/index.ts';
import type { ComparedClips } from '../run/index.ts';
import type { Segment } from './segments.ts';

const SHOWN_FRAMES = 50;

/** No frames of a segment that knows not its episode. */
export function clipsOf(
  segments: readonly [Segment, Segment],
  environment: Environment,
): Pick<ComparedClips, 'framesPerSecond' | 'first' | 'second'> {
  // long clips are thinned alike, so that they still play in step
  const every = Math.ceil(Math.max(...segments.map(({ length }) => length)) / SHOWN_FRAMES);
  const [first, second] = segments.map((segment) => {
    const from = segment.from ?? 0;
    const frames = segment.episode ? replay(environment, segment.episode, from, from + segment.length) : [];
    return frames.filter((_, i) => i % every === 0 || i === frames.length - 1).map(rounded);
  });
  return { framesPerSecond: environment.framesPerSecond / every, first, second };
}

/** Coordinates to a thousandth of the picture: nobody sees more, and rows stay short. */
function rounded({ width, height, shapes }: Frame): Frame {
  const digits = Math.max(0, Math.ceil(3 - Math.log10(Math.max(width, height))));
  const round = (_: string, value: unknown) => (typeof value === 'number' ? Number(value.toFixed(digits)) : value);
  return { width, height, shapes: JSON.parse(JSON.stringify(shapes, round)) as Shape[] };
}
