/** The store of what people say: projects, items, votes and who gave them, in SQLite or PostgreSQL. */
export { adjudicate, type Disagreement, disagreements } from './adjudication.ts';
export * from './answer.ts';
export { type Assignment, type NextOptions, nextItems } from './assignment.ts';
export {
  type Asked,
  type Client,
  ClientError,
  createClient,
  type ProjectSummary,
  type StudioEvent,
} from './client.ts';
export { type Database, openDatabase } from './database.ts';
export { type ExportFormat, type ExportOptions, exportFormats, exportRows, type Merge, merges } from './export.ts';
export { countRows, type Imported, type ImportOptions, importItems } from './import.ts';
export { addItems, type Item, type NewItem, setPriorities } from './items.ts';
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
} from './quality.ts';
export type { QualityReport } from './report.ts';
export { createPeopleTeacher, type PeopleOptions, type PeopleTeacher } from './teacher.ts';
export { type NewVote, type Recorded, recordVote, undoVote, VoteError } from './votes.ts';
