/** Looking for words in columns of the store. */
import { type SqlBool, sql } from 'kysely';

/** Whether a column of texts contains a word, in any case. */
export const contains = (column: string, word: string) =>
  sql<SqlBool>`lower(coalesce(${sql.ref(column)}, '')) like ${`%${word.replace(/[!%_]/g, '!$&')}%`} escape '!'`;

/** Whether a column of JSON contains a word, which is looked for as it is written there. */
export const jsonContains = (column: string, word: string) => contains(column, JSON.stringify(word).slice(1, -1));
