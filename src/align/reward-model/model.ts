/**
 * A reward model: a language model with a scalar head in place of its output layer, read on the token that ends an answer
 * (Ziegler et al. 2019, §2.1; Ouyang et al. 2022, §3.5). As a folder it is Hugging Face's classifier of one label, with
 * what makes rewards of its scores in reward.json beside it.
 */
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import type { TextOrMessages } from '../../data/index.ts';
import type { Disposables } from '../../disposables.ts';
import type { Value } from '../../engine/index.ts';
import { HeedError } from '../../error.ts';
import { fileError, writeFileAtomic } from '../../files.ts';
import { classifierParameters, type SaveOptions, scoreSpec } from '../../lm/checkpoint.ts';
import type { PullOptions } from '../../lm/hub.ts';
import { SCORE } from '../../lm/layout.ts';
import { loadModel, type Model, saveModel } from '../../lm/model.ts';
import { createPackedScorer, scoresOf } from '../../lm/packed-program.ts';
import type { Example } from '../../lm/packing.ts';
import { initialize, type Linear } from '../../nn/index.ts';
import { random } from '../../random.ts';
import { encodeAnswer } from '../examples/pairs.ts';
import { copyOf } from '../training/trainable.ts';
import { answersBatch } from './loss.ts';

const CALIBRATION = 'reward.json';

const calibrationSchema = z.object({
  /** Reward = score + shift: 0 on average over answers of the reference. */
  shift: z.number(),
  /** P(i is chosen over j) = σ(scale · (rewardᵢ − rewardⱼ)), since rewards deviate by 1 and the scores of training did not. */
  scale: z.number().positive(),
});
type Calibration = z.output<typeof calibrationSchema>;

export const plainCalibration: Calibration = { shift: 0, scale: 1 };

/** A reward model. `using` frees its weights at the end of the block. */
export interface RewardModel extends Model {
  /** What makes rewards of its scores. */
  calibration: Calibration;
  /**
   * The reward of a completion: `await model.score('Hello', 'Hi')`. Of a list of completions it gives a list. Prompt and
   * completions are read as rows of data are: text as it stands, messages as the chat template writes them.
   *
   * @throws HeedError where the tokenizer cannot read them.
   */
  score(prompt: TextOrMessages, completion: string): Promise<number>;
  score(prompt: TextOrMessages, completions: readonly string[]): Promise<number[]>;
}

const methods = {
  async score(
    this: RewardModel,
    prompt: TextOrMessages,
    given: string | readonly string[],
  ): Promise<number | number[]> {
    const completions = typeof given === 'string' ? [given] : given;
    const scorer = createRewardScorer(this);
    try {
      const scores = Array.from(scorer.run(completions.map((text) => encodedFor(this, prompt, text))));
      return typeof given === 'string' ? scores[0] : scores;
    } finally {
      scorer[Symbol.dispose]();
    }
  },
};

/** A completion with its prompt as a reward model reads it, ready to be scored; of what is too long, the beginning is left out. */
export function encodedFor(model: Model, prompt: TextOrMessages, text: string) {
  const completion = typeof prompt === 'string' ? text : [{ role: 'assistant', content: text }];
  const { ids, at } = scoredAnswer(encodeAnswer(prompt, completion, model.tokenizer), model);
  const excess = Math.max(0, ids.length - model.config.maxPositions);
  return { ids: Array.from(ids).slice(excess), at: [Math.max(0, at![0] - excess)] };
}

/** A classifier of one label as a reward model, over the same weights. */
export const rewardModelOf = (model: Model, calibration: Calibration): RewardModel =>
  ({ ...model, calibration, ...methods }) as RewardModel;

/**
 * A reward model that begins as a copy of a language model, with a head drawn from N(0, 1/(hidden + 1)) (Huang et al. 2024,
 * "The N+ Implementation Details of RLHF with PPO"). Of a reward model it is another over the same weights, which goes on
 * from there. The model that is passed stays the caller's.
 *
 * @throws HeedError where it is a classifier of several labels.
 */
