/** The table of feedback: one row for each completion, user and kind. */
import type { Kysely } from 'kysely';
import type { FeedbackKind } from './feedback.ts';

/** The table of feedback. */
export interface FeedbackTables {
  feedback: {
    /** Id of the completion; of a choice, the one that sorts first. */
    completion: string;
    /** Of a choice, id of the other completion; else empty. */
    other: string;
    /** Pseudonym of the user. */
    user: string;
    kind: FeedbackKind;
    valueJson: string;
    /** The model that the client asked for, and the one that wrote the completion. */
    model: string;
    version: string;
    /** Pseudonym of the user who got the completion. */
    owner: string;
    /** The item in the store of feedback that shows the completion. */
    item: string;
    /** Which of the item's options the completion is: 0, or 1 for the second of a choice. */
    place: number;
    /** When it came first, and last, in milliseconds since 1970. */
    created: number;
    updated: number;
    /** The place of this row among all that were written or changed: 1, 2, …; never used twice. */
    sequence: number;
  };
}

/** Creates the table. */
export async function createFeedbackTable({ schema }: Kysely<unknown>): Promise<void> {
  await schema
    .createTable('feedback')
    .addColumn('completion', 'text', (column) => column.notNull())
    .addColumn('other', 'text', (column) => column.notNull())
    .addColumn('user', 'text', (column) => column.notNull())
    .addColumn('kind', 'text', (column) => column.notNull())
    .addColumn('valueJson', 'text', (column) => column.notNull())
    .addColumn('model', 'text', (column) => column.notNull())
    .addColumn('version', 'text', (column) => column.notNull())
    .addColumn('owner', 'text', (column) => column.notNull())
    .addColumn('item', 'text', (column) => column.notNull())
    .addColumn('place', 'integer', (column) => column.notNull())
    .addColumn('created', 'double precision', (column) => column.notNull())
    .addColumn('updated', 'double precision', (column) => column.notNull())
    .addColumn('sequence', 'integer', (column) => column.notNull())
    .addPrimaryKeyConstraint('feedback_key', ['completion', 'other', 'user', 'kind'])
    .execute();
  await schema.createIndex('feedback_user').on('feedback').column('user').execute();
  await schema.createIndex('feedback_owner').on('feedback').column('owner').execute();
  await schema.createIndex('feedback_updated').on('feedback').columns(['model', 'updated']).execute();
  await schema.createIndex('feedback_sequence').on('feedback').column('sequence').execute();
}
