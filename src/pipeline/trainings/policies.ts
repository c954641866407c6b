/** The commands that train policies on rewards of their own completions. */
import { type BestOfNStep, bestOfNSchema, createBestOfN } from '../../align/best-of-n/best-of-n.ts';
import { createRaft, raftSchema } from '../../align/best-of-n/raft.ts';
import { createRest, restSchema } from '../../align/best-of-n/rest.ts';
import { bestOfNReport, trainBestOfN } from '../../align/best-of-n/train.ts';
import { diagnoseLanguageRun } from '../../align/diagnosis/run.ts';
import { createOveroptimization, overoptimizationSchema } from '../../align/overoptimization/overoptimization.ts';
import { overoptimizationReport } from '../../align/overoptimization/report.ts';
import { type OveroptimizationStep, trainOveroptimization } from '../../align/overoptimization/train.ts';
import type { PolicyStep } from '../../align/policies/learner.ts';
import { policyReport } from '../../align/policies/report.ts';
import { trainPolicy } from '../../align/policies/train.ts';
import { createGrpo, grpoSchema } from '../../align/policy-gradient/grpo.ts';
import { createPareto, type ParetoStep, paretoSchema } from '../../align/policy-gradient/pareto.ts';
import { paretoReport, trainPareto } from '../../align/policy-gradient/pareto-train.ts';
import { createReinforce, createRloo, reinforceSchema, rlooSchema } from '../../align/policy-gradient/reinforce.ts';
import { createLanguagePpo } from '../../align/ppo/learner.ts';
import { languagePpoSchema } from '../../align/ppo/options.ts';
import { createOnlineDpo, onlineDpoSchema } from '../../align/preferences/online-dpo.ts';
import { byCommand, named, opened } from './training.ts';

const policies = {
  ...named,
  teaches: 'rewarded model' as const,
  train: trainPolicy,
  report: policyReport,
  diagnose: diagnoseLanguageRun,
  live: ({ metrics, evaluation, tokensPerSecond }: PolicyStep): Record<string, number> => ({
    reward: metrics['reward/mean'],
    kl: metrics['kl/mean'],
    'tokens/s': tokensPerSecond,
    ...(metrics.labels !== undefined && { labels: metrics.labels, waiting: metrics.waiting }),
    ...(evaluation && { 'evaluation reward': evaluation.reward }),
  }),
};

export const policyTrainings = byCommand({
  ppo: { ...opened(languagePpoSchema, createLanguagePpo), ...policies },
  reinforce: { ...opened(reinforceSchema, createReinforce), ...policies },
  rloo: { ...opened(rlooSchema, createRloo), ...policies },
  grpo: { ...opened(grpoSchema, createGrpo), ...policies },
  raft: { ...opened(raftSchema, createRaft), ...policies },
  rest: { ...opened(restSchema, createRest), ...policies },
  'online-dpo': { ...opened(onlineDpoSchema, createOnlineDpo), ...policies },
  'best-of-n': {
    ...opened(bestOfNSchema, createBestOfN),
    ...named,
    train: trainBestOfN,
    report: bestOfNReport,
    live: ({ drawn }: BestOfNStep) => ({
      'reward of the best': drawn.reduce((sum, { rewards }) => sum + Math.max(...rewards), 0) / drawn.length,
    }),
    product: 'a dataset',
    path: 'best.jsonl',
  },
  overoptimization: {
    ...opened(overoptimizationSchema, createOveroptimization),
    about: named.about,
    train: trainOveroptimization,
    report: overoptimizationReport,
    live: ({ way }: OveroptimizationStep) => ({ curve: way }),
  },
  pareto: {
    ...opened(paretoSchema, createPareto),
    about: named.about,
    train: trainPareto,
    report: paretoReport,
    diagnose: diagnoseLanguageRun,
    live: ({ weight, inner }: ParetoStep) => ({
      weight,
      reward: inner.metrics['reward/mean'],
      kl: inner.metrics['kl/mean'],
    }),
  },
});
