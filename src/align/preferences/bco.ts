/**
 * BCO: a classifier of wanted and unwanted answers, whose logit is the policy's own reward r = β log(π/π_ref) (Jung et al. 2024,
 * eq. 9–10). Answers are rated each on its own:
 *
 *   L = −log σ(r − δ) of a wanted answer, −log σ(δ − r) of another,      δ the mean of all rewards so far
 *
 * Left out: the paper's weights for data whose wanted and unwanted answers are to different prompts (§3.3).
 *
 * Run it: heed bco --model HuggingFaceTB/SmolLM2-135M-Instruct --data rated.jsonl
 */
import { z } from 'zod';
import { logSigmoid, mul, neg, sub } from '../../engine/index.ts';
import { stepsOf } from '../../run/index.ts';
import type { PreferenceLearner, PreferenceStep } from './learner.ts';
import { logRatios, meanReward, type PreferenceLoss } from './loss.ts';
import { preferenceSchema } from './options.ts';
import { createPreferences, type PreferenceParts } from './setup.ts';

/** The loss of answers on their own; an answer's reward is r. */
export function bcoLoss({ beta }: { beta: number }): PreferenceLoss {
  return (answers) => {
    const rewards = mul(logRatios(answers), beta);
    const sign = sub(mul(answers.desirable, 2), 1);
    return { loss: neg(logSigmoid(mul(sign, sub(rewards, meanReward(answers, rewards))))), rewards };
  };
}

export const bcoSchema = preferenceSchema.extend({
  beta: z.number().positive().default(0.1).describe('how firmly the reference holds the policy'),
});
export type BcoOptions = z.output<typeof bcoSchema>;
export type BcoInput = z.input<typeof bcoSchema>;

/** A learner of rated answers; throws and rejects as `createDpo` does. */
export function createBco(given: BcoInput, parts: PreferenceParts = {}): Promise<PreferenceLearner<BcoOptions>> {
  const options = bcoSchema.parse(given);
  return createPreferences('bco', options, parts, { loss: bcoLoss(options), paired: false });
}

/** Learns rated answers, one optimizer step at a time, until the steps are done or `signal` aborts. The model is trained in place. */
export async function* bco(
  given: BcoInput,
  parts: PreferenceParts & { signal?: AbortSignal } = {},
): AsyncGenerator<PreferenceStep, void, undefined> {
  yield* stepsOf(await createBco(given, parts), parts.signal);
}
