/** What answers are worth to the algorithms without a critic: scores as PPO scales them, less what they cost. */

import type { z } from 'zod';
import { ppoSchema } from './ppo-options.ts';
import { createScoreScale } from './ppo-scores.ts';

/** As of PPO, but for where the score comes: it is the whole answer's. */
export const scoreSchema = ppoSchema.shape.score.unwrap().omit({ place: true }).prefault({});

export const createAnswerScores = (score: z.output<typeof scoreSchema>) =>
  createScoreScale({ ...score, place: 'last' });
