/** A judge's preferences between a policy's completions, as a reward. */

import { createGenerator } from '../../lm/generate.ts';
import type { ChatMessage } from '../../lm/render-chat.ts';
import { seedFor } from '../../random.ts';
import { drawCompletions } from '../policies/draw.ts';
import type { PolicyTrainingOptions } from '../policies/options.ts';
import type { Completion, OpenReward } from '../reward-functions/reward-function.ts';
import type { LanguagePolicy } from '../training/policy.ts';
import type { CompletionJudge } from './judge.ts';

/**
 * A reward by a judge. When completions come in pairs of the same prompt, the reward of each is the preference for it
 * over the other one. Otherwise it is the preference for it over the reference's completion, and the mean is a win
 * rate. Judge and policy stay the caller's.
 */
export function judgedReward(
  judge: CompletionJudge,
  policy: LanguagePolicy,
  options: PolicyTrainingOptions,
): OpenReward {
  const others = referenceCompletions(policy, options);
  return {
    name: judge.name,
    async score(completions, signal) {
      const paired = completions[0]?.prompt === completions[1]?.prompt;
      const compared = completions.filter((_, i) => !paired || i % 2 === 0);
      const texts = paired
        ? completions.filter((_, i) => i % 2 === 1).map(({ text }) => text)
        : await others.to(completions, signal);
      const different = [...compared.keys()].filter((i) => compared[i].text !== texts[i]);
      const verdicts = await judge.compare(
        different.map((i) => {
          const { row, promptText, text } = compared[i];
          return { prompt: (row?.prompt ?? promptText) as string | ChatMessage[], completions: [text, texts[i]] };
        }),
        signal,
      );
      const preferences = new Array<number>(compared.length).fill(0.5);
      for (const [at, i] of different.entries()) preferences[i] = verdicts[at].preference;
      return paired ? preferences.flatMap((preference) => [preference, 1 - preference]) : preferences;
    },
    [Symbol.dispose]: others[Symbol.dispose],
  };
}

/** The reference's completion of each prompt: drawn once, then the same. */
function referenceCompletions(
  { model, reference }: LanguagePolicy,
  { seed, maxTokens, temperature, generate }: PolicyTrainingOptions,
) {
  const generator = createGenerator(reference.config, reference.weights);
  const cache = new Map<Completion['prompt'], string>();
  return {
    async to(completions: readonly Completion[], signal?: AbortSignal): Promise<string[]> {
      const prompts = completions
        .filter(({ prompt }) => !cache.has(prompt))
        .map(({ prompt: ids, promptText: text, row }) => ({ ids, text, row }));
      const settings = {
        maxTokens,
        temperature,
        batch: generate.batch,
        seed: seedFor(seed, 'reference answers'),
        signal,
      };
      for (const { prompt, text } of await drawCompletions(generator, model, prompts, settings))
        cache.set(prompt, text);
      return completions.map(({ prompt }) => cache.get(prompt)!);
    },
    [Symbol.dispose]: generator[Symbol.dispose],
  };
}
