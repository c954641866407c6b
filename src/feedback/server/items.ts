/** Routes for what people do with single items besides judging: comments, saved filters, and who gets them. */
import { Hono } from 'hono';
import { z } from 'zod';
import { addComment, commentsOn, deleteComment, newCommentSchema } from '../items/comments.ts';
import { deleteFilter, savedFilterSchema, savedFilters, saveFilter } from '../items/filters.ts';
import { ownJudgmentSchema, ownJudgments, ownKinds } from '../items/my-work.ts';
import { reserveItems } from '../items/reserve.ts';
import type { Database } from '../store/database.ts';
import { body, type Env, number, projectFinder, query, requires } from './context.ts';
import { itemIdsSchema } from './projects.ts';

/** Body of the request that assigns items to people. */
export const assignSchema = itemIdsSchema.extend({
  people: z.array(z.string().max(200)).max(100).describe('names of those who get the items; empty for everybody'),
});

/** Query of the request for one's own judgments. */
export const ownWorkSchema = z.object({
  search: z.string().max(1000).default('').describe('words in the item or in the judgment'),
  kind: z.enum(ownKinds).default('all').describe('judgments, skips, or both'),
  limit: number.int().min(1).max(100).default(20).describe('judgments on a page'),
  offset: number.int().min(0).default(0).describe('judgments to skip'),
});

/** A page of one's own judgments. */
export const ownJudgmentsSchema = z.object({
  total: z.number().int().describe('judgments that match'),
  judgments: z.array(ownJudgmentSchema),
});

/** Further routes below `/projects`. */
export function itemRoutes(database: Database) {
  const find = projectFinder(database);
  return new Hono<Env>()
    .get('/:project/items/:item/comments', requires('annotator'), async (context) =>
      context.json(await commentsOn(database, await find(context), context.req.param('item'), context.var.person)),
    )
    .post('/:project/items/:item/comments', requires('annotator'), body(newCommentSchema), async (context) => {
      const project = await find(context);
      const comment = context.req.valid('json');
      return context.json(await addComment(database, project, context.req.param('item'), context.var.person, comment));
    })
    .delete('/:project/items/:item/comments/:comment', requires('annotator'), async (context) => {
      const project = await find(context);
      const { item, comment } = context.req.param();
      return context.json(await deleteComment(database, project, item, context.var.person, comment));
    })
    .get('/:project/mine', requires('annotator'), query(ownWorkSchema), async (context) =>
      context.json(
        await ownJudgments(database, await find(context), context.var.person.id, context.req.valid('query')),
      ),
    )
    .get('/:project/filters', requires('reviewer'), async (context) =>
      context.json(await savedFilters(database, await find(context))),
    )
    .post('/:project/filters', requires('reviewer'), body(savedFilterSchema), async (context) =>
      context.json(await saveFilter(database, await find(context), context.req.valid('json'))),
    )
    .delete('/:project/filters/:name', requires('reviewer'), async (context) =>
      context.json(await deleteFilter(database, await find(context), context.req.param('name'))),
    )
    .post('/:project/items/assign', requires('owner'), body(assignSchema), async (context) => {
      const { items, people } = context.req.valid('json');
      const project = await find(context);
      return context.json({ items: await reserveItems(database, project, items, people, context.var.person.id) });
    });
}
