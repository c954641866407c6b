/** Talking to a model: each turn draws two answers, and what is said of them becomes an item with a vote. */
import { Hono } from 'hono';
import { stream } from 'hono/streaming';
import { z } from 'zod';
import { HeedError, messageOf } from '../../error.ts';
import { addItems } from '../items/items.ts';
import { recordVote } from '../items/record.ts';
import type { Content } from '../judgment.ts';
import { newId } from '../store/audit.ts';
import type { Database } from '../store/database.ts';
import { itemIdOf } from '../transfer/import.ts';
import { bodyOf, type Env, HttpError, personOf, projectOf } from './context.ts';
import { newVoteSchema } from './projects.ts';

export type ChatMessage = { role: string; content: string };

/** A model that answers. */
export interface ChatModel {
  name: string;
  /** Two answers to the conversation's last message, piece by piece as they come. */
  draw(messages: readonly ChatMessage[], seed: number, signal: AbortSignal): AsyncIterable<Piece[]>;
}

/** What has become final of an answer: the first or the second. */
export interface Piece {
  index: number;
  text: string;
}

/** How long a turn that nobody has chosen in is kept. */
const KEPT_MILLISECONDS = 7 * 24 * 3600 * 1000;

const role = z.enum(['system', 'user', 'assistant']);
const messagesSchema = z
  .array(z.object({ role, content: z.string().min(1).max(200_000) }))
  .min(1)
  .max(1000);
export const drawSchema = z.object({ messages: messagesSchema });
export const chosenSchema = newVoteSchema.omit({ item: true }).extend({ turn: z.string().max(200) });

export function chatRoutes(database: Database, model: ChatModel | undefined): Hono<Env> {
  const { query } = database;
  let seeds = Date.now() % 2 ** 31;
  // one conversation is answered after another: the model has the machine for itself
  let before: Promise<unknown> = Promise.resolve();

  return new Hono<Env>()
    .get('/chat', (context) => {
      personOf(context);
      return context.json({ model: model?.name ?? null });
    })
    .post('/chat', async (context) => {
      const { id: person } = personOf(context);
      const { messages } = await bodyOf(context, drawSchema);
      if (!model) throw new HttpError(409, 'There is no model to talk to.', 'Start the studio with --model.');
      context.header('content-type', 'application/x-ndjson');
      return stream(context, async (out) => {
        const gone = new AbortController();
        out.onAbort(() => gone.abort());
        const line = (value: object) => out.write(`${JSON.stringify(value)}\n`);
        const answers = ['', ''];
        const mine = before.then(async () => {
          for await (const pieces of model.draw(messages, seeds++, gone.signal)) {
            for (const { index, text } of pieces) answers[index] += text;
            await line({ pieces });
          }
        });
        before = mine.catch(() => {});
        try {
          await mine;
          if (gone.signal.aborted) return;
          const turn = newId();
          const options = answers.map((text) => ({ kind: 'text' as const, text }));
          const contentJson = JSON.stringify({ prompt: messages, options } satisfies Content);
          const created = Date.now();
          await query
            .deleteFrom('turns')
            .where('created', '<', created - KEPT_MILLISECONDS)
            .execute();
          await query.insertInto('turns').values({ id: turn, person, contentJson, created }).execute();
          await line({ turn });
        } catch (error) {
          const hint = error instanceof HeedError ? error.hint : undefined;
          await line({ error: { message: messageOf(error), hint } });
        }
      });
    })
    .post('/projects/:project/chat', async (context) => {
      const { id: person } = personOf(context);
      const project = await projectOf(database, context.req.param('project'));
      const { turn: id, ...vote } = await bodyOf(context, chosenSchema);
      if (project.settings.kind !== 'pair') {
        throw new HttpError(409, `"${project.name}" compares no pairs.`, 'Choose a project of kind pair.');
      }
      const turn = await query
        .selectFrom('turns')
        .select('contentJson')
        .where('id', '=', id)
        .where('person', '=', person)
        .executeTakeFirst();
      if (!turn) {
        throw new HttpError(404, 'The studio does not remember this turn.', 'Let the model answer once more.');
      }
      const content: Content = JSON.parse(turn.contentJson);
      await addItems(database, project, [{ content, source: `chat with ${model?.name ?? 'a model'}` }], person);
      const item = await itemIdOf(database, project, { content });
      return context.json(await recordVote(database, project, person, { ...vote, item }));
    });
}
