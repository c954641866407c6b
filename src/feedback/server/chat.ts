/**
 * Routes for chatting with a model: each turn draws two responses, and the choice between them becomes a judged item.
 */
import { Hono } from 'hono';
import { stream } from 'hono/streaming';
import { z } from 'zod';
import { HeedError, messageOf } from '../../error.ts';
import { HttpError } from '../../http/errors.ts';
import { addItems, itemOf } from '../items/items.ts';
import { newJudgmentSchema, recordJudgment } from '../items/record.ts';
import type { Content } from '../judgment.ts';
import { newId } from '../store/audit.ts';
import type { Database } from '../store/database.ts';
import { body, type Env, projectOf, requires } from './context.ts';

/** One message of a conversation. */
export type ChatMessage = {
  /** `system`, `user` or `assistant`. */
  role: string;
  /** The text. */
  content: string;
};

/** A model that people can chat with. */
export interface ChatModel {
  /** Its name on the page. */
  name: string;
  /** Draws two responses to a conversation's last message, piece by piece as they are written. */
  draw(messages: readonly ChatMessage[], seed: number, signal: AbortSignal): AsyncIterable<Piece[]>;
}

/** A piece of text that is final. */
export interface Piece {
  /** Which response it continues: 0 or 1. */
  index: number;
  /** The text. */
  text: string;
}

/** A line of the streamed reply to `POST /chat`. */
export interface ChatLine {
  /** Text to append to the responses. */
  pieces?: Piece[];
  /** Id of the turn, in the last line. */
  turn?: string;
  /** What went wrong, in the last line. */
  error?: { message: string; hint?: string };
}

/** How long a turn waits for a choice. */
const TURN_MILLISECONDS = 7 * 24 * 3600 * 1000;

const role = z.enum(['system', 'user', 'assistant']);
const messagesSchema = z
  .array(z.object({ role, content: z.string().min(1).max(200_000) }))
  .min(1)
  .max(1000);

/** Body of the request for two responses. */
export const drawSchema = z.object({ messages: messagesSchema.describe('the conversation so far') });

/** Body of the request that chooses between the responses of a turn. */
export const turnSchema = newJudgmentSchema
  .omit({ item: true })
  .extend({ turn: z.string().max(200).describe('id of the turn') });

/** The model that people can chat with. */
export const modelSchema = z.object({ model: z.string().nullable().describe('its name; null if there is none') });

/** The routes for the chat. */
export function chatRoutes(database: Database, model: ChatModel | undefined) {
  const { query } = database;
  let seeds = Date.now() % 2 ** 31;
  // one conversation at a time uses the machine
  let queue: Promise<unknown> = Promise.resolve();

  return new Hono<Env>()
    .get('/chat', requires('annotator'), (context) => context.json({ model: model?.name ?? null }))
    .post('/chat', requires('annotator'), body(drawSchema), async (context) => {
      const person = context.var.person.id;
      const { messages } = context.req.valid('json');
      if (!model) throw new HttpError(409, 'There is no model to chat with.', 'Start the studio with --model.');
      context.header('content-type', 'application/x-ndjson');
      return stream(context, async (out) => {
        const gone = new AbortController();
        out.onAbort(() => gone.abort());
        const write = (line: ChatLine) => out.write(`${JSON.stringify(line)}\n`);
        const responses = ['', ''];
        const drawing = queue.then(async () => {
          for await (const pieces of model.draw(messages, seeds++, gone.signal)) {
            for (const { index, text } of pieces) responses[index] += text;
            await write({ pieces });
          }
        });
        queue = drawing.catch(() => {});
        try {
          await drawing;
          if (gone.signal.aborted) return;
          const turn = newId();
          const options = responses.map((text) => ({ kind: 'text' as const, text }));
          const contentJson = JSON.stringify({ prompt: messages, options } satisfies Content);
          const created = Date.now();
          await query
            .deleteFrom('turns')
            .where('created', '<', created - TURN_MILLISECONDS)
            .execute();
          await query.insertInto('turns').values({ id: turn, person, contentJson, created }).execute();
          await write({ turn });
        } catch (error) {
          const hint = error instanceof HeedError ? error.hint : undefined;
          await write({ error: { message: messageOf(error), hint } });
        }
      });
    })
    .post('/projects/:project/chat', requires('annotator'), body(turnSchema), async (context) => {
      const person = context.var.person.id;
      const project = await projectOf(database, context.req.param('project'), context.var.person);
      const { turn: id, ...judgment } = context.req.valid('json');
      const { kind } = project.settings;
      if (kind !== 'pair') {
        throw new HttpError(
          409,
          `Expected a project of kind pair, got "${project.name}" of kind ${kind}.`,
          'Choose a project of kind pair.',
        );
      }
      const turn = await query
        .selectFrom('turns')
        .select('contentJson')
        .where('id', '=', id)
        .where('person', '=', person)
        .executeTakeFirst();
      if (!turn) {
        throw new HttpError(404, 'The studio no longer has this turn.', 'Let the model respond once more.');
      }
      const content: Content = JSON.parse(turn.contentJson);
      await addItems(database, project, [{ content, source: `chat with ${model?.name ?? 'a model'}` }], person, person);
      const { id: item } = await itemOf(database, project, content);
      return context.json(await recordJudgment(database, project, person, { ...judgment, item }));
    });
}
