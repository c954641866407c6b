/** The record of PPO. */
import { policyRecord } from '../policies/record.ts';
import { createLanguagePpo } from './learner.ts';
import { languagePpoSchema } from './options.ts';

export const ppo = policyRecord('ppo', languagePpoSchema, createLanguagePpo);
