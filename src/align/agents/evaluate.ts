/** Evaluates a model on the tasks of a language environment, or of an agent. */

import type { Row } from '../../data/row.ts';
import type { Model } from '../../lm/model.ts';
import { parseOptions } from '../../options.ts';
import type { Completion } from '../reward-functions/reward-function.ts';
import { checkedTasks, type EpisodeTasks } from './environment.ts';
import { type EpisodeOptions, episodeSchema } from './episode.ts';
import { createEpisodeDraw, episodeMetrics } from './rollouts.ts';

/** How a model is evaluated. */
export interface TaskEvaluationOptions {
  /** Limits of an episode, as in training. */
  episode?: Partial<EpisodeOptions>;
  /** Maximum tokens of a turn (default: 96). */
  maxTokens?: number;
  /** Sampling temperature (default: 1). */
  temperature?: number;
  /** Maximum tasks to play (default: all that are held out). */
  count?: number;
  /** Episodes of each task (default: 1). Those of a task are adjacent. */
  repeats?: number;
  /** Sequences generated at once (default: 64). */
  batch?: number;
  /** Seed of the episodes (default: 0). */
  seed?: number;
  /** Stops the evaluation. */
  signal?: AbortSignal | undefined;
}

/** How a model did. */
export interface TaskEvaluation {
  /** Mean score of the episodes. */
  reward: number;
  /** The metrics of episodes, as a training has them: `episode/turns`, `episode/calls`, … */
  metrics: Record<string, number>;
  /** The episodes, to read. */
  episodes: Completion[];
}

/**
 * Plays each held-out task, or each task if none are held out. The model stays the caller's.
 *
 * @throws HeedError if an episode cannot begin, or the environment failed in all of them.
 */
export async function evaluateTasks(
  model: Model,
  env: EpisodeTasks,
  options: TaskEvaluationOptions = {},
): Promise<TaskEvaluation> {
  const { maxTokens = 96, temperature = 1, batch = 64, seed = 0, signal } = options;
  const environment = checkedTasks(env);
  const tasks = (environment.heldOut ?? environment.tasks).slice(0, options.count);
  const rows = tasks.flatMap((row) => new Array<{ row: Row }>(options.repeats ?? 1).fill({ row }));
  const episode = parseOptions(episodeSchema, options.episode ?? {});
  const drawing = { ...episode, environment, maxTokens, temperature, batch, suppress: neverDrawn(model) };
  using draw = createEpisodeDraw({ model, weights: model.parameters.values, adapters: undefined }, drawing);
  const episodes = (await draw.draw(rows, seed, signal)).map(({ completion }) => completion);
  const metrics = episodeMetrics(episodes);
  return { reward: metrics['episode/reward'], metrics, episodes };
}

/** Ids of tokens that begin or fill texts, and are never drawn. */
export const neverDrawn = ({ tokenizer, ends }: Pick<Model, 'tokenizer' | 'ends'>): number[] =>
  [tokenizer.bos, tokenizer.pad].filter((id) => id !== undefined && !ends.includes(id)) as number[];
