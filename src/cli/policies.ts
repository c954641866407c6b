/** heed reinforce, rloo, grpo, raft, rest and online-dpo: a policy learns from what its answers are worth, without a critic. */
import type { Command } from 'commander';
import {
  createGrpo,
  createOnlineDpo,
  createRaft,
  createReinforce,
  createRest,
  createRloo,
  grpoSchema,
  onlineDpoSchema,
  type PolicyLearner,
  type PolicyParts,
  policyReport,
  raftSchema,
  reinforceSchema,
  restSchema,
  rlooSchema,
  trainPolicy,
} from '../align/index.ts';
import { liveReward, toldReward } from './ppo.ts';
import { pullProgress } from './pull.ts';
import { addTraining, type Recipe } from './training.ts';

const adding =
  <Input>(
    command: string,
    schema: Recipe<never, never, never>['schema'],
    create: (given: Input, parts: PolicyParts) => Promise<PolicyLearner>,
  ) =>
  (to: Command): void =>
    addTraining(to, {
      command,
      schema,
      create(settings, tell) {
        const { done, ...pull } = pullProgress('pull');
        return create(settings as Input, { pull, tell }).finally(done);
      },
      about: ({ name, steps }) => ({ name, steps }),
      train: trainPolicy,
      report: policyReport,
      live: liveReward,
      tell: toldReward,
    });

export const addReinforce = adding('reinforce', reinforceSchema, createReinforce);
export const addRloo = adding('rloo', rlooSchema, createRloo);
export const addGrpo = adding('grpo', grpoSchema, createGrpo);
export const addRaft = adding('raft', raftSchema, createRaft);
export const addRest = adding('rest', restSchema, createRest);
export const addOnlineDpo = adding('online-dpo', onlineDpoSchema, createOnlineDpo);
