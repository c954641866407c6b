/**
 * The interface of environments: Gymnasium's, without its allocations. Observations are written into the caller's
 * array, and `step` returns one object that the environment owns and overwrites.
 *
 * An episode is its seed and its actions. An environment must be deterministic in both, so that a checkpoint, a clip
 * and a resumed run can be rebuilt by replaying them.
 */

/** Numbers with bounds. */
export interface Box {
  /** Tells a box from a discrete space. */
  readonly kind: 'box';
  /** Lower bound of each element; ±Infinity where there is none. `low.length` is the number of elements. */
  readonly low: Float32Array;
  /** Upper bound of each element; ±Infinity where there is none. */
  readonly high: Float32Array;
  /** [channels, height, width], if the numbers are an image of values 0 … 255. */
  readonly shape?: readonly number[];
  /**
   * How many of the last numbers are the action mask: 1 for each discrete action that is allowed in this state, 0 for
   * the others. An environment's own `mask()` and Gymnasium's `info["action_mask"]` are put there.
   */
  readonly mask?: number;
  /** How many of the environment's observations, the oldest first, the numbers before the mask are. Absent: one. */
  readonly stack?: number;
}

/** One of n actions. */
export interface Discrete {
  /** Tells a discrete space from a box. */
  readonly kind: 'discrete';
  /** Actions are 0 … n − 1. */
  readonly n: number;
  /** How the environment itself writes them, where they are other numbers or several at once; absent: as they are. */
  readonly coding?: ActionCoding;
}

/**
 * How an environment writes a discrete action: the number plus `starts[0]`, or several numbers, of which the last one
 * counts fastest, each plus its start. (1, 5) + (2, 0) is action 4 of sizes [3, 2] with starts [1, 5].
 */
export interface ActionCoding {
  /** How many values each number has. */
  readonly sizes: readonly number[];
  /** The least value of each. */
  readonly starts: readonly number[];
}

/** What observations or actions look like. */
export type Space = Box | Discrete;

/** The result of a step. The environment owns it and overwrites it at the next step. */
export interface StepResult {
  /** Reward of the step. */
  reward: number;
  /** The task itself ended (a fall, a goal): nothing follows, so the state's value is 0. */
  terminated: boolean;
  /** The time limit cut the episode: the state still has a value. */
  truncated: boolean;
}

/** A task that an agent acts in, one step at a time. */
export interface Environment {
  /** The environment's name, such as CartPole-v1. */
  readonly id: string;
  /** What an observation looks like. */
  readonly observationSpace: Box;
  /** What an action looks like. */
  readonly actionSpace: Space;
  /** Steps after which an episode is truncated. */
  readonly maxEpisodeSteps: number;
  /** Return from which the task counts as solved, if its authors named one. */
  readonly rewardThreshold?: number;
  /** Frames per second of clips. */
  readonly framesPerSecond: number;
  /** Starts an episode. The same seed gives the same episode. Writes the first observation into `observation`. */
  reset(seed: number, observation: Float32Array): void;
  /** Takes a step. A discrete action is one number, a box action one number per element (the environment clips it). */
  step(action: ArrayLike<number>, observation: Float32Array): StepResult;
  /**
   * Which of the discrete actions are allowed in the current state, one value for each; called after `reset` and
   * `step`. An agent never takes another. What opens an environment puts the mask at the end of its observations.
   */
  mask?(): ArrayLike<number | boolean>;
  /** A picture of the current state. */
  frame(): Frame;
  /** Frees memory outside of JavaScript, if it holds any. */
  [Symbol.dispose]?(): void;
}

/** Numbers in an element of a space; a discrete action is one number. */
export const sizeOf = (space: Space): number => (space.kind === 'discrete' ? 1 : space.low.length);

/** Numbers that describe an action to a network: one for each of a discrete space, otherwise the action's own. */
export const actionWidthOf = (space: Space): number => (space.kind === 'discrete' ? space.n : space.low.length);

/**
 * A picture as vector shapes, far smaller than pixels and sharp at any size. Coordinates are in units of the frame:
 * x from 0 to `width`, y from 0 (top) to `height`. Drawn in order, later shapes over earlier ones.
 */
export interface Frame {
  /** Width in units of the frame. */
  width: number;
  /** Height in units of the frame. */
  height: number;
  /** Shapes in the order in which they are drawn. */
  shapes: FrameShape[];
}

/** A shape of a picture. Colors are CSS colors. */
export type FrameShape =
  | { kind: 'polygon'; points: number[]; fill: string }
  | { kind: 'line'; points: number[]; stroke: string; width: number }
  | { kind: 'circle'; x: number; y: number; radius: number; fill: string }
  /** A picture at its top left corner; \`href\` is a data: URL. */
  | { kind: 'image'; x: number; y: number; width: number; height: number; href: string };
