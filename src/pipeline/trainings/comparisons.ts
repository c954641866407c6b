/** The commands that compare completions. */
import {
  type ConstitutionStep,
  constitutionSchema,
  createConstitution,
} from '../../align/constitution/constitution.ts';
import { constitutionReport } from '../../align/constitution/report.ts';
import { constitutionMetrics } from '../../align/constitution/rows.ts';
import { trainConstitution } from '../../align/constitution/train.ts';
import { createPolicyEvaluation, type PolicyEvaluationStep } from '../../align/evaluation/evaluation.ts';
import { policyEvaluationSchema } from '../../align/evaluation/options.ts';
import { policyEvaluationReport } from '../../align/evaluation/report.ts';
import { runPolicyEvaluation } from '../../align/evaluation/run.ts';
import { byCommand, named, opened } from './training.ts';

export const comparisonTrainings = byCommand({
  constitution: {
    ...opened(constitutionSchema, createConstitution),
    about: named.about,
    train: trainConstitution,
    report: constitutionReport,
    live: (step: ConstitutionStep) => constitutionMetrics(step),
    shares: ['revisions/changed', 'comparisons/ties', 'rows/left_out'],
    product: 'a dataset',
    path: 'comparisons.jsonl',
  },
  'eval policy': {
    ...opened(policyEvaluationSchema, createPolicyEvaluation),
    about: named.about,
    train: runPolicyEvaluation,
    report: policyEvaluationReport,
    live: ({ pairs }: PolicyEvaluationStep) => ({
      'win rate of the batch': pairs.reduce((sum, { preference }) => sum + preference, 0) / pairs.length,
    }),
    shares: ['win rate of the batch'],
    product: 'a dataset',
    path: 'comparisons.jsonl',
  },
});
