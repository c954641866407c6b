/** Draws episodes of a language environment from a policy: many at once, so that slow tools do not idle the cores. */
import { HeedError } from '../../error.ts';
import type { GeneratedCompletion } from '../../lm/continuous-batch.ts';
import { createGenerationQueue } from '../../lm/generation-queue.ts';
import { seedFor } from '../../random.ts';
import type { Completion } from '../reward-functions/reward-function.ts';
import type { LanguagePolicy } from '../training/policy.ts';
import { severally } from '../training/requests.ts';
import { type EpisodePlayer, type EpisodeTasks, type PlayedEpisode, taskName } from './environment.ts';
import { type EpisodeOptions, playEpisode } from './episode.ts';

/** What episodes are drawn with. */
export interface EpisodeDrawOptions extends EpisodeOptions {
  /** The environment. */
  environment: EpisodeTasks;
  /** The most tokens of a turn. */
  maxTokens: number;
  /** Sampling temperature. */
  temperature: number;
  /** Sequences generated at once. */
  batch: number;
  /** Ids that are never drawn. */
  suppress: readonly number[];
}

/** Draws episodes. */
export interface EpisodeDraw {
  /**
   * An episode of each task, by the seed. Rejects with the signal's reason when it aborts.
   *
   * @throws HeedError if an episode cannot begin, or the environment failed in all of them.
   */
  draw(tasks: readonly Pick<Completion, 'row'>[], seed: number, signal?: AbortSignal): Promise<PlayedEpisode[]>;
  /** Frees what it holds; it cannot be used afterwards. */
  [Symbol.dispose](): void;
}

/** Compiles the policy's decoder. Its weights may change between draws. */
export function createEpisodeDraw(
  policy: Pick<LanguagePolicy, 'model' | 'weights' | 'linear'>,
  options: EpisodeDrawOptions,
): EpisodeDraw {
  const { model, weights, linear } = policy;
  const { tokenizer, ends } = model;
  const { temperature, suppress, environment } = options;
  const queue = createGenerationQueue(model.config, weights, { batch: options.batch, linear });
  const complete = async (ids: readonly number[], most: number, seed: number, signal?: AbortSignal) => {
    const sampling = { maxTokens: most, temperature, suppress: [...suppress], seed };
    let last: GeneratedCompletion | undefined;
    for await (const { completion } of queue.submit(ids, { ...sampling, ends, tokenizer, signal })) last = completion;
    return last!;
  };
  const player = 'player' in environment ? environment.player({ ...options, model, queue }) : undefined;
  const play: (...of: Parameters<EpisodePlayer['play']>) => Promise<PlayedEpisode> =
    'player' in environment
      ? (...of) => player!.play(...of)
      : (...of) => playEpisode({ ...options, environment, tokenizer, draw: complete }, ...of);
  return {
    async draw(tasks, seed, signal) {
      queue.forget();
      const played: PlayedEpisode[] = new Array(tasks.length);
      const atOnce = Math.min(options.atOnce, player?.atOnce ?? Number.POSITIVE_INFINITY);
      await severally(tasks.length, atOnce, signal, async (i, either) => {
        // a signal of its own: many listeners on one look like a leak
        played[i] = await play(tasks[i].row!, seedFor(seed, 'episode', i), AbortSignal.any([either]));
      });
      const [first, ...others] = played.filter(({ completion }) => completion.episode!.failure !== undefined);
      if (others.length + 1 < played.length || !first) return played;
      const { row, episode } = first.completion;
      throw new HeedError(
        `The environment "${environment.name}" failed in all ${played.length} episodes. The first, of task ${taskName(row!)}: ${episode!.failure}`,
        {
          hint: 'The error is in the environment or the agent. Mend it, and resume the run.',
        },
      );
    },
    [Symbol.dispose]() {
      player?.[Symbol.dispose]();
      queue[Symbol.dispose]();
    },
  };
}
