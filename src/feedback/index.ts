/** Human feedback: the store of projects, items, judgments and people, its server, and people as a teacher. */

export type { RequestEntry } from '../monitoring/requests.ts';
export type { StatementCounts } from '../monitoring/statements.ts';
export { changeSettings, type SettingsChanges } from './change-settings.ts';
export { type Client, ClientError, createClient, type StudioEvent } from './client.ts';
export { type Disagreement, disagreements } from './items/adjudication.ts';
export { type Assignment, type AssignmentOptions, assignItems } from './items/assignment.ts';
export {
  archiveItems,
  deleteItems,
  type ItemRecord,
  itemRecord,
  type ListedItem,
  type ListOptions,
  listItems,
} from './items/browse.ts';
export { type AddedItems, addItems, type Item, type NewItem, type Suggestion, setPriorities } from './items/items.ts';
export {
  JudgmentError,
  type NewJudgment,
  type Receipt,
  recordDecision,
  recordJudgment,
  type Undo,
  undoJudgment,
} from './items/record.ts';
export { type ItemState, itemStates } from './items/states.ts';
export { setSuggestions } from './items/suggestions.ts';
export * from './judgment.ts';
export { isMember, joinProjects, membersOf, setMembers } from './members.ts';
export * from './people.ts';
export * from './project.ts';
export { refreshEstimates } from './quality/certainty.ts';
export {
  type AnnotatorQuality,
  type Cost,
  type CountedJudgment,
  type Coverage,
  countedJudgments,
  coverageOf,
  type ItemDisagreement,
  type Quality,
  type QualityOptions,
  qualityOf,
  type SuggestionBias,
  type SuggestionShare,
} from './quality/quality.ts';
export type { QualityReport } from './quality/report.ts';
export * from './roles.ts';
export {
  createRoom,
  type Room,
  type RoomOptions,
  type RoomPhase,
  type RoomPlay,
  type RoomRequest,
  type RoomState,
} from './room.ts';
export { newSecret } from './secrets.ts';
export type { ChatLine, ChatMessage, ChatModel, Piece } from './server/chat.ts';
export type { AssignedItem, ProjectDetails, ProjectSummary, VoteReceipt } from './server/projects.ts';
export type { ListedRun, RowsEvent } from './server/runs.ts';
export type { Spread } from './server/runs-spread.ts';
export { type Api, type Studio, type StudioOptions, startStudio } from './server/studio-server.ts';
export { type AuditEntry, type AuditOptions, auditTrail, exportAudit } from './store/audit.ts';
export {
  type BackupOptions,
  type BackupSummary,
  backupStore,
  type CheckBackupOptions,
  checkBackup,
  type RestoreOptions,
  restoreStore,
} from './store/backup.ts';
export { type Database, openDatabase } from './store/database.ts';
export { createHumanTeacher, type HumanTeacher, type HumanTeacherOptions } from './teacher.ts';
export {
  type ExportFormat,
  type ExportOptions,
  exportFormats,
  exportRows,
  type Merge,
  merges,
} from './transfer/export.ts';
export { countRows, type ImportOptions, type ImportResult, importItems } from './transfer/import.ts';
