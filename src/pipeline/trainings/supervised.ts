/** The commands that train language models on texts. */
import { diagnoseLanguageRun } from '../../align/diagnosis/run.ts';
import { createDistill, distillSchema } from '../../align/distillation/distill.ts';
import type { LanguageStep } from '../../align/supervised/learner.ts';
import { createPretrain, pretrainSchema } from '../../align/supervised/pretrain.ts';
import { languageReport } from '../../align/supervised/report.ts';
import { createSft, sftSchema } from '../../align/supervised/sft.ts';
import { trainLanguageModel } from '../../align/supervised/train.ts';
import { byCommand, named, opened } from './training.ts';

const language = {
  ...named,
  teaches: 'demonstrated model' as const,
  train: trainLanguageModel,
  report: languageReport,
  diagnose: diagnoseLanguageRun,
  live: ({ loss, evaluation }: LanguageStep): Record<string, number> => ({
    loss,
    ...(evaluation?.loss !== undefined && { 'held-out loss': evaluation.loss }),
  }),
};

export const supervisedTrainings = byCommand({
  pretrain: { ...opened(pretrainSchema, createPretrain), ...language },
  sft: { ...opened(sftSchema, createSft), ...language },
  distill: { ...opened(distillSchema, createDistill), ...language },
});
