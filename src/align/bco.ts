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
import { logSigmoid, mul, neg, sub } from '../engine/index.ts';
import { logRatios, meanReward, type PreferenceLoss } from './preference-loss.ts';

/** The loss of answers on their own; an answer's reward is r. */
export function bcoLoss({ beta }: { beta: number }): PreferenceLoss {
  return (answers) => {
    const rewards = mul(logRatios(answers), beta);
    const sign = sub(mul(answers.desirable, 2), 1);
    return { loss: neg(logSigmoid(mul(sign, sub(rewards, meanReward(answers, rewards))))), rewards };
  };
}
