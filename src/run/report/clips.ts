/** Pairs of clips side by side, which the page's script plays in step. */

import type { Frame, FrameShape } from '../../env/environment.ts';
import { percent } from '../../percent.ts';
import { escaped } from './html.ts';

/** Two clips side by side. */
export interface PairOfClips {
  /** Frames of the clip on the left. */
  first: readonly Frame[];
  /** Frames of the clip on the right. */
  second: readonly Frame[];
  /** Speed at which both are played. */
  framesPerSecond: number;
  /** Names shown above them. */
  names?: readonly [first: string, second: string];
  /** Plain text below the pair. */
  caption?: string;
}

/** Two clips that a teacher compared. */
export interface ComparedClips extends PairOfClips {
  /** Shares of preference, which sum to 1, or that the clips cannot be compared. */
  choice: readonly [first: number, second: number] | 'incomparable';
}

/** A section of pairs of clips. */
export interface ClipsSection {
  /** Tells this section from the others. */
  kind: 'clips';
  /** Heading. */
  title: string;
  /** Plain text below the pairs. */
  caption?: string;
  /** The pairs, in the order in which they are shown. */
  comparisons: readonly (ComparedClips | PairOfClips)[];
  /** One pair per row, as large as fits. */
  large?: boolean;
}

/** A clip for the page: each shape once (scenery does not move), and a frame as a list of them. */
interface PackedClip {
  width: number;
  height: number;
  shapes: FrameShape[];
  frames: number[][];
}

export interface PackedComparison {
  clips: [PackedClip, PackedClip];
  framesPerSecond: number;
}

export function packComparison({ first, second, framesPerSecond }: PairOfClips): PackedComparison {
  return { clips: [packClip(first), packClip(second)], framesPerSecond };
}

function packClip(frames: readonly Frame[]): PackedClip {
  const { width = 1, height = 1 } = frames[0] ?? {};
  const digits = Math.max(0, Math.ceil(3 - Math.log10(Math.max(width, height)))); // a thousandth of the picture
  const numbers = new Map<string, number>();
  const shapes: FrameShape[] = [];
  const packed = frames.map((frame) =>
    frame.shapes.map((shape) => {
      const text = JSON.stringify(shape, (_, value) =>
        typeof value === 'number' ? Number(value.toFixed(digits)) : value,
      );
      let number = numbers.get(text);
      if (number === undefined) {
        number = shapes.push(JSON.parse(text) as FrameShape) - 1;
        numbers.set(text, number);
      }
      return number;
    }),
  );
  return { width, height, shapes, frames: packed };
}

/** Draws a pair of clips; `index` is its place in the page's data. */
export function drawComparison(pair: ComparedClips | PairOfClips, index: number): string {
  const { first, second, names, caption } = pair;
  const choice = 'choice' in pair ? pair.choice : undefined;
  const shares = Array.isArray(choice) ? choice : [0, 0];
  const canvas = (side: 0 | 1, frames: readonly Frame[]) => {
    const { width, height } = frames[0] ?? { width: 3, height: 2 };
    const preferred = shares[side] > 0.5 ? ' preferred' : '';
    const label = names ? escaped(names[side]) : ['First', 'Second'][side];
    const name = names ? `<p class="clip-name">${label}</p>` : '';
    return `<div>${name}<div class="clip${preferred}"><canvas width="${Math.ceil(width)}" height="${Math.ceil(height)}" role="img" aria-label="${label} clip, ${frames.length} frames"></canvas></div></div>`;
  };
  const label = choice === undefined ? '' : `<span class="choice">${inWords(choice)}</span>`;
  return `<figure class="comparison" data-comparison="${index}"><div class="pair">${canvas(0, first)}${canvas(1, second)}</div><div class="player"><button type="button" aria-label="Play"><svg viewBox="0 0 16 16" aria-hidden="true"><path class="to-play" d="M4 2.5v11l9-5.5z"/><path class="to-pause" d="M4 3h3v10H4zM9 3h3v10H9z"/></svg></button><input type="range" min="0" max="${Math.max(first.length, second.length, 1) - 1}" value="0" step="1" aria-label="Frame">${label}</div>${caption ? `<figcaption>${escaped(caption)}</figcaption>` : ''}</figure>`;
}

function inWords(choice: ComparedClips['choice']): string {
  if (choice === 'incomparable') return 'could not tell';
  const [first, second] = choice;
  if (first === second) return 'equally good';
  const more = Math.max(first, second);
  return `${first > second ? 'left' : 'right'} is better${more < 1 ? ` (${percent(more, 0)})` : ''}`;
}