export function createRewardModel(model: Model, seed: number): RewardModel {
  if (model.parameters.values[SCORE]) {
    checkRewardModel(model);
    return rewardModelOf(model, plainCalibration);
  }
  const { config } = model;
  const parameters = classifierParameters(model.parameters, scoreSpec(config, 1));
  const { data, shape } = parameters.values[SCORE];
  initialize.normal(1 / Math.sqrt(config.hiddenSize + 1))(data, shape, random(seed, 'reward head'));
  return rewardModelOf({ ...model, config: { ...config, tied: true }, parameters }, plainCalibration);
}

export function checkRewardModel({ parameters, folder }: Pick<Model, 'parameters' | 'folder'>): void {
  const labels = parameters.values[SCORE]?.shape[0];
  if (labels === 1) return;
  const what = labels === undefined ? 'a language model' : `a classifier of ${labels} labels`;
  throw new HeedError(`"${folder}" is ${what}, not a reward model.`, {
    hint: 'Train one with: heed reward --model MODEL --data comparisons.jsonl',
  });
}

/** Loads a reward model from a folder or the Hub. @throws HeedError where it is none. */
export async function loadRewardModel(nameOrFolder: string, options: PullOptions = {}): Promise<RewardModel> {
  const model = await loadModel(nameOrFolder, options);
  try {
    checkRewardModel(model);
    return rewardModelOf(model, readCalibration(model.folder!));
  } catch (error) {
    model[Symbol.dispose]();
    throw error;
  }
}

export function readCalibration(folder: string): Calibration {
  const path = join(folder, CALIBRATION);
  if (!existsSync(path)) return plainCalibration;
  try {
    return calibrationSchema.parse(JSON.parse(readFileSync(path, 'utf8')));
  } catch (cause) {
    throw new HeedError(`"${path}" is damaged: expected {"shift": number, "scale": number}.`, {
      hint: 'Train the model again, or delete the file: rewards are the plain scores then.',
      cause,
    });
  }
}

/** Where the training of a reward model begins. */
export interface Beginning {
  /** The model to train. */
  model: RewardModel;
  /** The reward model that the caller passed, whose weights these are. */
  passed?: RewardModel;
}

/**
 * Where the training of a reward model begins: of a language model at a copy with a head; of a reward model at its own
 * weights, or at a copy of them.
 *
 * @param lent Whether the model stays the caller's; else `own` keeps it, or what takes its place.
 */
export function beginRewardModel(begun: Model, seed: number, own: Disposables, lent: boolean, copy = false): Beginning {
  const model = createRewardModel(begun, seed);
  const isCopy = model.parameters !== begun.parameters;
  if (!lent) {
    own.release(begun);
    if (isCopy) begun[Symbol.dispose]();
    return { model: own.use(model) };
  }
  if (isCopy) return { model: own.use(model) };
  if (copy) return { model: own.use({ ...model, parameters: copyOf(model.parameters) }) };
  return { model, ...('calibration' in begun && { passed: begun as RewardModel }) };
}

/** The trained model with its calibration: the one that was passed, or else one that `own` no longer keeps. */
export function finishRewardModel({ model, passed }: Beginning, calibrated: Calibrated, own: Disposables): RewardModel {
  const { data } = model.parameters.values[SCORE];
  for (let i = 0; i < data.length; i++) data[i] *= calibrated.gain;
  const finished = passed ?? own.release(model);
  finished.calibration = calibrated.calibration;
  return finished;
}

/** Writes a folder that `loadRewardModel` and Transformers load. */
export function saveRewardModel(folder: string, model: RewardModel, options?: SaveOptions): void {
  // before config.json: a folder that has one is whole
  writeCalibration(folder, model.calibration);
  saveModel(folder, model, options);
}

/** Makes the folder where there is none. */
export function writeCalibration(folder: string, calibration: Calibration): void {
  try {
    mkdirSync(folder, { recursive: true });
  } catch (error) {
    throw fileError(error, 'create', folder);
  }
  writeFileAtomic(join(folder, CALIBRATION), `${JSON.stringify(calibration, null, 2)}\n`);
}

/** What makes rewards of scores: the head is multiplied by `gain`. */
export interface Calibrated {
  gain: number;
  calibration: Calibration;
}

