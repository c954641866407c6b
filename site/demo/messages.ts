/** What the page and its worker say to each other. */
import type { Frame } from 'heed/env';

/** The reader's choice between two clips: which is better, or that they are alike. */
export type Choice = 'left' | 'right' | 'equal';

/** The learned reward of a cart in the middle of the track. */
export interface RewardMap {
  /** Angles of the pole in degrees, left to right. */
  angles: number[];
  /** Its angular velocities in degrees per second, top to bottom. */
  velocities: number[];
  /** The reward, row by row, scaled to 0 … 1. */
  rewards: number[];
}

/** To the worker. */
export type Command =
  | { kind: 'start'; seed: number; steps: number }
  | { kind: 'choice'; id: string; choice: Choice }
  | { kind: 'pause' | 'step' | 'resume' }
  /** After the first training: new answers change the reward, and the policy goes on from what it is. */
  | { kind: 'change' };

/** From the worker. */
export type Report =
  | { kind: 'started'; steps: number }
  | {
      kind: 'query';
      id: string;
      clips: readonly [readonly Frame[], readonly Frame[]];
      framesPerSecond: number;
      texts: readonly [string, string];
    }
  | { kind: 'progress'; step: number; steps: number; seconds: number }
  | {
      kind: 'episode';
      step: number;
      frames: Frame[];
      framesPerSecond: number;
      length: number;
      lean: number;
      map?: RewardMap;
    }
  /** The mean length of its episodes, and how far the pole leans in them on average, in degrees. */
  | { kind: 'done'; length: number; lean: number; seconds: number }
  | { kind: 'failed'; message: string };
