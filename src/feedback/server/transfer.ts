/** Files in and out by a browser, and what forms of settings are made from. */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Hono } from 'hono';
import { z } from 'zod';
import { writeDataset } from '../../data/index.ts';
import { HeedError } from '../../error.ts';
import { settingsSchema } from '../project.ts';
import type { Database } from '../store/database.ts';
import { exportFormats, exportRows, formatsOf, merges } from '../transfer/export.ts';
import { importItems } from '../transfer/import.ts';
import { bodyOf, type Env, parsed, personOf, projectOf } from './context.ts';

const MOST = 60 * 2 ** 20;

export const importSchema = z.object({
  text: z.string().min(1).max(MOST),
  type: z.enum(['jsonl', 'json', 'csv', 'tsv']).default('jsonl'),
  /** What the file's own answers are: nothing, or right, which tells who is reliable, or right and told after practice. */
  answers: z.enum(['ignored', 'gold', 'practice']).default('ignored'),
  onBadRow: z.enum(['error', 'skip']).default('error'),
});

const types = { jsonl: 'application/jsonl', csv: 'text/csv', parquet: 'application/vnd.apache.parquet' };
export const exportSchema = z.object({
  as: z.enum(['jsonl', 'csv', 'parquet']).default('jsonl'),
  format: z.enum(exportFormats).optional(),
  merge: z.enum(merges).default('majority'),
});

export function transferRoutes(database: Database): Hono<Env> {
  return new Hono<Env>()
    .get('/settings-schema', (context) => {
      personOf(context);
      const { $schema, ...schema } = z.toJSONSchema(settingsSchema, { io: 'input' });
      return context.json({ ...schema, formats: formatsOf });
    })
    .post('/projects/:project/import', async (context) => {
      personOf(context, 'owner');
      const project = await projectOf(database, context.req.param('project'));
      const { text, type, answers, onBadRow } = await bodyOf(context, importSchema);
      return inFolder(async (folder) => {
        const path = join(folder, `items.${type}`);
        await writeFile(path, text, { mode: 0o600 });
        const bad: string[] = [];
        const own = (said: string) => said.replaceAll(path, 'items');
        const known = { gold: answers === 'gold', practice: answers === 'practice' };
        try {
          const done = await importItems(database, project, [path], {
            ...known,
            onBadRow,
            tell: (said) => void (bad.length < 5 && bad.push(own(said))),
          });
          return context.json({ ...done, told: bad });
        } catch (error) {
          throw error instanceof HeedError ? new HeedError(own(error.message), { hint: error.hint }) : error;
        }
      });
    })
    .get('/projects/:project/export', async (context) => {
      personOf(context, 'reviewer');
      const project = await projectOf(database, context.req.param('project'));
      const { as, format, merge } = parsed(exportSchema, context.req.query());
      return inFolder(async (folder) => {
        const path = join(folder, `rows.${as}`);
        await writeDataset(path, exportRows(database, project, { format, merge }));
        const name = encodeURIComponent(`${project.name}.${as}`);
        return new Response(await readFile(path), {
          headers: { 'content-type': types[as], 'content-disposition': `attachment; filename*=UTF-8''${name}` },
        });
      });
    });
}

async function inFolder<T>(work: (folder: string) => Promise<T>): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), 'heed-studio-'));
  try {
    return await work(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
