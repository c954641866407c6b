/** The store of what people say: projects, items, votes and who gave them, in SQLite or PostgreSQL. */

export {
  type Asked,
  type Client,
  ClientError,
  createClient,
  type ProjectSummary,
  type StudioEvent,
} from './client.ts';
export { adjudicate, type Disagreement, disagreements } from './items/adjudication.ts';
export { type Assignment, type NextOptions, nextItems } from './items/assignment.ts';
export { addItems, type Item, type NewItem, setPriorities } from './items/items.ts';
export { type NewVote, type Recorded, recordVote, undoVote, VoteError } from './items/record.ts';
export * from './judgment.ts';
export * from './people.ts';
export * from './project.ts';
export {
  type Balance,
  balanceOf,
  categoryNames,
  type Given,
  givenAnswers,
  type PersonQuality,
  type Quality,
  qualityOf,
} from './quality/quality.ts';
export type { QualityReport } from './quality/report.ts';
export { type Database, openDatabase } from './store/database.ts';
export { createPeopleTeacher, type PeopleOptions, type PeopleTeacher } from './teacher.ts';
export {
  type ExportFormat,
  type ExportOptions,
  exportFormats,
  exportRows,
  type Merge,
  merges,
} from './transfer/export.ts';
export { countRows, type Imported, type ImportOptions, importItems } from './transfer/import.ts';
