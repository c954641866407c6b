/** The route that shows what a model would learn of a project: its first rows as tokens, before a training begins. */
import { setImmediate as breathe } from 'node:timers/promises';
import { Hono } from 'hono';
import { z } from 'zod';
import type { Row } from '../../data/row.ts';
import { HttpError } from '../../http/errors.ts';
import type { Database } from '../store/database.ts';
import { exportRows } from '../transfer/export.ts';
import { type Env, projectOf, query, requires } from './context.ts';
import { exportSchema } from './transfer.ts';

/** Rows that are shown, and the characters of JSON that a row has at most: others use the server meanwhile. */
const [SHOWN, LONGEST] = [3, 20_000];

const sequenceSchema = z.object({
  title: z.string().describe('which row and part it is, and how much of it is learned'),
  pieces: z.array(z.object({ text: z.string(), learned: z.boolean() })).describe('its text in turns: learned and not'),
});
/** A sequence of a row as a model gets it. */
export type ShownSequence = z.infer<typeof sequenceSchema>;

/** A model whose tokens are shown. */
export interface TokenViewer {
  /** Its name on the page. */
  name: string;
  /** The sequences of rows that were exported. */
  view(rows: Row[]): AsyncIterable<ShownSequence>;
}

/** Query of the request: what is exported. */
export const tokensQuerySchema = exportSchema.omit({ as: true });

/** The first rows of a project as a model gets them. */
export const tokensSchema = z.object({
  model: z.string().describe('name of the model whose tokens these are'),
  sequences: z.array(sequenceSchema),
  long: z.number().describe(`rows before them that are longer than ${LONGEST} characters and left out`),
});

/** The route for tokens. */
export const tokenRoutes = (database: Database, viewer: TokenViewer | undefined) =>
  new Hono<Env>().get('/:project/tokens', requires('reviewer'), query(tokensQuerySchema), async (context) => {
    const project = await projectOf(database, context.req.param('project'), context.var.person);
    const { merge, gold, format } = context.req.valid('query');
    if (!viewer) {
      const hint = 'Start the studio with --model, or download the rows and type: heed data tokens FILE --model MODEL';
      throw new HttpError(409, 'The studio has no model whose tokens it could show.', hint);
    }
    const [rows, sequences]: [Row[], ShownSequence[]] = [[], []];
    let long = 0;
    for await (const row of exportRows(database, project, { format, merge, gold: gold === 'true' })) {
      if (JSON.stringify(row).length > LONGEST) long++;
      else rows.push(row);
      if (rows.length === SHOWN) break;
    }
    for await (const sequence of viewer.view(rows)) {
      sequences.push(sequence);
      await breathe();
    }
    return context.json({ model: viewer.name, sequences, long });
  });
