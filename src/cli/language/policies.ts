/**
 * heed reinforce, rloo, grpo, raft, rest and online-dpo: a policy learns from rewards of its completions, without a
 * critic.
 */
import type { Command } from 'commander';
import { addPolicyTraining, type PolicyCommand } from './ppo.ts';

const adding = (name: PolicyCommand) => (command: Command) => addPolicyTraining(command, name);

export const addReinforce = adding('reinforce');
export const addRloo = adding('rloo');
export const addGrpo = adding('grpo');
export const addRaft = adding('raft');
export const addRest = adding('rest');
export const addOnlineDpo = adding('online-dpo');
