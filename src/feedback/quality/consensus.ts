/** What is probably true of a project's items. */
import type { Database } from '../store/database.ts';
import { countedJudgments } from './judgments.ts';
import { type Quality, qualityOf } from './quality.ts';
import { inThread } from './thread.ts';

/** The consensus on the items of the project with this id, found in this thread. */
export const findConsensus = async (database: Database, project: string): Promise<Quality['consensus']> =>
  qualityOf(await countedJudgments(database, project)).consensus;

/** The consensus on the items of the project with this id, found in a thread if possible. */
export const consensusOf = (database: Database, project: string): Promise<Quality['consensus']> =>
  inThread<Quality['consensus']>(database, 'consensus', project) ?? findConsensus(database, project);
