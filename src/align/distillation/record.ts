/** The record of distillation. */
import { textRecord } from '../supervised/records.ts';
import { createDistill, distillSchema } from './distill.ts';

export const distill = textRecord('distill', distillSchema, createDistill);
