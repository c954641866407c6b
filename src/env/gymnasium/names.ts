/** Names of Gymnasium's environments: `gym:ID`, `ALE/Game-v5`, with arguments after a `?`. */

import { HeedError } from '../../error.ts';

/** How a game's picture is prepared, and what is hidden from the agent. */
export interface AtariOptions {
  /** Frames per action. */
  frame_skip: number;
  /** Pictures per observation. */
  stack: number;
  /** Probability that a frame repeats the last action instead (Machado et al. 2018). */
  sticky: number;
  /** Maximum number of idle frames before an episode. */
  noops: number;
  /** Steps per episode. */
  max_episode_steps: number;
  /** Hidden: when a game is over, the next one begins without a sign to the agent (Christiano et al. 2017, A.2). */
  ends: 'shown' | 'hidden';
  /** Rectangles of the screen to blacken: [left, top, right, bottom] in pixels of 160 × 210. */
  hidden: [number, number, number, number][];
}

/** The parts of a name such as `gym:CartPole-v1?x=1`. */
export interface GymnasiumName {
  /** Gymnasium's id. */
  id: string;
  /** Keyword arguments of gymnasium.make. */
  arguments: Record<string, unknown>;
  /** How the game is prepared; null if the environment is used as it is. */
  atari: AtariOptions | null;
}

/**
 * Where games show their score, by name, as [left, top, right, bottom]; the games of Christiano et al. 2017. As in the
 * paper, some areas include neighbors: Beam Rider's enemy count, Enduro's dashboard.
 */
export const scoreAreas: Readonly<Record<string, [number, number, number, number][]>> = {
  BeamRider: [[0, 0, 160, 43]],
  Breakout: [[0, 0, 160, 17]],
  Enduro: [[48, 161, 112, 192]],
  Pong: [[0, 0, 160, 24]],
  Qbert: [[0, 0, 160, 14]],
  Seaquest: [[0, 0, 160, 19]],
  SpaceInvaders: [[0, 0, 160, 21]],
};

const standard: AtariOptions = {
  frame_skip: 4,
  stack: 4,
  sticky: 0.25,
  noops: 30,
  max_episode_steps: 27_000, // half an hour of play
  ends: 'shown',
  hidden: [],
};

/** Whether a name is one of Gymnasium's. */
export const isGymnasiumName = (name: string): boolean => /^(gym:|ALE\/)/.test(name);

/** Reads a name such as `gym:CarRacing-v3?continuous=false` or `ALE/Pong-v5?score=hidden&ends=hidden`. */
export function parseName(name: string): GymnasiumName {
  const [whole, query = ''] = name.split(/\?(.*)/s);
  const parameters = Object.fromEntries([...new URLSearchParams(query)].map(([key, text]) => [key, parsed(text)]));
  const prepared = whole.startsWith('ALE/');
  const id = whole.replace(/^gym:/, '');
  if (!prepared) return { id, arguments: parameters, atari: null };
  const { score, ...rest } = parameters;
  const atari: Record<string, unknown> = { ...standard };
  const other: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(rest)) (Object.hasOwn(standard, key) ? atari : other)[key] = value;
  if (typeof atari.hidden === 'string') atari.hidden = rectangles(name, atari.hidden);
  if (score === 'hidden') atari.hidden = [...(atari.hidden as number[][]), ...scoreAreaOf(id)];
  for (const [key, value] of Object.entries(atari)) check(name, key, value);
  return { id, arguments: other, atari: atari as unknown as AtariOptions };
}

/** Numbers, true, false and null as in JSON; anything else is text. */
function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

function scoreAreaOf(id: string) {
  const game = id.replace(/^ALE\/|-v\d+$/g, '');
  if (Object.hasOwn(scoreAreas, game)) return scoreAreas[game];
  throw new HeedError(
    `the place of ${game}'s score is unknown; it is known for ${Object.keys(scoreAreas).join(', ')}`,
    {
      hint: 'name the rectangle, left,top,right,bottom in pixels of 160 × 210: ?hidden=0,0,160,22 (several with a ; between)',
    },
  );
}

function rectangles(name: string, text: string): number[][] {
  const all = text.split(';').map((one) => one.split(',').map(Number));
  if (all.every((one) => one.length === 4 && one.every(Number.isInteger))) return all;
  throw new HeedError(`${name}: expected rectangles left,top,right,bottom, got "${text}"`, {
    hint: 'for example ?hidden=0,0,160,22',
  });
}

function check(name: string, key: string, value: unknown): void {
  const whole = (least: number) => Number.isInteger(value) && (value as number) >= least;
  const [right, expected] = {
    frame_skip: [whole(1), 'a whole number of at least 1'],
    stack: [whole(1), 'a whole number of at least 1'],
    sticky: [typeof value === 'number' && value >= 0 && value <= 1, 'a probability'],
    noops: [whole(0), 'a whole number of at least 0'],
    max_episode_steps: [whole(1), 'a whole number of at least 1'],
    ends: [value === 'shown' || value === 'hidden', 'shown or hidden'],
    hidden: [Array.isArray(value), 'rectangles'],
  }[key] as [boolean, string];
  if (right) return;
  throw new HeedError(`${name}: expected ${expected} as ${key}, got ${String(value)}`, {
    hint: `it is ${String(standard[key as keyof AtariOptions])} by default`,
  });
}