/**
 * What makes rewards of the scores of some answers 0 on average, deviating by 1. Where they do not differ, only
 * their mean is taken off.
 */
export function calibrate(scores: ArrayLike<number>): Calibrated {
  const values = Array.from(scores);
  const mean = values.reduce((sum, score) => sum + score, 0) / values.length;
  const deviation = Math.sqrt(values.reduce((sum, score) => sum + (score - mean) ** 2, 0) / values.length);
  const scale = deviation > 1e-6 ? deviation : 1;
  return { gain: 1 / scale, calibration: { shift: -mean / scale, scale } };
}

/** Runs `use` while the head is multiplied by `gain` and the model calibrated so; then all is as it was, to the bit. */
export function whileCalibrated<T>(
  model: RewardModel,
  { gain, calibration }: Calibrated,
  use: (calibrated: RewardModel) => T,
): T {
  const { data } = model.parameters.values[SCORE];
  const plain = data.slice();
  for (let i = 0; i < data.length; i++) data[i] *= gain;
  try {
    return use({ ...model, calibration });
  } finally {
    data.set(plain);
  }
}

/**
 * An answer with its prompt, ready to be scored: on the last token of the answer that ends one, which is put behind it where there
 * is none. What a chat template writes after that (a line break) is not seen.
 */
export function scoredAnswer({ ids, learn }: Example, { ends, tokenizer }: Pick<Model, 'ends' | 'tokenizer'>): Example {
  for (let i = ids.length - 1; i >= 0 && (!learn || learn[i]); i--) {
    if (ends.includes(ids[i])) return { ids, learn, at: [i] };
  }
  const end = tokenizer.eos ?? ends[0];
  if (end === undefined) {
    throw new HeedError('No token ends an answer, so there is none to score it on.', {
      hint: 'Name one as eos_token in tokenizer_config.json.',
    });
  }
  return { ids: [...Array.from(ids), end], learn: learn && [...Array.from(learn), 1], at: [ids.length] };
}

interface RewardScorer {
  /** A reward for each of some answers made by `scoredAnswer`; those that are not finite come as they are. */
  run(answers: readonly Example[]): Float32Array;
  [Symbol.dispose](): void;
}

export interface ScorerOptions {
  /** The model's own where absent; read at each run. */
  weights?: Readonly<Record<string, Value>>;
  linear?: Linear;
}

/** The calibration is the model's when this is made. */
export function createRewardScorer(model: RewardModel, options?: ScorerOptions): RewardScorer {
  const scorer = createStateScorer(model, options);
  const { shift } = model.calibration;
  return {
    run: (answers) => Float32Array.from(scorer.run(answers), ([score]) => score + shift),
    [Symbol.dispose]: scorer[Symbol.dispose],
  };
}

interface StateScorer {
  /** What the head makes of the states that are read of each example: a number for each of its `at`. */
  run(examples: readonly Example[]): Float32Array[];
  [Symbol.dispose](): void;
}

/** Tokens of a batch, about. */
const AT_ONCE = 4096;

export function createStateScorer(
  { config, parameters, tokenizer }: Model,
  { weights = parameters.values, linear }: ScorerOptions = {},
): StateScorer {
  const scorer = createPackedScorer(config, weights, { read: scoresOf, linear });
  return {
    run(examples) {
      const all: number[][] = examples.map(() => []);
      // those of like length together, so that few tokens of a batch are padding
      const order = Array.from(examples.keys()).sort(
        (a, b) => examples[b].ids.length - examples[a].ids.length || a - b,
      );
      for (let i = 0, next = 0; i < order.length; i = next) {
        let tokens = 0;
        while (next < order.length && (next === i || tokens + examples[order[next]].ids.length <= AT_ONCE)) {
          tokens += examples[order[next++]].ids.length;
        }
        const some = order.slice(i, next);
        const batch = answersBatch(
          some.map((index) => examples[index]),
          tokenizer.pad ?? 0,
        );
        const scores = scorer.run(batch);
        for (const [label, sequence] of batch.sequences.entries()) all[some[sequence]].push(scores[label]);
      }
      return all.map((scores) => Float32Array.from(scores));
    },
    [Symbol.dispose]: scorer[Symbol.dispose],
  };
}
