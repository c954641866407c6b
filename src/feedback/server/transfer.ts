/** Routes for files: import, export, and the schema that forms of settings are made from. */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Hono } from 'hono';
import { z } from 'zod';
import { writeDataset } from '../../data/write.ts';
import { HeedError } from '../../error.ts';
import { itemKinds } from '../judgment.ts';
import { settingsSchema } from '../project.ts';
import { auditTrail, exportAudit } from '../store/audit.ts';
import type { Database } from '../store/database.ts';
import { exportFormats, exportRows, formatsOf, merges } from '../transfer/export.ts';
import { importItems, importResultSchema } from '../transfer/import.ts';
import { body, type Env, number, projectOf, query, requires } from './context.ts';

/** Characters of a file in a request: the body has a limit too. */
const LONGEST = 60 * 2 ** 20;

/** Body of the request that imports a file. */
export const importSchema = z.object({
  text: z.string().min(1).max(LONGEST).describe('content of the file'),
  type: z.enum(['jsonl', 'json', 'csv', 'tsv']).default('jsonl').describe('type of the file'),
  answers: z
    .enum(['ignored', 'gold', 'practice'])
    .default('ignored')
    .describe('how to use judgments in the file: not at all, as gold items or as practice items'),
  onBadRow: z.enum(['error', 'skip']).default('error').describe('stop at a bad row, or skip it'),
});

/** The result of an import over HTTP. */
export const importedSchema = importResultSchema.extend({
  notices: z.array(z.string()).describe('first rows that were left out, with reasons'),
});

/** The content type of each kind of exported file. */
export const exportTypes = {
  jsonl: 'application/jsonl',
  csv: 'text/csv',
  parquet: 'application/vnd.apache.parquet',
} as const;

/** Query of the request that exports a file. */
export const exportSchema = z.object({
  as: z.enum(['jsonl', 'csv', 'parquet']).default('jsonl').describe('file type'),
  format: z.enum(exportFormats).optional().describe('format of the rows; by default the first that the kind has'),
  merge: z.enum(merges).default('majority').describe('how several judgments of an item are merged'),
  gold: z.enum(['true', 'false']).default('false').describe('whether to export gold and practice items too'),
});

/** Query of the request for the audit log. */
export const auditSchema = z.object({
  before: number.int().optional().describe('position before which the lines are'),
  limit: number.int().min(1).max(1000).default(100).describe('lines at most'),
});

/** Query of the request that exports the audit log. */
export const auditExportSchema = z.object({
  as: z.enum(['jsonl', 'csv', 'parquet']).default('jsonl').describe('file type'),
});

/** A setting in the schema that a form is made from. */
export const fieldSchema = z.looseObject({
  type: z.enum(['string', 'boolean', 'integer', 'number', 'array']).optional(),
  enum: z.array(z.string()).optional(),
  minimum: z.number().optional(),
  maximum: z.number().optional(),
  maxLength: z.number().optional(),
  default: z.unknown().optional(),
  description: z.string().optional(),
});

/** JSON Schema of a project's settings, as far as forms need it. */
export const settingsFormSchema = z.looseObject({
  properties: z.record(z.string(), fieldSchema).describe('JSON Schema of each setting'),
  formats: z.record(z.enum(itemKinds), z.array(z.enum(exportFormats))).describe('export formats of each kind'),
});

/** The routes for files. */
export function transferRoutes(database: Database) {
  const settingsForm = settingsFormSchema.parse({
    ...z.toJSONSchema(settingsSchema, { io: 'input' }),
    formats: formatsOf,
  });
  return new Hono<Env>()
    .get('/settings-schema', requires('annotator'), (context) => context.json(settingsForm))
    .post('/projects/:project/import', requires('owner'), body(importSchema), async (context) => {
      const project = await projectOf(database, context.req.param('project'), context.var.person);
      const { text, type, answers, onBadRow } = context.req.valid('json');
      return inFolder(async (folder) => {
        const path = join(folder, `items.${type}`);
        await writeFile(path, text, { mode: 0o600 });
        const notices: string[] = [];
        const withoutPath = (text: string) => text.replaceAll(path, 'items');
        try {
          const result = await importItems(database, project, [path], {
            gold: answers === 'gold',
            practice: answers === 'practice',
            onBadRow,
            onNotice: (text) => void (notices.length < 5 && notices.push(withoutPath(text))),
          });
          return context.json({ ...result, notices });
        } catch (error) {
          throw error instanceof HeedError ? new HeedError(withoutPath(error.message), { hint: error.hint }) : error;
        }
      });
    })
    .get('/projects/:project/export', requires('reviewer'), query(exportSchema), async (context) => {
      const project = await projectOf(database, context.req.param('project'), context.var.person);
      const { as, format, merge, gold } = context.req.valid('query');
      return inFolder(async (folder) => {
        const path = join(folder, `rows.${as}`);
        await writeDataset(path, exportRows(database, project, { format, merge, gold: gold === 'true' }));
        return download(path, `${project.name}.${as}`, exportTypes[as]);
      });
    })
    .get('/audit', requires('owner', 'admin'), query(auditSchema), async (context) =>
      context.json(await auditTrail(database, context.req.valid('query'))),
    )
    .get('/audit/export', requires('owner', 'admin'), query(auditExportSchema), (context) => {
      const { as } = context.req.valid('query');
      return inFolder(async (folder) => {
        const path = join(folder, `rows.${as}`);
        await writeDataset(path, exportAudit(database));
        return download(path, `audit.${as}`, exportTypes[as]);
      });
    });
}

/** The response that a browser saves as a file. */
async function download(path: string, name: string, type: string): Promise<Response> {
  const saved = `attachment; filename*=UTF-8''${encodeURIComponent(name)}`;
  return new Response(await readFile(path), { headers: { 'content-type': type, 'content-disposition': saved } });
}

/** Runs `work` with a temporary folder. */
async function inFolder<T>(work: (folder: string) => Promise<T>): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), 'heed-studio-'));
  try {
    return await work(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
